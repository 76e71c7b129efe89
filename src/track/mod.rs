//! Tracks: what differs between boot chains, up to the moment the kernel starts.
//!
//! A track never knows another one. It says which parts it wants, which partitions there are, and
//! dresses two trees: the slot's and the selector's.

pub mod generic;

use std::path::PathBuf;

use crate::firmware::Part;
use crate::image::extents::Extents;
use crate::image::layout::{Entry, PartitionTable, PartitionType, Role, Scheme};
use crate::source::Wanted;
use crate::tree::FileTree;
use crate::units::Bytes;

/// All tracks. A new one is a file, a row here, and a directory under `tracks/`.
pub const ALL: &[&dyn Track] = &[&generic::Generic];

/// What a partition that was found on a disk is for, if some track has one like it: by its name
/// and type, or by its number and type where the table has no names.
pub fn role(table: &PartitionTable, entry: &Entry) -> Option<Role> {
    row(table.scheme, entry).filter(|row| row.kind == entry.kind).map(|row| row.role)
}

/// The partition of a track that has this name, or this number where the table has no names,
/// whatever its type is.
pub fn row(scheme: Scheme, entry: &Entry) -> Option<&'static Partition> {
    let is_like = |row: &Partition, number: u32| match scheme {
        Scheme::Gpt => row.name == entry.name,
        Scheme::Mbr => number == entry.number,
    };
    rows(scheme).zip(1..).find(|(row, number)| is_like(row, *number)).map(|(row, _)| row)
}

/// The partitions of the track whose table is of this scheme.
pub fn rows(scheme: Scheme) -> impl Iterator<Item = &'static Partition> {
    let tracks = ALL.iter().filter(move |track| track.scheme() == scheme);
    tracks.flat_map(|track| track.partitions())
}

/// A boot chain.
pub trait Track: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Format of the partition table.
    fn scheme(&self) -> Scheme;

    /// The partitions, in order.
    fn partitions(&self) -> &'static [Partition];

    /// Where the kernel comes from unless the project says otherwise.
    fn kernel(&self) -> Part;

    /// What is needed from outside up to the moment the kernel starts, and for the substrate.
    fn wanted(&self, kernel: &str, secure_boot: bool) -> Vec<Wanted>;

    /// The parts of which one file is taken, with that file's path in the package.
    fn members(&self, secure_boot: bool) -> Vec<(&'static str, String)>;

    /// The tree of a slot, but for its `slot.json`: the same for A and B.
    fn slot(&self, ingredients: &Ingredients<'_>) -> FileTree;

    /// The tree of the partition that is read first.
    fn selector(&self, ingredients: &Ingredients<'_>) -> FileTree;

    /// Longest kernel command line, in bytes, beside what the loader adds.
    fn cmdline_limit(&self) -> usize;

    /// The bytes of this program that end up on the device, to be part of a build's identity.
    fn device_files(&self) -> Vec<u8>;
}

/// A partition of a track: a row of its table.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    /// What it is for.
    pub role: Role,
    /// Its name in the partition table.
    pub name: &'static str,
    /// What the partition table says it holds.
    pub kind: PartitionType,
    /// What it is formatted with.
    pub format: Format,
    /// The volume's label.
    pub label: &'static str,
    /// Smallest size that is chosen automatically.
    pub least: Bytes,
}

/// A file system that partitions are formatted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// FAT32, or FAT16 where the partition is too small for it.
    Fat,
    /// ext4.
    Ext4,
}

/// What trees are dressed from.
pub struct Ingredients<'a> {
    /// The kernel's image.
    pub kernel: Extents,
    /// The packed initramfs.
    pub initramfs: Extents,
    /// The root file system with its name in the slot, if there is one.
    pub rootfs: Option<(&'static str, Extents)>,
    /// The kernel command line, but for what the loader adds.
    pub cmdline: &'a str,
    /// Boot through signed parts only.
    pub secure_boot: bool,
    /// The files that the track takes out of parts, by the name of their part.
    pub members: &'a dyn Fn(&str) -> Member,
}

/// A file that was taken out of a part.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
}
