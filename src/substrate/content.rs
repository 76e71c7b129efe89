//! Reading parts of file contents, wherever they lie.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::image::extents::{Extents, Source};

/// Reads small parts of many contents. The host file that was read last stays open, since the
/// members of one archive are read one after the other.
#[derive(Default)]
pub struct Peek {
    last: Option<(Arc<Path>, File)>,
}

impl Peek {
    /// `len` bytes of `content` from `at` on, or `None` when it does not reach that far. Allocates
    /// `len` bytes at most, and only when they are there.
    ///
    /// # Errors
    /// When a host file cannot be read, or the bytes are not known yet.
    pub fn read(&mut self, content: &Extents, at: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        if at.checked_add(len as u64).is_none_or(|end| end > content.size()) {
            return Ok(None);
        }
        let mut buffer = vec![0; len];
        let mut part = Extents::zeros(len as u64);
        part.place_part(0, content, at, len as u64);
        for piece in part.pieces() {
            let range = &mut buffer[piece.at as usize..(piece.at + piece.len) as usize];
            match &piece.source {
                Source::Bytes { buffer, start } => {
                    range.copy_from_slice(&buffer[*start as usize..][..range.len()]);
                }
                Source::File { path, start } => self.open(path)?.read_exact_at(range, *start)?,
                Source::Late { .. } => return Err(io::Error::other("bytes that are not known yet")),
            }
        }
        Ok(Some(buffer))
    }

    fn open(&mut self, path: &Arc<Path>) -> io::Result<&File> {
        if self.last.as_ref().is_none_or(|(open, _)| open != path) {
            self.last = Some((path.clone(), File::open(path)?));
        }
        Ok(&self.last.as_ref().expect("a file was just opened").1)
    }
}

/// Reads a content from its start to its end.
pub struct Stream<'a> {
    content: &'a Extents,
    at: u64,
    peek: Peek,
}

impl<'a> Stream<'a> {
    /// A reader at the start of `content`.
    pub fn new(content: &'a Extents) -> Self {
        Stream { content, at: 0, peek: Peek::default() }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (self.content.size() - self.at).min(buffer.len() as u64) as usize;
        let bytes = self.peek.read(self.content, self.at, len)?.unwrap_or_default();
        buffer[..len].copy_from_slice(&bytes);
        self.at += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_reads_pieces_and_holes_of_files_and_memory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let mut content = Extents::zeros(12);
        content.place(1, &Extents::file(file.path(), 4, 3));
        content.place(8, &Extents::bytes(*b"ab"));
        let mut all = Vec::new();
        Stream::new(&content).read_to_end(&mut all).unwrap();
        assert_eq!(all, b"\x00456\0\0\0\0ab\0\0");
    }

    #[test]
    fn what_lies_outside_is_not_read() {
        let content = Extents::bytes(*b"abc");
        let mut peek = Peek::default();
        assert_eq!(peek.read(&content, 1, 2).unwrap(), Some(b"bc".to_vec()));
        assert_eq!(peek.read(&content, 1, 3).unwrap(), None);
        assert_eq!(peek.read(&content, u64::MAX, 3).unwrap(), None);
    }
}
