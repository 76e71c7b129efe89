//! GUID partition tables (UEFI specification 2.10, chapter 5.3).
//!
//! ```text
//!   LBA 0        1        2 .. 33                             n-33 .. n-2     n-1
//!   | protective | header | 128 entries | 34: partitions ... | the entries | header |
//!   |    MBR     |        | 128 B each  |                    |  again      | again  |
//!
//!   header                                    entry
//!    0  "EFI PART"        40 first usable      0  type GUID
//!    8  revision          48 last usable      16  partition GUID
//!   12  header size       56 disk GUID        32  first LBA
//!   16  CRC of header     72 LBA of entries   40  last LBA
//!   24  own LBA           80 entries          48  attributes
//!   32  other's LBA       84 size of one      56  name, UTF-16, 72 bytes
//!                         88 CRC of entries
//! ```

mod decode;
mod overlay;

use std::collections::BTreeMap;

use ::gpt::GptConfig;
use ::gpt::disk::LogicalBlockSize;
use ::gpt::mbr::ProtectiveMBR;
use ::gpt::partition::Partition;
use ::gpt::partition_types::Type;
use uuid::{Uuid, uuid};

pub use decode::{Copies, Damage, Decoded, GptError, decode};
use overlay::Overlay;

use super::extents::Extents;
use super::layout::{Entry, PartitionTable, PartitionType, Rules};
use crate::units::Sectors;

/// Entries in every table that is written, and at least that many by the specification.
const ENTRIES: usize = 128;
const ENTRY_SIZE: usize = 128;
const NAME_UNITS: usize = 36;

pub(crate) const RULES: Rules = Rules {
    name: "GPT",
    partitions: ENTRIES,
    name_units: NAME_UNITS,
    sectors: None,
    tail: Sectors(33),
    encode,
};

