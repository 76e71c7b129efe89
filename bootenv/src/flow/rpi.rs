//! The Raspberry Pi track on a disk: one sector on the control partition, and a flag in the chip.

use super::{BootFlow, State};
use crate::control::ControlFile;
use crate::machine::rpi::{Change, Pi, Rows, plan, resume};
use crate::medium::Medium;
use crate::rpi::{AUTOBOOT_PLACE, Autoboot};
use crate::{Error, Operation, Running, Slot, Trial};

/// What lies outside the disk: the flag, and the count that the boot ROM does not keep.
pub trait Chip {
    /// Whether the next reset boots the other slot.
    ///
    /// # Errors
    /// [`Error::Tryboot`] when the board does not say.
    fn tryboot(&mut self) -> Result<bool, Error>;

    /// Sets or clears the flag.
    ///
    /// # Errors
    /// [`Error::Tryboot`] when the board does not take it.
    fn set_tryboot(&mut self, set: bool) -> Result<(), Error>;

    /// What is left of a trial.
    ///
    /// # Errors
    /// [`Error::Journal`] when it cannot be read.
    fn trial(&mut self) -> Result<Option<Trial>, Error>;

    /// Remembers what is left of a trial, durably.
    ///
    /// # Errors
    /// [`Error::Journal`] when it cannot be written.
    fn set_trial(&mut self, trial: Option<Trial>) -> Result<(), Error>;
}

/// The A/B state that the boot ROM goes by.
#[derive(Debug)]
pub struct Rpi<M, C> {
    medium: M,
    chip: C,
    running: Running,
    autoboot: ControlFile,
}

impl<M: Medium, C: Chip> Rpi<M, C> {
    /// Finds `autoboot.txt` on a disk. What is in it need not make sense.
    ///
    /// # Errors
    /// When it is not where and how it should be.
    pub fn open(mut medium: M, chip: C, running: Running) -> Result<Self, Error> {
        let autoboot = ControlFile::open(&mut medium, AUTOBOOT_PLACE)?;
        Ok(Rpi { medium, chip, running, autoboot })
    }

    /// What lies outside the disk.
    pub fn chip(&self) -> &C {
        &self.chip
    }

    /// The same, to be changed.
    pub fn chip_mut(&mut self) -> &mut C {
        &mut self.chip
    }

    /// Arms the next try of a trial, when one is left and the committed slot runs; says whether. Whoever
    /// asks resets the machine then. To be called after [`BootFlow::repair`].
    ///
    /// # Errors
    /// As [`BootFlow::try_next`].
    pub fn resume(&mut self) -> Result<bool, Error> {
        let (pi, understood) = self.pi()?;
        let mut armed = false;
        for change in resume(&pi, understood, &self.running) {
            self.apply(change)?;
            armed = true;
        }
        Ok(armed)
    }

    fn pi(&mut self) -> Result<(Pi, Option<Autoboot>), Error> {
        let bytes = self.autoboot.read(&mut self.medium)?;
        let (rows, understood) = (Rows::as_rom_reads(bytes), Autoboot::decode(bytes).ok());
        Ok((Pi { rows, tryboot: self.chip.tryboot()?, trial: self.chip.trial()? }, understood))
    }

    fn apply(&mut self, change: Change) -> Result<(), Error> {
        match change {
            Change::Autoboot(state) => self.autoboot.write(&mut self.medium, &state.encode()),
            Change::Trial(trial) => self.chip.set_trial(trial),
            Change::Flag(set) => {
                self.chip.set_tryboot(set)?;
                let kept = self.chip.tryboot()? == set;
                kept.then_some(()).ok_or_else(|| Error::Tryboot("the board does not keep it".into()))
            }
        }
    }

    fn run(&mut self, operation: Operation) -> Result<bool, Error> {
        let (pi, understood) = self.pi()?;
        let changes = plan(&pi, understood, &self.running, operation)?;
        for change in &changes {
            self.apply(*change)?;
        }
        Ok(!changes.is_empty())
    }
}

impl<M: Medium, C: Chip> BootFlow for Rpi<M, C> {
    fn booted_slot(&self) -> Option<Slot> {
        self.running.booted.map(|booted| booted.slot)
    }

    fn state(&mut self) -> Result<State, Error> {
        let (pi, understood) = self.pi()?;
        let default = understood.map(|state| state.default);
        let next = default.map(|slot| if pi.tryboot { slot.other() } else { slot });
        let trial = pi.trial.filter(|trial| Some(trial.slot) != default);
        let left = |trial: &Trial| trial.left > 0 || pi.tryboot;
        Ok(State {
            default,
            next,
            booted: self.running.booted,
            trial: trial.filter(left),
            whole: understood.is_some(),
        })
    }

    fn stage(&mut self, slot: Slot) -> Result<(), Error> {
        self.run(Operation::Stage(slot)).map(drop)
    }

    fn try_next(&mut self, slot: Slot, tries: u8) -> Result<(), Error> {
        self.run(Operation::Try(slot, tries)).map(drop)
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.run(Operation::Commit).map(drop)
    }

    fn rollback(&mut self) -> Result<(), Error> {
        self.run(Operation::Rollback).map(drop)
    }

    fn repair(&mut self) -> Result<bool, Error> {
        self.run(Operation::Repair)
    }
}
