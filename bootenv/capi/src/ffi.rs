//! What C calls. All that is unsafe about it is here: a pointer is NULL, which is refused, or the caller
//! keeps the promise of the header that it points to what its type says.

#![allow(unsafe_code, reason = "pointers of C, and names that C links")]
#![allow(clippy::missing_safety_doc, reason = "the head of the header has the promises of all")]

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bootenv::BootFlow as _;
use bootenv::device::{Device, System};
use bootenv::medium::Access;

use crate::handle::{self, Failure, Handle};
use crate::types::{AccessValue, HistoryOut, StartedOut, StateOut, slot, slot_of};

/// Opens the machine that this runs on.
///
/// @param access   a `bootenv_access`
/// @param journal  path of the journal, or NULL for `/run/factory/mnt/data/bootenv.journal`; without one
///                 that can be opened, what needs it is refused with `BOOTENV_ERROR_JOURNAL`
/// @param handle   where the handle goes; NULL goes there on any error
/// @return a `bootenv_error`; the message is `bootenv_error_message(NULL)`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_open(access: u32, journal: *const c_char, handle: *mut *mut Handle) -> i32 {
    // SAFETY: the caller's promise for both pointers.
    unsafe { open(handle, || running(&System::running(), access, path(journal))) }
}

/// Opens a machine whose `/proc`, `/sys`, `/dev` and `/run` are below a directory, as in a container that
/// has its host's. Else as `bootenv_open`.
///
/// @param root  path of that directory
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_open_below(
    root: *const c_char,
    access: u32,
    journal: *const c_char,
    handle: *mut *mut Handle,
) -> i32 {
    // SAFETY: the caller's promise for all three pointers.
    let look = || unsafe {
        let system = System::below(path(root)?.ok_or(Failure::Null("root"))?);
        running(&system, access, path(journal))
    };
    // SAFETY: the same.
    unsafe { open(handle, look) }
}

/// Opens an image, or a disk that this machine does not run from. It has slots but nothing that runs:
/// there is nothing to commit, and no trial that a Raspberry Pi could be armed for.
///
/// @param image   path of a file or of a block device
/// @param access  a `bootenv_access`
/// @param handle  where the handle goes; NULL goes there on any error
/// @return a `bootenv_error`; the message is `bootenv_error_message(NULL)`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_open_image(
    image: *const c_char,
    access: u32,
    handle: *mut *mut Handle,
) -> i32 {
    // SAFETY: the caller's promise for both pointers.
    let look = || unsafe {
        let image = path(image)?.ok_or(Failure::Null("image"))?;
        Ok(Device::image(image, accessed(access)?)?)
    };
    // SAFETY: the same.
    unsafe { open(handle, look) }
}

/// Closes what was opened. The handle and its message must not be used any more. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_free(handle: *mut Handle) {
    if !handle.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller promises to give it back once.
        let handle = unsafe { Box::from_raw(handle) };
        handle::call(|| {
            drop(handle);
            Ok(())
        });
    }
}

/// What the last error said, in English and UTF-8: one line, sometimes an empty one and a line that
/// starts with `hint: `. Empty when there was no error.
///
/// @param handle  of the call that failed; NULL for calls that failed without one, on this thread
/// @return never NULL; good until the next call with this handle, or without one on this thread
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_error_message(handle: *const Handle) -> *const c_char {
    // SAFETY: the caller's promise.
    match unsafe { handle.as_ref() } {
        Some(handle) => handle.message().as_ptr(),
        None => handle::with_message(CStr::as_ptr),
    }
}

/// The version of this library, as `0.1.0`. Never NULL, and good for ever.
#[unsafe(no_mangle)]
pub extern "C" fn bootenv_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// All that is known of both slots.
///
/// @param state  where it goes; left as it is on any error
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_get_state(handle: *mut Handle, state: *mut StateOut) -> i32 {
    let look = |device: &mut Device| {
        let known = device.state()?;
        Ok(StateOut::new(device, &known))
    };
    // SAFETY: the caller's promise for both pointers.
    unsafe { answer(handle, "state", state, look) }
}

/// The committed slot.
///
/// @param slot  where its `bootenv_slot` goes; left as it is on any error
/// @return a `bootenv_error`; `BOOTENV_ERROR_LOST` when no copy of the state can be read
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_default_slot(handle: *mut Handle, slot: *mut u32) -> i32 {
    // SAFETY: the caller's promise for both pointers.
    unsafe { answer(handle, "slot", slot, |device| Ok(self::slot(Some(device.default_slot()?)))) }
}

/// The slot that runs.
///
/// @param slot  where its `bootenv_slot` goes: none on an image, and on another machine's disk
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_booted_slot(handle: *mut Handle, slot: *mut u32) -> i32 {
    // SAFETY: the caller's promise for both pointers.
    unsafe { answer(handle, "slot", slot, |device| Ok(self::slot(device.booted_slot()))) }
}

/// The slot that an update goes to: the one that does not run, or else the one that is not committed.
///
/// @param slot  where its `bootenv_slot` goes; left as it is on any error
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_other_slot(handle: *mut Handle, slot: *mut u32) -> i32 {
    let look = |device: &mut Device| {
        let known = device.booted_slot().map_or_else(|| device.default_slot(), Ok)?;
        Ok(self::slot(Some(known.other())))
    };
    // SAFETY: the caller's promise for both pointers.
    unsafe { answer(handle, "slot", slot, look) }
}

