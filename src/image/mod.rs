//! Laying out disks and file systems, and writing them.
//!
//! ```text
//!   FileTree --ext4/fat--> Formatted --placed at--> Extents of the disk --write--> image
//!                              Layout --layout--> PartitionTable --gpt, mbr--/
//! ```
//!
//! All of it but [`mod@write`] is pure: no file's content is read before the one pass of the writer.

pub mod claim;
pub mod ext4;
pub mod extents;
pub mod fat;
pub mod gpt;
pub mod layout;
pub mod mbr;
pub mod write;

use crate::tree::TreePath;
use extents::Extents;

/// A file system laid out: its bytes, and where every file stands in it.
#[derive(Clone, Debug)]
pub struct Formatted {
    /// All bytes of the file system, file contents included.
    pub extents: Extents,
    /// The regular files, sorted by path; other names of the same file are not repeated.
    pub files: Vec<PlacedFile>,
}

/// A regular file and where its bytes stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedFile {
    /// Path in the tree.
    pub path: TreePath,
    /// Length in bytes, holes included.
    pub size: u64,
    /// Where its bytes stand; what no run covers is a hole and reads as zeros.
    pub runs: Vec<Run>,
}

/// Bytes of a file that stand next to each other. A file's runs ascend in both offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Offset in the file, in bytes.
    pub in_file: u64,
    /// Offset in the file system (or, once that has been placed, on the disk), in bytes.
    pub at: u64,
    /// Length in bytes, never 0.
    pub len: u64,
}

impl PlacedFile {
    /// The runs as they stand once the file system has been placed at `offset`.
    pub fn runs_at(&self, offset: u64) -> Vec<Run> {
        self.runs.iter().map(|run| Run { at: offset + run.at, ..*run }).collect()
    }
}
