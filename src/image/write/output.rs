//! The file being written: under a temporary name beside its own until it is whole.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Mirror, WriteError};
use crate::files;
use crate::units::Bytes;

pub(super) struct Output {
    /// Removed when it is dropped.
    file: NamedTempFile,
    path: PathBuf,
    needs: Bytes,
}

impl Output {
    /// A file of `size` zero bytes that takes the name `path` when it is kept. `needs` of them
    /// will be written.
    pub(super) fn create(path: &Path, size: u64, needs: u64) -> Result<Self, WriteError> {
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(WriteError::Directory(path.to_owned())),
            Ok(there) if !there.is_file() => return Err(WriteError::NotAFile(path.to_owned())),
            _ => {}
        }
        let failed = |source| WriteError::Output { path: path.to_owned(), source };
        if path.file_name().is_none() {
            return Err(WriteError::Directory(path.to_owned()));
        }
        let file = files::beside(path).map_err(failed)?;
        file.as_file().set_len(size).map_err(failed)?;
        Ok(Output { file, path: path.to_owned(), needs: Bytes(needs) })
    }

    /// Writes `bytes` at `at` and wherever that is mirrored; returns how many were written in all.
    pub(super) fn put(&self, at: u64, bytes: &[u8], mirrors: &[Mirror]) -> Result<u64, WriteError> {
        let range = at..at + bytes.len() as u64;
        let mut written = range.end - range.start;
        self.put_once(at, bytes)?;
        for mirror in mirrors {
            if let Some(copy) = mirror.copy(&range) {
                let skip = (copy.start - mirror.to + mirror.from - at) as usize;
                let len = copy.end - copy.start;
                self.put_once(copy.start, &bytes[skip..skip + len as usize])?;
                written += len;
            }
        }
        Ok(written)
    }

    fn put_once(&self, at: u64, bytes: &[u8]) -> Result<(), WriteError> {
        self.file.as_file().write_all_at(bytes, at).map_err(|source| self.error(source))
    }

    /// Reads back what was written.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), WriteError> {
        self.file().read_exact_at(buffer, at).map_err(|source| self.error(source))
    }

    /// Where the file is until it has its name.
    pub(super) fn draft(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file its name, in place of what has it now.
    pub(super) fn keep(self) -> Result<(), WriteError> {
        let Output { file, path, .. } = self;
        file.persist(&path).map_err(|error| WriteError::Output { path, source: error.error })?;
        Ok(())
    }

    fn file(&self) -> &File {
        self.file.as_file()
    }

    fn error(&self, source: io::Error) -> WriteError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                WriteError::Full { path, needs: self.needs }
            }
            _ => WriteError::Output { path, source },
        }
    }
}
