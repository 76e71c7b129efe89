//! Filling buffers with neighbouring pieces.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{BLOCK, WriteError};
use crate::image::extents::{Extents, Piece, Source};

/// Host files kept open: a rootfs comes from few archives, and a directory's files come one after
/// the other.
const OPEN_FILES: usize = 8;

/// Goes through all pieces but the late ones, once.
pub(super) struct Gatherer<'a> {
    pieces: &'a [Piece],
    /// Bytes of the first of `pieces` that have been taken.
    taken: u64,
    files: Files,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(extents: &'a Extents) -> Self {
        Gatherer { pieces: extents.pieces(), taken: 0, files: Files::default() }
    }

    /// Fills the buffer with the next bytes that stand together; tells where they belong and how
    /// many they are, or `None` at the end.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<Option<(u64, usize)>, WriteError> {
        let Some(first) = self.next() else { return Ok(None) };
        let start = first.at + self.taken;
        let mut filled = 0;
        while let Some(piece) = self.next().filter(|_| filled < buffer.len()) {
            let at = piece.at + self.taken;
            let Some(gap) = gap(start + filled as u64, at) else { break };
            let room = &mut buffer[filled..];
            if gap >= room.len() {
                break;
            }
            let (zeros, room) = room.split_at_mut(gap);
            zeros.fill(0);
            let len = room.len().min((piece.len - self.taken) as usize);
            self.files.read(&piece.source, self.taken, &mut room[..len])?;
            filled += gap + len;
            self.take(piece, len as u64);
        }
        Ok(Some((start, filled)))
    }

    /// The piece that is to be taken next.
    fn next(&mut self) -> Option<&'a Piece> {
        while let [Piece { source: Source::Late { .. }, .. }, rest @ ..] = self.pieces {
            self.pieces = rest;
        }
        self.pieces.first()
    }

    fn take(&mut self, piece: &Piece, len: u64) {
        self.taken += len;
        if self.taken == piece.len {
            self.pieces = &self.pieces[1..];
            self.taken = 0;
        }
    }
}

/// Bytes from `end` to `next`, if filling them with zeros allocates no block that would be a hole.
fn gap(end: u64, next: u64) -> Option<usize> {
    (end.next_multiple_of(BLOCK) >= next / BLOCK * BLOCK).then_some((next - end) as usize)
}

#[derive(Default)]
struct Files {
    /// The one used last is the first.
    open: Vec<(Arc<Path>, File)>,
}

impl Files {
    fn read(&mut self, source: &Source, skip: u64, into: &mut [u8]) -> Result<(), WriteError> {
        match source {
            Source::Bytes { buffer, start } => {
                let start = (start + skip) as usize;
                into.copy_from_slice(&buffer[start..start + into.len()]);
                Ok(())
            }
            Source::File { path, start } => {
                let start = start + skip;
                let read = self.open(path).and_then(|file| file.read_exact_at(into, start));
                read.map_err(|source| match source.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        WriteError::Short { path: path.to_path_buf(), end: start + into.len() as u64 }
                    }
                    _ => WriteError::Source { path: path.to_path_buf(), source },
                })
            }
            // The gatherer passes over them.
            Source::Late { .. } => Ok(()),
        }
    }

    fn open(&mut self, path: &Arc<Path>) -> io::Result<&File> {
        match self.open.iter().position(|(open, _)| open == path) {
            Some(0) => {}
            Some(found) => self.open[..=found].rotate_right(1),
            None => {
                let file = File::open(path)?;
                self.open.truncate(OPEN_FILES - 1);
                self.open.insert(0, (path.clone(), file));
            }
        }
        Ok(&self.open[0].1)
    }
}
