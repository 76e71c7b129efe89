//! An image that is a file with holes: what all formats are made from, and one of them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::blocks::Blocks;
use super::{FormatError, Out};

/// The image, open, with its holes known. They are never read.
#[derive(Debug)]
pub struct Raw {
    path: PathBuf,
    file: File,
    blocks: Blocks,
}

impl Raw {
    /// Takes the first `size` bytes of an open file. Its `path` is for errors.
    ///
    /// # Errors
    /// When its holes cannot be told.
    pub fn new(path: &Path, file: File, size: u64) -> Result<Self, FormatError> {
        let failed = |source| FormatError::Source { path: path.to_owned(), source };
        let blocks = Blocks::of(&file, size).map_err(failed)?;
        Ok(Raw { path: path.to_owned(), file, blocks })
    }

    /// What is not a hole.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// Where it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.blocks.size
    }

    /// Bytes that are not holes.
    pub fn mapped(&self) -> u64 {
        self.blocks.mapped()
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Puts the bytes of `range` into `buffer`, in place of what is in it.
    pub(super) fn read(&self, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<(), FormatError> {
        let place = |at: u64| (at - range.start) as usize;
        buffer.resize(place(range.end), 0);
        let mut at = range.start;
        for part in self.blocks.within(range.clone()) {
            buffer[place(at)..place(part.start)].fill(0);
            let data = &mut buffer[place(part.start)..place(part.end)];
            self.file.read_exact_at(data, part.start).map_err(|source| self.error(source))?;
            at = part.end;
        }
        buffer[place(at)..].fill(0);
        Ok(())
    }

    pub(super) fn error(&self, source: io::Error) -> FormatError {
        FormatError::Source { path: self.path.clone(), source }
    }
}

/// Writes a copy with the same holes.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    for range in &raw.blocks.ranges {
        out.skip_to(range.start)?;
        out.copy(raw, range.clone(), progress)?;
    }
    out.skip_to(raw.size())
}
