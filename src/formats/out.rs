//! A file that is written from front to back, under a temporary name until it is whole.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{FormatError, Raw};
use crate::image::write;
use crate::{files, interrupt, parallel};

/// Bytes that are copied at once by one worker, and by all of them between two looks at whether the user
/// wants to stop. Copying is bound by memory, so few workers are enough.
const STEP: u64 = 1 << 20;
const BATCH: u64 = 64 << 20;
const WORKERS: usize = 4;

/// The file, removed when it is dropped.
pub(super) struct Out {
    file: NamedTempFile,
    path: PathBuf,
    at: u64,
}

impl Out {
    /// An empty file that takes the name `path` when it is kept.
    pub(super) fn create(path: &Path) -> Result<Self, FormatError> {
        write::probe(path)?;
        let failed = |source| FormatError::Output { path: path.to_owned(), source };
        Ok(Out { file: files::beside(path).map_err(failed)?, path: path.to_owned(), at: 0 })
    }

    /// Writes `bytes` behind what was written.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.file().write_all_at(bytes, self.at).map_err(|source| self.error(source))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes `bytes` where something was left out.
    pub(super) fn fill(&mut self, at: u64, bytes: &[u8]) -> Result<(), FormatError> {
        self.file().write_all_at(bytes, at).map_err(|source| self.error(source))
    }

    /// Copies what is not a hole in `range` of the image, and leaves the same holes.
    pub(super) fn copy(
        &mut self,
        raw: &Raw,
        range: Range<u64>,
        progress: &dyn Fn(u64),
    ) -> Result<(), FormatError> {
        for part in raw.blocks().within(range.clone()) {
            for batch in steps(part, BATCH) {
                interrupt::check()?;
                let at = self.at + (batch.start - range.start);
                let done = raw.file().map_or(0, |from| clone(from, self.file(), batch.clone(), at));
                if done < batch.end - batch.start {
                    self.copy_through_memory(raw, batch.start + done..batch.end, at + done)?;
                }
                progress(batch.end - batch.start);
            }
        }
        self.at += range.end - range.start;
        Ok(())
    }

    /// Reads on some threads while others write.
    fn copy_through_memory(&self, raw: &Raw, range: Range<u64>, to: u64) -> Result<(), FormatError> {
        let start = range.start;
        let steps: Vec<Range<u64>> = steps(range, STEP).collect();
        parallel::map(&steps, WORKERS, |buffer: &mut Vec<u8>, step| {
            raw.read(step.clone(), buffer)?;
            self.file().write_all_at(buffer, to + (step.start - start)).map_err(|source| self.error(source))
        })?;
        Ok(())
    }

    /// Goes on at `at`, which is not before what was written; between is a hole.
    pub(super) fn skip_to(&mut self, at: u64) -> Result<(), FormatError> {
        self.at = at;
        self.file().set_len(at).map_err(|source| self.error(source))
    }

    /// Where the next byte goes, in bytes.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// What has been written, to be read back.
    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// The same as an image of its own.
    pub(super) fn raw(&self) -> Result<Raw, FormatError> {
        let file = self.file().try_clone().map_err(|source| self.error(source))?;
        Raw::of(&self.path, file, self.at)
    }

    /// The name that it will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name. Returns that, and its length.
    pub(super) fn keep(self) -> Result<(PathBuf, u64), FormatError> {
        let Out { file, path, at } = self;
        match file.persist(&path) {
            Ok(_) => Ok((path, at)),
            Err(error) => Err(FormatError::Output { path, source: error.error }),
        }
    }

    /// The error when the format has no room for more.
    pub(super) fn too_large(&self) -> FormatError {
        FormatError::TooLarge(self.path.clone())
    }

    pub(super) fn error(&self, source: io::Error) -> FormatError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FormatError::Full(path),
            _ => FormatError::Output { path, source },
        }
    }
}

/// Cuts a range into steps of a length.
fn steps(range: Range<u64>, step: u64) -> impl Iterator<Item = Range<u64>> {
    let Range { start, end } = range;
    (start..end).step_by(step as usize).map(move |at| at..end.min(at + step))
}

/// Lets the system copy what it can, which shares the bytes where the file system can share them. How many
/// bytes that were: why it did not copy the rest shows when that is copied otherwise.
fn clone(from: &File, to: &File, range: Range<u64>, mut place: u64) -> u64 {
    let mut at = range.start;
    while at < range.end {
        let left = (range.end - at) as usize;
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut place), left) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    at - range.start
}
