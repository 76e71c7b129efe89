//! From dressed trees to a disk that only has to be written.

use bootenv::Slot;
use tempfile::TempDir;

use crate::config::Size;
use crate::digest::Sha256;
use crate::image::ext4::{self, Ext4Error};
use crate::image::extents::Extents;
use crate::image::fat::{self, FatError};
use crate::image::layout::{self, Entry, Layout, PartitionTable, PlaceError, Role};
use crate::image::write::{Job, Mirror, Watch};
use crate::image::{Formatted, PlacedFile};
use crate::plan::{Build, Plan, Sizes};
use crate::slot::{self, SLOT_FILE, SlotFile, SlotJson};
use crate::track::{Dressed, Format, Partition};
use crate::tree::{FileTree, Kind};
use crate::units::{Bytes, Sectors};

/// Automatic sizes are multiples of this.
const STEP: Bytes = Bytes::mib(32);

/// The trees of an image.
#[derive(Debug)]
pub struct Trees {
    /// Those that the track has dressed.
    pub dressed: Dressed,
    /// Files that live only as long as the build, when there are any.
    pub scratch: Option<TempDir>,
}

/// A disk laid out, ready to be written.
#[derive(Debug)]
pub struct Disk {
    /// The partitions.
    pub table: PartitionTable,
    /// What each slot will hold; its digests are known when the disk has been written.
    pub slot: SlotJson,
    extents: Extents,
    mirrors: Vec<Mirror>,
    watches: Vec<Watch>,
}

/// Why a disk cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A partition is smaller than what goes into it.
    #[error(
        "partition `{partition}` has {size}, but its files need {needs}\n\nhint: raise `sizes.{field}`, or leave it at \"auto\""
    )]
    TooSmall {
        /// Name of the partition.
        partition: &'static str,
        /// Its size.
        size: Bytes,
        /// What its files need.
        needs: Bytes,
        /// The field of the project file that sets its size.
        field: &'static str,
    },
    /// A partition is larger than the loader reads.
    #[error(
        "partition `{partition}` would have {size}, but this track's loader reads no more than {most}\n\n\
         hint: lower `sizes.{field}`, or put less into the slot"
    )]
    TooLarge {
        /// Name of the partition.
        partition: &'static str,
        /// Its size.
        size: Bytes,
        /// The most that is read.
        most: Bytes,
        /// The field of the project file that sets its size.
        field: &'static str,
    },
    /// The partitions cannot be placed.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A tree cannot become a FAT file system.
    #[error("formatting partition `{partition}`")]
    Fat {
        /// Name of the partition.
        partition: &'static str,
        /// The reason.
        source: FatError,
    },
    /// A tree cannot become an ext4 file system.
    #[error("formatting partition `{partition}`")]
    Ext4 {
        /// Name of the partition.
        partition: &'static str,
        /// The reason.
        source: Ext4Error,
    },
}

/// Lays out the disk of a plan.
///
/// # Errors
/// When a tree does not fit into its partition, or holds what its file system cannot.
pub fn lay_out(plan: &Plan, build: &Build, trees: &Trees) -> Result<Disk, DiskError> {
    let slot = slot_json(plan, build, &trees.dressed.slot);
    let mut slot_tree = trees.dressed.slot.clone();
    slot_tree.file(SLOT_FILE, 0o644, slot.clone().late());
    let data = FileTree::new();
    let rows = plan.track.partitions();
    let tree = |role| match role {
        Role::Selector => &trees.dressed.selector,
        Role::Boot(_) | Role::System(_) => &slot_tree,
        Role::Data => &data,
    };
    let sizes: Vec<Bytes> =
        rows.iter().map(|row| size(row, tree(row.role), &plan.sizes)).collect::<Result<_, _>>()?;
    let table = layout::place(&Layout {
        scheme: plan.track.scheme(),
        id: build.id.uuid("disk"),
        disk: None,
        partitions: rows.iter().zip(sizes).map(|(row, size)| partition(row, size, build)).collect(),
    })?;
    let mut disk = Disk {
        extents: table.encode(),
        mirrors: Vec::new(),
        watches: Vec::new(),
        slot,
        table: table.clone(),
    };
    for (row, entry) in rows.iter().zip(&table.entries) {
        match twin(row.role).and_then(|twin| table.find(twin)) {
            Some(twin) => disk.mirror(twin, entry),
            None => disk.place(row, entry, &format(row, entry, tree(row.role), build)?),
        }
    }
    disk.extents.sort();
    Ok(disk)
}

/// The partition whose bytes this one repeats: slot A's for slot B.
const fn twin(role: Role) -> Option<Role> {
    match role {
        Role::Boot(Slot::B) => Some(Role::Boot(Slot::A)),
        Role::System(Slot::B) => Some(Role::System(Slot::A)),
        _ => None,
    }
}

