//! Which blocks a file has (Linux, `Documentation/filesystems/ext4/{ifork,blockmap}.rst`).
//!
//! ```text
//!   extent tree, 12 bytes each        header: f30a, entries, most, depth
//!     leaf:  0 first block of the file   4 blocks, more than 32768: not written   6, 8 block
//!     index: 0 first block of the file   4, 8 block of the next level
//!   block map, 4 bytes each           12 blocks, and one of blocks, one of blocks of blocks, ...
//! ```

use std::io;

use super::inode::Inode;
use super::layout::{Layout, u16_at, u32_at};
use crate::volume::{Region, Run};

const EXTENTS: u32 = 0x8_0000;
const INLINE: u32 = 0x1000_0000;
const MAGIC: u16 = 0xf30a;
const DEEPEST: u16 = 5;
/// From here on, an extent was reserved and not written.
const UNWRITTEN: u64 = 32768;
/// Most blocks of one file's map that are read: those of 128 GiB in blocks of 4 KiB.
const MOST_NODES: usize = 40_000;
/// Most pieces of one file: more than one of 4 GiB can have in blocks of 4 KiB.
const MOST_RUNS: usize = 1 << 20;
/// Blocks that a map names itself.
const DIRECT: usize = 12;

/// The blocks of a file.
#[derive(Debug, Default)]
pub struct Map {
    /// What holds its content, in bytes of the file system.
    pub runs: Vec<Run>,
    /// The blocks that say so, by number.
    pub nodes: Vec<u64>,
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its map of blocks is broken")
}

impl Layout {
    /// The blocks of a file, none for what has no content of its own.
    ///
    /// # Errors
    /// When they cannot be read, or make no sense.
    pub fn map(&self, inode: &Inode) -> io::Result<Map> {
        let mut map = Map::default();
        if inode.flags & INLINE != 0 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it lies in its inode, which is not read",
            ));
        }
        if inode.is_symlink() && inode.flags & EXTENTS == 0 && inode.size < inode.map.len() as u64 {
            return Ok(map);
        }
        if !(inode.is_dir() || inode.is_file() || inode.is_symlink()) {
            return Ok(map);
        }
        if inode.flags & EXTENTS != 0 {
            self.extents(&inode.map, DEEPEST, &mut map)?;
        } else {
            self.pointers(inode, &mut map)?;
        }
        Ok(map)
    }

    fn extents(&self, node: &[u8], most: u16, map: &mut Map) -> io::Result<()> {
        let (entries, depth) = (usize::from(u16_at(node, 2)), u16_at(node, 6));
        if u16_at(node, 0) != MAGIC || depth > most || entries > node.len() / 12 - 1 {
            return Err(broken());
        }
        for entry in node[12..].chunks_exact(12).take(entries) {
            if depth == 0 {
                let len = u64::from(u16_at(entry, 4));
                let block = u64::from(u32_at(entry, 8)) | u64::from(u16_at(entry, 6)) << 32;
                if len <= UNWRITTEN {
                    self.push(u32_at(entry, 0).into(), block, len, map)?;
                }
                continue;
            }
            let block = u64::from(u32_at(entry, 4)) | u64::from(u16_at(entry, 8)) << 32;
            let next = self.node(block, map)?;
            if u16_at(&next, 6) >= depth {
                return Err(broken());
            }
            self.extents(&next, depth - 1, map)?;
        }
        Ok(())
    }

    fn node(&self, block: u64, map: &mut Map) -> io::Result<Vec<u8>> {
        if map.nodes.len() >= MOST_NODES {
            return Err(broken());
        }
        self.spend()?;
        map.nodes.push(block);
        self.region.read(self.offset(block), self.block)
    }

    /// `len` blocks of a file from its `first` on.
    fn push(&self, first: u64, block: u64, len: u64, map: &mut Map) -> io::Result<()> {
        let is_inside = block.checked_add(len).is_some_and(|end| end <= self.blocks);
        if !is_inside || map.runs.len() >= MOST_RUNS {
            return Err(broken());
        }
        let (at, from) = (self.offset(first), self.offset(block));
        match map.runs.last_mut() {
            Some(last) if last.end() == at && last.from + last.len == from => last.len += self.offset(len),
            _ => map.runs.push(Run { at, from, len: self.offset(len) }),
        }
        Ok(())
    }

    fn pointers(&self, inode: &Inode, map: &mut Map) -> io::Result<()> {
        let mut first = 0;
        let end = inode.size.div_ceil(self.block);
        for (place, pointer) in inode.map.chunks_exact(4).enumerate() {
            let level = place.saturating_sub(DIRECT - 1) as u32;
            self.pointer(u32_at(pointer, 0).into(), level, &mut first, end, map)?;
        }
        Ok(())
    }

    /// Follows a pointer at whose `level`th level are blocks of the file, from `first` on.
    fn pointer(&self, block: u64, level: u32, first: &mut u64, end: u64, map: &mut Map) -> io::Result<()> {
        let reach = (self.block / 4).checked_pow(level).unwrap_or(u64::MAX);
        if *first >= end {
            return Ok(());
        }
        if block == 0 {
            *first = first.saturating_add(reach);
            return Ok(());
        }
        if level == 0 {
            self.push(*first, block, 1, map)?;
            *first += 1;
            return Ok(());
        }
        for next in self.node(block, map)?.chunks_exact(4) {
            self.pointer(u32_at(next, 0).into(), level - 1, first, end, map)?;
        }
        Ok(())
    }

    /// The content of a file.
    ///
    /// # Errors
    /// When its blocks cannot be told.
    pub fn content(&self, inode: &Inode) -> io::Result<Region> {
        Ok(self.region.gather(&self.map(inode)?.runs, inode.size))
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than a path may be.
    pub fn target(&self, inode: &Inode) -> io::Result<String> {
        let bytes = match self.map(inode)? {
            map if map.runs.is_empty() => inode.map[..inode.map.len().min(inode.size as usize)].to_vec(),
            map if inode.size <= 4096 => self.region.gather(&map.runs, inode.size).read(0, inode.size)?,
            _ => return Err(broken()),
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
