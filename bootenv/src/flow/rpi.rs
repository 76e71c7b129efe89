//! The Raspberry Pi track on a disk: one sector on the control partition, the first sector of each
//! slot, and a flag in the chip.

use alloc::boxed::Box;

use super::{BootFlow, State};
use crate::bootsector::BootSector;
use crate::control::ControlFile;
use crate::machine::rpi::{Change, Front, Pi, Rows, plan, resume};
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

    /// What is left of a trial: what [`Chip::set_trial`] was given last, whoever wrote records since.
    ///
    /// # Errors
    /// [`Error::Journal`] when it cannot be read.
    fn trial(&mut self) -> Result<Option<Trial>, Error>;

    /// Remembers what is left of a trial. It lasts when this returns: slots are shown and hidden, and
    /// the flag is set, only once it is known. A trial without a try left is kept like any other: it
    /// says that its slot is not to be booted.
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
    /// The slots as they were seen when the changes were planned, A first.
    slots: Box<[Result<BootSector, Error>; 2]>,
}

impl<M: Medium, C: Chip> Rpi<M, C> {
    /// Finds `autoboot.txt` on a disk. What is in it need not make sense.
    ///
    /// # Errors
    /// When it is not where and how it should be.
    pub fn open(mut medium: M, chip: C, running: Running) -> Result<Self, Error> {
        let autoboot = ControlFile::open(&mut medium, AUTOBOOT_PLACE)?;
        let slots = Box::new(Slot::ALL.map(|slot| BootSector::read(&mut medium, slot)));
        Ok(Rpi { medium, chip, running, autoboot, slots })
    }

    /// How a slot looks to the boot ROM, and whether it can be tried.
    ///
    /// # Errors
    /// When its partition cannot be found or read.
    pub fn front(&mut self, slot: Slot) -> Result<Front, Error> {
        Ok(BootSector::read(&mut self.medium, slot)?.front())
    }

    /// What lies outside the disk.
    pub fn chip(&self) -> &C {
        &self.chip
    }

    /// The same, to be changed.
    pub fn chip_mut(&mut self) -> &mut C {
        &mut self.chip
    }

    /// Arms the next try of a trial, when one is left and the committed slot runs, and says whether:
    /// whoever asks resets the machine then. The slot of a trial that has none left is hidden. To be
    /// called after [`BootFlow::repair`].
    ///
    /// # Errors
    /// As [`BootFlow::try_next`].
    pub fn resume(&mut self) -> Result<bool, Error> {
        let (pi, understood) = self.pi()?;
        let changes = resume(&pi, understood, &self.running);
        for change in &changes {
            self.apply(*change)?;
        }
        Ok(changes.contains(&Change::Flag(true)))
    }

    fn pi(&mut self) -> Result<(Pi, Option<Autoboot>), Error> {
        let bytes = self.autoboot.read(&mut self.medium)?;
        let (rows, understood) = (Rows::as_rom_reads(bytes), Autoboot::decode(bytes).ok());
        let (tryboot, trial) = (self.chip.tryboot()?, self.chip.trial()?);
        *self.slots = Slot::ALL.map(|slot| BootSector::read(&mut self.medium, slot));
        // A slot that cannot be found or read is none that the ROM could boot.
        let fronts = self.slots.each_ref().map(|slot| slot.as_ref().map_or(Front::EMPTY, BootSector::front));
        Ok((Pi { rows, tryboot, trial, fronts }, understood))
    }

    fn apply(&mut self, change: Change) -> Result<(), Error> {
        match change {
            Change::Autoboot(state) => self.autoboot.write(&mut self.medium, &state.encode()),
            Change::Trial(trial) => self.chip.set_trial(trial),
            Change::Discard(slot) => match self.chip.set_trial(Some(Trial { slot, left: 0 })) {
                // Without a journal the slot is hidden all the same, as long as nothing says otherwise.
                Err(Error::Journal(_)) if self.chip.trial()?.is_none() => Ok(()),
                kept => kept,
            },
            Change::Hide(slot) => self.slots[slot as usize].clone()?.hide(&mut self.medium),
            Change::Show(slot) => self.slots[slot as usize].clone()?.show(&mut self.medium),
            Change::Flag(set) => {
                self.chip.set_tryboot(set)?;
                let kept = self.chip.tryboot()? == set;
                kept.then_some(()).ok_or_else(|| Error::Tryboot("the board does not keep it".into()))
            }
        }
    }

    fn run(&mut self, operation: Operation) -> Result<bool, Error> {
        let (pi, understood) = self.pi()?;
        self.trouble(operation)?;
        let changes = plan(&pi, understood, &self.running, operation)?;
        for change in &changes {
            self.apply(*change)?;
        }
        Ok(!changes.is_empty())
    }

    /// Why a slot cannot be had, when an operation is about it. One that cannot be read may be written.
    fn trouble(&self, operation: Operation) -> Result<(), Error> {
        let (Operation::Stage(slot) | Operation::Try(slot, _)) = operation else { return Ok(()) };
        match (&self.slots[slot as usize], operation) {
            (Err(Error::Medium(_)), Operation::Stage(_)) => Ok(()),
            (Err(error), _) => Err(error.clone()),
            (Ok(_), _) => Ok(()),
        }
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
            whole: plan(&pi, understood, &self.running, Operation::Repair)
                .is_ok_and(|changes| changes.is_empty()),
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
