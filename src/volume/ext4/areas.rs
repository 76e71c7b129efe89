//! Which structure of the file system a byte belongs to.
//!
//! ```text
//!   | boot block | superblock | descriptors | bitmaps | inodes | directory | content | free | journal |
//!                                                 ^ byte 4711: inode 12 (`Image`), mtime
//! ```

use std::collections::BTreeMap;

use super::SUPERBLOCK;
use super::fields::{INODE_FIELDS, SUPERBLOCK_FIELDS};
use super::inode::Inode;
use super::layout::{Layout, u32_at};
use super::walk::{Walk, entries};
use crate::volume::Spot;

/// Inodes that have other uses than files, and what they are for.
const SPECIAL: [(u32, &str); 3] =
    [(1, "the bad blocks"), (ROOM, "the room for descriptors"), (8, "the journal")];

/// The inode of the blocks that are kept for more descriptors.
const ROOM: u32 = 7;

/// Everything that is known of where bytes belong.
#[derive(Debug)]
pub struct Areas<'a> {
    layout: &'a Layout,
    /// Sorted by their starts.
    areas: Vec<Area>,
    names: BTreeMap<u32, &'a str>,
}

#[derive(Clone, Copy, Debug)]
struct Area {
    start: u64,
    end: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Superblock(u64),
    Descriptors(u64),
    BlockBitmap(u64),
    InodeBitmap(u64),
    Inodes(u64),
    /// Content of an inode, from this byte of it on.
    Content {
        inode: u32,
        is_dir: bool,
        at: u64,
        size: u64,
    },
    Map(u32),
    Attributes(u32),
}

impl<'a> Areas<'a> {
    /// Notes where everything is. What cannot be told is left out.
    pub fn new(layout: &'a Layout, walk: &'a Walk) -> Self {
        let names = walk.found.iter().map(|found| (found.inode.number, found.path.as_str())).collect();
        let mut areas = Areas { layout, areas: Vec::new(), names };
        areas.add_groups();
        walk.found.iter().for_each(|found| areas.add_inode(&found.inode));
        if let Ok(journal) = layout.inode(u32_at(&layout.superblock, 0xe0)) {
            areas.add_inode(&journal);
        }
        areas.add_room();
        areas.areas.sort_by_key(|area| area.start);
        areas
    }

    /// The blocks of this inode are the ones behind the descriptors, but for the first of its map.
    fn add_room(&mut self) {
        let map = self.layout.inode(ROOM).and_then(|inode| self.layout.map(&inode));
        if let Some(first) = map.ok().and_then(|map| map.nodes.first().copied()) {
            self.add(first, 1, What::Map(ROOM));
        }
    }

    fn add(&mut self, block: u64, count: u64, what: What) {
        let (start, end) = (self.layout.offset(block), self.layout.offset(block.saturating_add(count)));
        self.areas.push(Area { start, end, what });
    }

    fn add_groups(&mut self) {
        let layout = self.layout;
        for (number, group) in (0..).zip(&layout.groups) {
            let first = layout.first + number * layout.group_blocks;
            if layout.has_superblock(number) {
                if number > 0 {
                    self.add(first, 1, What::Superblock(number));
                }
                self.add(first + 1, layout.descriptor_blocks, What::Descriptors(number));
            }
            self.add(group.block_bitmap, 1, What::BlockBitmap(number));
            self.add(group.inode_bitmap, 1, What::InodeBitmap(number));
            self.add(group.inode_table, layout.table_blocks(), What::Inodes(number));
        }
    }

    fn add_inode(&mut self, inode: &Inode) {
        if inode.attributes != 0 {
            self.add(inode.attributes, 1, What::Attributes(inode.number));
        }
        let Ok(map) = self.layout.map(inode) else { return };
        map.nodes.iter().for_each(|node| self.add(*node, 1, What::Map(inode.number)));
        let (number, is_dir, size) = (inode.number, inode.is_dir(), inode.size);
        self.areas.extend(map.runs.iter().map(|run| Area {
            start: run.from,
            end: run.from + run.len,
            what: What::Content { inode: number, is_dir, at: run.at, size },
        }));
    }

