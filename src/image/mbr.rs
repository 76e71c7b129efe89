//! Master boot records (the partition table of the IBM PC; UEFI specification 2.10, chapter 5.2).
//!
//! ```text
//!   440  disk signature, 4 bytes       entry, 16 bytes
//!   446  four entries                   0  0x80: active      8  first sector, 4 bytes
//!   510  55 aa                          1  CHS of the first  12  sectors, 4 bytes
//!                                       4  type
//!                                       5  CHS of the last
//! ```
//! Only primary partitions are written: the Raspberry Pi's boot ROM counts no others.

use std::io;

use uuid::Uuid;

use super::extents::{Extents, Source};
use super::layout::{Entry, PartitionTable, PartitionType, Rules, Scheme};
use crate::units::{Bytes, Sectors};

const SIGNATURE_AT: usize = 440;
const ENTRIES_AT: usize = 446;
const ENTRY: usize = 16;
const ENTRIES: usize = 4;
const MARK: [u8; 2] = [0x55, 0xaa];

/// Type of the one partition of a disk with a GPT.
const PROTECTIVE: u8 = 0xee;

/// Addresses by cylinder, head and sector that cannot be given, which tells to use sectors.
const NO_CHS: [u8; 3] = [0xfe, 0xff, 0xff];

/// Last sector that a table can name: addresses have 32 bits.
const LAST_SECTOR: u64 = u32::MAX as u64;

pub(crate) const RULES: Rules = Rules {
    name: "MBR",
    partitions: ENTRIES,
    name_units: usize::MAX, // names are not stored
    sectors: Some(Sectors(LAST_SECTOR)),
    tail: Sectors(0),
    encode,
};

/// Types that the builder writes. Raspberry Pi's own images use `0c` for every FAT.
const TYPES: [(PartitionType, u8); 3] =
    [(PartitionType::Fat, 0x0c), (PartitionType::Linux, 0x83), (PartitionType::Esp, 0xef)];

/// Why an MBR cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MbrError {
    /// A partition starts at sector 0, is empty, or has an address beyond what can be.
    #[error("partition {0} of the MBR has impossible addresses")]
    Entry(u32),
    /// The sector has no partitions.
    #[error("there is no partition table")]
    NoTable,
    /// The disk cannot be read.
    #[error("reading the partition table")]
    Io(#[source] io::Error),
}

impl PartitionType {
    /// The type as an MBR says it; 0 for what it cannot say.
    pub fn byte(self) -> u8 {
        match self {
            PartitionType::Byte(byte) => byte,
            known => TYPES.iter().find(|(kind, _)| *kind == known).map_or(0, |(_, byte)| *byte),
        }
    }

    fn from_byte(byte: u8) -> Self {
        TYPES.iter().find(|(_, of)| *of == byte).map_or(PartitionType::Byte(byte), |(kind, _)| *kind)
    }
}

/// The disk signature that a disk id stands for; never 0, which means that there is none.
pub fn signature(id: Uuid) -> u32 {
    id.as_fields().0.max(1)
}

/// The id of a partition, as the kernel spells it: signature and number (`block/partitions/msdos.c`).
pub fn partuuid(disk: Uuid, number: u32) -> String {
    format!("{:08x}-{number:02x}", signature(disk))
}

/// The whole disk with nothing but its table.
fn encode(table: &PartitionTable) -> Extents {
    let mut sector = [0; 512];
    sector[SIGNATURE_AT..SIGNATURE_AT + 4].copy_from_slice(&signature(table.id).to_le_bytes());
    for entry in &table.entries {
        let at = ENTRIES_AT + (entry.number as usize - 1) * ENTRY;
        sector[at..at + ENTRY].copy_from_slice(&encode_entry(entry));
    }
    sector[510..].copy_from_slice(&MARK);
    let mut disk = Extents::zeros(table.disk.0);
    disk.push(0, 512, Source::Bytes { buffer: sector.as_slice().into(), start: 0 });
    disk
}

fn encode_entry(entry: &Entry) -> [u8; ENTRY] {
    let word = |sectors: Sectors| u32::try_from(sectors.0).unwrap_or(u32::MAX).to_le_bytes();
    let mut raw = [0; ENTRY];
    raw[1..4].copy_from_slice(&NO_CHS);
    raw[4] = entry.kind.byte();
    raw[5..8].copy_from_slice(&NO_CHS);
    raw[8..12].copy_from_slice(&word(entry.start));
    raw[12..].copy_from_slice(&word(entry.length));
    raw
}

