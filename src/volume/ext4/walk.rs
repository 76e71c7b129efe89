//! All names of a file system, with their inodes (Linux, `Documentation/filesystems/ext4/directory.rst`).
//!
//! ```text
//!   directory entry: 0 inode  4 bytes of the entry  6 bytes of the name  8 name
//! ```

use std::collections::BTreeSet;
use std::io;

use super::inode::Inode;
use super::layout::{Layout, u16_at, u32_at};
use crate::interrupt;
use crate::volume::{DEEPEST, MOST_ENTRIES};

/// Number of the root directory's inode.
const ROOT: u32 = 2;
/// Largest directory that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// A name and what it is of.
#[derive(Clone, Debug)]
pub struct Found {
    /// Path from the root, without a slash in front; the root's is empty.
    pub path: String,
    /// Its inode.
    pub inode: Inode,
}

/// All that was found, and what could not be read.
#[derive(Debug, Default)]
pub struct Walk {
    /// Directories before what is in them.
    pub found: Vec<Found>,
    /// Paths, and why they could not be read.
    pub problems: Vec<(String, io::Error)>,
}

impl Layout {
    /// Everything that can be reached from the root. Each directory is looked into once, and none that
    /// is nested too deep, or comes after too many others.
    ///
    /// # Errors
    /// When the user asked to stop.
    pub fn walk(&self) -> Result<Walk, interrupt::Interrupted> {
        let mut walk = Walk::default();
        let mut seen = BTreeSet::from([ROOT]);
        let mut directories = Vec::new();
        match self.inode(ROOT) {
            Ok(inode) => directories.push(Found { path: String::new(), inode }),
            Err(error) => walk.problems.push((String::new(), error)),
        }
        while let Some(directory) = directories.pop() {
            interrupt::check()?;
            let names = self.names(&directory.inode).unwrap_or_else(|error| {
                walk.problems.push((directory.path.clone(), error));
                Vec::new()
            });
            for (name, number) in names {
                let is_top = directory.path.is_empty();
                let path = if is_top { name } else { format!("{}/{name}", directory.path) };
                match self.inode(number) {
                    Ok(inode) if inode.is_dir() => {
                        if seen.insert(number) && path.matches('/').count() < DEEPEST {
                            directories.push(Found { path, inode });
                        }
                    }
                    Ok(inode) => walk.found.push(Found { path, inode }),
                    Err(error) => walk.problems.push((path, error)),
                }
            }
            walk.found.push(directory);
            if (walk.found.len() + walk.problems.len() + directories.len()) as u64 > MOST_ENTRIES {
                walk.problems.push((String::new(), io::Error::other("it has more names than are looked at")));
                break;
            }
        }
        Ok(walk)
    }

    /// The names in a directory, without `.` and `..`.
    fn names(&self, directory: &Inode) -> io::Result<Vec<(String, u32)>> {
        let content = self.content(directory)?;
        let mut names = Vec::new();
        for at in (0..content.size().min(LARGEST)).step_by(self.block as usize) {
            self.spend()?;
            let bytes = content.read(at, self.block.min(content.size() - at))?;
            entries(&bytes, |_, number, name| {
                if number != 0 && name != b"." && name != b".." {
                    names.push((String::from_utf8_lossy(name).into_owned(), number));
                }
            });
            if names.len() as u64 > MOST_ENTRIES {
                break;
            }
        }
        Ok(names)
    }
}

/// Calls `each` with place, inode and name of every entry in a block of a directory. Inode 0 is none.
pub(super) fn entries(block: &[u8], mut each: impl FnMut(usize, u32, &[u8])) {
    let mut at = 0;
    while at + 8 <= block.len() {
        let entry = &block[at..];
        let (len, name) = (usize::from(u16_at(entry, 4)), usize::from(entry[6]));
        if len < 8 || len > entry.len() || 8 + name > len {
            return;
        }
        each(at, u32_at(entry, 0), &entry[8..8 + name]);
        at += len;
    }
}
