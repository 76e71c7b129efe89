//! FAT12, FAT16 and FAT32, as far as one small file in one piece is concerned.
//!
//! ```text
//!   | reserved | FAT | FAT | root directory    | cluster 2 | 3 | ...        sectors of the partition
//!   |          |     |     | (not with FAT32)  |
//! ```
//!
//! Microsoft, "FAT: General Overview of On-Disk Format", 1.03: the number of clusters alone decides
//! how wide an entry is. All copies of the table are compared wherever one is read.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use super::bytes::{u16_at, u32_at};
use super::dir::{Entry, Search};
use super::{Extent, LocateError, Place};
use crate::medium::{Medium, SECTOR, Sector};

/// Most entries that a directory can have.
const LARGEST_DIRECTORY: u32 = 65_536;

/// Entries in a sector.
const ENTRIES: u32 = 16;

/// Where the boot sector of FAT32 says which sector repeats it (`BPB_BkBootSec`).
const BACKUP_AT: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// Where a directory lies.
#[derive(Clone, Copy)]
enum Directory {
    /// The root of FAT12 and FAT16.
    Fixed,
    /// The first cluster of any other.
    Chain(u32),
}

/// The next link of a chain.
enum Link {
    To(u32),
    End,
    /// Free, bad, or out of the file system.
    Broken,
}

/// What a boot sector says of its file system, in sectors.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    reserved: u32,
    copies: u32,
    /// Sectors of one copy of the table.
    length: u32,
    /// Sectors of the fixed root directory.
    root_sectors: u32,
    root: Directory,
    /// Sectors of a cluster.
    cluster: u32,
    clusters: u32,
    width: Width,
}

impl Shape {
    /// Reads the boot sector of a file system in a partition of so many sectors.
    pub(super) fn decode(boot: &Sector, sectors: u32) -> Result<Self, LocateError> {
        let not = LocateError::NotFat;
        if boot[510..] != [0x55, 0xaa] {
            return Err(not("its first sector is none of a file system"));
        }
        if usize::from(u16_at(boot, 11)) != SECTOR {
            return Err(not("its sectors have another size than the disk's"));
        }
        let (cluster, reserved, copies) =
            (u32::from(boot[13]), u32::from(u16_at(boot, 14)), u32::from(boot[16]));
        let root_entries = u32::from(u16_at(boot, 17));
        let short = |at, wide: u32| if u16_at(boot, at) == 0 { wide } else { u16_at(boot, at).into() };
        let (total, length) = (short(19, u32_at(boot, 32)), short(22, u32_at(boot, 36)));
        if !cluster.is_power_of_two() || reserved == 0 || !(1..=2).contains(&copies) || length == 0 {
            return Err(not("its first sector makes no sense"));
        }
        let root_sectors = root_entries.div_ceil(ENTRIES);
        let before = u64::from(reserved) + u64::from(copies) * u64::from(length) + u64::from(root_sectors);
        let data = u64::from(total).checked_sub(before).ok_or(not("it has no room for files"))?;
        if total > sectors {
            return Err(not("it is larger than its partition"));
        }
        // Not more than `total`, which has 32 bits.
        let clusters = (data / u64::from(cluster)) as u32;
        let width = match clusters {
            0 => return Err(not("it has no room for files")),
            1..4085 => Width::Fat12,
            4085..65_525 => Width::Fat16,
            _ => Width::Fat32,
        };
        let root = match width {
            // Bit 7 of the flags: only one copy of the table is kept up.
            Width::Fat32 if root_entries != 0 || u16_at(boot, 42) != 0 || boot[40] & 0x80 != 0 => {
                return Err(not("it is a FAT32 of an unusual kind"));
            }
            Width::Fat32 => Directory::Chain(u32_at(boot, 44)),
            _ if root_entries == 0 => return Err(not("its width does not fit its size")),
            _ => Directory::Fixed,
        };
        let shape = Shape { reserved, copies, length, root_sectors, root, cluster, clusters, width };
        if u64::from(length) * (SECTOR as u64) < shape.entry_offset(clusters + 1).0 + 2 {
            return Err(not("its allocation table is too short"));
        }
        Ok(shape)
    }

    /// Whether it has a copy of its boot sector where its formatter says: FAT32 alone has one.
    pub(super) fn is_repeated_at(&self, boot: &Sector, sector: u16) -> bool {
        self.width == Width::Fat32 && u16_at(boot, BACKUP_AT) == sector && self.reserved > sector.into()
    }

    /// Offset of an entry in the table in bytes, and whether it starts in the middle of one.
    fn entry_offset(&self, cluster: u32) -> (u64, bool) {
        let cluster = u64::from(cluster);
        match self.width {
            Width::Fat12 => (cluster + cluster / 2, cluster % 2 == 1),
            Width::Fat16 => (cluster * 2, false),
            Width::Fat32 => (cluster * 4, false),
        }
    }
}

pub(super) struct Fat<'a, M> {
    medium: &'a mut M,
    /// First sector of the partition.
    start: u64,
    shape: Shape,
    /// Clusters of the directories that were gone through.
    directories: Vec<u32>,
}

impl<'a, M: Medium> Fat<'a, M> {
    pub(super) fn open(medium: &'a mut M, partition: Extent) -> Result<Self, LocateError> {
        let shape = Shape::decode(&medium.read(partition.first)?, partition.sectors)?;
        Ok(Fat { medium, start: partition.first, shape, directories: Vec::new() })
    }

