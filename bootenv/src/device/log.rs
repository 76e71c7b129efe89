//! The journal of a device, when it has one.

use std::path::Path;
use std::string::{String, ToString as _};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::journal::{Event, Journal, JournalFile, Record, Reset};
use crate::medium::Access;
use crate::{Error, Operation, Slot, Trial};

/// What is journalled, beside what the journal adds itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) event: Event,
    pub(super) slot: Slot,
    pub(super) committed: Slot,
    pub(super) asked: Option<Operation>,
}

/// A journal, or the reason why there is none.
#[derive(Debug)]
pub(super) struct Log {
    file: Result<JournalFile, String>,
    reset: Reset,
    /// What is being done, for records that are written on the way.
    expected: Option<Note>,
}

impl Log {
    pub(super) fn open(path: &Path, access: Access, reset: Reset) -> Self {
        let opened = match access {
            Access::Look | Access::Read => JournalFile::look(path),
            Access::Write => JournalFile::open(path),
        };
        let file = opened.map_err(|error| {
            let why = if let Error::Journal(why) = error { why } else { error.to_string() };
            std::format!("`{}`: {why}", path.display())
        });
        Log { file, reset, expected: None }
    }

    /// None at all: an image's own lies in a file system that is not read here.
    pub(super) fn none() -> Self {
        let why = "an image has none outside of its file system".to_string();
        Log { file: Err(why), reset: Reset::Unknown, expected: None }
    }

    pub(super) fn reset(&self) -> Reset {
        self.reset
    }

    pub(super) fn read(&self) -> Result<Journal, Error> {
        self.file.as_ref().map_err(super::journal_error)?.read()
    }

    pub(super) fn newest(&self) -> Option<Record> {
        self.read().ok()?.newest
    }

    /// What is left of a trial; nothing without a journal.
    pub(super) fn trial(&self) -> Option<Trial> {
        self.newest()?.trial
    }

    /// Says what is about to be done.
    pub(super) fn expect(&mut self, note: Note) {
        self.expected = Some(note);
    }

    /// Remembers what is left of a trial, as part of what is being done.
    pub(super) fn set_trial(&mut self, trial: Option<Trial>) -> Result<(), Error> {
        let newest = self.newest();
        let slot = trial.map(|trial| trial.slot).or(newest.map(|record| record.slot)).unwrap_or(Slot::A);
        let committed = newest.map_or_else(|| slot.other(), |record| record.committed);
        let again = Note { event: Event::Armed, slot, committed, asked: None };
        let note = self.expected.unwrap_or(again);
        self.write(note, trial)
    }

    /// Adds a record, unless the newest says the same. A device without a journal goes on without.
    pub(super) fn add(&mut self, note: Note) -> Result<(), Error> {
        self.expected = None;
        let newest = self.newest();
        let same = |record: &Record| {
            let Note { event, slot, committed, asked } = note;
            (record.event, record.slot, record.committed, record.asked) == (event, slot, committed, asked)
        };
        if self.file.is_err() || newest.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.write(note, newest.and_then(|record| record.trial))
    }

    fn write(&mut self, note: Note, trial: Option<Trial>) -> Result<(), Error> {
        let reset = self.reset;
        let file = self.file.as_mut().map_err(super::journal_error)?;
        let Note { event, slot, committed, asked } = note;
        let record = Record { number: 0, event, slot, committed, trial, time: now(), reset, asked };
        file.add(record).map(drop)
    }
}

/// Seconds since 1970, 0 with a clock that is before it.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
