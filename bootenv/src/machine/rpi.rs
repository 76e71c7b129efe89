//! The transitions of the Raspberry Pi track: the boot ROM's choice, and the library's writes.
//!
//! ```text
//!   flag set    -> cleared -> the partition under [tryboot] ---+
//!   flag clear  ------------> the partition under [all] -------+-> boots, when it can
//!   autoboot.txt not understood --> partition 0                |
//!                                       |                      v
//!                      the first that can boot      the walk: from that one to the last, then from
//!                                                    the first on, and never through autoboot.txt
//! ```
//!
//! The ROM counts nothing, so the tries that are left lie in the journal and are taken off before the
//! flag is set: a cut between the two loses a try and never adds one.
//!
//! What is left of a trial also says which slot the walk must not find: the slot of a trial without a
//! try left. It is remembered before the slot is hidden, and until it is armed again or committed, so
//! that a cut leaves nothing that the next repair does not finish.
//!
//! ```text
//!   first sector        shown           hidden                 hidden, then shown
//!   trial remembered    none            slot, 0 left           slot, N-1 left
//!                       good            staged, or failed      armed, or under trial
//! ```
//!
//! Sources: Raspberry Pi documentation, `config_txt/autoboot.adoc`, `raspberry-pi/bootflow-eeprom.adoc`
//! and `raspberry-pi/eeprom-bootloader.adoc` (`PARTITION_WALK`).

use alloc::vec::Vec;

use super::{Booted, How, Operation, Refusal, Running, Trial};
use crate::Slot;
use crate::rpi::{Autoboot, CONTROL_PARTITION, partition, slot_of};

/// Most tries that a trial can be given.
pub const MAX_TRIES: u8 = 9;

/// What the ROM finds in `autoboot.txt`, ours or not: the partition under each section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rows {
    /// Under `[all]`, or before any section; 0 for the first partition that can boot.
    pub all: u32,
    /// Under `[tryboot]`; the same as `all` when there is none.
    pub tryboot: u32,
}

/// What a slot's partition starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum First {
    /// A FAT that fits: the ROM can boot it.
    Fat,
    /// Zeroes: nobody takes it for anything.
    Zeroes,
    /// Anything else, as a write that was cut short leaves it.
    Garbage,
}

/// How a slot looks to the ROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Front {
    /// Its first sector.
    pub first: First,
    /// Whether there is a copy of its boot sector.
    pub backup: bool,
}

impl Front {
    /// A slot that can be booted.
    pub const SHOWN: Front = Front { first: First::Fat, backup: true };
    /// One that cannot, and could be again.
    pub const HIDDEN: Front = Front { first: First::Zeroes, backup: true };
    /// One without a file system.
    pub const EMPTY: Front = Front { first: First::Zeroes, backup: false };

    /// Whether it can be made a slot that boots.
    pub fn is_usable(self) -> bool {
        self.first == First::Fat || self.backup
    }
}

/// Everything that survives a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pi {
    /// What `autoboot.txt` says.
    pub rows: Rows,
    /// The flag in the chip, which survives one reset and no loss of power.
    pub tryboot: bool,
    /// The trial that may be armed again; without a try left, a slot that is not to be booted.
    pub trial: Option<Trial>,
    /// How both slots look, A first.
    pub fronts: [Front; 2],
}

impl Pi {
    /// How a slot looks.
    pub fn front(&self, slot: Slot) -> Front {
        self.fronts[slot as usize]
    }
}

/// Which partitions hold what can boot: the control partition, slot A, slot B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bootable(pub [bool; 3]);

/// One change that the library makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Writes `autoboot.txt`.
    Autoboot(Autoboot),
    /// Sets or clears the flag in the chip.
    Flag(bool),
    /// Remembers what is left of a trial.
    Trial(Option<Trial>),
    /// Remembers that a slot is not to be booted: a trial of it has no try left.
    Discard(Slot),
    /// Makes the first sector of a slot zeroes. It neither runs nor is committed.
    Hide(Slot),
    /// Makes it the copy of its boot sector.
    Show(Slot),
}

