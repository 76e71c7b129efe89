//! FAT file systems, written once (Microsoft FAT specification 1.03, "fatgen103").
//!
//! ```text
//!   0       1       6        7        reserved                      data, on 4 KiB
//!   | boot | FSInfo | boot  | FSInfo |   FAT   |  the same  | root dir | dirs | files ...
//!   |      |        | again | again  |         |  again     |          |      |
//! ```
//! FAT16 has no FSInfo and no second boot sector, and its root directory lies before the data.
//!
//! Directories come first, then the files in order of their paths. All are contiguous, and every
//! file starts on 4 KiB, so that two releases of the same file differ in no sector. The tables are
//! stored as far as they are used, and what no file fills stays a hole.

pub(crate) mod dirs;
mod geometry;
pub(crate) mod names;

use std::sync::Arc;

use crate::image::extents::{Extents, Source};
use crate::image::{Formatted, PlacedFile, Run};
use crate::tree::{FileTree, TreePath};
use crate::units::{Bytes, MIB, SECTOR, Sectors};

use dirs::Shape;
use geometry::Geometry;

/// Where every file starts, as far as the clusters allow.
const ALIGNMENT: u64 = 4096;

/// What a FAT file system is made with, besides its files.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of the file system; it is rounded down to whole sectors.
    pub size: Bytes,
    /// Volume serial number, shown as `FAC7-0001`.
    pub serial: u32,
    /// Volume label, at most 11 characters; empty for none.
    pub label: String,
    /// Time of all files in seconds since 1970, kept in the years 1980 to 2107.
    pub epoch: i64,
    /// Where the partition starts on the disk.
    pub hidden_sectors: Sectors,
    /// Which kind of FAT.
    pub kind: Kind,
}

/// Which kinds of FAT may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only FAT32, as UEFI asks for on fixed disks.
    Fat32,
    /// FAT16 where the size is too small for FAT32.
    Auto,
}

/// Why a tree cannot become a FAT file system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FatError {
    /// A name that no FAT takes.
    #[error("`{path}` has a name that FAT does not take: {reason}\n\nhint: rename it")]
    Name {
        /// The entry.
        path: TreePath,
        /// What is wrong with the name.
        reason: &'static str,
    },
    /// Two names that are one to FAT.
    #[error("`{path}` and `{other}` are the same name on FAT\n\nhint: rename one of them")]
    SameName {
        /// The one that comes later.
        path: TreePath,
        /// The one that comes first.
        other: TreePath,
    },
    /// Neither a directory nor a regular file.
    #[error("`{path}` is a {what}, which FAT cannot hold\n\nhint: leave it out, or copy what it stands for")]
    Kind {
        /// The entry.
        path: TreePath,
        /// What it is.
        what: &'static str,
    },
    /// A file of 4 GiB or more.
    #[error(
        "`{path}` has {size}, but a file on FAT has less than 4 GiB\n\nhint: put it on an ext4 partition"
    )]
    FileTooLarge {
        /// The file.
        path: TreePath,
        /// Its size.
        size: Bytes,
    },
    /// A directory whose entries, those for long names included, are over 65,520.
    #[error("directory `{path}` holds more than FAT can list\n\nhint: spread it over several directories")]
    DirectoryTooLarge {
        /// The directory.
        path: TreePath,
    },
    /// Something lies below an entry that is not a directory.
    #[error("`{path}` lies below something that is not a directory")]
    Orphan {
        /// The entry below.
        path: TreePath,
    },
    /// The tree needs more than there is.
    #[error("the files need {needs}, but only {left} are left\n\nhint: make the partition larger")]
    DoesNotFit {
        /// What directories and files need.
        needs: Bytes,
        /// What the file system has for them.
        left: Bytes,
    },
    /// The volume is too small, or too large, for the kind of FAT asked for.
    #[error("{size} is no size for FAT, which takes {least} to {most}\n\nhint: choose a size in between")]
    Size {
        /// The size asked for.
        size: Bytes,
        /// The smallest size possible.
        least: Bytes,
        /// The largest size possible.
        most: Bytes,
    },
    /// A volume label that no FAT takes.
    #[error("`{label}` is not a FAT label\n\nhint: use at most 11 capital letters, digits, `-` and `_`")]
    Label {
        /// The label as it was given.
        label: String,
    },
}

/// Lays out `tree` as a FAT file system. No file's content is read.
///
/// # Errors
/// When the tree holds what FAT cannot, or does not fit.
pub fn format(tree: &FileTree, options: &Options) -> Result<Formatted, FatError> {
    let label = names::label(&options.label)?;
    let shape = Shape::of(tree)?;
    let geometry = Geometry::new(options.size, options.kind, shape.root_entries())?;
    let plan = Plan::new(&shape, geometry)?;
    let mut extents = Extents::zeros(geometry.size().0);
    put_boot_area(&mut extents, &plan, options, label);
    put_tables(&mut extents, &plan);
    for (at, bytes) in dirs::encode(&shape, &plan, label, options.epoch) {
        put(&mut extents, at, bytes);
    }
    let mut files = Vec::with_capacity(shape.files.len());
    for (file, chain) in shape.files.iter().zip(&plan.files) {
        let (at, len) = (geometry.offset(chain.first), file.content.size());
        extents.place(at, file.content);
        let run = (len > 0).then_some(Run { in_file: 0, at, len });
        files.push(PlacedFile { path: file.path.clone(), size: len, runs: run.into_iter().collect() });
    }
    extents.sort();
    Ok(Formatted { extents, files })
}

