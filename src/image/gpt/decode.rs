//! Reading a table that may be damaged, or hostile.

use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

use super::{ENTRY_SIZE, NAME_UNITS};
use crate::image::layout::{Entry, PartitionTable, PartitionType, Scheme};
use crate::units::{SECTOR, Sectors};

const SIGNATURE: &[u8; 8] = b"EFI PART";
const HEADER_SIZE: usize = 92;
/// Most entries that are read: eight times what anybody writes, 128 KiB.
const MOST_ENTRIES: u32 = 1024;

/// A table as it was found on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The table, from the primary copy if that is sound. Its roles are not known.
    pub table: PartitionTable,
    /// Which copies are sound.
    pub copies: Copies,
}

/// Which of the two copies of a table are sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Both, and they say the same.
    Both,
    /// Both, but they say different things; the primary one was taken.
    Differ,
    /// Only the primary one; this is wrong with the backup.
    PrimaryOnly(Damage),
    /// Only the backup; this is wrong with the primary one.
    BackupOnly(Damage),
}

/// What is wrong with one copy of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The disk ends before it.
    #[error("it lies beyond the end of the disk")]
    BeyondEnd,
    /// No header is there.
    #[error("there is no GPT header")]
    Signature,
    /// The header's checksum is wrong.
    #[error("the checksum of its header is wrong")]
    HeaderChecksum,
    /// Sizes or addresses in the header that nobody writes.
    #[error("its header makes no sense")]
    Header,
    /// The checksum of the entries is wrong.
    #[error("the checksum of its entries is wrong")]
    EntriesChecksum,
    /// This entry ends before it starts, or beyond the end of the disk.
    #[error("partition {0} has impossible addresses")]
    Entry(u32),
}

/// Why no table could be read.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// Neither copy is sound.
    #[error("there is no sound GPT: the primary is bad ({primary}), and the backup is bad ({backup})")]
    NoTable {
        /// What is wrong with the primary copy.
        primary: Damage,
        /// What is wrong with the backup.
        backup: Damage,
    },
    /// The disk cannot be read.
    #[error("reading the partition table")]
    Io(#[from] io::Error),
}

struct Header {
    disk: Uuid,
    other: Sectors,
    entries_at: Sectors,
    entries: u32,
    entries_checksum: u32,
}

/// Reads both copies of the table and checks all checksums.
///
/// # Errors
/// When neither copy is sound, or the device cannot be read.
pub fn decode(device: &mut (impl Read + Seek)) -> Result<Decoded, GptError> {
    let sectors = Sectors(device.seek(SeekFrom::End(0))? / SECTOR);
    let primary = copy(device, sectors, Sectors(1))?;
    let last = Sectors(sectors.0.saturating_sub(1));
    // On a disk larger than its image, the primary header still tells where the backup is.
    let backup_at = primary.as_ref().map_or(last, |(header, _)| header.other);
    let backup = copy(device, sectors, backup_at)?;
    let (header, entries, copies) = match (primary, backup) {
        (Ok((header, entries)), Ok((other, again))) => {
            let same = entries == again && header.disk == other.disk;
            (header, entries, if same { Copies::Both } else { Copies::Differ })
        }
        (Ok((header, entries)), Err(damage)) => (header, entries, Copies::PrimaryOnly(damage)),
        (Err(damage), Ok((header, entries))) => (header, entries, Copies::BackupOnly(damage)),
        (Err(primary), Err(backup)) => return Err(GptError::NoTable { primary, backup }),
    };
    let table = PartitionTable { scheme: Scheme::Gpt, id: header.disk, disk: sectors.bytes(), entries };
    Ok(Decoded { table, copies })
}

/// One copy: its header at `lba`, and the entries that it points to.
fn copy(
    device: &mut (impl Read + Seek),
    disk: Sectors,
    lba: Sectors,
) -> io::Result<Result<(Header, Vec<Entry>), Damage>> {
    let Some(sector) = read(device, disk, lba, SECTOR as usize)? else { return Ok(Err(Damage::BeyondEnd)) };
    let header = match header(&sector, lba) {
        Ok(header) => header,
        Err(damage) => return Ok(Err(damage)),
    };
    let size = header.entries as usize * ENTRY_SIZE;
    let Some(array) = read(device, disk, header.entries_at, size)? else {
        return Ok(Err(Damage::BeyondEnd));
    };
    if checksum(&array) != header.entries_checksum {
        return Ok(Err(Damage::EntriesChecksum));
    }
    Ok(entries(&array, disk).map(|entries| (header, entries)))
}

/// `size` bytes from `lba` on, or `None` when the disk ends before them.
fn read(
    device: &mut (impl Read + Seek),
    disk: Sectors,
    lba: Sectors,
    size: usize,
) -> io::Result<Option<Vec<u8>>> {
    if lba.0.checked_add((size as u64).div_ceil(SECTOR)).is_none_or(|end| end > disk.0) {
        return Ok(None);
    }
    let mut bytes = vec![0; size];
    device.seek(SeekFrom::Start(lba.bytes().0))?;
    device.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

fn header(sector: &[u8], own: Sectors) -> Result<Header, Damage> {
    if sector[..8] != *SIGNATURE {
        return Err(Damage::Signature);
    }
    let size = u32_at(sector, 12) as usize;
    if !(HEADER_SIZE..=sector.len()).contains(&size) {
        return Err(Damage::Header);
    }
    let mut hashed = sector[..size].to_vec();
    hashed[16..20].fill(0);
    if checksum(&hashed) != u32_at(sector, 16) {
        return Err(Damage::HeaderChecksum);
    }
    let header = Header {
        disk: uuid_at(sector, 56),
        other: Sectors(u64_at(sector, 32)),
        entries_at: Sectors(u64_at(sector, 72)),
        entries: u32_at(sector, 80),
        entries_checksum: u32_at(sector, 88),
    };
    let sound = u64_at(sector, 24) == own.0
        && header.other != own
        && u32_at(sector, 84) as usize == ENTRY_SIZE
        && header.entries <= MOST_ENTRIES;
    if sound { Ok(header) } else { Err(Damage::Header) }
}

/// The entries in use, which are those with a type.
fn entries(array: &[u8], disk: Sectors) -> Result<Vec<Entry>, Damage> {
    let numbered = (1..).zip(array.chunks_exact(ENTRY_SIZE));
    numbered.filter(|(_, raw)| raw[..16] != [0; 16]).map(|(number, raw)| entry(number, raw, disk)).collect()
}

fn entry(number: u32, raw: &[u8], disk: Sectors) -> Result<Entry, Damage> {
    let (first, last) = (u64_at(raw, 32), u64_at(raw, 40));
    if first == 0 || last < first || last >= disk.0 {
        return Err(Damage::Entry(number));
    }
    let units =
        raw[56..56 + 2 * NAME_UNITS].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let name: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    Ok(Entry {
        number,
        role: None,
        name: String::from_utf16_lossy(&name),
        start: Sectors(first),
        length: Sectors(last - first + 1),
        kind: PartitionType::from_guid(uuid_at(raw, 0)),
        id: uuid_at(raw, 16),
    })
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

fn uuid_at(bytes: &[u8], at: usize) -> Uuid {
    Uuid::from_bytes_le(field(bytes, at))
}
