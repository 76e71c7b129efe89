//! What the model reads: the partition table, and files from FATs, one at a time.

use crate::image::layout::{Entry, PartitionTable, PartitionType, Scheme};
use crate::volume::fat::{Bits, Fat};
use crate::volume::{Disk, TableError};
use bootenv::bootsector::HIDDEN;
use uuid::Uuid;

/// What Windows calls a partition for data, and parted a FAT; the other type for FATs in a GPT is
/// that of the EFI system partition.
const BASIC_DATA: Uuid = Uuid::from_u128(0xebd0a0a2_b9e5_4433_87c0_68b6b72699c7);

/// Types of FATs in an MBR besides 0x0c and 0xef.
const FAT_TYPES: [u8; 5] = [0x01, 0x04, 0x06, 0x0b, 0x0e];

/// A disk with its table.
#[derive(Debug)]
pub(super) struct Media<'a> {
    disk: &'a Disk,
    table: PartitionTable,
}

/// A FAT that can be read.
#[derive(Debug)]
pub(super) struct Part {
    /// The partition's number.
    pub(super) number: u32,
    /// Why its files will not be found, when that is known.
    pub(super) doubt: Option<String>,
    fat: Fat,
}

impl<'a> Media<'a> {
    pub(super) fn open(disk: &'a Disk) -> Result<Self, TableError> {
        Ok(Media { disk, table: disk.table()?.table })
    }

    pub(super) fn is_gpt(&self) -> bool {
        self.table.scheme == Scheme::Gpt
    }

    /// Name of the table's format, for people.
    pub(super) fn scheme(&self) -> String {
        self.table.scheme.to_string()
    }

    /// Numbers of the partitions, ascending.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.table.entries.iter().map(|entry| entry.number).collect()
    }

    /// Numbers of those that are FATs by their type, ascending.
    pub(super) fn fats(&self) -> Vec<u32> {
        let entries = self.table.entries.iter().filter(|entry| is_fat(entry.kind));
        entries.map(|entry| entry.number).collect()
    }

    /// Numbers of all partitions in the order of their addresses.
    pub(super) fn by_address(&self) -> Vec<u32> {
        let mut entries: Vec<&Entry> = self.table.entries.iter().collect();
        entries.sort_by_key(|entry| entry.start);
        entries.iter().map(|entry| entry.number).collect()
    }

    /// Opens a partition, or says why it cannot be.
    pub(super) fn part(&self, number: u32) -> Result<Part, String> {
        let entry = self.table.entries.iter().find(|entry| entry.number == number);
        let entry = entry.ok_or_else(|| format!("there is no partition {number}"))?;
        if !is_fat(entry.kind) {
            return Err("its type is not one of FAT's".to_owned());
        }
        let region = self.disk.partition(entry);
        let boot = region.read(0, region.size().min(512)).unwrap_or_default();
        if boot == HIDDEN {
            return Err("its first sector is empty, so that it has no file system".to_owned());
        }
        let fat = Fat::open(region).map_err(|error| error.to_string())?;
        Ok(Part { number, doubt: doubt(&boot, &fat), fat })
    }
}

impl Part {
    /// The size of a file in bytes, none when it is not there or cannot be found.
    pub(super) fn size(&self, path: &str) -> Option<u32> {
        self.fat.size(path.trim_start_matches('/')).ok().flatten()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.size(path).is_some()
    }

    /// The bytes of a file that has no more than `most`, or why there are none.
    pub(super) fn read(&self, path: &str, most: u32) -> Result<Vec<u8>, String> {
        let size = self.size(path).ok_or("it is not there")?;
        if size > most {
            return Err(format!("it has {size} bytes, more than {most}"));
        }
        let bytes = self.fat.read(path.trim_start_matches('/'), most).map_err(|error| error.to_string())?;
        bytes.ok_or_else(|| "it ends too early".to_owned())
    }
}

fn is_fat(kind: PartitionType) -> bool {
    match kind {
        PartitionType::Esp | PartitionType::Fat => true,
        PartitionType::Guid(guid) => guid == BASIC_DATA,
        PartitionType::Byte(byte) => FAT_TYPES.contains(&byte),
        PartitionType::Linux => false,
    }
}

/// A FAT32 has no length of its table at byte 22; with too few clusters it is read as a FAT16.
fn doubt(boot: &[u8], fat: &Fat) -> Option<String> {
    let is_formatted_32 = boot.get(22..24)? == [0, 0];
    let found = match fat.bits() {
        Bits::Twelve => "FAT12",
        Bits::Sixteen => "FAT16",
        Bits::ThirtyTwo => return None,
    };
    let clusters = fat.clusters();
    is_formatted_32.then(|| format!("it was made as FAT32, but {clusters} clusters are those of a {found}"))
}