/// The smallest whole number of mebibytes that holds `tree`.
///
/// # Errors
/// When the tree holds what FAT cannot, or no FAT is large enough.
pub fn needed(tree: &FileTree, kind: Kind) -> Result<Bytes, FatError> {
    let shape = Shape::of(tree)?;
    let try_size = |size| Plan::new(&shape, Geometry::new(size, kind, shape.root_entries())?);
    let mut size = kind.least();
    while let Err(error) = try_size(size) {
        let FatError::DoesNotFit { needs, left } = error else { return Err(error) };
        size = Bytes(size.0 + needs.0 - left.0).round_up(MIB);
    }
    // Larger clusters make smaller tables, so a step across their limit can have been too long.
    while size > kind.least() && try_size(size - Bytes(MIB)).is_ok() {
        size = size - Bytes(MIB);
    }
    Ok(size)
}

/// Clusters that follow each other and belong to one file or directory.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    /// First cluster, or 0 when there is none.
    first: u32,
    /// Number of clusters.
    count: u32,
}

/// Which clusters everything has.
struct Plan {
    geometry: Geometry,
    /// As in [`Shape::dirs`].
    dirs: Vec<Chain>,
    /// As in [`Shape::files`].
    files: Vec<Chain>,
    /// The cluster after the last one in use.
    end: u32,
}

impl Plan {
    fn new(shape: &Shape<'_>, geometry: Geometry) -> Result<Self, FatError> {
        let cluster = geometry.cluster_size();
        let mut next: u64 = 2;
        let mut take = |bytes: u64, align: u64| {
            let count = bytes.div_ceil(cluster);
            if count == 0 {
                return Chain::default();
            }
            let first = (next - 2).next_multiple_of(align) + 2;
            next = first + count;
            Chain { first: first as u32, count: count as u32 }
        };
        let in_clusters =
            |dir: &dirs::Dir<'_>| if geometry.is_root_fixed() && dir.is_root() { 0 } else { dir.bytes() };
        let dirs = shape.dirs.iter().map(|dir| take(in_clusters(dir), 1)).collect();
        let align = (ALIGNMENT / cluster).max(1);
        let files = shape.files.iter().map(|file| take(file.content.size(), align)).collect();
        if next - 2 > geometry.clusters() {
            let (needs, left) = (Bytes((next - 2) * cluster), Bytes(geometry.clusters() * cluster));
            return Err(FatError::DoesNotFit { needs, left });
        }
        Ok(Plan { geometry, dirs, files, end: next as u32 })
    }

    fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.dirs.iter().chain(&self.files).filter(|chain| chain.count > 0)
    }
}

fn put_boot_area(extents: &mut Extents, plan: &Plan, options: &Options, label: Option<[u8; 11]>) {
    let geometry = &plan.geometry;
    let boot: Arc<[u8]> = geometry.boot_sector(options, label).into();
    let used: u32 = plan.chains().map(|chain| chain.count).sum();
    let info = geometry.info_sector(used, plan.end - 1).map(Arc::<[u8]>::from);
    for sector in geometry.boot_sectors() {
        put_shared(extents, sector * SECTOR, &boot);
        if let Some(info) = &info {
            put_shared(extents, (sector + 1) * SECTOR, info);
        }
    }
}

/// Both tables, as far as clusters are in use.
fn put_tables(extents: &mut Extents, plan: &Plan) {
    let width = plan.geometry.entry_width();
    let mut table = vec![0; plan.end as usize * width];
    let mut set = |cluster: u32, value: u32| {
        let at = cluster as usize * width;
        table[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    };
    // The medium's type, and an end mark whose upper bits say: unmounted cleanly, no errors.
    set(0, geometry::END & !0xff | u32::from(geometry::MEDIA));
    set(1, geometry::END);
    for chain in plan.chains() {
        let last = chain.first + chain.count - 1;
        (chain.first..last).for_each(|cluster| set(cluster, cluster + 1));
        set(last, geometry::END);
    }
    let table: Arc<[u8]> = table.into();
    for at in plan.geometry.table_offsets() {
        put_shared(extents, at, &table);
    }
}

fn put(extents: &mut Extents, at: u64, bytes: Vec<u8>) {
    put_shared(extents, at, &bytes.into());
}

fn put_shared(extents: &mut Extents, at: u64, buffer: &Arc<[u8]>) {
    extents.push(at, buffer.len() as u64, Source::Bytes { buffer: buffer.clone(), start: 0 });
}
