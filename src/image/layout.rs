//! Which partitions a disk has, and where they stand.
//!
//! ```text
//!   0      1 MiB                                                          end
//!   | table |  first partition  |  second partition  | ... |  (backup table)  |
//!            ^ every partition starts and ends on a multiple of 1 MiB
//! ```

use std::fmt;

use bootenv::slot::Slot;
use uuid::Uuid;

use crate::image::extents::Extents;
use crate::image::{gpt, mbr};
use crate::units::{Bytes, MIB, SECTOR, Sectors};

/// The largest disk: what a file offset can address, whole mebibytes.
const LARGEST_DISK: Bytes = Bytes(i64::MAX as u64 / MIB * MIB);

/// What a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The partition that is read first, which picks the slot.
    Selector,
    /// What the loader of one slot reads.
    Boot(Slot),
    /// The system of one slot.
    System(Slot),
    /// What is kept across updates.
    Data,
}

/// On-disk format of a partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// GUID partition table (UEFI specification 2.10, chapter 5).
    Gpt,
    /// Master boot record with four primary partitions.
    Mbr,
}

/// What a scheme allows, and how it is put into bytes: one row for each [`Scheme`].
pub(crate) struct Rules {
    /// Name for people.
    pub(crate) name: &'static str,
    /// Most partitions in one table.
    pub(crate) partitions: usize,
    /// Most UTF-16 units in a partition's name.
    pub(crate) name_units: usize,
    /// Most sectors of a disk that the table can address, if it is the limit.
    pub(crate) sectors: Option<Sectors>,
    /// Sectors at the end of the disk that the table takes.
    pub(crate) tail: Sectors,
    /// The whole disk with nothing but its table.
    pub(crate) encode: fn(&PartitionTable) -> Extents,
}

/// What a partition table says a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionType {
    /// EFI system partition.
    Esp,
    /// FAT32 with addresses by sector, in an MBR.
    Fat,
    /// Linux file system.
    Linux,
    /// Any other GPT type.
    Guid(Uuid),
    /// Any other MBR type.
    Byte(u8),
}

/// Partitions in order, with their sizes but not yet their addresses.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Format of the table.
    pub scheme: Scheme,
    /// Identity of the disk.
    pub id: Uuid,
    /// Size of the disk, or `None` for as much as the partitions need.
    pub disk: Option<Bytes>,
    /// The partitions, in order of their addresses.
    pub partitions: Vec<Partition>,
}

/// A partition that has no address yet.
#[derive(Clone, Debug)]
pub struct Partition {
    /// What it is for.
    pub role: Role,
    /// Its name in the table.
    pub name: String,
    /// Its size, which is rounded up to whole mebibytes.
    pub size: Bytes,
    /// What the table says it holds.
    pub kind: PartitionType,
    /// Its identity.
    pub id: Uuid,
}

/// Partitions with their numbers and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionTable {
    /// Format of the table.
    pub scheme: Scheme,
    /// Identity of the disk.
    pub id: Uuid,
    /// Size of the disk.
    pub disk: Bytes,
    /// The partitions, sorted by number.
    pub entries: Vec<Entry>,
}

/// A partition with its number and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1, as in `/dev/vda1`.
    pub number: u32,
    /// What it is for; a table read from a disk does not tell.
    pub role: Option<Role>,
    /// Its name in the table.
    pub name: String,
    /// Its first sector.
    pub start: Sectors,
    /// Its length.
    pub length: Sectors,
    /// What the table says it holds.
    pub kind: PartitionType,
    /// Its identity; in an MBR it has none of its own, and this is the disk's.
    pub id: Uuid,
}

