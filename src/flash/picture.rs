//! The image, as pieces that are not holes, in ascending order.
//!
//! ```text
//!   0          1 MiB                                                   size
//!   |   head   |  hole  | piece | piece |    hole    | piece |  hole  |
//!   always a piece        pieces end at the next multiple of 1 MiB
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::buffer::Buffer;
use crate::archive::compress::{Packing, unpack};
use crate::files;
use crate::units::MIB;

/// Longest piece, in bytes.
pub(super) const PIECE: u64 = MIB;

/// Holes that are shorter than this are read and written: that is faster than two requests.
const GAP: u64 = 64 << 10;

/// An image that is read once, from its beginning to its end.
pub struct Picture {
    reader: Reader,
    size: Option<u64>,
}

enum Reader {
    /// A file that knows its holes: the pieces that are left, the next one last.
    Sparse { file: File, pieces: Vec<(u64, u64)> },
    /// Bytes in a row; what is zero is a hole.
    Stream { stream: Box<dyn Read + Send>, at: u64 },
}

impl Picture {
    /// The image in a file: as it is, or packed by zstd, xz or gzip.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(path: &Path) -> io::Result<Picture> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let mut head = [0; 6];
        let read = file.read_at(&mut head, 0)?;
        if !about.is_file() || Packing::detect(&head[..read]) != Packing::Plain {
            return Picture::stream(file);
        }
        let pieces = pieces(files::data(&file, about.len()), about.len())?;
        Ok(Picture { reader: Reader::Sparse { file, pieces }, size: Some(about.len()) })
    }

    /// An image that comes in a row, packed or not.
    ///
    /// # Errors
    /// When its first bytes cannot be read.
    pub fn stream(stream: impl Read + Send + 'static) -> io::Result<Picture> {
        Ok(Picture { reader: Reader::Stream { stream: unpack(stream)?, at: 0 }, size: None })
    }

    /// Length in bytes, where it is known before the end.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes of pieces that will come, where that is known.
    pub fn mapped(&self) -> Option<u64> {
        match &self.reader {
            Reader::Sparse { pieces, .. } => Some(pieces.iter().map(|(start, end)| end - start).sum()),
            Reader::Stream { .. } => None,
        }
    }

    /// Puts the next piece into a buffer, and tells where it belongs; none at the end, when the size is known.
    ///
    /// # Errors
    /// When the image cannot be read, is damaged, or ends early.
    pub fn next(&mut self, buffer: &mut Buffer) -> io::Result<Option<u64>> {
        match &mut self.reader {
            Reader::Sparse { file, pieces } => loop {
                let Some((start, end)) = pieces.pop() else { return Ok(None) };
                file.read_exact_at(buffer.room((end - start) as usize), start)?;
                // A file may have lost its holes on its way.
                if start == 0 || !files::is_zero(buffer.bytes()) {
                    return Ok(Some(start));
                }
            },
            Reader::Stream { stream, at } => loop {
                let start = *at;
                let count = files::fill(stream, buffer.room(PIECE as usize))?;
                buffer.cut(count);
                *at += count as u64;
                if count == 0 {
                    self.size = Some(start);
                    return Ok(None);
                }
                if start == 0 || !files::is_zero(buffer.bytes()) {
                    return Ok(Some(start));
                }
            },
        }
    }
}

/// Cuts what is not a hole into pieces, the last one first.
fn pieces(data: impl Iterator<Item = io::Result<(u64, u64)>>, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut ranges: Vec<(u64, u64)> = vec![(0, PIECE.min(size))];
    for range in data {
        let (start, end) = range?;
        // Other ends would not be aligned, in a file on another file system.
        let (start, end) = (start & !4095, end.next_multiple_of(4096).min(size));
        match ranges.last_mut() {
            Some(last) if start <= last.1 + GAP => last.1 = last.1.max(end),
            _ => ranges.push((start, end)),
        }
    }
    let mut pieces = Vec::new();
    for (mut start, end) in ranges {
        while start < end {
            let next = ((start / PIECE + 1) * PIECE).min(end);
            pieces.push((start, next));
            start = next;
        }
    }
    pieces.reverse();
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_all_data_and_end_at_multiples() {
        let data = [(4096, 8192), (MIB + 8192, MIB + 8200), (3 * MIB - 4096, 4 * MIB + 5000)];
        let mut pieces = pieces(data.into_iter().map(Ok), 4 * MIB + 5000).unwrap();
        pieces.reverse();
        let expected = [
            (0, MIB),
            (MIB, MIB + 12288),
            (3 * MIB - 4096, 3 * MIB),
            (3 * MIB, 4 * MIB),
            (4 * MIB, 4 * MIB + 5000),
        ];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn a_stream_has_the_holes_that_are_zeros() {
        let mut bytes = vec![0; 3 * MIB as usize + 512];
        bytes[3 * MIB as usize + 5] = 1;
        let mut picture = Picture::stream(io::Cursor::new(bytes)).unwrap();
        let mut buffer = Buffer::default();
        assert_eq!(picture.next(&mut buffer).unwrap(), Some(0));
        assert_eq!(picture.next(&mut buffer).unwrap(), Some(3 * MIB));
        assert_eq!(buffer.bytes().len(), 512);
        assert_eq!((picture.next(&mut buffer).unwrap(), picture.size()), (None, Some(3 * MIB + 512)));
    }
}
