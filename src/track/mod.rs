//! Tracks: what differs between boot chains, up to the moment the kernel starts.
//!
//! A track never knows another one. It says which parts it wants, which partitions there are, and
//! dresses two trees: the slot's and the selector's.

pub mod generic;
mod members;

use crate::firmware::{Part, Pick};
use crate::image::extents::Extents;
use crate::image::layout::{Entry, PartitionTable, PartitionType, Role, Scheme};
use crate::source::Wanted;
use crate::tree::FileTree;
use crate::units::Bytes;
pub use members::{Member, Members};

/// All tracks. A new one is a file, a row here, and a directory under `tracks/`.
pub const ALL: &[&dyn Track] = &[&generic::Generic];

/// What a partition that was found on a disk is for, if some track has one like it: by its name
/// and type, or by its number and type where the table has no names.
pub fn role(table: &PartitionTable, entry: &Entry) -> Option<Role> {
    let tracks = ALL.iter().filter(|track| track.scheme() == table.scheme);
    let is_like = |row: &Partition, number: u32| match table.scheme {
        Scheme::Gpt => row.name == entry.name,
        Scheme::Mbr => number == entry.number,
    };
    let mut rows = tracks.flat_map(|track| track.partitions().iter().zip(1..));
    rows.find(|(row, number)| row.kind == entry.kind && is_like(row, *number)).map(|(row, _)| row.role)
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

    /// The files that are taken out of parts one by one. Those called as the kernel's part and
    /// busybox's are what boots and what the initramfs starts with.
    fn members(&self, secure_boot: bool) -> Vec<Pick>;

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
    /// The files that the track takes out of parts.
    pub members: &'a Members,
}
