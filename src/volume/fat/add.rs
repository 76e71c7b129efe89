//! Adding a directory of small files to a FAT that is there already.
//!
//! ```text
//!   read       boot sector, FAT and its copies, root directory
//!   choose     the lowest free clusters:   [directory][file][file] ...
//!   patches    | FSInfo |   FAT   |   FAT   |  root: two entries  |   ...   |  the new clusters  |
//! ```
//! Nothing is written here, and what files and directories have does not change: no cluster of theirs is moved,
//! so whoever knows one by its sectors finds it there.

use std::io;

use super::{
    Bits, ENTRY, FatError, Geometry, Info, LARGEST_DIRECTORY, Table, entries, is_fat, live, u16_at, u32_at,
};
use crate::image::fat::dirs::{ATTRIBUTE_DIR, ATTRIBUTE_FILE, Time, dots, named};
use crate::image::fat::names::{self, Name};
use crate::tree::TreePath;
use crate::units::Bytes;

/// Largest FAT that is changed, in bytes: two million clusters of FAT32.
const LARGEST_FAT: u64 = 8 << 20;

/// Ends a chain, in as many bits as there are.
const END: u32 = 0x0fff_ffff;

/// Reads all bytes at an offset of the file system, or fails.
pub type ReadAt<'a> = &'a dyn Fn(u64, &mut [u8]) -> io::Result<()>;

/// Bytes that take the place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Offset in the file system.
    pub at: u64,
    /// What shall be there.
    pub bytes: Vec<u8>,
}

/// Why a directory cannot be added. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// It cannot be read, or is not one.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// It is damaged, so that a change could break more.
    #[error("the FAT file system is damaged: {0}\n\nhint: `factory check` tells more")]
    Damaged(&'static str),
    /// The name is taken.
    #[error("there is a `{0}` already")]
    Exists(String),
    /// There are not enough clusters.
    #[error("the files need {needs}, but only {left} are left\n\nhint: make the partition larger")]
    Full {
        /// What directory and files need.
        needs: Bytes,
        /// What is free.
        left: Bytes,
    },
    /// The root directory has no room for another name.
    #[error("the root directory is full\n\nhint: leave out files of it")]
    RootFull,
    /// A name that FAT does not take.
    #[error(transparent)]
    Name(#[from] crate::image::fat::FatError),
}

/// What must be written so that the directory `dir` of the root holds these files, in this order: name and
/// content. `size` is the length of the partition in bytes. The patches must be applied in their order.
///
/// All times are that of the first entry of the root.
///
/// # Errors
/// When the file system is damaged, has no room, or has something of the name.
pub fn add(read: ReadAt<'_>, size: u64, dir: &str, files: &[(&str, &[u8])]) -> Result<Vec<Patch>, AddError> {
    let mut volume = Volume::open(read, size)?;
    let mut root = volume.root()?;
    let in_root = own_name(&TreePath::root(), dir)?;
    if root.has(&in_root, dir, volume.geometry.bits()) {
        return Err(AddError::Exists(dir.to_owned()));
    }
    let listed: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let listed = names::assign(&TreePath::root().join(dir), &listed)?;
    let slots = in_root.long_entries() + 1;
    let grows = root.room(slots).is_none();
    let length = ENTRY * (2 + listed.iter().map(|name| name.long_entries() + 1).sum::<usize>());
    volume.reserve(files.iter().map(|(_, content)| content.len()).chain([length]), grows)?;
    if grows {
        root.grow(volume.take(1), &mut volume)?;
    }
    let time = root.time();
    let own = volume.take_bytes(length);
    let first = own.first().copied().unwrap_or_default();
    let mut content = dots(first, 0, time);
    for (name, (_, bytes)) in listed.iter().zip(files) {
        let chain = volume.take_bytes(bytes.len());
        let start = chain.first().copied().unwrap_or_default();
        content.extend(named(name, ATTRIBUTE_FILE, start, bytes.len() as u32, time));
        volume.fill(&chain, bytes);
    }
    volume.fill(&own, &content);
    volume.finish()?;
    let entries = named(&in_root, ATTRIBUTE_DIR, first, 0, time);
    volume.patches.extend(root.put(&entries, slots, &volume)?);
    Ok(volume.patches)
}

/// The name in a directory, where no other has to be considered: the short one is the name itself.
fn own_name(dir: &TreePath, name: &str) -> Result<Name, AddError> {
    names::assign(dir, &[name])?.pop().ok_or(AddError::RootFull)
}

/// A file system that gets more.
struct Volume<'a> {
    read: ReadAt<'a>,
    boot: Vec<u8>,
    geometry: Geometry,
    table: Table,
    clusters: u32,
    /// What is free, in ascending order; those in front are taken first.
    free: std::vec::IntoIter<u32>,
    taken: Vec<u32>,
    patches: Vec<Patch>,
}

