//! A range of a file or device, read at random.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ext4_view::Ext4Read;

/// Bytes `start .. start + size` of a file.
#[derive(Clone, Debug)]
pub struct Region {
    file: Arc<File>,
    start: u64,
    size: u64,
}

impl Region {
    /// The first `size` bytes of `file`.
    pub fn new(file: Arc<File>, size: u64) -> Self {
        Region { file, start: 0, size }
    }

    /// The part of this from `start` on, cut off where this ends.
    pub fn part(&self, start: u64, size: u64) -> Self {
        let start = start.min(self.size);
        Region { file: self.file.clone(), start: self.start + start, size: size.min(self.size - start) }
    }

    /// The file that this is a part of.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from `at` on.
    pub fn read_exact(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buffer, self.start + at)
    }

    /// `size` bytes from `at` on; nothing is allocated for bytes that are not there.
    pub fn read(&self, at: u64, size: u64) -> io::Result<Vec<u8>> {
        if at.checked_add(size).is_none_or(|end| end > self.size) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        self.read_exact(at, &mut buffer)?;
        Ok(buffer)
    }
}

impl Ext4Read for Region {
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.read_exact(at, buffer)?)
    }
}
