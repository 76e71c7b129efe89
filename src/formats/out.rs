//! A file that is written from front to back, under a temporary name until it is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{FormatError, Raw};
use crate::files;
use crate::image::write;

/// The file, removed when it is dropped.
pub struct Out {
    file: NamedTempFile,
    path: PathBuf,
    at: u64,
}

impl Out {
    /// An empty file that takes the name `path` when it is kept.
    ///
    /// # Errors
    /// When something that is not a file stands there, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, FormatError> {
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

    /// Copies all that is not a hole in `start..end` of the image, and leaves the same holes.
    pub(super) fn copy(&mut self, raw: &Raw, start: u64, end: u64) -> Result<(), FormatError> {
        for range in raw.blocks().within(start..end) {
            let there = self.at + (range.start - start);
            let copied =
                files::copy_range(raw.file(), range.start, self.file(), there, range.end - range.start);
            copied.map_err(|source| self.error(source))?;
        }
        self.at += end - start;
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
