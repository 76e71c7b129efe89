//! Bytes laid out before they exist: what stands where, and what is left zero.
//!
//! ```text
//!   0                                                            size
//!   |  piece  |   hole (reads as zeros)   |  piece  | piece |  hole  |
//! ```
//!
//! A file's content, a file system, a partition table and a whole disk are all [`Extents`].
//! The pure half of the builder computes them and places one inside another; the
//! [writer](super::write) then copies every piece to its offset in one pass.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::digest::Digests;

/// `size` bytes; each piece says what stands in its range, all else is zero.
#[derive(Clone, Debug, Default)]
pub struct Extents {
    size: u64,
    pieces: Vec<Piece>,
}

/// A run of bytes at `at`, `len` long, and where to take them from.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Offset from the start of the [`Extents`], in bytes.
    pub at: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// Where the bytes come from.
    pub source: Source,
}

/// Where the bytes of a piece come from.
#[derive(Clone)]
pub enum Source {
    /// Bytes in memory, from `start` on.
    Bytes {
        /// The buffer, shared between the pieces cut from it.
        buffer: Arc<[u8]>,
        /// Offset of the first byte in the buffer.
        start: u64,
    },
    /// Bytes of a file on the host, from `start` on. The file is opened when it is copied.
    File {
        /// Path of the file.
        path: Arc<Path>,
        /// Offset of the first byte in the file.
        start: u64,
    },
    /// Bytes that can only be known when all others have been written and digested.
    Late {
        /// Makes all of the content that the piece was cut from.
        make: Arc<LateFn>,
        /// Offset of the first byte in that content.
        start: u64,
        /// Length of that content.
        total: u64,
    },
}

/// Makes a late content from the digests of the files written before it. Must return exactly
/// as many bytes as were said before.
pub type LateFn = dyn Fn(&Digests) -> Vec<u8> + Send + Sync;

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Bytes { start, .. } => write!(f, "memory+{start}"),
            Source::File { path, start } => write!(f, "{}+{start}", path.display()),
            Source::Late { start, .. } => write!(f, "late+{start}"),
        }
    }
}

impl Source {
    /// The same source from `skip` bytes further on.
    fn advanced(&self, skip: u64) -> Source {
        match self {
            Source::Bytes { buffer, start } => Source::Bytes { buffer: buffer.clone(), start: start + skip },
            Source::File { path, start } => Source::File { path: path.clone(), start: start + skip },
            Source::Late { make, start, total } => {
                Source::Late { make: make.clone(), start: start + skip, total: *total }
            }
        }
    }
}

impl Extents {
    /// `size` zero bytes.
    pub fn zeros(size: u64) -> Self {
        Extents { size, pieces: Vec::new() }
    }

    /// The given bytes, held in memory.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let buffer: Arc<[u8]> = bytes.into();
        let mut extents = Extents::zeros(buffer.len() as u64);
        extents.push(0, extents.size, Source::Bytes { buffer, start: 0 });
        extents
    }

    /// `len` bytes of the file at `path`, from `start` on.
    pub fn file(path: impl Into<Arc<Path>>, start: u64, len: u64) -> Self {
        let mut extents = Extents::zeros(len);
        extents.push(0, len, Source::File { path: path.into(), start });
        extents
    }

    /// `len` bytes that `make` will tell when all other bytes have been written.
    pub fn late(len: u64, make: Arc<LateFn>) -> Self {
        let mut extents = Extents::zeros(len);
        extents.push(0, len, Source::Late { make, start: 0, total: len });
        extents
    }

    /// Length in bytes, holes included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The pieces, in ascending order, not overlapping.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Bytes that are not holes.
    pub fn mapped(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    /// Puts `len` bytes of `source` at `at`. Pieces may come in any order, but [`Self::sort`]
    /// must have been called before a reader sees them out of order.
    pub fn push(&mut self, at: u64, len: u64, source: Source) {
        debug_assert!(at + len <= self.size, "{at}+{len} is outside of {} bytes", self.size);
        if len > 0 {
            self.pieces.push(Piece { at, len, source });
        }
    }

    /// Puts all of `inner` at `at`.
    pub fn place(&mut self, at: u64, inner: &Extents) {
        debug_assert!(at + inner.size <= self.size);
        self.pieces.extend(inner.pieces.iter().map(|piece| Piece { at: at + piece.at, ..piece.clone() }));
    }

    /// Puts the part `[from, from + len)` of `inner` at `at`: one run of a file that a file
    /// system keeps in several.
    pub fn place_part(&mut self, at: u64, inner: &Extents, from: u64, len: u64) {
        let end = from + len;
        let first = inner.pieces.partition_point(|piece| piece.at + piece.len <= from);
        for piece in inner.pieces[first..].iter().take_while(|piece| piece.at < end) {
            let start = piece.at.max(from);
            let stop = (piece.at + piece.len).min(end);
            let source = piece.source.advanced(start - piece.at);
            self.push(at + (start - from), stop - start, source);
        }
    }

    /// Brings the pieces into ascending order.
    pub fn sort(&mut self) {
        self.pieces.sort_by_key(|piece| piece.at);
        debug_assert!(
            self.pieces.windows(2).all(|pair| pair[0].at + pair[0].len <= pair[1].at),
            "pieces overlap"
        );
    }

    /// Reads into `buffer` from `at` on, holes as zeros: for small contents, and for tests.
    ///
    /// # Errors
    /// When a file cannot be read, or is shorter than it was said to be. Late pieces cannot be
    /// read.
    pub fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        let mut part = Extents::zeros(buffer.len() as u64);
        part.place_part(0, self, at, buffer.len() as u64);
        for piece in &part.pieces {
            let range = piece.at as usize..(piece.at + piece.len) as usize;
            piece.source.read(&mut buffer[range])?;
        }
        Ok(())
    }
}

impl Source {
    fn read(&self, into: &mut [u8]) -> io::Result<()> {
        match self {
            Source::Bytes { buffer, start } => {
                let start = *start as usize;
                into.copy_from_slice(&buffer[start..start + into.len()]);
                Ok(())
            }
            Source::File { path, start } => File::open(path)?.read_exact_at(into, *start),
            Source::Late { .. } => Err(io::Error::other("bytes that are not known yet")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(extents: &Extents) -> Vec<u8> {
        let mut all = vec![0xff; extents.size() as usize];
        extents.read_at(0, &mut all).expect("only memory is read");
        all
    }

    #[test]
    fn holes_read_as_zeros() {
        let mut disk = Extents::zeros(8);
        disk.place(2, &Extents::bytes(*b"abc"));
        assert_eq!(read_all(&disk), b"\0\0abc\0\0\0");
        assert_eq!(disk.mapped(), 3);
    }

    #[test]
    fn a_part_keeps_its_holes_and_cuts_its_pieces() {
        let mut inner = Extents::zeros(10);
        inner.place(1, &Extents::bytes(*b"abcd"));
        inner.place(8, &Extents::bytes(*b"xy"));
        let mut outer = Extents::zeros(7);
        outer.place_part(0, &inner, 3, 6);
        assert_eq!(read_all(&outer), b"cd\0\0\0x\0");
    }
}
