//! What Google's cloud imports: a `.tar.gz` with one file, `disk.raw`, whose size is a whole GiB.
//!
//! ```text
//!   | header of 512 bytes,  | maps of 21 runs in    | runs that are  | zeros up to |
//!   | map of up to 4 runs   | 512 bytes, if needed  | not holes      | 10 KiB      |
//!       \______________________________________________________________________/
//!                      deflated in pieces, several at once
//! ```
//! The tar is in the format of GNU tar before POSIX, with a sparse file, as `tar --format=oldgnu -Sczf` makes
//! it. Source: "GNU tar and POSIX tar" and `src/tar.h` of GNU tar, and "Import boot disk images" of Google.

use std::ops::Range;
use std::sync::Arc;
use std::{io, iter};

use super::blocks::{BLOCK, Blocks};
use super::read::parts::Parts;
use super::{FormatError, Out, Raw, gz};
use crate::units::SECTOR;

const NAME: &[u8] = b"disk.raw";
/// What the size must be a multiple of.
const GIB: u64 = 1 << 30;
/// Magic and version of the format.
const MAGIC: &[u8; 8] = b"ustar  \0";
const SPARSE: u8 = b'S';
/// Where fields stand: mode, owner, group, size, time, checksum, kind, magic, map, more maps, real size.
const MODE: usize = 100;
const OWNER: usize = 108;
const GROUP: usize = 116;
const SIZE: usize = 124;
const TIME: usize = 136;
const CHECKSUM: usize = 148;
const KIND: usize = 156;
const FORMAT: usize = 257;
const RUNS: usize = 386;
const HAS_MORE: usize = 482;
const REAL_SIZE: usize = 483;
/// Where a block of nothing but a map says whether another one follows.
const MAP_HAS_MORE: usize = 504;
/// How many runs are in the header, and in a block of its own, and the bytes of one.
const RUNS_OF_HEADER: usize = 4;
const RUNS_OF_MAP: usize = 21;
const RUN: usize = 24;
/// What a tar's length is a multiple of.
const RECORD: u64 = 20 * SECTOR;

/// Writes the image.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let tar: Arc<dyn Parts> = Arc::new(Tar::new(raw));
    gz::write(&Raw::new(raw.path(), tar), out, progress)
}

/// The tar, never whole in memory.
struct Tar {
    head: Vec<u8>,
    raw: Raw,
    /// What of the disk follows the head, one run behind the other.
    runs: Vec<Range<u64>>,
    /// Where each of them begins in the tar.
    places: Vec<u64>,
    blocks: Blocks,
}

impl Tar {
    fn new(raw: &Raw) -> Self {
        let runs = raw.blocks().widened(BLOCK).ranges;
        let head = head(&runs, raw.size().next_multiple_of(GIB));
        let mut at = head.len() as u64;
        let place = |run: &Range<u64>| {
            at += run.end - run.start;
            at - (run.end - run.start)
        };
        let places = runs.iter().map(place).collect();
        let size = (at + 2 * SECTOR).next_multiple_of(RECORD);
        let mut blocks = Blocks { size, ranges: Vec::new() };
        blocks.push(0..size);
        Tar { head, raw: raw.clone(), runs, places, blocks }
    }
}

impl Parts for Tar {
    fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        let end = at + buffer.len() as u64;
        if let Some(head) = self.head.get(at as usize..) {
            let count = head.len().min(buffer.len());
            buffer[..count].copy_from_slice(&head[..count]);
        }
        let first = self.places.partition_point(|place| *place <= at).saturating_sub(1);
        for (place, run) in self.places.iter().zip(&self.runs).skip(first).take_while(|(p, _)| **p < end) {
            let (from, to) = (at.max(*place), end.min(place + (run.end - run.start)));
            if from < to {
                let part = &mut buffer[(from - at) as usize..(to - at) as usize];
                self.raw.read_at(run.start + (from - place), part)?;
            }
        }
        Ok(())
    }
}

/// All that stands before the bytes of the disk.
fn head(runs: &[Range<u64>], size: u64) -> Vec<u8> {
    let packed: u64 = runs.iter().map(|run| run.end - run.start).sum();
    // The last one, of no bytes, says where the file ends.
    let map: Vec<[u8; RUN]> =
        runs.iter().cloned().chain(iter::once(size..size)).map(|run| entry(&run)).collect();
    let (first, others) = map.split_at(map.len().min(RUNS_OF_HEADER));
    let mut header = vec![0; SECTOR as usize];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, NAME);
    put(MODE, b"0000644");
    put(OWNER, b"0000000");
    put(GROUP, b"0000000");
    put(SIZE, &number(packed));
    put(TIME, &number(0));
    put(CHECKSUM, b"        ");
    put(KIND, &[SPARSE]);
    put(FORMAT, MAGIC);
    put(RUNS, &first.concat());
    put(HAS_MORE, &[u8::from(!others.is_empty())]);
    put(REAL_SIZE, &number(size));
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[CHECKSUM..CHECKSUM + 7].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let count = others.len().div_ceil(RUNS_OF_MAP);
    for (index, entries) in others.chunks(RUNS_OF_MAP).enumerate() {
        let mut block = entries.concat();
        block.resize(SECTOR as usize, 0);
        block[MAP_HAS_MORE] = u8::from(index + 1 < count);
        header.extend(block);
    }
    header
}

/// A run in a map: where it stands, and its length.
fn entry(run: &Range<u64>) -> [u8; RUN] {
    let mut entry = [0; RUN];
    entry[..12].copy_from_slice(&number(run.start));
    entry[12..].copy_from_slice(&number(run.end - run.start));
    entry
}

/// A number in 12 bytes: octal digits, or as GNU tar does it, binary behind a bit where those are too few.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < 1 << 33 {
        field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_while_they_fit() {
        assert_eq!(number((1 << 33) - 1), *b"77777777777\0");
        assert_eq!(number(1 << 33), [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }
}
