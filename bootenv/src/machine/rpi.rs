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

/// Everything that survives a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pi {
    /// What `autoboot.txt` says.
    pub rows: Rows,
    /// The flag in the chip, which survives one reset and no loss of power.
    pub tryboot: bool,
    /// The trial that may be armed again.
    pub trial: Option<Trial>,
}

/// Which partitions can boot: the control partition, slot A, slot B.
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

/// One start: the partition that boots, if any can. The flag is cleared first of all.
pub fn start(pi: &mut Pi, bootable: Bootable) -> Option<u32> {
    let wanted = if pi.tryboot { pi.rows.tryboot } else { pi.rows.all };
    pi.tryboot = false;
    let last = CONTROL_PARTITION + 2;
    let walk = (wanted.max(CONTROL_PARTITION)..=last).chain(CONTROL_PARTITION..wanted.min(last + 1));
    let mut order = walk.filter(|number| bootable.can(*number));
    order.next()
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
    let mut changes = match operation {
        Operation::Stage(slot) => {
            may_change(state, running, slot)?;
            [Change::Flag(false), Change::Trial(None)].to_vec()
        }
        Operation::Try(slot, tries) => arm(state, running, slot, tries)?,
        Operation::Commit => commit(state, running, pi)?,
        Operation::Rollback => [Change::Flag(false), Change::Trial(None)].to_vec(),
        Operation::Repair => [Change::Autoboot(state)].to_vec(),
    };
    changes.retain(|change| match *change {
        Change::Autoboot(new) => understood != Some(new),
        Change::Flag(set) => pi.tryboot != set,
        Change::Trial(trial) => pi.trial != trial,
    });
    Ok(changes)
}

/// The changes that arm the next try of a trial, none when there is no try left. Asked for by the
/// committed slot, when it finds itself started.
pub fn resume(pi: &Pi, understood: Option<Autoboot>, running: &Running) -> Vec<Change> {
    let (Some(state), Some(booted), Some(trial)) = (understood, running.booted, pi.trial) else {
        return Vec::new();
    };
    let committed = booted == Booted { slot: state.default, how: How::Committed };
    if !committed || trial.slot == state.default || trial.left == 0 || pi.tryboot {
        return Vec::new();
    }
    let left = Trial { left: trial.left - 1, ..trial };
    [Change::Trial(Some(left)), Change::Flag(true)].to_vec()
}

fn arm(state: Autoboot, running: &Running, slot: Slot, tries: u8) -> Result<Vec<Change>, Refusal> {
    if !(1..=MAX_TRIES).contains(&tries) {
        return Err(Refusal::Tries { tries, cap: MAX_TRIES });
    }
    may_change(state, running, slot)?;
    Ok([Change::Trial(Some(Trial { slot, left: tries - 1 })), Change::Flag(true)].to_vec())
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
    let armed = pi.tryboot || pi.trial.is_some_and(|trial| trial.left > 0 && trial.slot != state.default);
    match how {
        _ if slot == state.default && armed && how == How::Committed => Err(wrong),
        _ if slot == state.default => Ok([Change::Trial(None)].to_vec()),
        How::Trial => Ok([Change::Autoboot(Autoboot { default: slot }), Change::Trial(None)].to_vec()),
        How::Committed | How::HandOver => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            start(&mut Pi { rows, tryboot: false, trial: None }, Bootable(can))
        };
        assert_eq!(order(2, [true, false, true]), Some(3));
        assert_eq!(order(3, [true, true, false]), Some(1));
        assert_eq!(order(0, [true; 3]), Some(1));
        assert_eq!(order(7, [true; 3]), Some(1));
        assert_eq!(order(2, [false; 3]), None);
    }

    #[test]
    fn the_flag_lasts_one_start() {
        let mut pi = Pi { rows: Rows::of(Autoboot::initial()), tryboot: true, trial: None };
        assert_eq!(start(&mut pi, Bootable::ALL), Some(partition(Slot::B)));
        assert_eq!(start(&mut pi, Bootable::ALL), Some(partition(Slot::A)));
    }
}
