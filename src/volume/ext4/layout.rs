//! Where the structures of ext4 lie (Linux, `Documentation/filesystems/ext4/{super,group_descr}.rst`).
//!
//! ```text
//!   1024        group 0                                       group 1 ...
//!   | superblock | group descriptors | reserved for more | bitmaps | inode table | data |
//!      0x00 inodes           0x28 inodes in a group    group descriptor
//!      0x04 blocks           0x58 bytes of an inode     0x00, 0x20 block bitmap
//!      0x14 first block      0x5c, 0x60, 0x64 features  0x04, 0x24 inode bitmap
//!      0x18 log2(block)-10   0xce reserved blocks       0x08, 0x28 inode table
//!      0x20 blocks in group  0xfe bytes of a descriptor
//! ```
//! Read as it is on the disk: what stands only in the journal is not looked at.

use std::cell::Cell;
use std::io;

use super::{FEATURE_64BIT, SUPERBLOCK, is_ext4};
use crate::volume::Region;

/// Bytes of descriptors that are read at most: those of 64 TiB.
const MOST_DESCRIPTORS: u64 = 32 << 20;
/// How often a block of directories or maps is read at most, on the average.
const MOST_READS: u64 = 16;
/// Largest block, in bytes, as a power of two.
const LARGEST_BLOCK: u32 = 16;
/// Descriptors lie in their groups and not behind the superblock.
const META_BG: u32 = 0x10;
/// Not every group has a copy of the superblock.
const SPARSE_SUPER: u32 = 1;

/// A group's own blocks, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its bitmap of blocks.
    pub block_bitmap: u64,
    /// Its bitmap of inodes.
    pub inode_bitmap: u64,
    /// The first block of its inodes.
    pub inode_table: u64,
}

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(super) region: Region,
    /// The superblock, 1024 bytes.
    pub superblock: Vec<u8>,
    /// Bytes of a block.
    pub block: u64,
    /// Blocks of the file system.
    pub blocks: u64,
    /// Number of the block that the first group starts with.
    pub first: u64,
    /// Blocks of a group.
    pub group_blocks: u64,
    /// Inodes of a group.
    pub group_inodes: u64,
    /// Bytes of an inode.
    pub inode_size: u64,
    /// Bytes of a group's descriptor.
    pub descriptor: u64,
    /// Blocks of descriptors behind a superblock, and of those that are kept free for more.
    pub descriptor_blocks: u64,
    /// The groups.
    pub groups: Vec<Group>,
    /// Blocks of directories and maps that may be read still.
    left: Cell<u64>,
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// A number in two halves.
pub(super) fn wide(bytes: &[u8], low: usize, high: usize) -> u64 {
    u64::from(u32_at(bytes, low)) | u64::from(u32_at(bytes, high)) << 32
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Layout {
    /// Reads superblock and group descriptors.
    ///
    /// # Errors
    /// When they cannot be read, contradict each other, or are of a kind that is not known.
    pub fn read(region: &Region) -> io::Result<Layout> {
        let superblock = region.read(SUPERBLOCK, 1024)?;
        if !is_ext4(&superblock) {
            return Err(wrong("there is no ext4 superblock"));
        }
        let features = u32_at(&superblock, 0x60);
        if features & META_BG != 0 {
            return Err(wrong("its group descriptors are not in one place, which is not understood"));
        }
        let is_wide = features & FEATURE_64BIT != 0;
        let log = u32_at(&superblock, 0x18);
        let block = 1024_u64.checked_shl(log).filter(|_| log <= LARGEST_BLOCK - 10);
        let old = u32_at(&superblock, 0x4c) == 0;
        let mut layout = Layout {
            region: region.clone(),
            block: block.ok_or_else(|| wrong("its blocks have an impossible size"))?,
            blocks: if is_wide { wide(&superblock, 4, 0x150) } else { u32_at(&superblock, 4).into() },
            first: u32_at(&superblock, 0x14).into(),
            group_blocks: u32_at(&superblock, 0x20).into(),
            group_inodes: u32_at(&superblock, 0x28).into(),
            inode_size: if old { 128 } else { u16_at(&superblock, 0x58).into() },
            descriptor: 32,
            descriptor_blocks: 0,
            groups: Vec::new(),
            left: Cell::new(region.size() / 1024 * MOST_READS),
            superblock,
        };
        if is_wide {
            layout.descriptor = u16_at(&layout.superblock, 0xfe).into();
        }
        layout.read_groups(is_wide)?;
        Ok(layout)
    }

    fn read_groups(&mut self, is_wide: bool) -> io::Result<()> {
        let nonsense = || wrong("its superblock makes no sense");
        let in_groups = self.blocks.checked_sub(self.first).ok_or_else(nonsense)?;
        let is_sound = self.group_blocks > 0
            && self.group_inodes > 0
            && self.inode_size >= 128
            && self.inode_size <= self.block
            && (if is_wide { 64 } else { 32 }..=1024).contains(&self.descriptor);
        if !is_sound {
            return Err(nonsense());
        }
        let size = in_groups.div_ceil(self.group_blocks).saturating_mul(self.descriptor);
        if size > MOST_DESCRIPTORS {
            return Err(nonsense());
        }
        let bytes = self.region.read((self.first + 1) * self.block, size)?;
        let number =
            |raw: &[u8], low, high| if is_wide { wide(raw, low, high) } else { u32_at(raw, low).into() };
        let group = |raw: &[u8]| Group {
            block_bitmap: number(raw, 0, 0x20),
            inode_bitmap: number(raw, 4, 0x24),
            inode_table: number(raw, 8, 0x28),
        };
        self.groups = bytes.chunks_exact(self.descriptor as usize).map(group).collect();
        self.descriptor_blocks = size.div_ceil(self.block) + u64::from(u16_at(&self.superblock, 0xce));
        Ok(())
    }

    /// Counts a block of a directory or map. Hostile ones share their blocks, and would take for ever.
    pub(super) fn spend(&self) -> io::Result<()> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| wrong("its directories and maps overlap"))?;
        self.left.set(left);
        Ok(())
    }

    /// Offset of the first byte of a block.
    pub fn offset(&self, block: u64) -> u64 {
        block.saturating_mul(self.block)
    }

    /// Blocks of the inodes of a group.
    pub fn table_blocks(&self) -> u64 {
        (self.group_inodes * self.inode_size).div_ceil(self.block)
    }

    /// Whether a group begins with a copy of the superblock.
    pub fn has_superblock(&self, group: u64) -> bool {
        let is_power = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        let is_sparse = u32_at(&self.superblock, 0x64) & SPARSE_SUPER != 0;
        !is_sparse || group <= 1 || is_power(3) || is_power(5) || is_power(7)
    }
}