    /// What the byte at `at` belongs to.
    pub fn spot(&self, at: u64) -> Spot {
        if at < SUPERBLOCK {
            return Spot::new("boot block", SUPERBLOCK);
        }
        if at < SUPERBLOCK + 1024 {
            return superblock_field("superblock", at - SUPERBLOCK, SUPERBLOCK);
        }
        let behind = self.areas.partition_point(|area| area.start <= at);
        match self.areas[..behind].last().filter(|area| at < area.end) {
            Some(area) => self.inside(area, at),
            None => {
                let end = self.areas.get(behind).map_or(u64::MAX, |area| area.start);
                Spot::new("blocks that nothing uses", end)
            }
        }
    }

    fn inside(&self, area: &Area, at: u64) -> Spot {
        let within = at - area.start;
        match area.what {
            What::Superblock(group) if within < 1024 => {
                superblock_field(&format!("superblock of group {group}"), within, area.start)
            }
            What::Superblock(group) => {
                Spot::new(format!("block behind the superblock of group {group}"), area.end)
            }
            What::Descriptors(group) => self.descriptor(group, within, area),
            What::BlockBitmap(group) => Spot::new(format!("bitmap of blocks of group {group}"), area.end),
            What::InodeBitmap(group) => Spot::new(format!("bitmap of inodes of group {group}"), area.end),
            What::Inodes(group) => self.inode_field(group, within, area.start),
            What::Map(inode) => Spot::new(format!("map of blocks of {}", self.name(inode)), area.end),
            What::Attributes(inode) => Spot::new(format!("attributes of {}", self.name(inode)), area.end),
            What::Content { inode, is_dir: true, .. } => self.directory(inode, within, area),
            What::Content { inode, at: from, size, .. } => {
                let name = self.name(inode);
                match size.checked_sub(from + within).filter(|left| *left > 0) {
                    None => Spot::new(format!("bytes behind the end of {name}"), area.end),
                    Some(left) => {
                        Spot::new(format!("content of {name}"), area.end.min(at.saturating_add(left)))
                    }
                }
            }
        }
    }

    /// The copy behind the first superblock is the one that counts.
    fn descriptor(&self, copy: u64, within: u64, area: &Area) -> Spot {
        let (number, size) = (within / self.layout.descriptor, self.layout.descriptor);
        let of = if copy == 0 { String::new() } else { format!(", in the copy of group {copy}") };
        if number >= self.layout.groups.len() as u64 {
            return Spot::new(format!("room for descriptors{of}"), area.end);
        }
        Spot::new(format!("descriptor of group {number}{of}"), area.start + (number + 1) * size)
    }

    fn inode_field(&self, group: u64, within: u64, start: u64) -> Spot {
        let (index, size) = (within / self.layout.inode_size, self.layout.inode_size);
        let number = (group * self.layout.group_inodes).saturating_add(index + 1);
        let (first, offset) = (start + index * size, within % size);
        let next = INODE_FIELDS.partition_point(|(at, _)| *at <= offset);
        let (_, field) = INODE_FIELDS[next - 1];
        let name = u32::try_from(number).map(|number| self.name(number)).unwrap_or_default();
        Spot::new(format!("inode {number} ({name}), {field}"), first + INODE_FIELDS[next].0.min(size))
    }

    fn directory(&self, inode: u32, within: u64, area: &Area) -> Spot {
        let block = self.layout.block;
        let (start, offset) = (area.start + within / block * block, (within % block) as usize);
        let name = self.name(inode);
        let mut spot = Spot::new(format!("directory {name}"), start + block);
        let bytes = self.layout.region.read(start, block).unwrap_or_default();
        let mut behind = None;
        entries(&bytes, |at, _, entry| {
            if at <= offset {
                behind = Some(String::from_utf8_lossy(entry).into_owned());
            } else if behind.is_some() && spot.end == start + block {
                spot.end = start + at as u64;
            }
        });
        if let Some(entry) = behind.filter(|entry| !entry.is_empty()) {
            spot.structure = format!("directory {name}, entry `{entry}`");
        }
        spot
    }

    fn name(&self, inode: u32) -> String {
        match (self.names.get(&inode), SPECIAL.iter().find(|(number, _)| *number == inode)) {
            (Some(&""), _) => "the root".to_owned(),
            (Some(name), _) => format!("`{name}`"),
            (None, Some((_, name))) => (*name).to_owned(),
            (None, None) => "not in use".to_owned(),
        }
    }
}

fn superblock_field(of: &str, within: u64, start: u64) -> Spot {
    Spot::in_fields(of, SUPERBLOCK_FIELDS, within, 1024).from(start)
}
