//! What an image or device holds: table, file systems, slots, boot state, large files.
//!
//! ```text
//!   file --> Region --> partition table --> Region of each partition --> Volume (FAT, ext4)
//!                                                                   \--> slot, boot state
//! ```
//! Whatever cannot be read is told where it belongs, and the rest is read nevertheless.

mod biggest;
mod ext4;
mod fat;
mod model;
mod region;
mod render;
mod slots;
mod state;
mod volume;

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::SeekFrom as Hole;

pub use model::{BigFile, BootState, Filesystem, Inspection, Partition, Slot, Table};
pub use render::render;
pub use volume::Kind;

use crate::image::gpt::{self, Copies};
use crate::image::layout::{Entry, PartitionTable, PartitionType, Role};
use crate::track;
use crate::units::Bytes;
use biggest::Biggest;
use fat::Fat;
use region::Region;
use volume::Volume;

/// Why nothing can be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be opened or measured.
    #[error("opening `{}`", path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is neither a file nor a block device.
    #[error("`{}` is not an image\n\nhint: name a file, or a block device", path.display())]
    NotAnImage {
        /// What was named.
        path: PathBuf,
    },
}

/// A file system that could be opened.
enum Opened {
    Fat(Fat),
    Ext4(ext4_view::Ext4),
    Closed,
}

/// Inspects the image or device at `path`, which is only read.
///
/// # Errors
/// When it cannot be opened. Whatever is wrong inside is part of the [`Inspection`].
pub fn inspect(path: &Path) -> Result<Inspection, InspectError> {
    let (file, size) = open(path)?;
    let disk = Region::new(Arc::new(file), size);
    let mut found = Inspection {
        path: path.display().to_string(),
        size: Bytes(size),
        mapped: mapped(disk.file(), size).map(Bytes),
        ..Inspection::default()
    };
    match gpt::decode(&mut disk.file()) {
        Ok(decoded) => read_partitions(&disk, &decoded.table, decoded.copies, &mut found),
        Err(error) => found.problems.push(error.to_string()),
    }
    Ok(found)
}

fn open(path: &Path) -> Result<(File, u64), InspectError> {
    let failed = |source| InspectError::Open { path: path.to_owned(), source };
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() && !about.file_type().is_block_device() {
        return Err(InspectError::NotAnImage { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(failed)?;
    let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
    Ok((file, size))
}

/// Bytes that are not holes. Block devices and some file systems cannot tell.
fn mapped(file: &File, size: u64) -> Option<u64> {
    let mut mapped = 0;
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, Hole::Data(at)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            Err(_) => return None,
        };
        at = rustix::fs::seek(file, Hole::Hole(start)).ok()?;
        mapped += at - start;
    }
    Some(mapped)
}

fn read_partitions(disk: &Region, table: &PartitionTable, copies: Copies, found: &mut Inspection) {
    found.table = Some(Table {
        scheme: table.scheme.to_string(),
        id: table.id.to_string(),
        problem: copies_problem(copies),
    });
    let mut biggest = Biggest::default();
    let mut entries: Vec<&Entry> = table.entries.iter().collect();
    entries.sort_by_key(|entry| entry.start);
    for entry in entries {
        let role = guess_role(table, entry);
        let region = disk.part(entry.start.bytes().0, entry.length.bytes().0);
        let (mut partition, volume) = read_partition(entry, role, &region);
        if let Some((volume, opened)) = &volume {
            biggest.add(&partition.label(), "", &volume.files);
            match (role, opened) {
                (Some(Role::Selector), Opened::Fat(fat)) => found.boot = Some(state::read(fat)),
                (Some(Role::System(slot)), Opened::Ext4(ext4)) => {
                    found.slots.push(slots::read(slot, &partition, ext4, &volume.files, &mut biggest));
                }
                _ => {}
            }
        }
        if region.size() < partition.size.0 {
            partition.problem = Some("the image ends before it does".to_owned());
        }
        found.partitions.push(partition);
    }
    found.slots.sort_by(|one, other| one.slot.cmp(&other.slot));
    found.biggest = biggest.into_files();
}

fn copies_problem(copies: Copies) -> Option<String> {
    match copies {
        Copies::Both => None,
        Copies::Differ => Some("its two copies differ".to_owned()),
        Copies::PrimaryOnly(damage) => Some(format!("the backup is bad: {damage}")),
        Copies::BackupOnly(damage) => Some(format!("the primary copy is bad: {damage}")),
    }
}

/// What a partition is for, if some track has one like it.
fn guess_role(table: &PartitionTable, entry: &Entry) -> Option<Role> {
    let tracks = track::ALL.iter().filter(|track| track.scheme() == table.scheme);
    let mut rows = tracks.flat_map(|track| track.partitions());
    rows.find(|row| row.name == entry.name && row.kind == entry.kind).map(|row| row.role)
}

fn read_partition(
    entry: &Entry,
    role: Option<Role>,
    region: &Region,
) -> (Partition, Option<(Volume, Opened)>) {
    let mut partition = Partition {
        number: entry.number,
        role: role.map(|role| role.to_string()),
        name: entry.name.clone(),
        kind: match entry.kind {
            PartitionType::Esp => "EFI system".to_owned(),
            PartitionType::Linux => "Linux".to_owned(),
            PartitionType::Guid(guid) => guid.to_string(),
        },
        partuuid: entry.id.to_string(),
        start: entry.start.bytes(),
        size: entry.length.bytes(),
        filesystem: None,
        problem: None,
    };
    let volume = read_filesystem(region).unwrap_or_else(|problem| {
        partition.problem = Some(problem.to_string());
        None
    });
    partition.filesystem = volume.as_ref().map(|(volume, _)| volume.into());
    (partition, volume)
}

/// The file system of a region, `None` when it has none that is known.
fn read_filesystem(
    region: &Region,
) -> Result<Option<(Volume, Opened)>, Box<dyn std::error::Error + Send + Sync>> {
    let head = region.read(0, region.size().min(512))?;
    if ext4::is_there(region) {
        let (volume, ext4) = ext4::open(region.clone())?;
        return Ok(Some((volume, ext4.map_or(Opened::Closed, Opened::Ext4))));
    }
    if head.starts_with(b"hsqs") && head.len() >= 48 {
        return Ok(Some((squashfs(&head), Opened::Closed)));
    }
    if fat::is_fat(&head) {
        let fat = Fat::open(region.clone())?;
        return Ok(Some((fat.volume(), Opened::Fat(fat))));
    }
    Ok(None)
}

/// A squashfs says how long it is at byte 40 (squashfs 4.0); it is always full.
fn squashfs(head: &[u8]) -> Volume {
    let mut length = [0; 8];
    length.copy_from_slice(&head[40..48]);
    let size = u64::from_le_bytes(length);
    let files = volume::Files::default();
    Volume { kind: Kind::Squashfs, label: None, uuid: None, size, used: size, files, problem: None }
}

impl Partition {
    /// Its name, or its number if it has none.
    pub fn label(&self) -> String {
        if self.name.is_empty() { format!("partition {}", self.number) } else { self.name.clone() }
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
