//! Sources of kernels: archives and Debian's source packages, unpacked once into the store; directories,
//! taken as they are.

use std::path::PathBuf;

use crate::digest::Sha256;

/// A kernel's source, ready to be built from.
#[derive(Clone, Debug)]
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
}
