//! Structs and enums of the header. Every value of an enum is stated, every field has 32 or 64 bits, and
//! what is reserved is 0.

use bootenv::device::{Device, Started, Track};
use bootenv::journal::{Event, Journal, Record, RecordError, Reset};
use bootenv::{How, Operation, Slot, State, Trial};

/// A slot.
#[repr(C)]
pub enum SlotValue {
    /// No slot, or one that is not known. Never an argument.
    None = 0,
    /// The first copy of the system.
    A = 1,
    /// The second copy.
    B = 2,
}

/// What a handle may do. Reading excludes writers, and writing excludes everybody, among the users of
/// this library; another is told `BOOTENV_ERROR_BUSY`.
#[repr(C)]
pub enum AccessValue {
    /// Look at the state.
    Read = 1,
    /// Change it as well.
    Write = 2,
}

/// Which loader chooses the slot.
#[repr(C)]
pub enum TrackValue {
    /// GRUB, on machines with UEFI.
    Generic = 1,
    /// The boot ROM of a Raspberry Pi.
    Rpi = 2,
}

/// How the slot that runs was started.
#[repr(C)]
pub enum HowValue {
    /// No slot of this disk runs.
    None = 0,
    /// As the committed slot.
    Committed = 1,
    /// As the slot under trial: it is left by the next reset unless it is committed.
    Trial = 2,
    /// In the place of the committed slot, which could not be loaded.
    Handover = 3,
}

/// Why the machine was started.
#[repr(C)]
pub enum ResetValue {
    /// Nobody says.
    Unknown = 0,
    /// It was told to.
    Reboot = 1,
    /// The power came.
    Power = 2,
    /// The watchdog was not fed.
    Watchdog = 3,
    /// The kernel gave up.
    Panic = 4,
}

/// What happened, in a record of the journal.
#[repr(C)]
pub enum EventValue {
    /// A slot is being written.
    Staged = 1,
    /// A slot will be tried.
    Armed = 2,
    /// A slot is being tried.
    InTrial = 3,
    /// A slot became the committed one.
    Committed = 4,
    /// A trial was ended, or ended without a commit.
    RolledBack = 5,
    /// An operation was cut short, and repaired.
    Interrupted = 6,
}

/// What was asked for, in a record of the journal.
#[repr(C)]
pub enum AskedValue {
    /// Nothing: it happened by itself.
    Nothing = 0,
    /// `bootenv_stage`
    Stage = 1,
    /// `bootenv_try`
    Try = 2,
    /// `bootenv_commit`
    Commit = 3,
    /// `bootenv_rollback`
    Rollback = 4,
    /// `bootenv_repair`
    Repair = 5,
}

/// What is known of both slots.
#[repr(C)]
#[derive(Debug, Default)]
pub struct StateOut {
    /// A `bootenv_track`.
    pub track: u32,
    /// The committed `bootenv_slot`; none when every copy of the state is lost.
    pub default_slot: u32,
    /// The `bootenv_slot` that the next start boots when it can be loaded.
    pub next_slot: u32,
    /// The `bootenv_slot` that runs; none on an image and on another machine's disk.
    pub booted_slot: u32,
    /// How that was started: a `bootenv_how`.
    pub booted_how: u32,
    /// The `bootenv_slot` under a trial that has starts left.
    pub trial_slot: u32,
    /// How many, 0 to 9, beside one that runs or that is armed in a Raspberry Pi.
    pub tries_left: u32,
    /// 1 when every copy of the state is good and says the same, else 0: `bootenv_repair` helps.
    pub whole: u32,
    /// Why the machine was started: a `bootenv_reset`.
    pub reset: u32,
    /// 0.
    pub reserved: [u32; 7],
}

/// What a start of the machine came to.
#[repr(C)]
#[derive(Debug, Default)]
pub struct StartedOut {
    /// 1 when a copy of the state was made good, else 0.
    pub repaired: u32,
    /// 1 when the machine has to restart now, since the next try is armed, else 0.
    pub restart: u32,
    /// 0.
    pub reserved: [u32; 2],
}

/// One record of the journal.
#[repr(C)]
#[derive(Debug, Default)]
pub struct RecordOut {
    /// Counts up by one. Says which record is newer, for clocks jump.
    pub number: u64,
    /// The clock, in seconds since 1970; it may be wrong.
    pub time: u64,
    /// A `bootenv_event`.
    pub event: u32,
    /// The `bootenv_slot` that it happened to.
    pub slot: u32,
    /// The `bootenv_slot` that was committed then.
    pub committed: u32,
    /// The `bootenv_slot` under trial.
    pub trial_slot: u32,
    /// Its tries, 0 to 9.
    pub tries_left: u32,
    /// Why the machine had been started: a `bootenv_reset`.
    pub reset: u32,
    /// What was asked for: a `bootenv_asked`.
    pub asked: u32,
    /// Of which `bootenv_slot`.
    pub asked_slot: u32,
    /// With how many tries.
    pub asked_tries: u32,
    /// 0.
    pub reserved: [u32; 3],
}

