//! What stands where on bars of the disk: one of the whole, and one for each place where partitions are so
//! small that they would vanish.
//!
//! ```text
//!   | | |                     system                       |   the whole disk
//!   |   `--------------.
//!   | control |  boot  |                                       its beginning
//! ```

use std::ops::Range;

/// Pieces that have less than this part of a bar are drawn again, on one of their own.
const SMALL: u64 = 25;

/// Most bars: a table can have a hundred partitions.
const MOST: usize = 5;

/// A piece of the disk: a partition, or what lies between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// First byte, and the one behind the last.
    pub(super) range: Range<u64>,
    /// Index of the partition.
    pub(super) partition: Option<usize>,
}

/// Pieces in a row, and of which earlier bar they are an enlargement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) pieces: Vec<Piece>,
    pub(super) of: Option<usize>,
}

impl Piece {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Bar {
    /// The bytes that it shows.
    pub(super) fn range(&self) -> Range<u64> {
        let start = self.pieces.first().map_or(0, |piece| piece.range.start);
        start..self.pieces.last().map_or(start, |piece| piece.range.end)
    }

    /// Where a byte stands on it, in hundredths of a percent.
    pub(super) fn place(&self, at: u64) -> u32 {
        let Range { start, end } = self.range();
        let length = u128::from((end - start).max(1));
        (u128::from(at.clamp(start, end) - start) * 10_000 / length) as u32
    }
}

/// The pieces of a disk of `size` bytes with partitions at these places, which come in order of their starts.
/// What overlaps or lies outside is cut off.
pub(super) fn pieces(size: u64, partitions: &[Range<u64>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut add = |at: &mut u64, end: u64, partition| {
        if end > *at {
            pieces.push(Piece { range: *at..end, partition });
            *at = end;
        }
    };
    for (index, range) in partitions.iter().enumerate() {
        add(&mut at, range.start.min(size), None);
        add(&mut at, range.end.min(size), Some(index));
    }
    add(&mut at, size, None);
    pieces
}

/// The bar of all pieces, then those of what is small on one before.
pub(super) fn bars(pieces: Vec<Piece>) -> Vec<Bar> {
    let mut bars = vec![Bar { pieces, of: None }];
    let mut next = 0;
    while next < bars.len() {
        let runs = small(&bars[next]);
        let room = MOST - bars.len();
        bars.extend(runs.into_iter().take(room).map(|pieces| Bar { pieces, of: Some(next) }));
        next += 1;
    }
    bars
}

/// Runs of small pieces, from partition to partition.
fn small(bar: &Bar) -> Vec<Vec<Piece>> {
    let range = bar.range();
    let least = (range.end - range.start) / SMALL;
    let runs = bar.pieces.chunk_by(|one, other| (one.length() < least) == (other.length() < least));
    let small = runs.filter(|run| run[0].length() < least);
    let trimmed = small.filter_map(|run| {
        let first = run.iter().position(|piece| piece.partition.is_some())?;
        let last = run.iter().rposition(|piece| piece.partition.is_some())?;
        Some(run[first..=last].to_vec())
    });
    // Where all are small, nothing would be enlarged.
    trimmed.filter(|run| run.len() < bar.pieces.len()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partitions(bar: &Bar) -> Vec<usize> {
        bar.pieces.iter().filter_map(|piece| piece.partition).collect()
    }

    #[test]
    fn what_would_vanish_is_drawn_again() {
        let bars = bars(pieces(10_000, &[1..100, 100..101, 110..200, 300..9_900]));
        assert_eq!(
            bars.iter().map(partitions).collect::<Vec<_>>(),
            [vec![0, 1, 2, 3], vec![0, 1, 2], vec![1]]
        );
        assert_eq!(bars.iter().map(|bar| bar.of).collect::<Vec<_>>(), [None, Some(0), Some(1)]);
        assert_eq!((bars[0].place(5_000), bars[1].range()), (5_000, 1..200));
    }

    #[test]
    fn a_disk_without_small_partitions_has_one_bar() {
        assert_eq!(bars(pieces(100, &[1..50, 50..99])).len(), 1);
        assert_eq!(bars(pieces(0, &[])).len(), 1);
    }

    proptest! {
        #[test]
        fn pieces_are_the_disk_from_one_end_to_the_other(
            size in any::<u64>(),
            starts in prop::collection::vec((any::<u64>(), any::<u64>()), 0..20),
        ) {
            let mut ranges: Vec<_> = starts.iter().map(|(one, other)| *one.min(other)..*one.max(other)).collect();
            ranges.sort_by_key(|range| range.start);
            let pieces = pieces(size, &ranges);
            let mut at = 0;
            for piece in &pieces {
                prop_assert!(piece.range.start == at && piece.range.end > at);
                at = piece.range.end;
            }
            prop_assert_eq!(at, size);
            let all = bars(pieces);
            prop_assert!(all.len() <= MOST);
            for bar in &all {
                prop_assert!(bar.pieces.iter().all(|piece| bar.place(piece.range.end) <= 10_000));
                prop_assert!(bar.of.is_none_or(|of| all[of].pieces.len() > bar.pieces.len()));
            }
        }
    }
}
