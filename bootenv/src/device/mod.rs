//! The running machine, or an image, as one thing with two slots.
//!
//! ```text
//!   system     what the kernel and the firmware say: track, slot, disk, partitions
//!    |
//!   Device --- flow::Grub, flow::Rpi    what is asked for, one sector at a time
//!    |   \
//!   log    board                        the journal; mailbox, EEPROM and the count of tries
//! ```

use std::path::Path;
use std::string::ToString as _;

use crate::flow::{Grub, Rpi};
use crate::grub::GRUBENV_PLACE;
use crate::journal::{Event, Journal, Reset};
use crate::locate::{LocateError, locate};
use crate::medium::{Access, FileMedium};
use crate::rpi::AUTOBOOT_PLACE;
use crate::{BootFlow, Error, How, Operation, Refusal, Running, Slot, State};

mod board;
mod firmware;
mod log;
mod reset;
mod sys;
mod system;

pub use board::restart;
pub use firmware::{FirmwareError, OLDEST_EEPROM};
pub use system::{Found, System};

use board::Board;
use log::{Log, Note};

/// Where the journal lies on a running image.
pub const JOURNAL: &str = "run/factory/mnt/data/bootenv.journal";

/// Which loader chooses the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Track {
    /// GRUB, on machines with UEFI.
    Generic,
    /// The boot ROM of a Raspberry Pi.
    Rpi,
}

/// Why the running machine is none that this library knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Neither a loader of ours nor the firmware of a Raspberry Pi started it.
    #[error(
        "this kernel was started neither by an image's GRUB nor by a Raspberry Pi\n\n\
         hint: name an image or a disk with `--image`"
    )]
    Unknown,
    /// The disk with the control files is not there.
    #[error("the disk that this system was started from is not found")]
    NoDisk,
    /// The image is of neither track.
    #[error("it holds no boot state of any track: {generic}; {rpi}")]
    NoTrack {
        /// Why it is not of the generic one.
        generic: LocateError,
        /// Why it is not of the Raspberry Pi's.
        rpi: LocateError,
    },
}

/// What a start of the machine came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Whether a copy of the state was made good.
    pub repaired: bool,
    /// Whether the machine has to restart now, since the next try is armed.
    pub restart: bool,
}

/// A machine or an image.
#[derive(Debug)]
pub struct Device {
    flow: Flow,
}

#[derive(Debug)]
enum Flow {
    Grub { flow: Grub<FileMedium>, log: Log },
    Rpi(Rpi<FileMedium, Board>),
}

impl Track {
    /// `generic` or `rpi`.
    pub const fn name(self) -> &'static str {
        match self {
            Track::Generic => "generic",
            Track::Rpi => "rpi",
        }
    }
}

impl Device {
    /// The machine that this runs on, with its journal. Without one, or with one that cannot be opened,
    /// nothing is remembered; what cannot be done then is refused.
    ///
    /// # Errors
    /// When no track is known, or the disk or its control files are not as they should be.
    pub fn running(system: &System, access: Access, journal: Option<&Path>) -> Result<Self, Error> {
        let Found { track, booted, disk, .. } = system.find();
        let track = track.ok_or(PlatformError::Unknown)?;
        let disk = disk.ok_or(PlatformError::NoDisk)?;
        // First of all, since its lock is the one that is not waited for without end.
        let medium = FileMedium::open(&disk, access)?;
        let log = Log::open(journal.unwrap_or(&system.path(JOURNAL)), access, reset::cause(system));
        let running = Running { booted, remembered: log.newest().map(|record| record.committed) };
        let flow = match track {
            Track::Generic => Flow::Grub { flow: Grub::open(medium, running)?, log },
            Track::Rpi => Flow::Rpi(Rpi::open(medium, Board::of(system.clone(), log), running)?),
        };
        Ok(Device { flow })
    }

