//! Sources of kernels, ready to be built from.
//!
//! ```text
//! a directory ──────────────────────────────────────── checked, hashed ──┐
//! .tar[.gz|.xz|.zst] ────────┐                                           ├─> SourceTree
//! .deb ─ usr/src/linux-source┴─ unpacked once into the store, patched ───┘
//! ```
//! A directory belongs to its user and stays where it is. What is unpacked belongs to the store, and is
//! found there in milliseconds the next time.

mod archive;
mod dir;
mod error;
mod makefile;
mod patch;
mod pipe;
mod unpack;

use std::path::PathBuf;

use crate::digest::Sha256;
pub use archive::of_archive;
pub use dir::{hides_changes, of_dir};
pub use error::SourceTreeError;

/// A kernel's source, ready to be built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTree {
    /// The directory with the kernel's top Makefile.
    pub path: PathBuf,
    /// Covers the content of every file, patches included.
    pub id: Sha256,
    /// The kernel's version as its Makefile has it, such as `6.12.107`.
    pub version: String,
    /// Time of the source in seconds since 1970: of an archive, its newest member's; of a directory, the
    /// first that FAT can hold (1980-01-01), since times of checkouts mean nothing.
    pub epoch: u32,
    /// Whether it is a user's directory, which may change, and not the store's.
    pub is_users: bool,
}

/// 1980-01-01, the first time that FAT can hold, in seconds since 1970.
const FIRST_EPOCH: u32 = 315_532_800;

#[cfg(test)]
mod tests;
