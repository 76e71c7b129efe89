//! Packing an image in pieces, each by itself, several at once.
//!
//! ```text
//!   blocks    |####  ##|                  |#########|
//!   pieces    | data   |  zeros  | zeros  |data|data|      cut alike whoever packs them
//!                 |         |        |       |    |
//!   workers       0         1        0       1    0        each reads and packs every n-th
//!                 v         v        v       v    v
//!   file        [...........................................]  in order
//! ```
//! A worker may be one piece ahead of what is written, so that memory is a few pieces for each.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;

use super::blocks::{BLOCK, Blocks};
use super::{FormatError, Raw};
use crate::interrupt;

/// Holes shorter than this are packed as the zeros that they are, so that what lies around them is
/// packed together.
const SMALL_HOLE: u64 = 64 << 10;
/// Most workers: one that packs xz takes about 20 MiB.
const MOST_WORKERS: usize = 4;

/// Packs pieces of one image, one after the other.
pub(super) trait Packer: Sized {
    /// What comes of a piece.
    type Packed: Clone + Send;

    /// Bytes in a piece that holds something, and in one of zeros, at most.
    const LENGTHS: (u64, u64);

    /// Bytes that pieces begin and end at multiples of.
    const UNIT: u64 = BLOCK;

    /// A packer that has not packed anything.
    fn new() -> std::io::Result<Self>;

    /// Packs the bytes of a piece. What was packed before must not matter.
    fn pack(&mut self, bytes: &[u8]) -> std::io::Result<Self::Packed>;

    /// Packs `len` zeros.
    fn pack_zeros(&mut self, len: u64) -> std::io::Result<Self::Packed> {
        self.pack(&vec![0; len as usize])
    }
}

/// A part of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Data(Range<u64>),
    Zeros(Range<u64>),
}

/// Packs all of the image. `put` gets the length of each piece in bytes and what came of it, in order.
pub(super) fn pack<P: Packer>(
    raw: &Raw,
    progress: &dyn Fn(u64),
    mut put: impl FnMut(u64, P::Packed) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let blocks = &raw.blocks().widened(P::UNIT);
    let count = thread::available_parallelism().map_or(1, |count| count.get().min(MOST_WORKERS));
    thread::scope(|scope| {
        let spawn = |first| {
            let (done, packed) = mpsc::sync_channel(1);
            let pieces = pieces(blocks, P::LENGTHS).skip(first).step_by(count);
            let worker = scope.spawn(move || work::<P>(raw, pieces, &done));
            (worker, packed)
        };
        let (workers, queues): (Vec<_>, Vec<_>) = (0..count).map(spawn).unzip();
        let mut written = Ok(());
        for (piece, queue) in pieces(blocks, P::LENGTHS).zip(queues.iter().cycle()) {
            // A worker that sends no more has an error to tell.
            let Ok(packed) = queue.recv() else { break };
            let (Piece::Data(range) | Piece::Zeros(range)) = &piece;
            written = put(range.end - range.start, packed);
            if written.is_err() {
                break;
            }
            if let Piece::Data(range) = piece {
                progress(raw.blocks().within(range).map(|part| part.end - part.start).sum());
            }
        }
        drop(queues);
        let ends =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ends.fold(written, Result::and)
    })
}

/// Packs the pieces until there are no more, or nobody wants them.
fn work<P: Packer>(
    raw: &Raw,
    pieces: impl Iterator<Item = Piece>,
    done: &mpsc::SyncSender<P::Packed>,
) -> Result<(), FormatError> {
    let failed = |error| raw.error(error);
    let mut packer = P::new().map_err(failed)?;
    let mut buffer = Vec::new();
    let mut zeros: Option<(u64, P::Packed)> = None;
    for piece in pieces {
        interrupt::check()?;
        let packed = match piece {
            Piece::Data(range) => {
                raw.read(range, &mut buffer)?;
                packer.pack(&buffer).map_err(failed)?
            }
            Piece::Zeros(range) => {
                let len = range.end - range.start;
                let packed = match zeros.take().filter(|(known, _)| *known == len) {
                    Some((_, packed)) => packed,
                    None => packer.pack_zeros(len).map_err(failed)?,
                };
                zeros = Some((len, packed.clone()));
                packed
            }
        };
        if done.send(packed).is_err() {
            break;
        }
    }
    Ok(())
}

/// Cuts all of the disk into pieces.
fn pieces(blocks: &Blocks, (data, zeros): (u64, u64)) -> impl Iterator<Item = Piece> + use<> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for range in &blocks.ranges {
        match runs.last_mut() {
            Some(last) if range.start - last.end < SMALL_HOLE => last.end = range.end,
            _ => runs.push(range.clone()),
        }
    }
    // The end, where a hole may lead to.
    runs.push(blocks.size..blocks.size);
    let mut at = 0;
    runs.into_iter().flat_map(move |run| {
        let hole = cut(at..run.start, zeros).map(Piece::Zeros);
        at = run.end;
        hole.chain(cut(run, data).map(Piece::Data))
    })
}

fn cut(range: Range<u64>, longest: u64) -> impl Iterator<Item = Range<u64>> {
    let Range { start, end } = range;
    (start..end).step_by(longest as usize).map(move |start| start..end.min(start + longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_disk_and_small_holes_belong_to_the_data_around_them() {
        let ranges = vec![0..BLOCK, 2 * BLOCK..3 * BLOCK, 100 * BLOCK..105 * BLOCK];
        let blocks = Blocks { size: 200 * BLOCK + 7, ranges };
        let expected = [
            Piece::Data(0..2 * BLOCK),
            Piece::Data(2 * BLOCK..3 * BLOCK),
            Piece::Zeros(3 * BLOCK..83 * BLOCK),
            Piece::Zeros(83 * BLOCK..100 * BLOCK),
            Piece::Data(100 * BLOCK..102 * BLOCK),
            Piece::Data(102 * BLOCK..104 * BLOCK),
            Piece::Data(104 * BLOCK..105 * BLOCK),
            Piece::Zeros(105 * BLOCK..185 * BLOCK),
            Piece::Zeros(185 * BLOCK..200 * BLOCK + 7),
        ];
        assert_eq!(pieces(&blocks, (2 * BLOCK, 80 * BLOCK)).collect::<Vec<_>>(), expected);
        let empty = Blocks { size: 5, ranges: Vec::new() };
        assert_eq!(pieces(&empty, (1, 4)).collect::<Vec<_>>(), [Piece::Zeros(0..4), Piece::Zeros(4..5)]);
    }
}