    /// An image, or a disk that this system does not run from.
    ///
    /// # Errors
    /// When it has the control files of no track, or they are not as they should be.
    pub fn image(path: &Path, access: Access) -> Result<Self, Error> {
        let mut medium = FileMedium::open(path, access)?;
        let flow = match track_of(&mut medium)? {
            Track::Generic => Flow::Grub { flow: Grub::open(medium, Running::ELSEWHERE)?, log: Log::none() },
            Track::Rpi => Flow::Rpi(Rpi::open(medium, Board::none(), Running::ELSEWHERE)?),
        };
        Ok(Device { flow })
    }

    /// Which loader chooses.
    pub fn track(&self) -> Track {
        match self.flow {
            Flow::Grub { .. } => Track::Generic,
            Flow::Rpi(_) => Track::Rpi,
        }
    }

    /// Why the machine started.
    pub fn reset(&self) -> Reset {
        self.log().reset()
    }

    /// The journal; why there is none.
    ///
    /// # Errors
    /// [`Error::Journal`] when it cannot be read.
    pub fn history(&self) -> Result<Journal, Error> {
        self.log().read()
    }

    /// What may keep a Raspberry Pi from a trial, other than the slots. Nothing on the other track.
    ///
    /// # Errors
    /// [`Error::Firmware`] or [`Error::Tryboot`], as [`BootFlow::try_next`] would give.
    pub fn can_try(&self) -> Result<(), Error> {
        match &self.flow {
            Flow::Grub { .. } => Ok(()),
            Flow::Rpi(flow) => flow.chip().can_arm(),
        }
    }

    /// Whether what is armed is lost unless the restart takes an argument along, as [`restart`] does.
    pub fn needs_argument(&self) -> bool {
        match &self.flow {
            Flow::Grub { .. } => false,
            Flow::Rpi(flow) => flow.chip().needs_argument(),
        }
    }

    /// What speaks against trials on this board without forbidding them.
    pub fn doubt(&self) -> Option<&'static str> {
        match &self.flow {
            Flow::Grub { .. } => None,
            Flow::Rpi(flow) => flow.chip().doubt(),
        }
    }

    /// To be called once after every start, when the journal's file system is there: repairs, notes what
    /// happened, and arms the next try where the loader does not count.
    ///
    /// # Errors
    /// As [`BootFlow::repair`] and [`BootFlow::try_next`].
    pub fn start(&mut self) -> Result<Started, Error> {
        let repaired = self.repair()?;
        if let Flow::Rpi(flow) = &mut self.flow
            && flow.resume()?
        {
            return Ok(Started { repaired, restart: true });
        }
        let state = self.state()?;
        if let Some(event) = self.happened(&state) {
            let slot = state.booted.map(|booted| booted.slot).or(state.default).unwrap_or(Slot::A);
            let slot = if event == Event::RolledBack { slot.other() } else { slot };
            let committed = state.default.unwrap_or(slot);
            self.log_mut().add(Note { event, slot, committed, asked: None })?;
        }
        Ok(Started { repaired, restart: false })
    }

    /// What this start means for what was journalled before it.
    fn happened(&self, state: &State) -> Option<Event> {
        let newest = self.log().newest()?;
        let booted = state.booted?;
        let pending = matches!(newest.event, Event::Armed | Event::InTrial);
        match booted.how {
            How::Trial if Some(booted.slot) != state.default => Some(Event::InTrial),
            _ if pending && newest.slot != booted.slot && state.trial.is_none() => Some(Event::RolledBack),
            // Somebody else changed it.
            _ if state.default.is_some_and(|default| default != newest.committed) => Some(Event::Committed),
            _ => None,
        }
    }

    fn log(&self) -> &Log {
        match &self.flow {
            Flow::Grub { log, .. } => log,
            Flow::Rpi(flow) => flow.chip().log(),
        }
    }

    fn log_mut(&mut self) -> &mut Log {
        match &mut self.flow {
            Flow::Grub { log, .. } => log,
            Flow::Rpi(flow) => flow.chip_mut().log_mut(),
        }
    }

    fn flow(&mut self) -> &mut dyn BootFlow {
        match &mut self.flow {
            Flow::Grub { flow, .. } => flow,
            Flow::Rpi(flow) => flow,
        }
    }

    /// Does what is asked for. The journal is told before, for the count of tries that is in it, and after.
    fn journalled(
        &mut self,
        event: Event,
        slot: Slot,
        asked: Operation,
        run: impl FnOnce(&mut dyn BootFlow) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let default = self.state()?.default;
        let committed = if event == Event::Committed { slot } else { default.unwrap_or(slot) };
        let note = Note { event, slot, committed, asked: Some(asked) };
        self.log_mut().expect(note);
        run(self.flow())?;
        self.log_mut().add(note)
    }
}

