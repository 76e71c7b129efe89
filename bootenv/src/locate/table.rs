//! One partition out of a partition table.
//!
//! ```text
//!   MBR   446   4 entries of 16: type at 4, first sector at 8, sectors at 12    510 "55 aa"
//!   GPT   sector 1: "EFI PART", size at 12, CRC at 16, own sector at 24, usable at 40 and 48,
//!                   entries' sector at 72, count at 80, size at 84, CRC at 88
//!         entry:    type at 0, own GUID at 16, first sector at 32, last sector at 40
//! ```
//!
//! UEFI specification 2.10, chapter 5. The MBR of a GPT has a partition of type `ee`.

use alloc::vec::Vec;

use super::bytes::{u32_at, u64_at};
use super::{Extent, LocateError};
use crate::crc32::crc32;
use crate::medium::{Medium, SECTOR, Sector};

/// What a partition must be, and in which kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// In a GPT: the partition's type as it stands on the disk.
    Gpt([u8; 16]),
    /// In an MBR: the partition's type.
    Mbr(u8),
}

const PROTECTIVE: u8 = 0xee;

/// Most bytes of a GPT's entries that are read. Tables have 16 KiB.
const LARGEST_ENTRIES: u64 = 64 << 10;

/// A partition as tables have it: its sectors may be too many for an [`Extent`].
struct Row<Type> {
    number: u32,
    kind: Type,
    /// A GPT's name for it, as it stands on the disk; zeroes in an MBR.
    guid: [u8; 16],
    first: u64,
    sectors: u64,
}

/// The partition's sectors.
pub(super) fn find(medium: &mut impl Medium, table: Table, number: u32) -> Result<Extent, LocateError> {
    let sector = medium.read(0)?;
    if sector[510..] != [0x55, 0xaa] {
        return Err(LocateError::NoTable);
    }
    let rows = mbr(&sector);
    let protects = rows.iter().any(|row| row.kind == PROTECTIVE);
    match table {
        Table::Mbr(kind) if !protects => pick(rows, kind, number, medium.sectors()),
        Table::Gpt(kind) if protects => pick(gpt(medium)?, kind, number, medium.sectors()),
        _ => Err(LocateError::OtherTable),
    }
}

/// The number of the partition with a `PARTUUID`: a GUID, or an MBR's signature and number as in
/// `1a2b3c4d-02`, in hexadecimal digits of either case. Nothing when the disk has none, or no sound table.
pub fn partuuid(medium: &mut impl Medium, id: &str) -> Option<u32> {
    let sector = medium.read(0).ok().filter(|sector| sector[510..] == [0x55, 0xaa])?;
    if let Some(wanted) = guid(id) {
        return gpt(medium).ok()?.into_iter().find(|row| row.guid == wanted).map(|row| row.number);
    }
    let (signature, number) = id.split_once('-')?;
    let number = u32::from_str_radix(number, 16).ok()?;
    let same = signature.len() == 8 && u32::from_str_radix(signature, 16).ok()? == u32_at(&sector, 440);
    let mut rows = mbr(&sector).into_iter();
    rows.find(|row| same && row.kind != PROTECTIVE && row.number == number).map(|row| row.number)
}

/// A GUID as it stands on the disk: its first three groups in reverse order (UEFI specification 2.10,
/// appendix A).
fn guid(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    if lengths != [8, 4, 4, 4, 12] {
        return None;
    }
    let mut bytes = u128::from_str_radix(&groups.concat(), 16).ok()?.to_be_bytes();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Some(bytes)
}

fn pick<Type: PartialEq>(
    rows: Vec<Row<Type>>,
    kind: Type,
    number: u32,
    sectors: u64,
) -> Result<Extent, LocateError> {
    let row = rows.iter().find(|row| row.number == number).ok_or(LocateError::NoPartition(number))?;
    if row.kind != kind {
        return Err(LocateError::PartitionType(number));
    }
    let bounds = LocateError::PartitionBounds(number);
    let end = |row: &Row<Type>| row.first.saturating_add(row.sectors);
    let others = rows.iter().filter(|other| other.number != number);
    let crossed = others.into_iter().any(|other| row.first < end(other) && other.first < end(row));
    let length = u32::try_from(row.sectors).ok().filter(|_| row.first > 0 && end(row) <= sectors && !crossed);
    Ok(Extent { first: row.first, sectors: length.ok_or(bounds)? })
}

fn mbr(sector: &Sector) -> Vec<Row<u8>> {
    let rows = (1..).zip(sector[446..510].chunks_exact(16)).map(|(number, entry)| Row {
        number,
        kind: entry[4],
        guid: [0; 16],
        first: u32_at(entry, 8).into(),
        sectors: u32_at(entry, 12).into(),
    });
    rows.filter(|row| row.kind != 0 && row.sectors > 0).collect()
}

fn gpt(medium: &mut impl Medium) -> Result<Vec<Row<[u8; 16]>>, LocateError> {
    let damaged = LocateError::TableDamaged;
    let header = medium.read(1)?;
    if &header[..8] != b"EFI PART" {
        return Err(damaged("its header is missing"));
    }
    let size = u32_at(&header, 12) as usize;
    let checked = (92..=SECTOR).contains(&size) && {
        let mut bytes = header;
        bytes[16..20].fill(0);
        crc32(&bytes[..size]) == u32_at(&header, 16)
    };
    if !checked {
        return Err(damaged("its header's checksum is wrong"));
    }
    let (usable, last_usable) = (u64_at(&header, 40), u64_at(&header, 48));
    if u64_at(&header, 24) != 1 || usable > last_usable || last_usable >= medium.sectors() {
        return Err(damaged("it is the table of another disk"));
    }
    let entries = entries(medium, &header)?;
    let entry_size = u32_at(&header, 84) as usize;
    let mut rows = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(entry_size)) {
        let mut kind = [0; 16];
        kind.copy_from_slice(&entry[..16]);
        if kind == [0; 16] {
            continue;
        }
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        if first < usable || last > last_usable || first > last {
            return Err(LocateError::PartitionBounds(number));
        }
        let mut guid = [0; 16];
        guid.copy_from_slice(&entry[16..32]);
        rows.push(Row { number, kind, guid, first, sectors: last - first + 1 });
    }
    Ok(rows)
}

fn entries(medium: &mut impl Medium, header: &Sector) -> Result<Vec<u8>, LocateError> {
    let damaged = LocateError::TableDamaged;
    let (first, count, size) = (u64_at(header, 72), u32_at(header, 80), u32_at(header, 84));
    let length = u64::from(count) * u64::from(size);
    if size < 128 || !size.is_power_of_two() || length > LARGEST_ENTRIES || first < 2 {
        return Err(damaged("its entries make no sense"));
    }
    let mut bytes = Vec::new();
    for sector in 0..length.div_ceil(SECTOR as u64) {
        let sector = first.checked_add(sector).ok_or(damaged("its entries make no sense"))?;
        bytes.extend(medium.read(sector)?);
    }
    // At most LARGEST_ENTRIES.
    bytes.truncate(length as usize);
    if crc32(&bytes) != u32_at(header, 88) {
        return Err(damaged("its entries' checksum is wrong"));
    }
    Ok(bytes)
}