    /// The run of sectors that a file lies in.
    pub(super) fn find(&mut self, place: &Place) -> Result<Extent, LocateError> {
        let entry = self.entry(place.path)?;
        if entry.size != place.length {
            let path = place.path.to_owned();
            return Err(LocateError::Length { path, found: entry.size, wanted: place.length });
        }
        let sectors = place.length.div_ceil(SECTOR as u32);
        let needed = sectors.div_ceil(self.shape.cluster);
        let chain = || LocateError::Chain(place.path.to_owned());
        let mut at = self.valid(entry.cluster).ok_or_else(chain)?;
        let clusters = at..at.saturating_add(needed);
        if self.directories.iter().any(|directory| clusters.contains(directory)) {
            return Err(chain());
        }
        for _ in 1..needed {
            match self.next(at)? {
                Link::To(next) if next == at + 1 => at = next,
                Link::To(_) => return Err(LocateError::Fragmented(place.path.to_owned())),
                Link::End | Link::Broken => return Err(chain()),
            }
        }
        match self.next(at)? {
            Link::End => Ok(Extent { first: self.sector_of(entry.cluster), sectors }),
            Link::To(_) | Link::Broken => Err(chain()),
        }
    }

    fn entry(&mut self, path: &str) -> Result<Entry, LocateError> {
        let mut directory = self.shape.root;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            let entry = self.search(directory, name, path)?;
            let last = names.peek().is_none();
            if entry.is_directory == last {
                return Err(LocateError::Kind(path.to_owned()));
            }
            if last {
                return Ok(entry);
            }
            directory = Directory::Chain(entry.cluster);
        }
        Err(LocateError::Missing(path.to_owned()))
    }

    /// Looks for a name, through the whole directory: it must be there once.
    fn search(&mut self, directory: Directory, name: &str, path: &str) -> Result<Entry, LocateError> {
        let mut search = Search::new(name);
        match directory {
            Directory::Fixed => {
                let first = self.start
                    + u64::from(self.shape.reserved)
                    + u64::from(self.shape.copies) * u64::from(self.shape.length);
                for sector in 0..self.shape.root_sectors {
                    search.sector(&self.medium.read(first + u64::from(sector))?);
                }
            }
            Directory::Chain(first) => self.search_chain(first, &mut search, path)?,
        }
        search.result(path)
    }

    fn search_chain(&mut self, first: u32, search: &mut Search<'_>, path: &str) -> Result<(), LocateError> {
        let chain = || LocateError::Chain(path.to_owned());
        let mut at = self.valid(first).ok_or_else(chain)?;
        // What is longer than a directory can be leads round.
        for _ in 0..(LARGEST_DIRECTORY / ENTRIES / self.shape.cluster).max(1) {
            self.directories.push(at);
            for sector in 0..self.shape.cluster {
                search.sector(&self.medium.read(self.sector_of(at) + u64::from(sector))?);
            }
            match self.next(at)? {
                Link::To(next) => at = next,
                Link::End => return Ok(()),
                Link::Broken => return Err(chain()),
            }
        }
        Err(chain())
    }

    fn valid(&self, cluster: u32) -> Option<u32> {
        (2..self.shape.clusters + 2).contains(&cluster).then_some(cluster)
    }

    /// First sector of a cluster on the disk.
    fn sector_of(&self, cluster: u32) -> u64 {
        let before =
            u64::from(self.shape.reserved) + u64::from(self.shape.copies) * u64::from(self.shape.length);
        let data = before + u64::from(self.shape.root_sectors);
        self.start + data + u64::from(cluster - 2) * u64::from(self.shape.cluster)
    }

    fn next(&mut self, cluster: u32) -> Result<Link, LocateError> {
        let value = self.entry_value(cluster, 0)?;
        for copy in 1..self.shape.copies {
            if self.entry_value(cluster, copy)? != value {
                return Err(LocateError::FatsDiffer);
            }
        }
        let end = match self.shape.width {
            Width::Fat12 => 0xff8,
            Width::Fat16 => 0xfff8,
            Width::Fat32 => 0x0fff_fff8,
        };
        Ok(match self.valid(value) {
            _ if value >= end => Link::End,
            Some(next) => Link::To(next),
            None => Link::Broken,
        })
    }

    fn entry_value(&mut self, cluster: u32, copy: u32) -> Result<u32, LocateError> {
        let (offset, odd) = self.shape.entry_offset(cluster);
        let table =
            self.start + u64::from(self.shape.reserved) + u64::from(copy) * u64::from(self.shape.length);
        let at = (offset % SECTOR as u64) as usize;
        let sector: Sector = self.medium.read(table + offset / SECTOR as u64)?;
        Ok(match self.shape.width {
            Width::Fat16 => u16_at(&sector, at).into(),
            Width::Fat32 => u32_at(&sector, at) & 0x0fff_ffff,
            Width::Fat12 => {
                // Its second byte may be the first of the next sector.
                let high = match sector.get(at + 1) {
                    Some(byte) => *byte,
                    None => self.medium.read(table + offset / SECTOR as u64 + 1)?[0],
                };
                let pair = u32::from(sector[at]) | u32::from(high) << 8;
                if odd { pair >> 4 } else { pair & 0xfff }
            }
        })
    }
}