impl Rows {
    /// What our own file says.
    pub const fn of(state: Autoboot) -> Self {
        Rows { all: partition(state.default), tryboot: partition(state.default.other()) }
    }

    /// Reads the file as the ROM does, whatever it holds: sections, and the last value of a row.
    pub fn as_rom_reads(bytes: &[u8]) -> Self {
        let (mut all, mut tryboot) = (0, None);
        let mut section: &[u8] = b"[all]";
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.first() == Some(&b'[') {
                section = line;
            } else if let Some(number) = line.strip_prefix(b"boot_partition=").and_then(number) {
                match section {
                    b"[all]" => (all, tryboot) = (number, None),
                    b"[tryboot]" => tryboot = Some(number),
                    _ => {}
                }
            }
        }
        Rows { all, tryboot: tryboot.unwrap_or(all) }
    }

    /// The committed slot, when these are the rows of a file of ours.
    pub fn committed(self) -> Option<Slot> {
        Slot::ALL.into_iter().find(|slot| Rows::of(Autoboot { default: *slot }) == self)
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.trim_end().parse().ok()
}

/// One start: the partition that boots, if any can; a slot only when it is shown. The flag is cleared
/// first of all.
pub fn start(pi: &mut Pi, bootable: Bootable) -> Option<u32> {
    let wanted = if pi.tryboot { pi.rows.tryboot } else { pi.rows.all };
    pi.tryboot = false;
    let last = CONTROL_PARTITION + 2;
    let walk = (wanted.max(CONTROL_PARTITION)..=last).chain(CONTROL_PARTITION..wanted.min(last + 1));
    let is_shown = |number| slot_of(number).is_none_or(|slot| pi.front(slot).first == First::Fat);
    walk.into_iter().find(|number| bootable.can(*number) && is_shown(*number))
}

impl Bootable {
    /// All of them.
    pub const ALL: Bootable = Bootable([true; 3]);

    /// Whether the partition with this number can boot.
    pub fn can(self, number: u32) -> bool {
        let index = number.checked_sub(CONTROL_PARTITION).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.0.get(index)).copied().unwrap_or(false)
    }
}

/// What a system learns from the partition that it was started from and from the flag of that start.
pub fn booted(number: u32, tryboot: bool) -> Option<Booted> {
    let how = if tryboot { How::Trial } else { How::Committed };
    slot_of(number).map(|slot| Booted { slot, how })
}

/// The changes that an operation takes, in order.
///
/// # Errors
/// When the operation must not be done. Then nothing is to be changed.
pub fn plan(
    pi: &Pi,
    understood: Option<Autoboot>,
    running: &Running,
    operation: Operation,
) -> Result<Vec<Change>, Refusal> {
    let state = match (understood, operation) {
        (Some(state), _) => state,
        (None, Operation::Repair) => Autoboot { default: running.survivor().ok_or(Refusal::LostForGood)? },
        (None, _) => return Err(Refusal::Lost),
    };
    let changes = match operation {
        Operation::Stage(slot) => {
            may_change(state, running, slot)?;
            [Change::Flag(false)].into_iter().chain(discard(slot, state, running)).collect()
        }
        Operation::Try(slot, tries) => arm(pi, state, running, slot, tries)?,
        Operation::Commit => commit(state, running, pi)?,
        Operation::Rollback => rollback(pi, state, running),
        Operation::Repair => {
            [Change::Autoboot(state)].into_iter().chain(settle(pi, state, running)).collect()
        }
    };
    Ok(needed(changes, pi, understood))
}