/// Whether a disk's first sector has a partition table that is not a GPT's stand-in.
pub fn is_mbr(sector: &[u8]) -> bool {
    let types = || (0..ENTRIES).map(|number| sector[ENTRIES_AT + number * ENTRY + 4]);
    // A FAT without a table has the same mark; what stands there is then no entry.
    let flags = || (0..ENTRIES).map(|number| sector[ENTRIES_AT + number * ENTRY]);
    sector.len() >= 512
        && sector[510..512] == MARK
        && flags().all(|flag| matches!(flag, 0 | 0x80))
        && types().any(|kind| kind != 0)
        && types().all(|kind| kind != PROTECTIVE)
}

/// Reads the table in a disk's first sector. Partitions may lie beyond the end of the disk.
///
/// # Errors
/// When there is no table, or a partition of it is impossible.
pub fn decode(sector: &[u8], disk: Bytes) -> Result<PartitionTable, MbrError> {
    if !is_mbr(sector) {
        return Err(MbrError::NoTable);
    }
    let id = u32_at(sector, SIGNATURE_AT);
    let id = Uuid::from_fields(id, 0, 0, &[0; 8]);
    let entries = (1..).zip(sector[ENTRIES_AT..510].chunks_exact(ENTRY)).filter(|(_, raw)| raw[4] != 0);
    let entries = entries.map(|(number, raw)| decode_entry(number, raw, id)).collect::<Result<_, _>>()?;
    Ok(PartitionTable { scheme: Scheme::Mbr, id, disk, entries })
}

fn decode_entry(number: u32, raw: &[u8], disk: Uuid) -> Result<Entry, MbrError> {
    let (start, length) = (u64::from(u32_at(raw, 8)), u64::from(u32_at(raw, 12)));
    if start == 0 || length == 0 {
        return Err(MbrError::Entry(number));
    }
    Ok(Entry {
        number,
        role: None,
        name: String::new(),
        start: Sectors(start),
        length: Sectors(length),
        kind: PartitionType::from_byte(raw[4]),
        id: disk,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::super::layout::{self, Layout, Role};
    use super::*;
    use proptest::prelude::*;

    fn table(sizes: &[u64]) -> PartitionTable {
        let kinds = [PartitionType::Fat, PartitionType::Linux, PartitionType::Byte(0x7f)];
        let partitions = sizes.iter().zip(0..).map(|(size, n)| layout::Partition {
            role: Role::Data,
            name: "ignored".to_owned(),
            size: Bytes(*size),
            kind: kinds[n % 3],
            id: Uuid::nil(),
        });
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let layout = Layout { scheme: Scheme::Mbr, id, disk: None, partitions: partitions.collect() };
        layout::place(&layout).unwrap()
    }

    fn sector(table: &PartitionTable) -> [u8; 512] {
        let mut sector = [0; 512];
        encode(table).read_at(0, &mut sector).unwrap();
        sector
    }

    #[test]
    fn partition_ids_are_spelled_as_the_kernel_does() {
        let table = table(&[1]);
        assert_eq!(partuuid(table.id, 2), "01234567-02");
        assert_eq!(sector(&table)[SIGNATURE_AT..SIGNATURE_AT + 4], [0x67, 0x45, 0x23, 0x01]);
    }

    #[test]
    fn a_protective_table_and_a_plain_fat_are_no_mbr() {
        let mut sector = sector(&table(&[1]));
        assert!(is_mbr(&sector));
        sector[ENTRIES_AT + 4] = PROTECTIVE;
        assert!(!is_mbr(&sector));
        sector[ENTRIES_AT + 4] = 0x0c;
        sector[ENTRIES_AT] = b'R';
        assert!(!is_mbr(&sector));
        assert!(!is_mbr(&[0; 512]) && !is_mbr(&[]));
    }

    #[test]
    fn impossible_entries_are_named() {
        let mut sector = sector(&table(&[1, 1]));
        sector[ENTRIES_AT + ENTRY + 12..ENTRIES_AT + 2 * ENTRY].fill(0);
        assert!(matches!(decode(&sector, Bytes(0)), Err(MbrError::Entry(2))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(sizes in proptest::collection::vec(1..1_u64 << 36, 1..5)) {
            let table = table(&sizes);
            let decoded = decode(&sector(&table), table.disk).unwrap();
            let places = |table: &PartitionTable| {
                table.entries.iter().map(|e| (e.number, e.start, e.length, e.kind)).collect::<Vec<_>>()
            };
            prop_assert_eq!(places(&decoded), places(&table));
        }

        #[test]
        fn no_sector_makes_it_panic(sector in proptest::collection::vec(any::<u8>(), 0..600), mark: bool) {
            let mut sector = sector;
            if mark && sector.len() >= 512 {
                sector[510..512].copy_from_slice(&MARK);
            }
            let _ = decode(&sector, Bytes(1 << 30));
        }
    }
}
