//! Tracks: what differs between boot chains, up to the moment the kernel starts.
//!
//! A track never knows another one. It says which parts it wants, which partitions there are, and
//! dresses two trees: the slot's and the selector's.

pub mod generic;
mod members;
pub mod rpi;

use serde::Serialize;

use crate::firmware::{Part, Pick};
use crate::image::extents::Extents;
use crate::image::layout::{Entry, PartitionTable, PartitionType, Role, Scheme};
use crate::source::Wanted;
use crate::tree::{FileTree, Kind, Node, TreePath};
use crate::units::Bytes;
pub use members::{Member, Members};

/// All tracks. A new one is a file, a row here, and a directory under `tracks/`.
pub const ALL: &[&dyn Track] = &[&generic::Generic, &rpi::Rpi];

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

/// Puts files of the project into a tree.
///
/// # Errors
/// When they take a place that the track's own files need.
pub fn add_files(tree: &mut FileTree, files: &FileTree) -> Result<(), TrackError> {
    let is_dir = |node: &Node| matches!(node.kind, Kind::Dir);
    let taken =
        |(path, node): &(&TreePath, &Node)| tree.get(path).is_some_and(|own| !(is_dir(own) && is_dir(node)));
    if let Some((path, _)) = files.iter().find(taken) {
        return Err(TrackError::Taken(path.clone()));
    }
    tree.graft(&TreePath::root(), files);
    Ok(())
}

/// What a project chooses about its track; each track looks at its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Choices {
    /// Boot through signed parts only.
    pub secure_boot: bool,
    /// What boards of the Raspberry Pi are told.
    #[serde(skip_serializing_if = "rpi::Options::is_default")]
    pub rpi: rpi::Options,
}

/// Why trees cannot be dressed.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// The project would replace files of the boot chain.
    #[error(
        "`{0}` of the project stands in the way of the track's own files\n\nhint: rename it, or leave it out"
    )]
    Taken(TreePath),
    /// Boards are named on a track that has none.
    #[error("track `{0}` has no boards to choose from\n\nhint: leave `--board` and `image.boards` out")]
    NoBoards(&'static str),
    /// A Raspberry Pi image cannot be dressed.
    #[error(transparent)]
    Rpi(#[from] rpi::RpiError),
}

/// A boot chain.
pub trait Track: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Format of the partition table.
    fn scheme(&self) -> Scheme;

    /// The partitions, in order.
    fn partitions(&self) -> &'static [Partition];

    /// Checks what the project chooses, before anything is fetched. Without more, a track has no boards.
    ///
    /// # Errors
    /// When something is chosen that the track does not have.
    fn check(&self, choices: &Choices) -> Result<(), TrackError> {
        if choices.rpi.boards.is_empty() { Ok(()) } else { Err(TrackError::NoBoards(self.name())) }
    }

    /// Where the kernel comes from unless the project says otherwise.
    fn kernel(&self) -> Part;

    /// What a kernel of this track is configured from, when it is built: the first whose defconfig the
    /// tree has.
    fn kernel_bases(&self) -> &'static [KernelBase];

    /// What is needed from outside up to the moment the kernel starts, and for the substrate, with
    /// this kernel, if it is a package of the archive.
    ///
    /// # Errors
    /// When a choice leaves open where something comes from.
    fn wanted(&self, kernel: Option<&Part>, choices: &Choices) -> Result<Vec<Wanted>, TrackError>;

    /// The files that are taken out of parts one by one. Those called as the kernel's part and
    /// busybox's are what boots and what the initramfs starts with.
    fn members(&self, choices: &Choices) -> Vec<Pick>;

    /// Dresses the trees of an image.
    ///
    /// # Errors
    /// When the ingredients do not go together.
    fn dress(&self, ingredients: &Ingredients<'_>) -> Result<Dressed, TrackError>;

    /// Device trees that a kernel of this track has, of those that its source has, as under
    /// `arch/arm64/boot/dts`.
    fn dtbs(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether update agents need `/dev/vcio`, which kernels may lack.
    fn wants_vcio(&self) -> bool {
        false
    }

    /// Words that start every kernel command line.
    fn cmdline(&self) -> &'static str;

    /// Parts whose licence must go with them, and the file that holds it.
    fn licences(&self, _choices: &Choices) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// What people should know before they build: what boards will not have, with a kernel of this
    /// version if that is known.
    fn notes(&self, _choices: &Choices, _kernel: Option<&str>) -> Vec<String> {
        Vec::new()
    }

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
    /// Largest size that the loader reads, where that is less than the format allows.
    pub most: Option<Bytes>,
}

/// A file system that partitions are formatted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// FAT32, or FAT16 where the partition is too small for it.
    Fat,
    /// FAT32 and nothing else.
    Fat32,
    /// ext4.
    Ext4,
}

/// A defconfig, and the shipped fragments that go onto it in their order.
#[derive(Clone, Copy, Debug)]
pub struct KernelBase {
    /// File under the tree's `arch/arm64/configs`.
    pub defconfig: &'static str,
    /// Names of fragments.
    pub fragments: &'static [&'static str],
}

/// The trees of an image.
#[derive(Clone, Debug)]
pub struct Dressed {
    /// Each slot's, without its `slot.json`: the same for A and B.
    pub slot: FileTree,
    /// That of the partition that is read first.
    pub selector: FileTree,
    /// What people should know of it.
    pub notes: Vec<String>,
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
    /// What the project chooses.
    pub choices: &'a Choices,
    /// Files of the project for the partitions that the loader reads.
    pub files: &'a FileTree,
    /// The files that the track takes out of parts.
    pub members: &'a Members,
}
