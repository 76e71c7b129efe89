//! The bytes of a disk, whatever holds them: what all formats are made from, and one of them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::Blocks;
use super::read::parts::{Holed, Parts};
use super::{FormatError, Out};
use crate::identity::BuildId;
use crate::image::claim;

/// First bytes that tell one image from another: all of a partition table, and something of what follows.
const HEAD: u64 = 64 << 10;

/// The image, open, with its holes known. They are never read.
#[derive(Clone)]
pub struct Raw {
    path: PathBuf,
    parts: Arc<dyn Parts>,
}

impl Raw {
    /// Takes an image that can be read in any order. Its `path` is for errors.
    pub fn new(path: &Path, parts: impl Into<Arc<dyn Parts>>) -> Self {
        Raw { path: path.to_owned(), parts: parts.into() }
    }

    /// Takes the first `size` bytes of an open file. Its `path` is for errors.
    ///
    /// # Errors
    /// When its holes cannot be told.
    pub fn of(path: &Path, file: File, size: u64) -> Result<Self, FormatError> {
        let failed = |source| FormatError::Source { path: path.to_owned(), source };
        Ok(Raw { path: path.to_owned(), parts: Arc::new(Holed::new(file, size).map_err(failed)?) })
    }

    /// Where it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is not a hole.
    pub fn blocks(&self) -> &Blocks {
        self.parts.blocks()
    }

    /// Length of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.blocks().size
    }

    /// Bytes that are not holes.
    pub fn mapped(&self) -> u64 {
        self.blocks().mapped()
    }

    /// The file that has the bytes of the disk in their places, if it is one.
    pub(super) fn file(&self) -> Option<&File> {
        self.parts.file()
    }

    /// Puts the bytes of `range` into `buffer`, in place of what is in it.
    pub(super) fn read(&self, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<(), FormatError> {
        buffer.resize((range.end - range.start) as usize, 0);
        self.read_at(range.start, buffer).map_err(|source| self.error(source))
    }

    /// Fills `buffer` with what stands from `at` on: behind the end, zeros.
    pub(super) fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let range = at..at + buffer.len() as u64;
        let place = |at: u64| (at - range.start) as usize;
        let mut at = range.start;
        for part in self.blocks().within(range.clone()) {
            buffer[place(at)..place(part.start)].fill(0);
            let data = &mut buffer[place(part.start)..place(part.end)];
            self.parts.read_at(part.start, data)?;
            at = part.end;
        }
        buffer[place(at)..].fill(0);
        Ok(())
    }

    /// Whether all is there that its partition table speaks of. Errors name `path`.
    pub(super) fn check_length(&self, path: &Path) -> Result<(), FormatError> {
        match claim::end(&self.head()?).filter(|needs| *needs > self.size()) {
            Some(needs) => Err(FormatError::CutOff { path: path.to_owned(), has: self.size(), needs }),
            None => Ok(()),
        }
    }

    /// An id that those of its formats follow from: of its size and its first bytes, where the ids of
    /// partition tables stand.
    pub(super) fn id(&self) -> Result<BuildId, FormatError> {
        Ok(BuildId::of(&[&self.size().to_le_bytes(), &self.head()?]))
    }

    fn head(&self) -> Result<Vec<u8>, FormatError> {
        let mut head = Vec::new();
        self.read(0..self.size().min(HEAD), &mut head)?;
        Ok(head)
    }

    pub(super) fn error(&self, source: io::Error) -> FormatError {
        FormatError::Source { path: self.path.clone(), source }
    }
}

/// Writes a copy with the same holes.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    for range in &raw.blocks().ranges {
        out.skip_to(range.start)?;
        out.copy(raw, range.clone(), progress)?;
    }
    out.skip_to(raw.size())
}