/// What the journal holds.
#[repr(C)]
#[derive(Debug, Default)]
pub struct HistoryOut {
    /// How many of the records there are, 0 to 2.
    pub count: u32,
    /// How many were lost: torn, or written by another version.
    pub lost: u32,
    /// The records, the older first.
    pub records: [RecordOut; 2],
}

/// A slot that C names; nothing for any other number.
pub(crate) fn slot_of(value: u32) -> Option<Slot> {
    Slot::ALL.into_iter().find(|known| slot(Some(*known)) == value)
}

/// The number of a slot.
pub(crate) fn slot(slot: Option<Slot>) -> u32 {
    (match slot {
        None => SlotValue::None,
        Some(Slot::A) => SlotValue::A,
        Some(Slot::B) => SlotValue::B,
    }) as u32
}

fn how(how: Option<How>) -> u32 {
    (match how {
        None => HowValue::None,
        Some(How::Committed) => HowValue::Committed,
        Some(How::Trial) => HowValue::Trial,
        Some(How::HandOver) => HowValue::Handover,
    }) as u32
}

fn reset(reset: Reset) -> u32 {
    (match reset {
        Reset::Unknown => ResetValue::Unknown,
        Reset::Reboot => ResetValue::Reboot,
        Reset::Power => ResetValue::Power,
        Reset::Watchdog => ResetValue::Watchdog,
        Reset::Panic => ResetValue::Panic,
    }) as u32
}

fn event(event: Event) -> u32 {
    (match event {
        Event::Staged => EventValue::Staged,
        Event::Armed => EventValue::Armed,
        Event::InTrial => EventValue::InTrial,
        Event::Committed => EventValue::Committed,
        Event::RolledBack => EventValue::RolledBack,
        Event::Interrupted => EventValue::Interrupted,
    }) as u32
}

/// An operation, its slot and its tries.
fn asked(operation: Option<Operation>) -> (u32, u32, u32) {
    let (asked, named, tries) = match operation {
        None => (AskedValue::Nothing, None, 0),
        Some(Operation::Stage(named)) => (AskedValue::Stage, Some(named), 0),
        Some(Operation::Try(named, tries)) => (AskedValue::Try, Some(named), tries),
        Some(Operation::Commit) => (AskedValue::Commit, None, 0),
        Some(Operation::Rollback) => (AskedValue::Rollback, None, 0),
        Some(Operation::Repair) => (AskedValue::Repair, None, 0),
    };
    (asked as u32, slot(named), tries.into())
}

fn trial(trial: Option<Trial>) -> (u32, u32) {
    (slot(trial.map(|trial| trial.slot)), trial.map_or(0, |trial| trial.left.into()))
}

impl StateOut {
    pub(crate) fn new(device: &Device, state: &State) -> Self {
        let (trial_slot, tries_left) = trial(state.trial);
        let track = match device.track() {
            Track::Generic => TrackValue::Generic,
            Track::Rpi => TrackValue::Rpi,
        };
        StateOut {
            track: track as u32,
            default_slot: slot(state.default),
            next_slot: slot(state.next),
            booted_slot: slot(state.booted.map(|booted| booted.slot)),
            booted_how: how(state.booted.map(|booted| booted.how)),
            trial_slot,
            tries_left,
            whole: state.whole.into(),
            reset: reset(device.reset()),
            reserved: [0; 7],
        }
    }
}

impl From<Started> for StartedOut {
    fn from(started: Started) -> Self {
        let Started { repaired, restart } = started;
        StartedOut { repaired: repaired.into(), restart: restart.into(), reserved: [0; 2] }
    }
}

impl From<&Record> for RecordOut {
    fn from(record: &Record) -> Self {
        let (trial_slot, tries_left) = trial(record.trial);
        let (asked, asked_slot, asked_tries) = asked(record.asked);
        RecordOut {
            number: record.number,
            time: record.time,
            event: event(record.event),
            slot: slot(Some(record.slot)),
            committed: slot(Some(record.committed)),
            trial_slot,
            tries_left,
            reset: reset(record.reset),
            asked,
            asked_slot,
            asked_tries,
            reserved: [0; 3],
        }
    }
}

impl From<&Journal> for HistoryOut {
    fn from(journal: &Journal) -> Self {
        let mut history = HistoryOut::default();
        for (out, record) in history.records.iter_mut().zip(journal.records.iter().flatten()) {
            *out = record.into();
            history.count += 1;
        }
        let problems = journal.problems.iter().flatten();
        history.lost = problems.map(|problem| u32::from(*problem != RecordError::Empty)).sum();
        history
    }
}