impl<'a> Volume<'a> {
    fn open(read: ReadAt<'a>, size: u64) -> Result<Self, AddError> {
        let mut boot = vec![0; 512];
        read(0, &mut boot).map_err(FatError::Io)?;
        let geometry = if is_fat(&boot) { Geometry::decode(&boot) } else { None };
        let geometry = geometry.ok_or(FatError::Geometry)?;
        if geometry.table_size > LARGEST_FAT {
            return Err(FatError::TooLarge.into());
        }
        if geometry.is_ambiguous() || geometry.size > size {
            return Err(AddError::Damaged("its boot sector contradicts itself, or the partition table"));
        }
        let bytes = one_table(read, &boot, &geometry)?;
        let table = Table::new(geometry.bits(), bytes);
        let clusters = table.clusters(&geometry);
        // The first entry repeats the kind of medium (FAT specification 1.03, "FAT[0]").
        if clusters == 0 || table.next(0) & 0xff != u32::from(boot[21]) {
            return Err(AddError::Damaged("its table is not one"));
        }
        let free: Vec<u32> = (2..clusters + 2).filter(|cluster| table.next(*cluster) == 0).collect();
        let (free, taken, patches) = (free.into_iter(), Vec::new(), Vec::new());
        Ok(Volume { read, boot, geometry, table, clusters, free, taken, patches })
    }

    /// The root directory, with its clusters where it has such.
    fn root(&self) -> Result<Root, AddError> {
        let geometry = &self.geometry;
        if geometry.bits() != Bits::ThirtyTwo {
            let mut bytes = vec![0; geometry.root_size as usize];
            (self.read)(geometry.root_at, &mut bytes).map_err(FatError::Io)?;
            return Ok(Root { bytes, chain: Vec::new() });
        }
        let broken = || FatError::Chain("/".to_owned());
        let (mut bytes, mut chain) = (Vec::new(), Vec::new());
        let mut cluster = u32_at(&self.boot, 44);
        while !self.table.is_end(cluster) || chain.is_empty() {
            let at = self.offset(cluster).ok_or_else(broken)?;
            // A ring is longer than any directory.
            if bytes.len() >= LARGEST_DIRECTORY {
                return Err(broken().into());
            }
            let start = bytes.len();
            bytes.resize(start + geometry.cluster_size as usize, 0);
            (self.read)(at, &mut bytes[start..]).map_err(FatError::Io)?;
            chain.push(cluster);
            cluster = self.table.next(cluster);
        }
        Ok(Root { bytes, chain })
    }

    fn offset(&self, cluster: u32) -> Option<u64> {
        self.geometry.offset(cluster, self.clusters)
    }

    /// Makes sure that there is room for contents of these lengths, and for more of the root.
    fn reserve(&self, lengths: impl Iterator<Item = usize>, grows: bool) -> Result<(), AddError> {
        let cluster = self.geometry.cluster_size;
        let needs = lengths.map(|length| (length as u64).div_ceil(cluster)).sum::<u64>() + u64::from(grows);
        let left = self.free.len() as u64;
        if needs > left {
            let (needs, left) = (Bytes(needs * cluster), Bytes(left * cluster));
            return Err(AddError::Full { needs, left });
        }
        Ok(())
    }

    fn take_bytes(&mut self, length: usize) -> Vec<u32> {
        self.take((length as u64).div_ceil(self.geometry.cluster_size) as usize)
    }

    /// A chain of the next free clusters.
    fn take(&mut self, count: usize) -> Vec<u32> {
        let chain: Vec<u32> = self.free.by_ref().take(count).collect();
        for (index, cluster) in chain.iter().enumerate() {
            self.link(*cluster, chain.get(index + 1).copied().unwrap_or(END));
        }
        chain
    }

    fn link(&mut self, cluster: u32, next: u32) {
        self.table.set(cluster, next);
        self.taken.push(cluster);
    }

    /// Puts content into a chain; the rest of the last cluster becomes zeros.
    fn fill(&mut self, chain: &[u32], content: &[u8]) {
        let size = self.geometry.cluster_size as usize;
        for (cluster, part) in chain.iter().zip(content.chunks(size)) {
            let mut bytes = part.to_vec();
            bytes.resize(size, 0);
            let at = self.offset(*cluster);
            self.patches.extend(at.map(|at| Patch { at, bytes }));
        }
    }

