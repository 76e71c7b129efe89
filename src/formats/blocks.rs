//! Which blocks of a disk hold something.
//!
//! ```text
//!   bytes that were written   ####          ##      #
//!   blocks of 4 KiB         |####|----|----|####|####|----|
//!   ranges                  0..4096        12288..20480
//! ```

use std::fs::File;
use std::io;
use std::ops::Range;

use crate::files;

/// Bytes in a block: what file systems allocate at a time, and what block maps count in.
pub const BLOCK: u64 = 4096;

/// The size of a disk and which parts of it hold something. All else is zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Length of the disk, in bytes.
    pub size: u64,
    /// Ranges in bytes, ascending, not touching, each of whole blocks; the last may end with the disk.
    pub ranges: Vec<Range<u64>>,
}

impl Blocks {
    /// What is not a hole in the first `size` bytes of a file.
    ///
    /// # Errors
    /// When the file cannot tell.
    pub fn of(file: &File, size: u64) -> io::Result<Blocks> {
        let mut blocks = Blocks { size, ranges: Vec::new() };
        for range in files::data(file, size) {
            let (start, end) = range?;
            blocks.push(start..end);
        }
        Ok(blocks)
    }

    /// The same in larger units: ranges begin and end at multiples of `unit`; the last may end with the disk.
    pub fn widened(&self, unit: u64) -> Blocks {
        let mut wide = Blocks { size: self.size, ranges: Vec::new() };
        self.ranges.iter().for_each(|range| wide.push_units(range.clone(), unit));
        wide
    }

    /// Adds a range that begins behind all others, widened to whole blocks.
    pub fn push(&mut self, range: Range<u64>) {
        self.push_units(range, BLOCK);
    }

    fn push_units(&mut self, range: Range<u64>, unit: u64) {
        let start = range.start / unit * unit;
        let end = range.end.checked_next_multiple_of(unit).unwrap_or(u64::MAX).min(self.size);
        match self.ranges.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ if start < end => self.ranges.push(start..end),
            _ => {}
        }
    }

    /// The ranges in units of that many bytes.
    pub fn units(&self, unit: u64) -> Vec<Range<u64>> {
        self.widened(unit).ranges.iter().map(|range| range.start / unit..range.end.div_ceil(unit)).collect()
    }

    /// Bytes that are not holes.
    pub fn mapped(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// The parts of the ranges that lie in `within`.
    pub fn within(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.ranges.partition_point(|range| range.end <= within.start);
        let reached = self.ranges[first..].iter().take_while(move |range| range.start < within.end);
        reached.map(move |range| range.start.max(within.start)..range.end.min(within.end))
    }

    /// Whether some of `within` is not a hole.
    pub fn touches(&self, within: Range<u64>) -> bool {
        self.within(within).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_widened_to_blocks_and_joined() {
        let mut blocks = Blocks { size: 20_000, ranges: Vec::new() };
        [10..20, 4000..4097, 12_288..12_289, 19_999..20_000].into_iter().for_each(|range| blocks.push(range));
        assert_eq!(blocks.ranges, [0..8192, 12_288..20_000]);
        assert_eq!(blocks.mapped(), 8192 + 7712);
        assert_eq!(blocks.within(4096..12_290).collect::<Vec<_>>(), [4096..8192, 12_288..12_290]);
        assert!(!blocks.touches(8192..12_288));
        let wide = blocks.widened(10_000);
        assert_eq!((wide.size, wide.ranges.first(), wide.ranges.len()), (20_000, Some(&(0..20_000)), 1));
        let apart = Blocks { size: 100 * BLOCK, ranges: vec![BLOCK..2 * BLOCK, 8 * BLOCK..9 * BLOCK] };
        assert_eq!(apart.widened(3 * BLOCK).ranges, [0..3 * BLOCK, 6 * BLOCK..9 * BLOCK]);
    }
}
