//! What the image says is zero.
//!
//! A file, and most devices, forget a range and read as zeros there. Where a device cannot, only those zeros are
//! written that keep old data from being taken for new: short holes, both ends of long ones, since tables of file
//! systems border on what is not zero, and both ends of partitions, where older file systems would be found.

use super::FlashError;
use super::buffer::Buffer;
use super::head;
use super::target::Target;
use crate::interrupt;
use crate::units::MIB;

/// As much of both ends of a long hole is written.
const EDGE: u64 = 16 * MIB;

/// Most that is forgotten at once: a device may take its time.
const STEP: u64 = 1 << 30;

/// How holes are made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holes {
    can_punch: bool,
    edge: u64,
}

impl Holes {
    /// Tries what the target can; its first MiB has only the mark, behind which it is zero already.
    pub(super) fn begin(target: &impl Target, head: &[u8]) -> Result<Holes, FlashError> {
        let (at, len) = (head.len() as u64 / 2, head.len() as u64 / 2);
        let can_punch = punch(target, at & !4095, len & !4095)?;
        // A file is made whole: it may be compared, or copied on.
        let edge = if target.capacity().is_some() { EDGE } else { u64::MAX / 2 };
        let holes = Holes { can_punch, edge };
        if !can_punch {
            let end = target.capacity().unwrap_or_default();
            for (start, stop) in borders(head) {
                write(target, start.min(end), stop.min(end))?;
            }
        }
        Ok(holes)
    }

    /// Whether all holes read as zeros.
    pub(super) fn are_zeros(self) -> bool {
        self.can_punch || self.edge > EDGE
    }

    /// Makes a range zero, as far as that matters.
    pub(super) fn zero(self, target: &impl Target, start: u64, end: u64) -> Result<(), FlashError> {
        let end = end.min(target.capacity().unwrap_or(u64::MAX));
        let mut at = start;
        while self.can_punch && at < end {
            interrupt::check()?;
            let len = STEP.min(end - at);
            if !punch(target, at, len)? {
                break;
            }
            at += len;
        }
        if end.saturating_sub(at) <= self.edge.saturating_mul(2) {
            return write(target, at, end);
        }
        write(target, at, at + self.edge)?;
        write(target, end - self.edge, end)
    }
}

fn punch(target: &impl Target, at: u64, len: u64) -> Result<bool, FlashError> {
    if len == 0 {
        return Ok(true);
    }
    target.punch(at, len).map_err(|source| FlashError::Write { at, source })
}

fn write(target: &impl Target, start: u64, end: u64) -> Result<(), FlashError> {
    let zeros = Buffer::zeros(end.saturating_sub(start).min(MIB) as usize);
    let mut at = start;
    while at < end {
        interrupt::check()?;
        let len = (end - at).min(MIB);
        target
            .write(at, &zeros.bytes()[..len as usize])
            .map_err(|source| FlashError::Write { at, source })?;
        at += len;
    }
    Ok(())
}

/// The first and the last MiB of every partition behind the head.
fn borders(head: &[u8]) -> Vec<(u64, u64)> {
    let Some(table) = head::table(head) else { return Vec::new() };
    let ends = table.entries.iter().flat_map(|entry| {
        let (start, end) = (entry.offset().0, entry.offset().0.saturating_add(entry.size().0));
        let start = start.max(head.len() as u64);
        [(start, start.saturating_add(MIB).min(end)), (end.saturating_sub(MIB).max(start), end)]
    });
    ends.collect()
}
