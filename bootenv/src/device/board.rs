//! What lies outside the disk of a Raspberry Pi: the tryboot flag, and the count of tries.
//!
//! | way | where | holds until |
//! |---|---|---|
//! | mailbox | `/dev/vcio`, in the vendor's kernels and through the module `rpi_vcio` | the next reset |
//! | argument | `reboot "0 tryboot"`, which only the vendor's kernels pass on | whoever restarts takes it along |
//!
//! With any other kernel a trial is refused: it would silently be none.

use std::fs;
use std::path::PathBuf;
use std::string::{String, ToString as _};

use super::log::Log;
use super::sys::{self, Mailbox};
use super::{System, firmware};
use crate::flow::Chip;
use crate::{Error, Trial};

/// Says that the flag is set, for boards that do not. It lies in memory and is gone with the flag.
const ARMED: &str = "run/factory/tryboot";
/// Where systemd takes the argument of a restart from (its `reboot(8)`, `--reboot-argument`).
const SYSTEMD: &str = "run/systemd/reboot-param";
/// The argument (raspberrypi/linux, `drivers/firmware/raspberrypi.c`).
const ARGUMENT: &str = "0 tryboot";

/// What releases of the vendor's kernels have in their names.
const VENDORS: [&str; 4] = ["-rpi", "+rpt", "-v8", "-2712"];

/// A board that this runs on, or none.
#[derive(Debug)]
pub(super) struct Board {
    system: Option<System>,
    log: Log,
}

/// How the flag is set.
enum Way {
    Mailbox(Mailbox),
    Argument,
}

impl Board {
    pub(super) fn of(system: System, log: Log) -> Self {
        Board { system: Some(system), log }
    }

    /// For an image: it has no flag.
    pub(super) fn none() -> Self {
        Board { system: None, log: Log::none() }
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub(super) fn doubt(&self) -> Option<&'static str> {
        self.system.as_ref().and_then(firmware::doubt)
    }

    /// Whether a trial could be armed.
    pub(super) fn can_arm(&self) -> Result<(), Error> {
        let system = self.system.as_ref().ok_or_else(no_board)?;
        firmware::check(system)?;
        way(system).map(drop)?;
        self.log.read().map(drop)
    }
}

impl Chip for Board {
    fn tryboot(&mut self) -> Result<bool, Error> {
        let Some(system) = &self.system else { return Ok(false) };
        let told = match way(system) {
            Ok(Way::Mailbox(mut mailbox)) => mailbox.tryboot()?,
            Ok(Way::Argument) | Err(_) => None,
        };
        Ok(told.unwrap_or_else(|| system.path(ARMED).exists()))
    }

    fn set_tryboot(&mut self, set: bool) -> Result<(), Error> {
        let system = self.system.as_ref().ok_or_else(no_board)?;
        match way(system)? {
            Way::Mailbox(mut mailbox) => mailbox.set_tryboot(set)?,
            Way::Argument => keep(system.path(SYSTEMD), set.then_some(ARGUMENT))?,
        }
        keep(system.path(ARMED), set.then_some(ARGUMENT))
    }

    fn trial(&mut self) -> Result<Option<Trial>, Error> {
        Ok(self.log.trial())
    }

    fn set_trial(&mut self, trial: Option<Trial>) -> Result<(), Error> {
        self.log.set_trial(trial)
    }
}

/// Restarts the machine at once, with what a trial needs where the flag is an argument. Programs are not
/// ended and file systems are only synced: it is for whoever has done the rest.
///
/// # Errors
/// [`Error::Tryboot`] when the system refuses.
pub fn restart(system: &System) -> Result<core::convert::Infallible, Error> {
    let armed = system.path(ARMED).exists();
    Err(error(sys::restart(armed.then_some(c"0 tryboot"))))
}

fn way(system: &System) -> Result<Way, Error> {
    let device = system.path("dev/vcio");
    if device.exists() {
        return Ok(Way::Mailbox(Mailbox::open(&device)?));
    }
    let release = system.text("proc/sys/kernel/osrelease").unwrap_or_default();
    let vendors = VENDORS.iter().any(|word| release.contains(word));
    if vendors || system.parameter("factory.tryboot").as_deref() == Some("argument") {
        return Ok(Way::Argument);
    }
    Err(Error::Tryboot(
        "this kernel has no `/dev/vcio`, and is not known to pass on the argument of a reboot\n\n\
         hint: `modprobe rpi_vcio` where the image has that module, else the kernel of Raspberry Pi"
            .to_string(),
    ))
}

/// Writes a file of the memory's file system, or removes it. One in a directory that is not there is
/// nobody's.
fn keep(path: PathBuf, text: Option<&str>) -> Result<(), Error> {
    if path.parent().is_some_and(|parent| !parent.exists()) {
        return Ok(());
    }
    match text {
        Some(text) => fs::write(&path, text),
        None => fs::remove_file(&path).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }),
    }
    .map_err(|why| error(std::format!("`{}`: {why}", path.display())))
}

fn no_board() -> Error {
    error("an image has none\n\nhint: try the slot on the board that it is for")
}

fn error(why: impl Into<String>) -> Error {
    Error::Tryboot(why.into())
}