    /// Brings the tables, and the count of free clusters, up to date.
    fn finish(&mut self) -> Result<(), AddError> {
        for copy in 0..self.geometry.tables {
            for cluster in &self.taken {
                let place = self.table.place(*cluster);
                let at = self.geometry.table_at(copy) + place.start as u64;
                self.patches.push(Patch { at, bytes: self.table.bytes()[place].to_vec() });
            }
        }
        let Some(at) = self.geometry.info_at(&self.boot) else { return Ok(()) };
        let mut sector = [0; 512];
        (self.read)(at, &mut sector).map_err(FatError::Io)?;
        if Info::decode(&sector).is_signed {
            let last = self.taken.iter().max().copied().unwrap_or_default();
            let bytes = [(self.free.len() as u32).to_le_bytes(), last.to_le_bytes()].concat();
            self.patches.push(Patch { at: at + Info::COUNTS as u64, bytes });
        }
        Ok(())
    }
}

/// The bytes that all copies of the FAT have.
fn one_table(read: ReadAt<'_>, boot: &[u8], geometry: &Geometry) -> Result<Vec<u8>, AddError> {
    // Bit 7 at 40: only one of them is in use (FAT specification 1.03, "BPB_ExtFlags").
    if geometry.bits() == Bits::ThirtyTwo && u16_at(boot, 40) & 0x80 != 0 {
        return Err(AddError::Damaged("only one of its tables is in use"));
    }
    let copy = |number: u64| {
        let mut bytes = vec![0; geometry.table_size as usize];
        read(geometry.table_at(number), &mut bytes).map(|()| bytes).map_err(FatError::Io)
    };
    let first = copy(0)?;
    for other in 1..geometry.tables {
        if copy(other)? != first {
            return Err(AddError::Damaged("its tables differ"));
        }
    }
    Ok(first)
}

/// The root directory: all its bytes, and on FAT32 its clusters.
struct Root {
    bytes: Vec<u8>,
    chain: Vec<u32>,
}

impl Root {
    /// Whether something has the name, or would be taken for it.
    fn has(&self, name: &Name, long: &str, bits: Bits) -> bool {
        let is_short = |entry: &[u8]| entry[..11] == name.short && entry[11] & 0x08 == 0;
        live(&self.bytes).any(is_short)
            || entries(&self.bytes, bits).iter().any(|entry| entry.name.eq_ignore_ascii_case(long))
    }

    /// When the first of its entries was written.
    fn time(&self) -> Time {
        let first = self.bytes.as_chunks::<ENTRY>().0.iter().find(|entry| entry[11] & 0x3f != 0x0f);
        let written = first.filter(|entry| !matches!(entry[0], 0 | 0xe5)).map(Time::written);
        written.unwrap_or_else(|| Time::of(0))
    }

    /// The number of the first of so many free entries in a row.
    fn room(&self, count: usize) -> Option<usize> {
        let all = self.bytes.as_chunks::<ENTRY>().0;
        let end = all.iter().position(|entry| entry[0] == 0).unwrap_or(all.len());
        let is_free = |number: usize| number >= end || all[number][0] == 0xe5;
        let last = all.len().checked_sub(count)?;
        (0..=last).find(|first| (*first..first + count).all(is_free))
    }

    /// Takes one more cluster, where it has clusters.
    fn grow(&mut self, more: Vec<u32>, volume: &mut Volume<'_>) -> Result<(), AddError> {
        let size = volume.geometry.cluster_size as usize;
        let (Some(last), Some(new)) = (self.chain.last(), more.first()) else {
            return Err(AddError::RootFull);
        };
        if self.bytes.len() + size > LARGEST_DIRECTORY {
            return Err(AddError::RootFull);
        }
        volume.link(*last, *new);
        volume.fill(&more, &vec![0; size]);
        self.chain.extend(more);
        self.bytes.resize(self.bytes.len() + size, 0);
        Ok(())
    }

    /// Puts new entries where there is room.
    fn put(&self, new: &[u8], count: usize, volume: &Volume<'_>) -> Result<Vec<Patch>, AddError> {
        let first = self.room(count).ok_or(AddError::RootFull)?;
        let all = self.bytes.as_chunks::<ENTRY>().0;
        let end = all.iter().position(|entry| entry[0] == 0);
        let mut parts: Vec<&[u8]> = new.chunks(ENTRY).collect();
        // What comes behind the end was never read; now it would be.
        if end.is_some_and(|end| first + count > end) && first + count < all.len() {
            parts.push(&[0; ENTRY]);
        }
        let places = (first..).map(|number| self.place(number * ENTRY, volume));
        let patches = places.zip(parts).map(|(at, part)| Some(Patch { at: at?, bytes: part.to_vec() }));
        patches.collect::<Option<_>>().ok_or(AddError::RootFull)
    }

    /// Where one of its bytes is in the file system.
    fn place(&self, at: usize, volume: &Volume<'_>) -> Option<u64> {
        if self.chain.is_empty() {
            return Some(volume.geometry.root_at + at as u64);
        }
        let size = volume.geometry.cluster_size as usize;
        Some(volume.offset(*self.chain.get(at / size)?)? + (at % size) as u64)
    }
}
