//! What happened to the slots last, for people and for what the boot ROM does not count.
//!
//! ```text
//!   0     record     "bootenv journal 1\n" "number 42\n" ... newlines ... "crc 1c291ca3\n"
//!   512   record     the same, with the number before or after
//! ```
//!
//! A record is one sector of text. The older of the two is written over, so a record that loses power
//! half-way leaves the one before. Numbers and not times say which is newer: clocks jump.

use alloc::format;
use alloc::string::{String, ToString};
use core::str::FromStr;

use crate::crc32::crc32;
use crate::medium::{SECTOR, Sector};
use crate::{Operation, Slot, Trial};

#[cfg(feature = "std")]
mod file;

#[cfg(feature = "std")]
pub use file::JournalFile;

/// Length of a journal in bytes.
pub const SIZE: usize = 2 * SECTOR;

const TITLE: &str = "bootenv journal 1";

/// Bytes of the last line, `crc` with eight digits.
const SEAL: usize = 13;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A slot is being written.
    Staged,
    /// A slot will be tried.
    Armed,
    /// A slot is being tried.
    InTrial,
    /// A slot became the committed one.
    Committed,
    /// A trial was ended, or ended without a commit.
    RolledBack,
    /// An operation was cut short, and repaired.
    Interrupted,
}

/// Why the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reset {
    /// It was told to.
    Reboot,
    /// The power came.
    Power,
    /// The watchdog was not fed.
    Watchdog,
    /// The kernel gave up.
    Panic,
    /// Nobody says.
    Unknown,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its number, one more than that of the record before.
    pub number: u64,
    /// What happened.
    pub event: Event,
    /// The slot that it happened to.
    pub slot: Slot,
    /// The committed slot after it.
    pub committed: Slot,
    /// What is left of a trial, on tracks whose loader does not count.
    pub trial: Option<Trial>,
    /// The clock, in seconds since 1970; it may be wrong.
    pub time: u64,
    /// Why the machine started last.
    pub reset: Reset,
    /// What was asked for.
    pub asked: Option<Operation>,
}

/// Why a sector is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Nothing was written there yet.
    #[error("it is empty")]
    Empty,
    /// Its checksum is another one.
    #[error("it is torn")]
    Torn,
    /// It is whole, and has a line that means nothing.
    #[error("its line `{0}` means nothing")]
    Line(&'static str),
}

/// What both sectors hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The newest record, if there is one.
    pub newest: Option<Record>,
    /// Both, the older first.
    pub records: [Option<Record>; 2],
    /// What is wrong with each sector.
    pub problems: [Option<RecordError>; 2],
    /// The sector that the newest record is in.
    newest_at: usize,
}

const EVENTS: [(Event, &str); 6] = [
    (Event::Staged, "staged"),
    (Event::Armed, "armed"),
    (Event::InTrial, "in-trial"),
    (Event::Committed, "committed"),
    (Event::RolledBack, "rolled-back"),
    (Event::Interrupted, "interrupted"),
];

const RESETS: [(Reset, &str); 5] = [
    (Reset::Reboot, "reboot"),
    (Reset::Power, "power"),
    (Reset::Watchdog, "watchdog"),
    (Reset::Panic, "panic"),
    (Reset::Unknown, "unknown"),
];

impl Event {
    /// Its name in the journal.
    pub fn word(self) -> &'static str {
        word(&EVENTS, self)
    }
}

impl Reset {
    /// Its name in the journal.
    pub fn word(self) -> &'static str {
        word(&RESETS, self)
    }
}

impl Journal {
    /// Reads a journal; what is missing at its end counts as empty.
    pub fn decode(bytes: &[u8]) -> Self {
        let records = [0, 1].map(|index| {
            let sector = bytes.get(index * SECTOR..(index + 1) * SECTOR);
            Record::decode(sector.unwrap_or_default())
        });
        let problems = records.map(Result::err);
        let mut records = records.map(Result::ok);
        let numbers = records.map(|record| record.map(|record| record.number));
        let newest_at = usize::from(numbers[1] >= numbers[0]);
        records.sort_by_key(|record| record.map(|record| record.number));
        Journal { newest: records[1], records, problems, newest_at }
    }

    /// The number of the next record, and where it is written: never over the newest.
    pub fn next(&self) -> (u64, usize) {
        let Some(newest) = self.newest else { return (0, 0) };
        (newest.number + 1, (1 - self.newest_at) * SECTOR)
    }
}

