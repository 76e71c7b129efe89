//! What an update agent asks for, the same on every track.

use crate::{Booted, Error, Slot, Trial};

mod grub;
mod rpi;

pub use grub::Grub;
pub use rpi::{Chip, Rpi};

/// What is known of both slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The committed slot; nothing when every copy of the state is lost.
    pub default: Option<Slot>,
    /// The slot that the next start boots when it can be loaded.
    pub next: Option<Slot>,
    /// The slot that runs, on the disk that it runs from.
    pub booted: Option<Booted>,
    /// The trial that has starts left.
    pub trial: Option<Trial>,
    /// Whether every copy of the state is good and says the same; else [`BootFlow::repair`] helps.
    pub whole: bool,
}

/// One disk with two slots.
///
/// An error leaves the disk as it was, but for those of the medium while something is written: then
/// one good copy of the state is left, of before or after, and [`BootFlow::repair`] makes the rest of it.
pub trait BootFlow {
    /// The committed slot.
    ///
    /// # Errors
    /// When no copy of the state can be read.
    fn default_slot(&mut self) -> Result<Slot, Error> {
        self.state()?.default.ok_or(Error::Refused(crate::Refusal::Lost))
    }

    /// The slot that runs; nothing on the disk of another machine, or when none runs.
    fn booted_slot(&self) -> Option<Slot>;

    /// All that is known.
    ///
    /// # Errors
    /// When the disk cannot be read.
    fn state(&mut self) -> Result<State, Error>;

    /// Says that `slot` is about to be written: nothing hands over to it any more, and a trial of it
    /// ends. To be called before its first byte is changed.
    ///
    /// # Errors
    /// When the slot runs or is committed, or a trial runs.
    fn stage(&mut self, slot: Slot) -> Result<(), Error>;

    /// Lets the next starts boot `slot`, at most `tries` (1 to 9) of them; then, without a commit, the
    /// committed slot again.
    ///
    /// # Errors
    /// When the slot runs or is committed, a trial runs, or `tries` is out of range.
    fn try_next(&mut self, slot: Slot, tries: u8) -> Result<(), Error>;

    /// Makes the slot that runs the committed one. Nothing to do when it is.
    ///
    /// # Errors
    /// When no slot runs, or one that was neither tried nor handed over to.
    fn commit(&mut self) -> Result<(), Error>;

    /// Ends a trial: the next start boots the committed slot. Nothing to do when there is none.
    ///
    /// # Errors
    /// When no copy of the state can be read.
    fn rollback(&mut self) -> Result<(), Error>;

    /// Makes all copies of the state good and the same, and says whether there was anything to do.
    /// To be called once after every start, before anything else.
    ///
    /// # Errors
    /// When every copy is lost, and nothing says which slot to trust.
    fn repair(&mut self) -> Result<bool, Error>;
}
