//! The A/B contract as pure functions: what a loader does with a state, and what the library may
//! change it to. Nothing here reads or writes; whoever does, and whoever judges it, asks here.

use crate::Slot;

pub mod grub;
pub mod rpi;

/// How the loader came to start a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// As the committed slot.
    Committed,
    /// As the slot under trial.
    Trial,
    /// In the place of the committed slot, which could not be loaded.
    HandOver,
}

/// The slot that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Booted {
    /// The slot.
    pub slot: Slot,
    /// How it was started.
    pub how: How,
}

/// What is left of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trial {
    /// The slot.
    pub slot: Slot,
    /// Starts that it still has, beside one that is armed in a chip or runs.
    pub left: u8,
}

/// What is known beside the control files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Running {
    /// The slot that runs from this disk; nothing on another's disk, or when no slot runs.
    pub booted: Option<Booted>,
    /// The slot that was committed last, as the journal has it.
    pub remembered: Option<Slot>,
}

impl Running {
    /// A disk that this system does not run from.
    pub const ELSEWHERE: Running = Running { booted: None, remembered: None };

    /// A system that runs in `slot`.
    pub const fn in_slot(slot: Slot, how: How) -> Self {
        Running { booted: Some(Booted { slot, how }), remembered: None }
    }

    /// The slot that is fit to be the committed one when the control files are lost: the one that was
    /// it last, else the one that runs, but never one that is only tried.
    pub fn survivor(&self) -> Option<Slot> {
        let running = self.booted.map(|booted| match booted.how {
            How::Trial => booted.slot.other(),
            How::Committed | How::HandOver => booted.slot,
        });
        self.remembered.or(running)
    }
}

/// What the library is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The slot is about to be written, so nothing may hand over to it.
    Stage(Slot),
    /// The next starts boot this slot, at most so many times.
    Try(Slot, u8),
    /// The slot that runs becomes the committed one.
    Commit,
    /// The trial ends: the next start boots the committed slot.
    Rollback,
    /// All copies of the state are made good and say the same.
    Repair,
}

/// Why an operation is not done. The disk is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No try, or more than a trial can have.
    #[error("a trial has 1 to {cap} tries, not {tries}")]
    Tries {
        /// What was asked for.
        tries: u8,
        /// The most.
        cap: u8,
    },
    /// The slot runs.
    #[error("slot `{0}` is the one that runs\n\nhint: the other slot can be tried")]
    SlotRuns(Slot),
    /// The slot is committed, and would be booted without a count.
    #[error("slot `{0}` is the committed one\n\nhint: commit the running slot first")]
    SlotCommitted(Slot),
    /// A trial runs.
    #[error("slot `{0}` is under trial\n\nhint: commit or roll back, and start again")]
    InTrial(Slot),
    /// The slot that runs is not the one that is under trial.
    #[error("slot `{booted}` runs, which is not under trial, and slot `{default}` is committed")]
    WrongSlot {
        /// The slot that runs.
        booted: Slot,
        /// The committed one.
        default: Slot,
    },
    /// Nothing runs that could be committed.
    #[error("no slot of this disk runs, so none can be committed")]
    NothingRuns,
    /// No copy of the state can be read.
    #[error("every copy of the boot state is lost\n\nhint: `repair` writes it again")]
    Lost,
    /// No copy of the state can be read, and nothing says which slot to trust.
    #[error("every copy of the boot state is lost, and no slot of this disk runs or is remembered")]
    LostForGood,
    /// The slot has no file system that could be booted.
    #[error("slot `{0}` has no file system\n\nhint: write the slot, its first sector last")]
    NoFileSystem(Slot),
}