/// Type GUIDs that the builder writes: UEFI specification 2.10, table 5.7, and the discoverable
/// partitions specification.
const TYPES: [(PartitionType, Uuid); 2] = [
    (PartitionType::Esp, uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")),
    (PartitionType::Linux, uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4")),
];

impl PartitionType {
    fn from_guid(guid: Uuid) -> Self {
        TYPES.iter().find(|(_, of)| *of == guid).map_or(PartitionType::Guid(guid), |(kind, _)| *kind)
    }

    /// The type as a GPT says it.
    pub fn guid(self) -> Uuid {
        match self {
            PartitionType::Guid(guid) => guid,
            known => TYPES.iter().find(|(kind, _)| *kind == known).map_or(Uuid::nil(), |(_, guid)| *guid),
        }
    }
}

/// Both copies of the table and the protective MBR, all else a hole.
fn encode(table: &PartitionTable) -> Extents {
    try_encode(table).expect("a placed table fits its disk, and the overlay never fails")
}

fn try_encode(table: &PartitionTable) -> Result<Extents, ::gpt::GptError> {
    let mut device = Overlay::new(table.disk);
    let sectors = u32::try_from(table.disk.sectors().0 - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut device).map_err(std::io::Error::other)?;
    let mut disk = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(device, Some(table.id))?;
    let partitions: BTreeMap<u32, Partition> =
        table.entries.iter().map(|entry| (entry.number, partition(entry))).collect();
    disk.update_partitions(partitions)?;
    Ok(disk.write()?.into_extents())
}

fn partition(entry: &Entry) -> Partition {
    Partition {
        part_type_guid: Type::from(entry.kind.guid()),
        part_guid: entry.id,
        first_lba: entry.start.0,
        last_lba: entry.start.0 + entry.length.0 - 1,
        flags: 0,
        name: entry.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::layout::{self, Layout, Role, Scheme};
    use super::*;
    use crate::units::{Bytes, MIB};
    use bootenv::slot::Slot;
    use proptest::prelude::*;

    fn table(sizes: &[u64]) -> PartitionTable {
        let partitions = sizes.iter().zip(1..).map(|(&size, n)| layout::Partition {
            role: Role::System(Slot::A),
            name: format!("größe-{n}"),
            size: Bytes(size),
            kind: [PartitionType::Esp, PartitionType::Linux, PartitionType::Guid(Uuid::max())]
                [n as usize % 3],
            id: Uuid::from_u128(n),
        });
        let layout = Layout {
            scheme: Scheme::Gpt,
            id: Uuid::from_u128(7),
            disk: None,
            partitions: partitions.collect(),
        };
        layout::place(&layout).unwrap()
    }

    fn bytes(table: &PartitionTable) -> Vec<u8> {
        let mut bytes = vec![0; table.disk.0 as usize];
        table.encode().read_at(0, &mut bytes).unwrap();
        bytes
    }

    fn without_roles(mut table: PartitionTable) -> PartitionTable {
        table.entries.iter_mut().for_each(|entry| entry.role = None);
        table
    }

    #[test]
    fn only_what_is_not_zero_is_stored() {
        let extents = table(&[MIB, 4096 * MIB]).encode();
        assert!(extents.mapped() <= 5 * 512, "{} bytes", extents.mapped());
        assert_eq!(extents.size(), (1 + 1 + 4096 + 1) * MIB);
    }

    #[test]
    fn another_implementation_reads_the_same_table() {
        let table = table(&[MIB, 5 * MIB, 2 * MIB]);
        let read = gptman::GPT::read_from(&mut Cursor::new(bytes(&table)), 512).unwrap();
        assert_eq!(read.header.disk_guid, table.id.to_bytes_le());
        for entry in &table.entries {
            let other = &read[entry.number];
            assert_eq!(other.partition_name.as_str(), entry.name);
            assert_eq!((other.starting_lba, other.size().unwrap()), (entry.start.0, entry.length.0));
            assert_eq!(other.unique_partition_guid, entry.id.to_bytes_le());
            assert_eq!(other.partition_type_guid, entry.kind.guid().to_bytes_le());
        }
    }

    #[test]
    fn one_damaged_copy_is_reported_and_the_other_is_used() {
        let table = table(&[MIB]);
        let good = bytes(&table);
        let last = good.len() - 512;
        for (at, expected) in [
            (512, Copies::BackupOnly(Damage::Signature)),
            (520, Copies::BackupOnly(Damage::HeaderChecksum)),
            (1024, Copies::BackupOnly(Damage::EntriesChecksum)),
            (last, Copies::PrimaryOnly(Damage::Signature)),
            (last - 1, Copies::PrimaryOnly(Damage::EntriesChecksum)),
        ] {
            let mut image = good.clone();
            image[at] ^= 1;
            let decoded = decode(&mut Cursor::new(image)).unwrap();
            assert_eq!(decoded.copies, expected, "byte {at}");
            assert_eq!(decoded.table, without_roles(table.clone()));
        }
    }

    #[test]
    fn a_disk_without_a_table_is_an_error() {
        assert!(matches!(decode(&mut Cursor::new(vec![0; 4096])), Err(GptError::NoTable { .. })));
        assert!(matches!(decode(&mut Cursor::new(Vec::new())), Err(GptError::NoTable { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_is_encoded_is_decoded(sizes in proptest::collection::vec(1..3 * MIB, 0..8)) {
            let table = table(&sizes);
            let decoded = decode(&mut Cursor::new(bytes(&table))).unwrap();
            prop_assert_eq!(decoded.copies, Copies::Both);
            prop_assert_eq!(decoded.table, without_roles(table));
        }

        #[test]
        fn headers_that_lie_under_a_right_checksum_never_panic(
            at in 24..92usize,
            lie in prop_oneof![any::<u64>(), 0..100u64, Just(u64::MAX)],
        ) {
            let mut image = bytes(&table(&[MIB]));
            let header = &mut image[512..1024];
            let at = at.min(84);
            header[at..at + 8].copy_from_slice(&lie.to_le_bytes());
            header[16..20].fill(0);
            let mut crc = flate2::Crc::new();
            crc.update(&header[..92]);
            header[16..20].copy_from_slice(&crc.sum().to_le_bytes());
            let decoded = decode(&mut Cursor::new(image)).unwrap();
            prop_assert_eq!(decoded.table.entries.len(), 1);
        }

        #[test]
        fn flipped_bytes_never_panic(at in 0..34usize * 512, to in any::<u8>()) {
            let mut image = bytes(&table(&[MIB]));
            image[at] = to;
            let backup = image.len() - 512;
            image[backup..].fill(0);
            let _ = decode(&mut Cursor::new(image));
        }
    }
}
