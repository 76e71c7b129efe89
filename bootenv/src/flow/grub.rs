//! The generic track on a disk: two environment blocks on the ESP.

use alloc::vec::Vec;

use super::{BootFlow, State};
use crate::control::ControlFile;
use crate::grub::{GRUBENV_PLACE, GRUBENV_SPARE_PLACE, GrubState};
use crate::grubenv::{GrubEnv, SIZE};
use crate::locate::LocateError;
use crate::machine::grub::{Copies, Copy, Write, plan};
use crate::medium::Medium;
use crate::{Error, Operation, Running, Slot, Trial};

/// The A/B state that GRUB goes by.
#[derive(Debug)]
pub struct Grub<M> {
    medium: M,
    running: Running,
    primary: ControlFile,
    spare: ControlFile,
}

impl<M: Medium> Grub<M> {
    /// Finds both blocks on a disk. What is in them need not make sense.
    ///
    /// # Errors
    /// When one of them is not where and how it should be.
    pub fn open(mut medium: M, running: Running) -> Result<Self, Error> {
        let primary = ControlFile::open(&mut medium, GRUBENV_PLACE)?;
        let spare = ControlFile::open(&mut medium, GRUBENV_SPARE_PLACE)?;
        if primary.extent().overlaps(&spare.extent()) {
            return Err(LocateError::Shared.into());
        }
        Ok(Grub { medium, running, primary, spare })
    }

    /// The two blocks as GRUB reads them, from the disk.
    fn copies(&mut self) -> Result<Copies, Error> {
        let primary = GrubState::as_grub_reads(self.primary.read(&mut self.medium)?);
        let spare = GrubState::as_grub_reads(self.spare.read(&mut self.medium)?);
        Ok(Copies { primary, spare })
    }

    fn file(&self, copy: Copy) -> &ControlFile {
        match copy {
            Copy::Primary => &self.primary,
            Copy::Spare => &self.spare,
        }
    }

    /// The state as a block, beside what others keep there.
    fn block(&self, write: &Write) -> Result<[u8; SIZE], Error> {
        let others = GrubEnv::decode(self.file(write.copy).bytes()).unwrap_or_default();
        Ok(write.state.encode_into(others)?)
    }

    /// Blocks that GRUB reads and could not save to, and what they are to be.
    fn unsound(&self, copies: &Copies) -> Vec<Write> {
        let unsound = [Copy::Spare, Copy::Primary]
            .into_iter()
            .filter(|copy| GrubState::decode(self.file(*copy).bytes()).is_err());
        unsound.filter_map(|copy| Some(Write { copy, state: copies.get(copy)?.clone() })).collect()
    }

    /// Does an operation, and says whether anything was written.
    fn run(&mut self, operation: Operation) -> Result<bool, Error> {
        let copies = self.copies()?;
        let planned = plan(&copies, &self.running, operation)?;
        let writes = self.unsound(&copies).into_iter().chain(planned);
        // All blocks are made before the first is written: one may be full.
        let blocks = writes.map(|write| Ok((write.copy, self.block(&write)?)));
        let blocks = blocks.collect::<Result<Vec<_>, Error>>()?;
        for (copy, block) in &blocks {
            let file = match copy {
                Copy::Primary => &mut self.primary,
                Copy::Spare => &mut self.spare,
            };
            file.write(&mut self.medium, block)?;
        }
        Ok(!blocks.is_empty())
    }
}

impl<M: Medium> BootFlow for Grub<M> {
    fn booted_slot(&self) -> Option<Slot> {
        self.running.booted.map(|booted| booted.slot)
    }

    fn state(&mut self) -> Result<State, Error> {
        let copies = self.copies()?;
        let repair = plan(&copies, &Running { remembered: Some(Slot::A), ..self.running }, Operation::Repair);
        let whole = repair.is_ok_and(|writes| writes.is_empty()) && self.unsound(&copies).is_empty();
        let read = copies.read().map(|(_, state)| state);
        let trial = read.filter(|state| state.tries > 0);
        Ok(State {
            default: read.map(|state| state.default),
            next: read.map(GrubState::next),
            booted: self.running.booted,
            trial: trial.map(|state| Trial { slot: state.default.other(), left: state.tries }),
            whole,
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
