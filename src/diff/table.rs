//! What sectors of partition tables hold besides partitions (UEFI specification 2.10, chapters 5.2 and 5.3).
//!
//! ```text
//!   sector 0   0 boot code  440 signature  446 four entries  510 mark
//!   sector 1   "EFI PART"  24 own address  32 address of the other copy  72 address of entries
//!   entries    0 type  16 id  32 first  40 last  48 attributes  56 name
//! ```

use std::io;
use std::ops::Range;

use super::findings::Findings;
use super::model::Place;
use crate::image::layout::{PartitionTable, Scheme};
use crate::units::SECTOR;
use crate::volume::{Disk, Field, Show};

const MBR: &[Field] = &[
    Field::new("boot code", 0, 440, Show::Bytes),
    Field::derived("signature", 440, 4, Show::Hex),
    Field::new("bytes behind the signature", 444, 2, Show::Hex),
    Field::derived("entries", 446, 64, Show::Bytes),
    Field::new("mark", 510, 2, Show::Hex),
];

/// An entry of an MBR; what is derived is told of the partition.
const MBR_ENTRY: &[Field] = &[
    Field::new("active", 0, 1, Show::Hex),
    Field::new("first by cylinder, head and sector", 1, 3, Show::Hex),
    Field::derived("type", 4, 1, Show::Hex),
    Field::new("last by cylinder, head and sector", 5, 3, Show::Hex),
    Field::derived("first sector", 8, 4, Show::Number),
    Field::derived("sectors", 12, 4, Show::Number),
];

const HEADER: &[Field] = &[
    Field::derived("signature", 0, 8, Show::Text),
    Field::new("revision", 8, 4, Show::Hex),
    Field::new("bytes of the header", 12, 4, Show::Number),
    Field::derived("checksum", 16, 4, Show::Hex),
    Field::derived("own address", 24, 8, Show::Number),
    Field::derived("address of the other copy", 32, 8, Show::Number),
    Field::new("first usable sector", 40, 8, Show::Number),
    Field::derived("last usable sector", 48, 8, Show::Number),
    Field::derived("id of the disk", 56, 16, Show::Guid),
    Field::derived("address of the entries", 72, 8, Show::Number),
    Field::new("number of entries", 80, 4, Show::Number),
    Field::new("bytes of an entry", 84, 4, Show::Number),
    Field::derived("checksum of the entries", 88, 4, Show::Hex),
    Field::new("bytes behind the header", 92, 420, Show::Bytes),
];

const ENTRY: &[Field] = &[
    Field::derived("type", 0, 16, Show::Guid),
    Field::derived("id", 16, 16, Show::Guid),
    Field::derived("first sector", 32, 8, Show::Number),
    Field::derived("last sector", 40, 8, Show::Number),
    Field::new("attributes", 48, 8, Show::Hex),
    Field::derived("name", 56, 72, Show::Wide),
];

const ENTRY_SIZE: u64 = 128;
/// Most entries that are read.
const MOST_ENTRIES: u64 = 1024;
const MBR_ENTRIES: u64 = 446;
const MBR_ENTRY_SIZE: u64 = 16;

/// A copy of a GPT: its header, and how many entries are where.
#[derive(Clone, Debug)]
struct Copy {
    header: u64,
    entries: u64,
    count: u64,
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The copies of a GPT that are there.
fn copies(disk: &Disk) -> Vec<Copy> {
    let mut copies = Vec::new();
    let mut at = Some(SECTOR);
    while let Some(header) = at.take() {
        let Ok(sector) = disk.region().read(header, SECTOR) else { break };
        if sector.starts_with(b"EFI PART") {
            let count = (u64_at(&sector, 80) & 0xffff_ffff).min(MOST_ENTRIES);
            copies.push(Copy { header, entries: u64_at(&sector, 72).saturating_mul(SECTOR), count });
            let other = u64_at(&sector, 32).saturating_mul(SECTOR);
            at = (copies.len() == 1 && other != header).then_some(other);
        } else if copies.is_empty() && header == SECTOR {
            at = disk.size().checked_sub(SECTOR);
        }
    }
    copies
}

/// The ranges of a disk that its table takes.
pub(super) fn areas(disk: &Disk, scheme: Scheme) -> Vec<Range<u64>> {
    let copies = if scheme == Scheme::Gpt { copies(disk) } else { Vec::new() };
    let of_copies = copies.into_iter().flat_map(|Copy { header, entries, count }| {
        let end = entries.saturating_add((count * ENTRY_SIZE).next_multiple_of(SECTOR));
        [header..header.saturating_add(SECTOR), entries..end]
    });
    std::iter::once(0..SECTOR).chain(of_copies).collect()
}

/// Compares fields that the partitions do not tell of. What follows from others, or is told of the
/// partitions, is left out unless nothing of the table differs but that.
pub(super) fn compare(
    found: &mut Findings,
    place: &Place,
    disks: [&Disk; 2],
    tables: [&PartitionTable; 2],
) -> io::Result<()> {
    let before = found.differences.len();
    for with_derived in [false, true] {
        if with_derived && (before > 0 || found.differences.len() > before) {
            break;
        }
        sector(found, place, disks, tables, with_derived)?;
        if tables.iter().all(|table| table.scheme == Scheme::Gpt) {
            gpt(found, place, disks, with_derived)?;
        }
    }
    Ok(())
}

fn sector(
    found: &mut Findings,
    place: &Place,
    disks: [&Disk; 2],
    tables: [&PartitionTable; 2],
    with_derived: bool,
) -> io::Result<()> {
    let [a, b] = [disks[0].region().read(0, SECTOR)?, disks[1].region().read(0, SECTOR)?];
    found.fields(place, MBR, [&a, &b], with_derived);
    for number in 1..=4 {
        let at = (MBR_ENTRIES + (number - 1) * MBR_ENTRY_SIZE) as usize;
        let place = Place::new(format!("p{number}"));
        if tables.iter().all(|table| table.scheme == Scheme::Mbr) {
            let [a, b] = [&a, &b].map(|sector| &sector[at..at + MBR_ENTRY_SIZE as usize]);
            found.fields(&place, MBR_ENTRY, [a, b], false);
        }
    }
    Ok(())
}

/// Both copies; the second says what the first does, so it is told of only where that is the same.
fn gpt(found: &mut Findings, place: &Place, disks: [&Disk; 2], with_derived: bool) -> io::Result<()> {
    let (a, b) = (copies(disks[0]), copies(disks[1]));
    found.compare(place, "copies of the table", a.len(), b.len());
    for (number, (a, b)) in a.iter().zip(&b).enumerate() {
        if number > 0 && !with_derived {
            break;
        }
        let place = if number == 0 { place.clone() } else { place.inside("second table") };
        let read = |disk: &Disk, copy: &Copy| disk.region().read(copy.header, SECTOR);
        found.fields(&place, HEADER, [&read(disks[0], a)?, &read(disks[1], b)?], with_derived);
        for index in 0..a.count.min(b.count) {
            let read = |disk: &Disk, copy: &Copy| {
                disk.region().read(copy.entries.saturating_add(index * ENTRY_SIZE), ENTRY_SIZE)
            };
            let entries = [read(disks[0], a)?, read(disks[1], b)?];
            let place = place.inside(format!("entry {}", index + 1));
            found.fields(&place, ENTRY, [&entries[0], &entries[1]], with_derived);
        }
    }
    Ok(())
}
