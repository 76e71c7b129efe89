//! Where a control file lies on a disk: found once, read only, and refused when anything is unusual.
//!
//! ```text
//!   partition table (table.rs)  ->  FAT: directories (dir.rs), chain (fat.rs)  ->  Extent
//!   number, type, bounds            name, length, one run of clusters               sectors of the disk
//! ```
//!
//! All of it is read from a disk that may hold anything. Every loop is bounded by what was asked for
//! and not by what the disk says, and nothing is allocated by its word.

use alloc::string::String;

use crate::medium::{Medium, MediumError, Sector};

mod bytes;
mod dir;
mod fat;
mod table;

pub use table::{Table, partuuid};

/// Which file is meant. Nothing of it comes from the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition table that the disk must have.
    pub table: Table,
    /// Number of the partition in it, from 1.
    pub partition: u32,
    /// Path of the file in its FAT, with slashes; names are compared without case.
    pub path: &'static str,
    /// Length of the file in bytes.
    pub length: u32,
}

/// A run of sectors of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first.
    pub first: u64,
    /// How many.
    pub sectors: u32,
}

impl Extent {
    /// Whether two runs have a sector in common.
    pub fn overlaps(&self, other: &Extent) -> bool {
        let end = |run: &Extent| run.first + u64::from(run.sectors);
        self.first < end(other) && other.first < end(self)
    }
}

/// Why a control file is not taken. Nothing has been written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// The disk cannot be read.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// The disk does not start with a partition table.
    #[error("the disk has no partition table")]
    NoTable,
    /// It has one of the other kind.
    #[error("the disk has the partition table of another track")]
    OtherTable,
    /// The table's checksums or numbers are wrong.
    #[error("the partition table is damaged: {0}")]
    TableDamaged(&'static str),
    /// The table has no such partition.
    #[error("the disk has no partition {0}")]
    NoPartition(u32),
    /// The partition is something else.
    #[error("partition {0} is of another type")]
    PartitionType(u32),
    /// The partition reaches beyond the disk, or over another one.
    #[error("partition {0} reaches over another or beyond the disk")]
    PartitionBounds(u32),
    /// The partition holds no FAT that makes sense.
    #[error("the partition holds no FAT file system: {0}")]
    NotFat(&'static str),
    /// The copies of the allocation table differ where it matters.
    #[error("the copies of the allocation table differ\n\nhint: `fsck.vfat` makes them the same")]
    FatsDiffer,
    /// A chain of clusters leads round, out of the file system or into free space.
    #[error("the clusters of `{0}` lead nowhere")]
    Chain(String),
    /// There is no such file.
    #[error("there is no `{0}`")]
    Missing(String),
    /// The directory has the name more than once.
    #[error("`{0}` is in its directory more than once")]
    Twice(String),
    /// A directory stands in the file's place, or a file in a directory's.
    #[error("`{0}` is of another kind")]
    Kind(String),
    /// The file has another length.
    #[error("`{path}` has {found} bytes instead of {wanted}")]
    Length {
        /// The file.
        path: String,
        /// Its length in bytes.
        found: u32,
        /// What it should be.
        wanted: u32,
    },
    /// The file does not lie in one piece.
    #[error("`{0}` is fragmented")]
    Fragmented(String),
    /// Two control files share a sector.
    #[error("two control files share a sector")]
    Shared,
}

/// Finds a control file.
///
/// # Errors
/// When it is not exactly as it should be.
pub fn locate(medium: &mut impl Medium, place: &Place) -> Result<Extent, LocateError> {
    let partition = table::find(medium, place.table, place.partition)?;
    fat::Fat::open(medium, partition)?.find(place)
}

/// Finds a partition.
///
/// # Errors
/// When the disk has another table, or no such partition of that type within its bounds.
pub fn partition(medium: &mut impl Medium, table: Table, number: u32) -> Result<Extent, LocateError> {
    table::find(medium, table, number)
}

/// Whether a sector is the boot sector of a FAT that fits into so many sectors.
pub fn is_boot_sector(sector: &Sector, sectors: u32) -> bool {
    fat::Shape::decode(sector, sectors).is_ok()
}

/// Whether it is one that the sector of this number repeats.
pub fn is_repeated_at(boot: &Sector, sectors: u32, number: u16) -> bool {
    fat::Shape::decode(boot, sectors).is_ok_and(|shape| shape.is_repeated_at(boot, number))
}