impl Record {
    /// Writes a record.
    pub fn encode(&self) -> Sector {
        let trial = self.trial.map_or("none".to_string(), |trial| format!("{} {}", trial.slot, trial.left));
        let text = format!(
            "{TITLE}\nnumber {}\nevent {}\nslot {}\ncommitted {}\ntrial {trial}\ntime {}\nreset {}\nasked {}\n",
            self.number,
            self.event.word(),
            self.slot,
            self.committed,
            self.time,
            self.reset.word(),
            asked(self.asked),
        );
        let mut sector = [b'\n'; SECTOR];
        sector[..text.len()].copy_from_slice(text.as_bytes());
        let seal = format!("crc {:08x}\n", crc32(&sector[..SECTOR - SEAL]));
        sector[SECTOR - SEAL..].copy_from_slice(seal.as_bytes());
        sector
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the sector is empty or torn, or was written by another version.
    pub fn decode(sector: &[u8]) -> Result<Self, RecordError> {
        if sector.iter().all(|byte| matches!(byte, 0 | 0xff)) {
            return Err(RecordError::Empty);
        }
        let body = sector.get(..SECTOR - SEAL).filter(|_| sector.len() == SECTOR).ok_or(RecordError::Torn)?;
        if sector[SECTOR - SEAL..] != *format!("crc {:08x}\n", crc32(body)).as_bytes() {
            return Err(RecordError::Torn);
        }
        let text = core::str::from_utf8(body).map_err(|_| RecordError::Line("text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err(RecordError::Line("bootenv journal"));
        }
        let mut value = |name: &'static str| {
            let rest = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            rest.ok_or(RecordError::Line(name))
        };
        Ok(Record {
            number: parse_number(value("number")?)?,
            event: meaning(&EVENTS, "event", value("event")?)?,
            slot: parse("slot", value("slot")?)?,
            committed: parse("committed", value("committed")?)?,
            trial: parse_trial(value("trial")?)?,
            time: parse("time", value("time")?)?,
            reset: meaning(&RESETS, "reset", value("reset")?)?,
            asked: parse_asked(value("asked")?)?,
        })
    }
}

fn word<T: PartialEq + Copy>(table: &[(T, &'static str)], wanted: T) -> &'static str {
    table.iter().find(|(known, _)| *known == wanted).map_or("unknown", |(_, word)| word)
}

fn meaning<T: Copy>(table: &[(T, &str)], name: &'static str, text: &str) -> Result<T, RecordError> {
    table.iter().find(|(_, word)| *word == text).map(|(known, _)| *known).ok_or(RecordError::Line(name))
}

fn parse<T: FromStr>(name: &'static str, text: &str) -> Result<T, RecordError> {
    text.parse().map_err(|_| RecordError::Line(name))
}

/// A number that has a next one.
fn parse_number(text: &str) -> Result<u64, RecordError> {
    parse("number", text)
        .and_then(|number| if number < u64::MAX { Ok(number) } else { Err(RecordError::Line("number")) })
}

fn parse_trial(text: &str) -> Result<Option<Trial>, RecordError> {
    let wrong = RecordError::Line("trial");
    match text.split_once(' ') {
        None if text == "none" => Ok(None),
        None => Err(wrong),
        Some((slot, left)) => Ok(Some(Trial { slot: parse("trial", slot)?, left: parse("trial", left)? })),
    }
}

fn asked(operation: Option<Operation>) -> String {
    match operation {
        None => "nothing".to_string(),
        Some(Operation::Stage(slot)) => format!("stage {slot}"),
        Some(Operation::Try(slot, tries)) => format!("try {slot} {tries}"),
        Some(Operation::Commit) => "commit".to_string(),
        Some(Operation::Rollback) => "rollback".to_string(),
        Some(Operation::Repair) => "repair".to_string(),
    }
}

fn parse_asked(text: &str) -> Result<Option<Operation>, RecordError> {
    let mut words = text.split(' ');
    let name = words.next().unwrap_or_default();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(Some(match name {
        "nothing" => return Ok(None),
        "commit" => Operation::Commit,
        "rollback" => Operation::Rollback,
        "repair" => Operation::Repair,
        "stage" => Operation::Stage(parse("asked", first)?),
        "try" => Operation::Try(parse("asked", first)?, parse("asked", second)?),
        _ => return Err(RecordError::Line("asked")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn record(number: u64) -> Record {
        Record {
            number,
            event: Event::Armed,
            slot: Slot::B,
            committed: Slot::A,
            trial: Some(Trial { slot: Slot::B, left: 2 }),
            time: 1_764_000_000,
            reset: Reset::Power,
            asked: Some(Operation::Try(Slot::B, 3)),
        }
    }

    fn journal(records: &[Record]) -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        for record in records {
            let (number, at) = Journal::decode(&bytes).next();
            let record = Record { number, ..*record };
            bytes[at..at + SECTOR].copy_from_slice(&record.encode());
        }
        bytes
    }

    #[test]
    fn a_record_is_text_that_people_read() {
        let text = String::from_utf8(record(7).encode().to_vec()).unwrap();
        let expected = "bootenv journal 1\nnumber 7\nevent armed\nslot b\ncommitted a\ntrial b 2\n\
                        time 1764000000\nreset power\nasked try b 3\n\n";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn every_record_survives_its_sector() {
        let operations =
            Slot::ALL.into_iter().flat_map(|slot| [Operation::Stage(slot), Operation::Try(slot, 9)]);
        let rest = [Operation::Commit, Operation::Rollback, Operation::Repair];
        for asked in operations.chain(rest).map(Some).chain([None]) {
            for (event, _) in EVENTS {
                for (reset, _) in RESETS {
                    for trial in [None, Some(Trial { slot: Slot::A, left: 0 })] {
                        let record = Record { event, reset, asked, trial, ..record(u64::MAX - 1) };
                        assert_eq!(Record::decode(&record.encode()), Ok(record));
                    }
                }
            }
        }
    }

    #[test]
    fn the_newest_is_kept_wherever_it_stands_and_has_a_next() {
        for records in [[record(8), record(7)], [record(7), record(8)], [record(7), record(6)]] {
            let mut bytes: Vec<u8> = records.iter().flat_map(|record| record.encode()).collect();
            let journal = Journal::decode(&bytes);
            let (number, at) = journal.next();
            bytes[at..at + SECTOR].copy_from_slice(&record(number).encode());
            assert_eq!(Journal::decode(&bytes).records, [journal.newest, Some(record(number))]);
        }
        assert_eq!(Record::decode(&record(u64::MAX).encode()), Err(RecordError::Line("number")));
    }

    #[test]
    fn an_empty_journal_is_said_to_be_empty() {
        for bytes in [vec![], vec![0; SIZE], vec![0xff; SIZE], vec![0; 3]] {
            let journal = Journal::decode(&bytes);
            assert_eq!((journal.newest, journal.next()), (None, (0, 0)));
            assert_eq!(journal.problems, [Some(RecordError::Empty); 2]);
        }
    }

    /// Power is lost at every byte of a write.
    #[test]
    fn a_torn_record_leaves_the_one_before() {
        for written in [1, 2, 3] {
            let before = journal(&vec![record(0); written]);
            let (number, at) = Journal::decode(&before).next();
            let new = Record { event: Event::Committed, ..record(number) };
            let last = Journal::decode(&before).newest;
            for cut in 0..=SECTOR {
                let mut torn = before.clone();
                torn[at..at + cut].copy_from_slice(&new.encode()[..cut]);
                let newest = Journal::decode(&torn).newest;
                assert!(newest == last || newest == Some(new), "cut at {cut}: {newest:?}");
                let (again, place) = Journal::decode(&torn).next();
                assert!(
                    newest == Some(new) || (again, place) == (number, at),
                    "the good one is written over"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_a_changed_byte_is_noticed(at in 0..SECTOR, byte: u8, bytes: Vec<u8>) {
            let _ = Journal::decode(&bytes);
            let mut sector = record(1).encode();
            sector[at] = byte;
            let read = Record::decode(&sector);
            prop_assert!(read == Err(RecordError::Torn) || read == Ok(record(1)));
        }

        #[test]
        fn a_sealed_line_of_nonsense_is_named(at in 18..90_usize, byte in 32..127_u8) {
            let mut sector = record(1).encode();
            sector[at] = byte;
            let seal = format!("crc {:08x}\n", crc32(&sector[..SECTOR - SEAL]));
            sector[SECTOR - SEAL..].copy_from_slice(seal.as_bytes());
            prop_assert!(!matches!(Record::decode(&sector), Err(RecordError::Torn | RecordError::Empty)));
        }
    }
}
