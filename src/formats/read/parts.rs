//! Images whose parts can be read in any order.
//!
//! ```text
//!   blocks    |####|--------|##|------|####|      - is zeros, and never read
//!   read_at      ^            ^          ^        several at once
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::formats::blocks::Blocks;

/// An image that knows which of it is not zeros, whatever it is packed with.
pub trait Parts: Send + Sync {
    /// Length of the disk, and which parts of it hold something.
    fn blocks(&self) -> &Blocks;

    /// Fills `buffer` with the bytes of the disk from `at` on, an offset in bytes. What is in no range of
    /// [`Self::blocks`] is zeros.
    ///
    /// # Errors
    /// When the image cannot be read, is cut off, or damaged there.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Where that ends which is unpacked together with the byte at `at`, so that it is best read by one
    /// reader, one part after the other; `at` itself when every byte can be had alone.
    fn together(&self, at: u64) -> u64 {
        at
    }

    /// The file that has the bytes of the disk in their places, if that is what it is.
    fn file(&self) -> Option<&File> {
        None
    }
}

/// A file with holes.
#[derive(Debug)]
pub struct Holed {
    file: File,
    blocks: Blocks,
}

impl Holed {
    /// Takes the first `size` bytes of a file.
    ///
    /// # Errors
    /// When its holes cannot be told.
    pub fn new(file: File, size: u64) -> io::Result<Self> {
        let blocks = Blocks::of(&file, size)?;
        Ok(Holed { file, blocks })
    }
}

impl Parts for Holed {
    fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}