impl BootFlow for Device {
    fn booted_slot(&self) -> Option<Slot> {
        match &self.flow {
            Flow::Grub { flow, .. } => flow.booted_slot(),
            Flow::Rpi(flow) => flow.booted_slot(),
        }
    }

    fn state(&mut self) -> Result<State, Error> {
        self.flow().state()
    }

    fn stage(&mut self, slot: Slot) -> Result<(), Error> {
        self.journalled(Event::Staged, slot, Operation::Stage(slot), |flow| flow.stage(slot))
    }

    fn try_next(&mut self, slot: Slot, tries: u8) -> Result<(), Error> {
        self.can_try()?;
        let before = self.log().trial();
        let asked = Operation::Try(slot, tries);
        let tried = self.journalled(Event::Armed, slot, asked, |flow| flow.try_next(slot, tries));
        if tried.is_err() && self.log().trial() != before {
            // The count was kept and the flag not set. The first error is the one that matters.
            let _ = self.log_mut().set_trial(before);
        }
        tried
    }

    fn commit(&mut self) -> Result<(), Error> {
        let slot = self.booted_slot().ok_or(Refusal::NothingRuns)?;
        self.journalled(Event::Committed, slot, Operation::Commit, |flow| flow.commit())
    }

    fn rollback(&mut self) -> Result<(), Error> {
        let state = self.state()?;
        let tried = state.trial.map(|trial| trial.slot).or(state.default.map(Slot::other));
        let slot = tried.ok_or(Refusal::Lost)?;
        self.journalled(Event::RolledBack, slot, Operation::Rollback, |flow| flow.rollback())
    }

    fn repair(&mut self) -> Result<bool, Error> {
        let repaired = self.flow().repair()?;
        if repaired {
            let default = self.state()?.default.unwrap_or(Slot::A);
            let slot = self.booted_slot().unwrap_or(default);
            let asked = Some(Operation::Repair);
            self.log_mut().add(Note { event: Event::Interrupted, slot, committed: default, asked })?;
        }
        Ok(repaired)
    }
}

/// The track of an image, by its control files.
fn track_of(medium: &mut FileMedium) -> Result<Track, Error> {
    let generic = match locate(medium, &GRUBENV_PLACE) {
        Ok(_) => return Ok(Track::Generic),
        Err(LocateError::Medium(error)) => return Err(error.into()),
        Err(error) => error,
    };
    let rpi = match locate(medium, &AUTOBOOT_PLACE) {
        Ok(_) => return Ok(Track::Rpi),
        Err(error) => error,
    };
    // The error of the track that it has the table of tells more.
    match (&generic, &rpi) {
        (LocateError::OtherTable, rpi) => Err(rpi.clone().into()),
        (generic, LocateError::OtherTable) => Err(generic.clone().into()),
        _ => Err(PlatformError::NoTrack { generic, rpi }.into()),
    }
}

fn journal_error(cause: impl std::fmt::Display) -> Error {
    Error::Journal(cause.to_string())
}