impl Disk {
    /// Bytes that will be written.
    pub fn mapped(&self) -> u64 {
        self.job().mapped().iter().map(|range| range.end - range.start).sum()
    }

    /// What the writer is to do.
    pub fn job(&self) -> Job<'_> {
        Job { extents: &self.extents, mirrors: &self.mirrors, watches: &self.watches }
    }

    fn mirror(&mut self, from: &Entry, to: &Entry) {
        self.mirrors.push(Mirror { from: from.offset().0, len: from.size().0, to: to.offset().0 });
    }

    fn place(&mut self, row: &Partition, entry: &Entry, formatted: &Formatted) {
        let at = entry.offset().0;
        self.extents.place(at, &formatted.extents);
        if matches!(row.role, Role::System(_) | Role::Boot(_)) {
            let listed = |file: &&PlacedFile| file.path.as_str() != SLOT_FILE;
            self.watches.extend(formatted.files.iter().filter(listed).map(|file| Watch {
                name: file.path.as_str().to_owned(),
                size: file.size,
                runs: file.runs_at(at),
                expected: None,
            }));
        }
    }
}

/// The list of a slot's files, as far as it can be made before they are written.
fn slot_json(plan: &Plan, build: &Build, tree: &FileTree) -> SlotJson {
    let files = tree.iter().filter_map(|(path, node)| match &node.kind {
        Kind::File(content) => {
            Some(SlotFile { path: path.as_str().to_owned(), size: content.size(), sha256: Sha256([0; 32]) })
        }
        _ => None,
    });
    SlotJson {
        layout: slot::LAYOUT_GENERATION,
        name: plan.name.clone(),
        version: plan.version.clone(),
        build: build.id.to_string(),
        files: files.collect(),
    }
}

/// The size of a partition: the one asked for, or the content's with room to grow.
fn size(row: &Partition, tree: &FileTree, sizes: &Sizes) -> Result<Bytes, DiskError> {
    let (field, asked) = match row.role {
        Role::Selector => ("selector", sizes.selector),
        Role::Boot(_) | Role::System(_) => ("system", sizes.system),
        Role::Data => ("data", sizes.data),
    };
    let needs = match row.format {
        Format::Fat | Format::Fat32 => fat::needed(tree, fat_kind(row.format))
            .map_err(|source| DiskError::Fat { partition: row.name, source })?,
        Format::Ext4 => ext4::needed(tree, usage(row.role))
            .map_err(|source| DiskError::Ext4 { partition: row.name, source })?,
    };
    let most = row.most.unwrap_or(Bytes(u64::MAX));
    let size = match asked {
        Size::Auto => grown(needs).max(row.least).min(most.max(needs)),
        Size::Fixed(size) if size >= needs => size,
        Size::Fixed(size) => return Err(DiskError::TooSmall { partition: row.name, size, needs, field }),
    };
    if size > most {
        return Err(DiskError::TooLarge { partition: row.name, size, most, field });
    }
    Ok(size)
}

const fn fat_kind(format: Format) -> fat::Kind {
    match format {
        Format::Fat32 => fat::Kind::Fat32,
        _ => fat::Kind::Auto,
    }
}

/// Room for the next versions: half as much again.
fn grown(needs: Bytes) -> Bytes {
    Bytes(needs.0 + needs.0 / 2).round_up(STEP.0)
}

/// Slots are only read on the device; updates replace them whole.
const fn usage(role: Role) -> ext4::Usage {
    match role {
        Role::Data => ext4::Usage::Writable,
        _ => ext4::Usage::ReadOnly,
    }
}

fn partition(row: &Partition, size: Bytes, build: &Build) -> layout::Partition {
    layout::Partition {
        role: row.role,
        name: row.name.to_owned(),
        size,
        kind: row.kind,
        id: build.id.uuid(&format!("partition {}", row.name)),
    }
}

/// Both slots are made as the first, so the volume's identity is the label's and not the slot's.
fn format(row: &Partition, entry: &Entry, tree: &FileTree, build: &Build) -> Result<Formatted, DiskError> {
    let purpose = format!("volume {}", row.label);
    let (label, epoch, size) = (row.label.to_owned(), build.epoch.into(), entry.size());
    match row.format {
        Format::Fat | Format::Fat32 => {
            let (serial, kind) = (build.id.serial(&purpose), fat_kind(row.format));
            // Slots are the same bytes at two places, so theirs is not told.
            let hidden_sectors = if row.role == Role::Selector { entry.start } else { Sectors(0) };
            let options = fat::Options { size, serial, label, epoch, hidden_sectors, kind };
            fat::format(tree, &options).map_err(|source| DiskError::Fat { partition: row.name, source })
        }
        Format::Ext4 => {
            let uuid = build.id.uuid(&purpose).into_bytes();
            let options = ext4::Options { size, uuid, label, epoch, usage: usage(row.role) };
            ext4::format(tree, &options).map_err(|source| DiskError::Ext4 { partition: row.name, source })
        }
    }
}