/// Says that a slot is about to be written: nothing hands over to it any more, and a trial of it ends. To
/// be called before its first byte is changed.
///
/// @param slot  a `bootenv_slot`, neither the one that runs nor the committed one
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_stage(handle: *mut Handle, slot: u32) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { change(handle, |device| Ok(device.stage(named(slot)?)?)) }
}

/// Lets the next starts boot a slot; then, without a commit, the committed slot again. The machine is to
/// be restarted afterwards, by the command `bootenv restart` or as usual.
///
/// @param slot   a `bootenv_slot`, neither the one that runs nor the committed one
/// @param tries  how many starts it gets, 1 to 9
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_try(handle: *mut Handle, slot: u32, tries: u32) -> i32 {
    let tries = u8::try_from(tries).unwrap_or(u8::MAX);
    // SAFETY: the caller's promise.
    unsafe { change(handle, |device| Ok(device.try_next(named(slot)?, tries)?)) }
}

/// Whether a trial could be armed, as far as the board and its firmware go. Changes nothing.
///
/// @return a `bootenv_error`: what keeps it from that
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_can_try(handle: *mut Handle) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { change(handle, |device| Ok(device.can_try()?)) }
}

/// Makes the slot that runs the committed one. Nothing to do when it is.
///
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_commit(handle: *mut Handle) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { change(handle, |device| Ok(device.commit()?)) }
}

/// Ends a trial: the next start boots the committed slot. Nothing to do when there is none.
///
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_rollback(handle: *mut Handle) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { change(handle, |device| Ok(device.rollback()?)) }
}

/// Makes all copies of the state good and the same.
///
/// @param repaired  1 goes there when there was anything to do, else 0; may be NULL
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_repair(handle: *mut Handle, repaired: *mut u32) -> i32 {
    let mut done = 0;
    let repaired = if repaired.is_null() { &raw mut done } else { repaired };
    // SAFETY: the caller's promise for both pointers, or our own.
    unsafe { answer(handle, "repaired", repaired, |device| Ok(device.repair()?.into())) }
}

/// For what runs once after every start of the machine, when the journal's file system is mounted; images
/// of `factory` do it in their init. Repairs, notes what happened and, on a Raspberry Pi, arms the next
/// try.
///
/// @param started  where it says what it came to; left as it is on any error
/// @return a `bootenv_error`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_start(handle: *mut Handle, started: *mut StartedOut) -> i32 {
    // SAFETY: the caller's promise for both pointers.
    unsafe { answer(handle, "started", started, |device| Ok(device.start()?.into())) }
}

/// The journal: what happened to the slots last.
///
/// @param history  where its records go; left as it is on any error
/// @return a `bootenv_error`; `BOOTENV_ERROR_JOURNAL` on an image, whose journal lies in a file system
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bootenv_history(handle: *mut Handle, history: *mut HistoryOut) -> i32 {
    // SAFETY: the caller's promise for both pointers.
    unsafe { answer(handle, "history", history, |device| Ok((&device.history()?).into())) }
}

/// # Safety
/// The pointer is NULL or a handle's that nobody else uses meanwhile.
unsafe fn change(handle: *mut Handle, run: impl FnOnce(&mut Device) -> Result<(), Failure>) -> i32 {
    // SAFETY: as above.
    match unsafe { handle.as_mut() } {
        Some(handle) => handle.call(run),
        None => handle::call(|| Err(Failure::Null("handle"))),
    }
}

/// # Safety
/// As [`change`]; and `out` is NULL or points to room for a `T`, which need not hold one yet.
unsafe fn answer<T>(
    handle: *mut Handle,
    name: &'static str,
    out: *mut T,
    look: impl FnOnce(&mut Device) -> Result<T, Failure>,
) -> i32 {
    let run = |device: &mut Device| {
        if out.is_null() {
            return Err(Failure::Null(name));
        }
        let answer = look(device)?;
        // SAFETY: as above.
        unsafe { out.write(answer) };
        Ok(())
    };
    // SAFETY: as above.
    unsafe { change(handle, run) }
}

/// # Safety
/// `out` is NULL or points to room for a pointer.
unsafe fn open(out: *mut *mut Handle, look: impl FnOnce() -> Result<Device, Failure>) -> i32 {
    handle::call(|| {
        if out.is_null() {
            return Err(Failure::Null("handle"));
        }
        // SAFETY: as above.
        unsafe { out.write(std::ptr::null_mut()) };
        let handle = Box::new(Handle::new(look()?));
        // SAFETY: as above.
        unsafe { out.write(Box::into_raw(handle)) };
        Ok(())
    })
}

/// A path of C's; nothing for NULL.
///
/// # Safety
/// The pointer is NULL or points to a string that ends in a NUL, and stays while the path is used.
unsafe fn path<'a>(text: *const c_char) -> Result<Option<&'a Path>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as above.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    if bytes.is_empty() { Err(Failure::Value("path")) } else { Ok(Some(Path::new(OsStr::from_bytes(bytes)))) }
}

fn running(system: &System, access: u32, journal: Result<Option<&Path>, Failure>) -> Result<Device, Failure> {
    Ok(Device::running(system, accessed(access)?, journal?)?)
}

fn named(value: u32) -> Result<bootenv::Slot, Failure> {
    slot_of(value).ok_or(Failure::Value("slot"))
}

fn accessed(value: u32) -> Result<Access, Failure> {
    match value {
        _ if value == AccessValue::Read as u32 => Ok(Access::Read),
        _ if value == AccessValue::Write as u32 => Ok(Access::Write),
        _ => Err(Failure::Value("access")),
    }
}
