//! A device in the hands of a C program, and how its calls end: with a number and a message.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bootenv::Error;
use bootenv::device::Device;

use crate::codes::Code;

/// What was opened. Only its address is known to C.
#[derive(Debug)]
pub struct Handle {
    device: Device,
    message: CString,
    /// A panic came out of the device, so nobody knows what it holds.
    broken: bool,
}

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("`{0}` is NULL")]
    Null(&'static str),
    #[error("`{0}` has no such value")]
    Value(&'static str),
    #[error("a mistake in the library\n\nhint: free this handle and open another")]
    Bug,
    #[error(transparent)]
    Device(#[from] Error),
}

thread_local! {
    /// Of the last call of this thread that failed and had no handle to keep its message.
    static MESSAGE: RefCell<CString> = RefCell::default();
}

impl Failure {
    fn code(&self) -> i32 {
        match self {
            Failure::Null(_) => Code::Null as i32,
            Failure::Value(_) => Code::Value as i32,
            Failure::Bug => Code::Bug as i32,
            Failure::Device(error) => error.code().into(),
        }
    }

    /// Messages quote paths and texts of others, which may hold anything but ends early in C.
    fn message(&self) -> CString {
        CString::new(self.to_string().replace('\0', "?")).unwrap_or_default()
    }
}

impl Handle {
    pub(crate) fn new(device: Device) -> Self {
        Handle { device, message: CString::default(), broken: false }
    }

    /// The last error on this handle, empty when there was none.
    pub(crate) fn message(&self) -> &CStr {
        &self.message
    }

    /// Does something with the device. No panic comes out.
    pub(crate) fn call(&mut self, run: impl FnOnce(&mut Device) -> Result<(), Failure>) -> i32 {
        if self.broken {
            return self.fail(&Failure::Bug);
        }
        match caught(|| run(&mut self.device)) {
            Ok(()) => Code::None as i32,
            Err(failure) => {
                self.broken = failure == Failure::Bug;
                self.fail(&failure)
            }
        }
    }

    fn fail(&mut self, failure: &Failure) -> i32 {
        self.message = failure.message();
        failure.code()
    }
}

/// Does something that has no handle. No panic comes out.
pub(crate) fn call(run: impl FnOnce() -> Result<(), Failure>) -> i32 {
    match caught(run) {
        Ok(()) => Code::None as i32,
        Err(failure) => {
            MESSAGE.set(failure.message());
            failure.code()
        }
    }
}

/// What the last failed call of this thread without a handle said.
pub(crate) fn with_message<T>(look: impl FnOnce(&CStr) -> T) -> T {
    MESSAGE.with_borrow(|message| look(message))
}

fn caught<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // A device that was cut short is not used again.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Failure::Bug))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it stands")]
mod tests {
    use super::*;
    use crate::support::grub_disk;
    use bootenv::BootFlow as _;
    use bootenv::medium::Access;

    #[test]
    fn a_panic_is_a_number_and_ends_the_handle() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), grub_disk().0).unwrap();
        let mut handle = Handle::new(Device::image(file.path(), Access::Read).unwrap());
        assert_eq!(handle.call(|device| Ok(device.default_slot().map(drop)?)), 0);
        assert_eq!(handle.call(|_| panic!("a test says so")), Code::Bug as i32);
        let mut asked = false;
        let again = handle.call(|_| {
            asked = true;
            Ok(())
        });
        assert_eq!((again, asked), (Code::Bug as i32, false));
        assert!(handle.message().to_str().unwrap().contains("free this handle"));
        assert_eq!(call(|| panic!("a test says so")), Code::Bug as i32);
    }

    #[test]
    fn messages_without_a_handle_are_their_threads_own() {
        let message = || with_message(|message| message.to_str().unwrap().to_owned());
        assert_eq!(call(|| Err(Failure::Null("here"))), Code::Null as i32);
        let elsewhere = std::thread::spawn(move || {
            let before = message();
            call(|| Err(Failure::Value("there\0")));
            (before, message())
        });
        assert_eq!(elsewhere.join().unwrap(), (String::new(), "`there?` has no such value".to_owned()));
        assert_eq!(message(), "`here` is NULL");
    }
}
