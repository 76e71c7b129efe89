//! What runs before an image's own code does: one implementation for each boot chain.
//!
//! ```text
//!   table   chain   firmware                        at a reset
//!   GPT     Uefi    UEFI, in QEMU                   the same QEMU resets its machine
//!   MBR     Pi      a model of the Pi's, in here    the model is asked again, another QEMU starts
//! ```

use super::firmware::Firmware;
use super::pi::{Choice, Pi};
use super::qemu::Machine;
use super::source::{Format, Source};
use super::uefi::Uefi;
use super::{Boot, BootError};
use crate::image::layout::Scheme;
use crate::volume::Disk;

/// A boot chain with the disk that it starts from.
pub(super) trait Chain {
    /// Switches a machine on.
    ///
    /// # Errors
    /// When it cannot be started; [`BootError::Dark`] when a real one would not start either.
    fn start(&mut self) -> Result<Machine, BootError>;

    /// Goes on after a reset of `machine`, which may become another one.
    ///
    /// # Errors
    /// As [`Chain::start`].
    fn reset(&mut self, machine: &mut Machine) -> Result<(), BootError>;

    /// What was chosen for the boot that runs, where that is known from the start.
    fn choice(&self) -> Option<Choice> {
        None
    }

    /// The files of a firmware that QEMU runs.
    fn firmware(&self) -> Option<Firmware> {
        None
    }
}

/// The chain that an image is made for, which its partition table tells.
pub(super) fn of(boot: &Boot) -> Result<Box<dyn Chain + '_>, BootError> {
    let source = Source::find(&boot.image, boot.persist)?;
    if is_for_the_pi(boot, &source) {
        Ok(Box::new(Pi::new(boot, source)?))
    } else {
        Ok(Box::new(Uefi::new(boot, source)?))
    }
}

/// An unreadable table is left to the firmware to complain about. Who names a board means a Pi.
fn is_for_the_pi(boot: &Boot, source: &Source) -> bool {
    let is_mbr = |disk: Disk| disk.table().is_ok_and(|found| found.table.scheme == Scheme::Mbr);
    match source.format {
        Format::Raw => Disk::open(&source.path).is_ok_and(is_mbr),
        Format::Qcow2 => boot.pi.machine.is_some(),
    }
}

/// Refuses options that a chain has no use for: whether each was given, its name, and why not.
pub(super) fn refuse(options: &[(bool, &'static str, &'static str)]) -> Result<(), BootError> {
    match options.iter().find(|(is_given, ..)| *is_given) {
        Some((_, option, why)) => Err(BootError::Unfit { option, why }),
        None => Ok(()),
    }
}