/// Why partitions cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The partitions before it leave too little.
    #[error(
        "partition `{role}` needs {needs}, but only {left} are left\n\n\
         hint: make the disk larger, or a partition smaller"
    )]
    TooSmall {
        /// The partition.
        role: Role,
        /// What it needs.
        needs: Bytes,
        /// What the disk has left.
        left: Bytes,
    },
    /// A partition of no size.
    #[error("partition `{role}` has no size\n\nhint: give it at least 1 MiB")]
    Empty {
        /// The partition.
        role: Role,
    },
    /// The name does not fit in the table.
    #[error(
        "partition `{role}` has the name `{name}`, but a {scheme} name has at most \
         {most} characters\n\nhint: shorten the name"
    )]
    Name {
        /// The partition.
        role: Role,
        /// Its name.
        name: String,
        /// The table's format.
        scheme: Scheme,
        /// Longest name it takes, in UTF-16 units.
        most: usize,
    },
    /// More partitions than the table takes.
    #[error("{count} partitions are too many, a {scheme} table takes {most}\n\nhint: leave some out")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The table's format.
        scheme: Scheme,
        /// How many it takes.
        most: usize,
    },
}

impl Scheme {
    pub(crate) const fn rules(self) -> &'static Rules {
        match self {
            Scheme::Gpt => &gpt::RULES,
            Scheme::Mbr => &mbr::RULES,
        }
    }
}

impl PartitionTable {
    /// The partition with this role.
    pub fn find(&self, role: Role) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.role == Some(role))
    }

    /// The disk's identity as tools show it.
    pub fn disk_id(&self) -> String {
        match self.scheme {
            Scheme::Gpt => self.id.to_string(),
            Scheme::Mbr => format!("{:08x}", mbr::signature(self.id)),
        }
    }

    /// A partition's identity as the kernel spells it after `PARTUUID=`.
    pub fn partuuid(&self, entry: &Entry) -> String {
        match self.scheme {
            Scheme::Gpt => entry.id.to_string(),
            Scheme::Mbr => mbr::partuuid(self.id, entry.number),
        }
    }

    /// The whole disk with nothing but its partition table, for file systems to be placed in.
    pub fn encode(&self) -> Extents {
        (self.scheme.rules().encode)(self)
    }
}

impl Entry {
    /// Offset of its first byte on the disk.
    pub const fn offset(&self) -> Bytes {
        self.start.bytes()
    }

    /// Its length in bytes.
    pub const fn size(&self) -> Bytes {
        self.length.bytes()
    }
}

/// Gives every partition its number and address.
///
/// # Errors
/// When the partitions do not fit on the disk, or the table's format does not take them.
pub fn place(layout: &Layout) -> Result<PartitionTable, PlaceError> {
    check(layout)?;
    let rules = layout.scheme.rules();
    let tail = rules.tail.bytes();
    let disk = layout.disk.unwrap_or(LARGEST_DISK).min(rules.sectors.map_or(LARGEST_DISK, Sectors::bytes));
    let disk = Bytes(disk.0.min(LARGEST_DISK.0) / SECTOR * SECTOR);
    let end = disk.0.saturating_sub(tail.0) / MIB * MIB;
    let mut at = MIB;
    let mut entries = Vec::with_capacity(layout.partitions.len());
    for (number, partition) in (1..).zip(&layout.partitions) {
        let needs = partition.size.round_up(MIB);
        let left = Bytes(end.saturating_sub(at));
        if needs > left {
            return Err(PlaceError::TooSmall { role: partition.role, needs, left });
        }
        entries.push(entry(number, partition, Bytes(at), needs));
        at += needs.0;
    }
    let disk = layout.disk.map_or(Bytes(at + tail.0).round_up(MIB), |_| disk);
    Ok(PartitionTable { scheme: layout.scheme, id: layout.id, disk, entries })
}

fn entry(number: u32, partition: &Partition, start: Bytes, size: Bytes) -> Entry {
    Entry {
        number,
        role: Some(partition.role),
        name: partition.name.clone(),
        start: start.sectors(),
        length: size.sectors(),
        kind: partition.kind,
        id: partition.id,
    }
}

