//! Inodes (Linux, `Documentation/filesystems/ext4/inodes.rst`).
//!
//! ```text
//!   0x00 mode     0x0c ctime     0x1a links          0x64 generation   0x80 bytes behind 0x80 in use
//!   0x02 owner    0x10 mtime     0x20 flags          0x68 attributes   0x84 ctime \
//!   0x04 size     0x14 dtime     0x28 blocks, or     0x6c size, high   0x88 mtime  nanoseconds << 2, and two
//!   0x08 atime    0x18 group          a short link   0x74 high halves  0x8c atime  more bits of seconds
//!                                                                      0x90 crtime, 0x94 its nanoseconds
//! ```

use std::io;

use super::layout::{Layout, u16_at, u32_at};

/// The type of a file in its mode.
const TYPE: u16 = 0o170_000;
const DIRECTORY: u16 = 0o040_000;
const SYMLINK: u16 = 0o120_000;
const REGULAR: u16 = 0o100_000;
const CHARACTERS: u16 = 0o020_000;
const BLOCKS: u16 = 0o060_000;

/// A moment: seconds since 1970, and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of the next.
    pub nanoseconds: u32,
}

/// What an inode says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number, from 1.
    pub number: u32,
    /// Type and rights.
    pub mode: u16,
    /// Who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// Its length in bytes.
    pub size: u64,
    /// When its content was changed.
    pub mtime: Time,
    /// When its inode was changed.
    pub ctime: Time,
    /// When it was read.
    pub atime: Time,
    /// When it was made.
    pub crtime: Option<Time>,
    /// Its names.
    pub links: u16,
    /// Flags.
    pub flags: u32,
    /// The block of its extended attributes, or 0.
    pub attributes: u64,
    /// Where the attributes in the inode itself begin, in bytes, when there may be some.
    pub(super) extra: Option<u64>,
    /// The tree of its blocks, a short link, or a device's number.
    pub(super) map: [u8; 60],
}

impl Inode {
    fn decode(number: u32, raw: &[u8]) -> Inode {
        let half = |low: usize, high: usize| u32::from(u16_at(raw, low)) | u32::from(u16_at(raw, high)) << 16;
        let extra = if raw.len() > 128 { usize::from(u16_at(raw, 0x80)) } else { 0 };
        let has = |end: usize| 128 + extra >= end && raw.len() >= end;
        let time = |at: usize, more: usize| {
            let more = if has(more + 4) { u32_at(raw, more) } else { 0 };
            let seconds = i64::from(u32_at(raw, at).cast_signed()) + (i64::from(more & 3) << 32);
            Time { seconds, nanoseconds: more >> 2 }
        };
        let mut map = [0; 60];
        map.copy_from_slice(&raw[0x28..0x64]);
        Inode {
            number,
            mode: u16_at(raw, 0),
            uid: half(2, 0x78),
            gid: half(0x18, 0x7a),
            size: u64::from(u32_at(raw, 4)) | u64::from(u32_at(raw, 0x6c)) << 32,
            atime: time(8, 0x8c),
            ctime: time(0x0c, 0x84),
            mtime: time(0x10, 0x88),
            crtime: has(0x98).then(|| time(0x90, 0x94)),
            links: u16_at(raw, 0x1a),
            flags: u32_at(raw, 0x20),
            attributes: u64::from(u32_at(raw, 0x68)) | u64::from(u16_at(raw, 0x76)) << 32,
            extra: (extra > 0 && has(128 + extra) && extra.is_multiple_of(4)).then_some(128 + extra as u64),
            map,
        }
    }

    /// Whether it is a directory.
    pub const fn is_dir(&self) -> bool {
        self.mode & TYPE == DIRECTORY
    }

    /// Whether it is a symbolic link.
    pub const fn is_symlink(&self) -> bool {
        self.mode & TYPE == SYMLINK
    }

    /// Whether it is a regular file.
    pub const fn is_file(&self) -> bool {
        self.mode & TYPE == REGULAR
    }

    /// Major and minor number, where it is a device.
    pub fn device(&self) -> Option<(u32, u32)> {
        let (old, new) = (u32_at(&self.map, 0), u32_at(&self.map, 4));
        match (self.mode & TYPE, old) {
            (CHARACTERS | BLOCKS, 0) => Some((new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xfff00)),
            (CHARACTERS | BLOCKS, old) => Some((old >> 8 & 0xff, old & 0xff)),
            _ => None,
        }
    }
}

impl Layout {
    /// Where an inode lies, `None` when there is none of this number.
    pub fn inode_at(&self, number: u32) -> Option<u64> {
        let index = u64::from(number).checked_sub(1)?;
        let group = self.groups.get(usize::try_from(index / self.group_inodes).ok()?)?;
        let within = index % self.group_inodes * self.inode_size;
        self.offset(group.inode_table).checked_add(within)
    }

    /// The inode of a number.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn inode(&self, number: u32) -> io::Result<Inode> {
        let at = self.inode_at(number).ok_or(io::ErrorKind::NotFound)?;
        Ok(Inode::decode(number, &self.region.read(at, self.inode_size)?))
    }
}
