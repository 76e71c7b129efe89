//! How a file looked when it was verified, as git's index remembers its files: nobody can change
//! a file through the system without changing its stamp, since the system sets the change time.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::interrupt;

/// Length, number and times of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    size: u64,
    inode: u64,
    modified: [i64; 2],
    changed: [i64; 2],
}

impl Stamp {
    pub(super) fn of(file: &Metadata) -> Self {
        Stamp {
            size: file.len(),
            inode: file.ino(),
            modified: [file.mtime(), file.mtime_nsec()],
            changed: [file.ctime(), file.ctime_nsec()],
        }
    }
}

/// The digest of the file at `path`.
pub(super) fn digest(path: &Path) -> io::Result<Sha256> {
    let mut hash = sha2::Sha256::default();
    add_to(&mut hash, &File::open(path)?)?;
    Ok(Sha256::finish(hash))
}

/// Adds the rest of `file` to `hash`; returns how much that was, in bytes.
pub(super) fn add_to(hash: &mut sha2::Sha256, mut file: &File) -> io::Result<u64> {
    use io::Read as _;
    use sha2::Digest as _;

    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        interrupt::check()?;
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(total);
        }
        hash.update(&buffer[..count]);
        total += count as u64;
    }
}
