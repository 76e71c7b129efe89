//! Reads `.tar`: ustar, GNU and pax, as a stream or as an index over a file.
//!
//! ```text
//! | header | content, padded to 512 | header | content | ... | zeros 512 | zeros 512 |
//!     ^ extended headers (pax `x` and `g`, GNU `L` and `K`) are members in front of
//!       the one that they describe
//! ```
//!
//! Whatever cannot become a file of the image as it is meant is refused by name: sparse members,
//! names that lead out of the tree, unknown types.

mod header;
mod member;
mod members;
mod pax;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read};

use crate::interrupt::Interrupted;
use crate::tree::{Meta, PathError, TreePath};
pub use header::BLOCK;
pub use members::{Forward, Members, Stream};

/// One member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes; the root for the member `./`.
    pub path: TreePath,
    /// Owner, mode, time, extended attributes.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file, whose content stands uncompressed in the archive.
    File {
        /// Offset of the content from the start of the archive, in bytes.
        offset: u64,
        /// Length of the content, in bytes.
        size: u64,
    },
    /// A symbolic link and its target, as it is stored.
    Symlink(String),
    /// Another name of the regular file at this path.
    HardLink(TreePath),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The file or the decompressor behind the archive failed.
    #[error("reading the archive")]
    Read(#[from] io::Error),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The archive stops before its end mark.
    #[error("the archive is cut off at byte {at}")]
    Truncated {
        /// How many bytes there are.
        at: u64,
    },
    /// There is no header where one must be.
    #[error("there is no tar header at byte {at}")]
    NoHeader {
        /// Offset from the start of the archive.
        at: u64,
    },
    /// A member's name, or the name that a hard link points to, cannot stand in a tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A field of a member's header makes no sense.
    #[error("the {field} of member `{member}` is damaged")]
    Field {
        /// Name of the member.
        member: String,
        /// What is wrong.
        field: String,
    },
    /// A member of a type that does not go into images.
    #[error("member `{member}` is {what}, which is not supported")]
    Unsupported {
        /// Name of the member.
        member: String,
        /// What it is.
        what: String,
    },
    /// Two members have one name.
    #[error("member `{0}` is in the archive twice")]
    Duplicate(String),
}

/// A [`Stream`] that jumps.
struct Seeking<'a>(BufReader<&'a File>);

impl Read for Seeking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Stream for Seeking<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.0.seek_relative(i64::try_from(count).map_err(io::Error::other)?)
    }
}

/// All members of the uncompressed archive in `file`, in the order in which they stand there.
/// Only headers are read.
///
/// # Errors
/// When the archive is damaged, cut off, or holds something that cannot go into an image; or two
/// members that are not directories have one name.
pub fn index(file: &File) -> Result<Vec<Entry>, TarError> {
    let length = file.metadata()?.len();
    let mut members = Members::new(Seeking(BufReader::with_capacity(4 * BLOCK as usize, file)));
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    while let Some(entry) = members.next()? {
        if members.next_header > length {
            return Err(TarError::Truncated { at: length });
        }
        if entry.kind != Kind::Dir && !names.insert(entry.path.clone()) {
            return Err(TarError::Duplicate(entry.path.as_str().to_owned()));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn damaged(member: &[u8], field: &str) -> TarError {
    TarError::Field { member: member.escape_ascii().to_string(), field: field.to_owned() }
}

#[cfg(test)]
mod tests;
