//! The image, as pieces that are not holes, in ascending order.
//!
//! ```text
//!   0          1 MiB                                                   size
//!   |   head   |  hole  | piece | piece |    hole    | piece |  hole  |
//!   always a piece        pieces end at the next multiple of 1 MiB
//! ```

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::buffer::Buffer;
use super::lanes::Lanes;
use super::proof::{Hashed, Proofs};
use crate::files;
use crate::formats::blocks::BLOCK;
use crate::formats::read::parts::Parts;
use crate::units::MIB;

/// Longest piece, in bytes.
pub(super) const PIECE: u64 = MIB;

/// Holes that are shorter than this are read and written: that is faster than two requests.
const GAP: u64 = 64 << 10;

/// An image that is read once, from its beginning to its end.
pub struct Picture {
    lanes: Lanes,
    /// Where the last piece ended.
    end: u64,
    size: Option<u64>,
    meter: Meter,
    proofs: Proofs,
}

/// How much of an image was read, as a person sees it: bytes of the disk, or where nobody knows how many those will
/// be, packed bytes.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    packed: Option<Arc<AtomicU64>>,
    total: Option<u64>,
}

impl Picture {
    /// An image whose parts can be read in any order, by its block map, if it has one.
    ///
    /// # Errors
    /// When the map is of an image of another length.
    pub fn of(parts: &Arc<dyn Parts>, proofs: Proofs) -> io::Result<Picture> {
        let size = parts.blocks().size;
        proofs.is_for(size)?;
        let blocks = proofs.blocks().unwrap_or_else(|| parts.blocks());
        let pieces = pieces(&blocks.ranges, size);
        let total = Some(pieces.iter().map(|piece| piece.end - piece.start).sum());
        let lanes = Lanes::of_parts(parts, &pieces);
        Ok(Picture { lanes, end: 0, size: Some(size), meter: Meter { packed: None, total }, proofs })
    }

    /// An image that comes in a row, packed or not, in so many bytes, if that is known.
    pub fn stream(stream: impl Read + Send + 'static, len: Option<u64>, mut proofs: Proofs) -> Picture {
        let read = Arc::new(AtomicU64::new(0));
        let meter = Meter { packed: len.is_some().then(|| Arc::clone(&read)), total: len };
        let stream = Counted { stream: Hashed::new(stream, &mut proofs), read };
        Picture { lanes: Lanes::of_stream(stream), end: 0, size: None, meter, proofs }
    }

    /// Length in bytes, where it is known before the end.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Puts the next piece into a buffer, and tells where it belongs; none at the end, when the size is known, and
    /// all is as it was promised.
    ///
    /// # Errors
    /// When the image cannot be read, is damaged, ends early, or is another than it was promised.
    pub fn next(&mut self, buffer: &mut Buffer) -> io::Result<Option<u64>> {
        while let Some(piece) = self.lanes.next(buffer)? {
            self.end = piece.at + buffer.bytes().len() as u64;
            // A file may have lost its holes on its way.
            let is_zero = match self.proofs.map() {
                Some(map) => {
                    map.take(piece.at, buffer.bytes_mut())?;
                    files::is_zero(buffer.bytes())
                }
                None => piece.is_zero,
            };
            if piece.at == 0 || !is_zero {
                return Ok(Some(piece.at));
            }
        }
        let size = *self.size.get_or_insert(self.end);
        self.proofs.finish(size)?;
        Ok(None)
    }
}

impl Meter {
    /// What to tell of so many bytes that were written, and how much all is.
    pub(super) fn step(&self, written: u64) -> (u64, Option<u64>) {
        let read = self.packed.as_ref().map(|read| read.swap(0, Ordering::Relaxed));
        (read.unwrap_or(written), self.total)
    }
}

/// A stream that tells how much of it was read.
struct Counted<R> {
    stream: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Cuts what is not a hole into pieces.
fn pieces(data: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let head = 0..PIECE.min(size);
    let mut runs: Vec<Range<u64>> = vec![head];
    for range in data {
        // Other ends would not be aligned, in a file on another file system.
        let (start, end) = (range.start / BLOCK * BLOCK, range.end.next_multiple_of(BLOCK).min(size));
        match runs.last_mut() {
            Some(last) if start <= last.end + GAP => last.end = last.end.max(end),
            _ => runs.push(start..end),
        }
    }
    let mut pieces = Vec::new();
    for Range { mut start, end } in runs {
        while start < end {
            let next = ((start / PIECE + 1) * PIECE).min(end);
            pieces.push(start..next);
            start = next;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_all_data_and_end_at_multiples() {
        let data = [4096..8192, MIB + 8192..MIB + 8200, 3 * MIB - 4096..4 * MIB + 5000];
        let expected =
            [0..MIB, MIB..MIB + 12288, 3 * MIB - 4096..3 * MIB, 3 * MIB..4 * MIB, 4 * MIB..4 * MIB + 5000];
        assert_eq!(pieces(&data, 4 * MIB + 5000), expected);
        assert_eq!(pieces(&[], 5), vec![Range { start: 0, end: 5 }]);
        assert_eq!(pieces(&[], 0), []);
    }

    #[test]
    fn a_stream_has_the_holes_that_are_zeros() {
        let mut bytes = vec![0; 3 * MIB as usize + 512];
        bytes[3 * MIB as usize + 5] = 1;
        let len = bytes.len() as u64;
        let mut picture = Picture::stream(io::Cursor::new(bytes), Some(len), Proofs::default());
        let mut buffer = Buffer::default();
        assert_eq!(picture.next(&mut buffer).unwrap(), Some(0));
        assert_eq!(picture.next(&mut buffer).unwrap(), Some(3 * MIB));
        assert_eq!(buffer.bytes().len(), 512);
        assert_eq!((picture.next(&mut buffer).unwrap(), picture.size()), (None, Some(3 * MIB + 512)));
        assert_eq!(picture.meter().step(7), (len, Some(len)));
        assert_eq!(picture.meter().step(7), (0, Some(len)));
    }
}