fn check(layout: &Layout) -> Result<(), PlaceError> {
    let Layout { scheme, partitions, .. } = layout;
    let rules = scheme.rules();
    if partitions.len() > rules.partitions {
        let (count, most) = (partitions.len(), rules.partitions);
        return Err(PlaceError::TooMany { count, scheme: *scheme, most });
    }
    for Partition { role, name, size, .. } in partitions {
        if size.0 == 0 {
            return Err(PlaceError::Empty { role: *role });
        }
        if name.encode_utf16().count() > rules.name_units {
            let (name, most) = (name.clone(), rules.name_units);
            return Err(PlaceError::Name { role: *role, name, scheme: *scheme, most });
        }
    }
    Ok(())
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Selector => f.write_str("selector"),
            Role::Boot(slot) => write!(f, "boot-{slot}"),
            Role::System(slot) => write!(f, "system-{slot}"),
            Role::Data => f.write_str("data"),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rules().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(disk: Option<Bytes>, sizes: &[Bytes]) -> Layout {
        let partitions = sizes
            .iter()
            .zip(1..)
            .map(|(&size, n)| Partition {
                role: Role::System(Slot::B),
                name: format!("part-{n}"),
                size,
                kind: PartitionType::Linux,
                id: Uuid::from_u128(n),
            })
            .collect();
        Layout { scheme: Scheme::Gpt, id: Uuid::from_u128(99), disk, partitions }
    }

    #[test]
    fn partitions_start_on_a_mebibyte_and_the_disk_ends_after_the_backup() {
        let table = place(&layout(None, &[Bytes::mib(64), Bytes(MIB + 1)])).unwrap();
        let starts: Vec<u64> = table.entries.iter().map(|entry| entry.start.0).collect();
        assert_eq!(starts, [2048, 2048 + 64 * 2048]);
        assert_eq!(table.disk, Bytes::mib(1 + 64 + 2 + 1));
    }

    #[test]
    fn a_partition_that_does_not_fit_is_named_with_what_is_left() {
        let error = place(&layout(Some(Bytes::mib(100)), &[Bytes::mib(64), Bytes::mib(64)])).unwrap_err();
        let expected =
            PlaceError::TooSmall { role: Role::System(Slot::B), needs: Bytes::mib(64), left: Bytes::mib(34) };
        assert_eq!(error, expected);
        assert!(error.to_string().starts_with("partition `system-b` needs 64 MiB, but only 34 MiB are left"));
    }

    #[test]
    fn sizes_beyond_any_disk_are_an_error_and_not_an_overflow() {
        let huge = Bytes(u64::MAX);
        assert!(matches!(place(&layout(None, &[huge, huge])), Err(PlaceError::TooSmall { .. })));
        assert!(matches!(place(&layout(Some(Bytes(0)), &[huge])), Err(PlaceError::TooSmall { .. })));
    }

    #[test]
    fn what_the_table_cannot_say_is_refused() {
        assert!(matches!(place(&layout(None, &[Bytes(0)])), Err(PlaceError::Empty { .. })));
        assert!(matches!(place(&layout(None, &[Bytes(1); 129])), Err(PlaceError::TooMany { .. })));
        let mut long = layout(None, &[Bytes(1)]);
        long.partitions[0].name = "n".repeat(37);
        assert!(matches!(place(&long), Err(PlaceError::Name { .. })));
    }

    proptest! {
        #[test]
        fn placed_partitions_never_overlap(
            disk in proptest::option::of(0..1u64 << 40),
            sizes in proptest::collection::vec(1..1u64 << 36, 0..10),
        ) {
            let sizes: Vec<Bytes> = sizes.into_iter().map(Bytes).collect();
            let Ok(table) = place(&layout(disk.map(Bytes), &sizes)) else { return Ok(()) };
            let mut free = MIB;
            for (entry, size) in table.entries.iter().zip(&sizes) {
                prop_assert!(entry.offset().0 >= free && entry.offset().0 % MIB == 0);
                prop_assert!(entry.size() >= *size);
                free = entry.offset().0 + entry.size().0;
            }
            prop_assert!(free + 33 * SECTOR <= table.disk.0);
            prop_assert!(disk.is_none_or(|disk| table.disk.0 <= disk));
        }
    }
}
