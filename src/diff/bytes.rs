//! Where two ranges of bytes differ. What is a hole in both is not read.

use std::io;

use crate::interrupt;
use crate::volume::Region;

/// Bytes that are compared at first, and how many at most: differences often lie close together.
const FIRST_STEP: u64 = 4 << 10;
const LAST_STEP: u64 = 1 << 20;
/// Bytes that people are shown.
const SHOWN: usize = 8;

/// The first byte from `from` on that differs, as far as both go.
///
/// # Errors
/// When one cannot be read, or the user asked to stop.
pub(super) fn next(a: &Region, b: &Region, from: u64) -> io::Result<Option<u64>> {
    let end = a.size().min(b.size());
    let (mut at, mut step) = (from, FIRST_STEP);
    let mut buffers = [Vec::new(), Vec::new()];
    while at < end {
        interrupt::check()?;
        let data: Vec<_> = [a, b].iter().filter_map(|region| region.next_data(at)).collect();
        let Some(start) = data.iter().map(|range| range.start).min() else { return Ok(None) };
        let stop = data.iter().filter(|range| range.start == start).map(|range| range.end).max();
        let stop = stop.unwrap_or(end).min(end).min(start.saturating_add(step));
        if start >= end {
            return Ok(None);
        }
        for (buffer, region) in buffers.iter_mut().zip([a, b]) {
            buffer.resize((stop - start) as usize, 0);
            region.read_exact(start, buffer)?;
        }
        if let Some(first) = first(&buffers[0], &buffers[1]) {
            return Ok(Some(start + first as u64));
        }
        (at, step) = (stop, LAST_STEP.min(step * 4));
    }
    Ok(None)
}

/// Whole pieces are compared as fast as memory is, even in builds for tests.
fn first(a: &[u8], b: &[u8]) -> Option<usize> {
    if a == b {
        return None;
    }
    a.iter().zip(b).position(|(one, other)| one != other)
}

/// Whether both are the same, to their ends.
///
/// # Errors
/// As [`next`].
pub(super) fn same(a: &Region, b: &Region) -> io::Result<bool> {
    Ok(a.size() == b.size() && next(a, b, 0)?.is_none())
}

/// The first bytes from `at` on, as people read them; empty where they cannot be read.
pub(super) fn preview(region: &Region, at: u64) -> String {
    let len = region.size().saturating_sub(at).min(SHOWN as u64);
    shown(&region.read(at, len).unwrap_or_default())
}

/// Some bytes in hexadecimal digits, with a space between them.
pub(super) fn shown(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// A file with these bytes here and there, and holes.
    fn region(bytes: &[(u64, u8)], size: u64) -> Region {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for (at, byte) in bytes.iter().filter(|(at, _)| *at < size) {
            file.write_all_at(&[*byte], *at).unwrap();
        }
        Region::new(Arc::new(file), size)
    }

    proptest! {
        #[test]
        fn every_difference_is_found(
            a in prop::collection::vec((0..3_000_000_u64, 0..3_u8), 0..6),
            b in prop::collection::vec((0..3_000_000_u64, 0..3_u8), 0..6),
            size in 1_000_000..3_000_000_u64,
        ) {
            let (a, b) = (region(&a, size), region(&b, size));
            let (all_a, all_b) = (a.read(0, size).unwrap(), b.read(0, size).unwrap());
            let places = (0..size).filter(|at| all_a[*at as usize] != all_b[*at as usize]);
            let mut at = 0;
            for place in places {
                prop_assert_eq!(next(&a, &b, at).unwrap(), Some(place));
                at = place + 1;
            }
            prop_assert_eq!(next(&a, &b, at).unwrap(), None);
        }
    }
}