/// The changes that arm the next try of a trial, or end one that has none left. Asked for by the
/// committed slot, when it finds itself started.
pub fn resume(pi: &Pi, understood: Option<Autoboot>, running: &Running) -> Vec<Change> {
    let (Some(state), Some(trial)) = (understood, pi.trial) else {
        return Vec::new();
    };
    if !is_committed(state, running) || trial.slot == state.default || pi.tryboot {
        return Vec::new();
    }
    let changes = if trial.left > 0 && pi.front(trial.slot).is_usable() {
        armed(trial.slot, trial.left)
    } else {
        discard(trial.slot, state, running)
    };
    needed(changes, pi, understood)
}

/// Those of the changes that change anything.
fn needed(mut changes: Vec<Change>, pi: &Pi, understood: Option<Autoboot>) -> Vec<Change> {
    changes.retain(|change| match *change {
        Change::Autoboot(new) => understood != Some(new),
        Change::Flag(set) => pi.tryboot != set,
        Change::Trial(trial) => pi.trial != trial,
        Change::Discard(slot) => pi.trial != Some(Trial { slot, left: 0 }),
        Change::Hide(slot) => pi.front(slot).first != First::Zeroes,
        Change::Show(slot) => pi.front(slot).first != First::Fat,
    });
    changes
}

fn arm(pi: &Pi, state: Autoboot, running: &Running, slot: Slot, tries: u8) -> Result<Vec<Change>, Refusal> {
    if !(1..=MAX_TRIES).contains(&tries) {
        return Err(Refusal::Tries { tries, cap: MAX_TRIES });
    }
    may_change(state, running, slot)?;
    pi.front(slot).is_usable().then(|| armed(slot, tries)).ok_or(Refusal::NoFileSystem(slot))
}

/// One of the tries, of which the rest is remembered first, so that a slot is never shown that nobody
/// knows to be under trial.
fn armed(slot: Slot, tries: u8) -> Vec<Change> {
    let left = Trial { slot, left: tries - 1 };
    [Change::Trial(Some(left)), Change::Show(slot), Change::Flag(true)].to_vec()
}

/// A slot is not to be booted: this is remembered first. One that runs is hidden by the next start.
fn discard(slot: Slot, state: Autoboot, running: &Running) -> Vec<Change> {
    let is_needed = slot == state.default || running.booted.is_some_and(|booted| booted.slot == slot);
    [Change::Discard(slot)].into_iter().chain((!is_needed).then_some(Change::Hide(slot))).collect()
}

fn rollback(pi: &Pi, state: Autoboot, running: &Running) -> Vec<Change> {
    let slot = state.default.other();
    let is_remembered = pi.trial.is_some_and(|trial| trial.slot == slot);
    let is_tried = running.booted == Some(Booted { slot, how: How::Trial });
    if pi.tryboot || is_remembered || is_tried {
        [Change::Flag(false)].into_iter().chain(discard(slot, state, running)).collect()
    } else {
        [Change::Trial(None)].to_vec()
    }
}

/// What a start finds that was cut short: a slot to hide, or a trial that ended with its commit. A
/// trial that only has no try left is for [`resume`] to end.
fn settle(pi: &Pi, state: Autoboot, running: &Running) -> Vec<Change> {
    let slot = state.default.other();
    let resumes = is_committed(state, running) && pi.front(slot).first == First::Fat;
    match pi.trial {
        Some(trial) if trial.slot == state.default => [Change::Trial(None)].to_vec(),
        Some(Trial { left: 0, .. }) if !pi.tryboot && !resumes => discard(slot, state, running),
        _ => Vec::new(),
    }
}

fn is_committed(state: Autoboot, running: &Running) -> bool {
    running.booted == Some(Booted { slot: state.default, how: How::Committed })
}

fn may_change(state: Autoboot, running: &Running, slot: Slot) -> Result<(), Refusal> {
    match running.booted {
        Some(Booted { slot: booted, how: How::Trial }) if booted != state.default => {
            Err(Refusal::InTrial(booted))
        }
        Some(Booted { slot: booted, .. }) if booted == slot => Err(Refusal::SlotRuns(slot)),
        _ if slot == state.default => Err(Refusal::SlotCommitted(slot)),
        _ => Ok(()),
    }
}

