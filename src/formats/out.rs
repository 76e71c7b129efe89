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

/// Bytes that are copied at once by one worker, and how many times that is done between two looks at
/// whether the user wants to stop. Copying is bound by memory, so few workers are enough.
const STEP: usize = 1 << 20;
const BATCH: usize = 64;
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

    /// Copies what is not a hole in `range` of the image, and leaves the same holes.
    pub(super) fn copy(
        &mut self,
        raw: &Raw,
        range: Range<u64>,
        progress: &dyn Fn(u64),
    ) -> Result<(), FormatError> {
        let steps = raw.blocks().within(range.clone()).flat_map(|part| {
            let Range { start, end } = part;
            (start..end).step_by(STEP).map(move |at| at..end.min(at + STEP as u64))
        });
        let steps: Vec<Range<u64>> = steps.collect();
        let place = |at: u64| at - range.start + self.at;
        for batch in steps.chunks(BATCH) {
            interrupt::check()?;
            parallel::map(batch, WORKERS, |buffer: &mut Vec<u8>, step| {
                raw.read(step.clone(), buffer)?;
                self.file().write_all_at(buffer, place(step.start)).map_err(|source| self.error(source))
            })?;
            progress(batch.iter().map(|step| step.end - step.start).sum());
        }
        self.at += range.end - range.start;
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

    pub(super) fn error(&self, source: io::Error) -> FormatError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FormatError::Full(path),
            _ => FormatError::Output { path, source },
        }
    }
}
