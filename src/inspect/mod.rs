//! What an image or device holds: table, file systems, slots, boot state, large files.
//!
//! ```text
//!   file --> Region --> partition table --> Region of each partition --> Volume (FAT, ext4)
//!                                                                   \--> slot, boot state
//! ```
//! Whatever cannot be read is told where it belongs, and the rest is read nevertheless.

mod biggest;
pub mod html;
mod model;
mod render;
mod slots;
mod state;
mod usage;

use std::path::Path;

pub use model::{BigFile, BootState, Filesystem, Inspection, Partition, Slot, Table, Usage};
pub use render::render;

use crate::image::gpt::Copies;
use crate::image::layout::{Entry, PartitionTable, PartitionType, Role};
use crate::track;
use crate::units::{Bytes, SECTOR};
use crate::volume::{self, Disk, Kind, OpenError, Opened, Volume};
use biggest::Biggest;
use bootenv::bootsector::HIDDEN;
use slots::Sums;
use usage::Tree;

/// Inspects the image or device at `path`, which is only read.
///
/// # Errors
/// When it cannot be opened. Whatever is wrong inside is part of the [`Inspection`].
pub fn inspect(path: &Path) -> Result<Inspection, OpenError> {
    let disk = Disk::open(path)?;
    let data = disk.data();
    let mut found = Inspection {
        path: path.display().to_string(),
        size: Bytes(disk.size()),
        mapped: data.as_ref().map(|data| mapped(data, 0, disk.size())),
        ..Inspection::default()
    };
    match disk.table() {
        Ok(found_table) => read_partitions(&disk, &found_table, data.as_deref(), &mut found),
        Err(error) => found.problems.push(error.to_string()),
    }
    Ok(found)
}

fn read_partitions(
    disk: &Disk,
    found_table: &volume::Table,
    data: Option<&[(u64, u64)]>,
    found: &mut Inspection,
) {
    let table = &found_table.table;
    found.table = Some(Table {
        scheme: table.scheme.to_string(),
        id: table.disk_id(),
        problem: found_table.copies.and_then(copies_problem),
    });
    let mut biggest = Biggest::default();
    let mut entries: Vec<&Entry> = table.entries.iter().collect();
    entries.sort_by_key(|entry| entry.start);
    for entry in entries {
        let role = track::role(table, entry);
        let region = disk.partition(entry);
        let (mut partition, volume) = read_partition(table, entry, role, &region);
        if let Some((volume, opened)) = &volume {
            biggest.add(&partition.label(), "", &volume.files);
            let mut tree = Tree::of(&volume.files);
            match role {
                Some(Role::Selector) => found.boot = state::read(table.scheme, opened),
                Some(Role::System(slot) | Role::Boot(slot)) => {
                    let sums = Sums { biggest: &mut biggest, tree: &mut tree };
                    found.slots.push(slots::read(slot, &partition, opened, &volume.files, sums));
                }
                _ => {}
            }
            partition.usage = tree.told();
        }
        partition.mapped = data.map(|data| mapped(data, partition.start.0, partition.size.0));
        if region.size() < partition.size.0 {
            partition.problem = Some("the image ends before it does".to_owned());
        }
        found.partitions.push(partition);
    }
    found.slots.sort_by(|one, other| one.slot.cmp(&other.slot));
    found.biggest = biggest.into_files();
}

/// Bytes of a range that are not holes.
fn mapped(data: &[(u64, u64)], start: u64, size: u64) -> Bytes {
    let end = start.saturating_add(size);
    data.iter().map(|(from, to)| Bytes((*to).min(end).saturating_sub((*from).max(start)))).sum()
}

fn copies_problem(copies: Copies) -> Option<String> {
    match copies {
        Copies::Both => None,
        Copies::Differ => Some("its two copies differ".to_owned()),
        Copies::PrimaryOnly(damage) => Some(format!("the backup is bad: {damage}")),
        Copies::BackupOnly(damage) => Some(format!("the primary copy is bad: {damage}")),
    }
}

fn read_partition(
    table: &PartitionTable,
    entry: &Entry,
    role: Option<Role>,
    region: &volume::Region,
) -> (Partition, Option<(Volume, Opened)>) {
    let mut partition = Partition {
        number: entry.number,
        role: role.map(|role| role.to_string()),
        name: entry.name.clone(),
        kind: match entry.kind {
            PartitionType::Esp => "EFI system".to_owned(),
            PartitionType::Fat => "FAT32".to_owned(),
            PartitionType::Linux => "Linux".to_owned(),
            PartitionType::Guid(guid) => guid.to_string(),
            PartitionType::Byte(byte) => format!("{byte:02x}"),
        },
        partuuid: table.partuuid(entry),
        start: entry.start.bytes(),
        size: entry.length.bytes(),
        filesystem: None,
        mapped: None,
        usage: None,
        hidden: false,
        problem: None,
    };
    let volume = volume::open(region).unwrap_or_else(|problem| {
        partition.problem = Some(problem.to_string());
        None
    });
    partition.filesystem = volume.as_ref().map(|(volume, _)| volume.into());
    let starts_empty = || region.read(0, SECTOR).is_ok_and(|first| first == HIDDEN);
    partition.hidden = matches!(role, Some(Role::Boot(_))) && volume.is_none() && starts_empty();
    (partition, volume)
}

impl Partition {
    /// Its name; where it has none what it is for, or its number.
    pub fn label(&self) -> String {
        let unnamed = || self.role.clone().unwrap_or_else(|| format!("partition {}", self.number));
        if self.name.is_empty() { unnamed() } else { self.name.clone() }
    }
}

impl From<&Volume> for Filesystem {
    fn from(volume: &Volume) -> Self {
        Filesystem {
            kind: volume.kind,
            label: volume.label.clone(),
            uuid: volume.uuid.clone(),
            size: Bytes(volume.size),
            used: Bytes(volume.used),
            files: (volume.kind != Kind::Squashfs).then_some(volume.files.sizes.len() as u64),
            problem: volume.problem.clone(),
        }
    }
}