/// A slot that the walk came to, and that nobody tried, is committed by trying it first.
fn commit(state: Autoboot, running: &Running, pi: &Pi) -> Result<Vec<Change>, Refusal> {
    let Booted { slot, how } = running.booted.ok_or(Refusal::NothingRuns)?;
    let wrong = Refusal::WrongSlot { booted: slot, default: state.default };
    let other = pi.trial.filter(|trial| trial.slot != state.default);
    let armed = pi.tryboot || other.is_some_and(|trial| trial.left > 0);
    match how {
        _ if slot == state.default && armed && how == How::Committed => Err(wrong),
        // What is remembered of the other slot still holds.
        _ if slot == state.default => Ok([Change::Trial(other)].to_vec()),
        How::Trial => {
            let show = show_again(pi.front(slot), slot)?;
            let rest = [Change::Autoboot(Autoboot { default: slot }), Change::Trial(None)];
            Ok(show.into_iter().chain(rest).collect())
        }
        How::Committed | How::HandOver => Err(wrong),
    }
}

/// A slot that somebody hid while it ran is not committed as it is. Whatever else its first sector
/// holds, the ROM has booted it.
fn show_again(front: Front, slot: Slot) -> Result<Option<Change>, Refusal> {
    match front {
        Front { first: First::Fat | First::Garbage, .. } => Ok(None),
        Front { first: First::Zeroes, backup: true } => Ok(Some(Change::Show(slot))),
        Front { first: First::Zeroes, backup: false } => Err(Refusal::NoFileSystem(slot)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pi(rows: Rows, tryboot: bool) -> Pi {
        Pi { rows, tryboot, trial: None, fronts: [Front::SHOWN; 2] }
    }

    #[test]
    fn the_walk_passes_by_a_slot_that_is_hidden() {
        let mut pi = pi(Rows::of(Autoboot::initial()), false);
        let lost = Bootable([true, false, true]);
        assert_eq!(start(&mut pi, lost), Some(partition(Slot::B)));
        for first in [First::Zeroes, First::Garbage] {
            pi.fronts[1] = Front { first, backup: true };
            assert_eq!(start(&mut pi, lost), Some(CONTROL_PARTITION));
        }
    }

    #[test]
    fn the_rom_and_we_read_our_file_alike() {
        for default in Slot::ALL {
            let state = Autoboot { default };
            assert_eq!(Rows::as_rom_reads(&state.encode()), Rows::of(state));
            assert_eq!(Rows::of(state).committed(), Some(default));
        }
        assert_eq!(Rows::as_rom_reads(&[0xa5; 512]), Rows::default());
        assert_eq!(
            Rows::as_rom_reads(b"boot_partition=3\n[none]\nboot_partition=9"),
            Rows { all: 3, tryboot: 3 }
        );
    }

    #[test]
    fn the_walk_goes_on_from_the_wish_and_wraps() {
        let order = |wanted, can| {
            let rows = Rows { all: wanted, tryboot: 0 };
            start(&mut pi(rows, false), Bootable(can))
        };
        assert_eq!(order(2, [true, false, true]), Some(3));
        assert_eq!(order(3, [true, true, false]), Some(1));
        assert_eq!(order(0, [true; 3]), Some(1));
        assert_eq!(order(7, [true; 3]), Some(1));
        assert_eq!(order(2, [false; 3]), None);
    }

    #[test]
    fn the_flag_lasts_one_start() {
        let mut pi = pi(Rows::of(Autoboot::initial()), true);
        assert_eq!(start(&mut pi, Bootable::ALL), Some(partition(Slot::B)));
        assert_eq!(start(&mut pi, Bootable::ALL), Some(partition(Slot::A)));
    }
}
