//! Whole disks with a partition table and a FAT12, written once by the simplest means.
//!
//! ```text
//!   0 MBR   1 GPT   2 entries   34...33 FAT: 1 boot, 1 + 1 table, 2 root, clusters of one sector
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bootenv::grub::{self, GrubState};
use bootenv::medium::{SECTOR, Sector};
use bootenv::rpi::{self, Autoboot};

/// Sectors of the disk.
const SECTORS: usize = 256;
/// First sector of the first partition, and its length.
pub const FIRST: usize = 40;
pub const LENGTH: usize = 100;

/// Where things ended up, for tests that damage them.
#[derive(Clone, Debug)]
pub struct Layout {
    /// First sectors of the files, in the order in which they were given.
    pub files: Vec<u64>,
    /// Byte offsets on the disk of their (short) directory entries.
    pub entries: Vec<usize>,
    /// First clusters of the files.
    pub clusters: Vec<u16>,
    /// Byte offsets of the two copies of the allocation table.
    pub tables: [usize; 2],
}

/// A disk of the generic track in its first state; the files are the block and its spare.
pub fn grub_disk() -> (Vec<u8>, Layout) {
    let block = GrubState::initial().encode();
    let files = [("GRUBENV", "GRUBENV    ", &block[..]), ("grubenv.spare", "GRUBEN~1SPA", &block[..])];
    let (fat, layout) = fat(&["EFI        ", "FACTORY    "], &files);
    let mut disk = vec![0; SECTORS * SECTOR];
    disk[FIRST * SECTOR..][..fat.len()].copy_from_slice(&fat);
    let bootenv::locate::Table::Gpt(esp) = grub::GRUBENV_PLACE.table else { unreachable!() };
    gpt(
        &mut disk,
        &[(esp, FIRST, LENGTH), ([7; 16], FIRST + LENGTH, 20), ([7; 16], FIRST + LENGTH + 20, 20)],
    );
    (disk, layout)
}

/// Sectors of a slot of the Raspberry Pi: as few as a FAT32 can have.
const SLOT: usize = 66_600;

/// First sectors of the slots' partitions on [`pi_disk`], A first.
pub const SLOTS: [u64; 2] = [(FIRST + LENGTH) as u64, (FIRST + LENGTH + SLOT) as u64];

/// A disk of the Raspberry Pi track in its first state. Of the slots, there are the boot sectors.
pub fn pi_disk() -> (Vec<u8>, Layout) {
    let file = Autoboot::initial().encode();
    let (fat, layout) = fat(&[], &[(rpi::AUTOBOOT, "AUTOBOOTTXT", &file)]);
    let [a, b] = SLOTS.map(|first| first as usize);
    let end = b + SLOT;
    let mut disk = vec![0; (end + 20) * SECTOR];
    disk[FIRST * SECTOR..][..fat.len()].copy_from_slice(&fat);
    for sector in [a, b].into_iter().flat_map(|first| [first, first + 6]) {
        disk[sector * SECTOR..][..SECTOR].copy_from_slice(&slot_boot_sector());
    }
    mbr(&mut disk, &[(0x0c, FIRST, LENGTH), (0x0c, a, SLOT), (0x0c, b, SLOT), (0x83, end, 20)]);
    (disk, layout)
}

/// Writes a file with holes where there are zeroes.
pub fn write_sparse(path: &Path, bytes: &[u8]) {
    let file = File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (index, sector) in bytes.chunks(SECTOR).enumerate().filter(|(_, sector)| **sector != [0; SECTOR]) {
        file.write_all_at(sector, (index * SECTOR) as u64).unwrap();
    }
}

/// The boot sector of a FAT32 of clusters of one sector, which has a copy of it in sector 6.
pub fn slot_boot_sector() -> Sector {
    let mut boot = [0; SECTOR];
    boot[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
    boot[11..13].copy_from_slice(&(SECTOR as u16).to_le_bytes());
    (boot[13], boot[16], boot[21]) = (1, 2, 0xf8);
    boot[14..16].copy_from_slice(&32_u16.to_le_bytes());
    boot[32..36].copy_from_slice(&(SLOT as u32).to_le_bytes());
    boot[36..40].copy_from_slice(&521_u32.to_le_bytes());
    (boot[44], boot[48], boot[50]) = (2, 1, 6);
    boot[510..].copy_from_slice(&[0x55, 0xaa]);
    boot
}

fn mbr(disk: &mut [u8], rows: &[(u8, usize, usize)]) {
    for (entry, (kind, first, sectors)) in disk[446..510].chunks_exact_mut(16).zip(rows) {
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&(*first as u32).to_le_bytes());
        entry[12..16].copy_from_slice(&(*sectors as u32).to_le_bytes());
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
}

/// Every partition's own GUID consists of its number. The bytes that both checksums of a GPT are made of are sealed by [`seal_gpt`].
fn gpt(disk: &mut [u8], rows: &[([u8; 16], usize, usize)]) {
    mbr(disk, &[(0xee, 1, SECTORS - 1)]);
    let entries = disk[2 * SECTOR..].chunks_exact_mut(128).zip(1_u8..);
    for ((entry, number), (kind, first, sectors)) in entries.zip(rows) {
        entry[..16].copy_from_slice(kind);
        entry[16..32].fill(number);
        entry[32..40].copy_from_slice(&(*first as u64).to_le_bytes());
        entry[40..48].copy_from_slice(&((*first + *sectors - 1) as u64).to_le_bytes());
    }
    let header = &mut disk[SECTOR..2 * SECTOR];
    header[..8].copy_from_slice(b"EFI PART");
    header[12..16].copy_from_slice(&92_u32.to_le_bytes());
    for (at, value) in [(24, 1), (40, 34), (48, SECTORS as u64 - 34), (72, 2)] {
        header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    header[80..84].copy_from_slice(&128_u32.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    seal_gpt(disk);
}

/// Makes both checksums right.
pub fn seal_gpt(disk: &mut [u8]) {
    let sum = crc32(&disk[2 * SECTOR..][..128 * 128]).to_le_bytes();
    disk[SECTOR + 88..SECTOR + 92].copy_from_slice(&sum);
    disk[SECTOR + 16..SECTOR + 20].fill(0);
    let sum = crc32(&disk[SECTOR..SECTOR + 92]).to_le_bytes();
    disk[SECTOR + 16..SECTOR + 20].copy_from_slice(&sum);
}

/// The checksum of GPT and journal.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// A FAT12 with directories in each other, and files in the last.
fn fat(directories: &[&str], files: &[(&str, &str, &[u8])]) -> (Vec<u8>, Layout) {
    let mut fat = vec![0; LENGTH * SECTOR];
    fat[11..13].copy_from_slice(&(SECTOR as u16).to_le_bytes());
    fat[13] = 1;
    fat[14..16].copy_from_slice(&1_u16.to_le_bytes());
    fat[16] = 2;
    fat[17..19].copy_from_slice(&32_u16.to_le_bytes());
    fat[19..21].copy_from_slice(&(LENGTH as u16).to_le_bytes());
    fat[22..24].copy_from_slice(&1_u16.to_le_bytes());
    fat[510..512].copy_from_slice(&[0x55, 0xaa]);
    let data = |cluster: u16| (5 + usize::from(cluster) - 2) * SECTOR;
    let (mut next, mut at) = (2_u16, 3 * SECTOR);
    for name in directories {
        entry(&mut fat[at..], name, 0x10, next, 0);
        link(&mut fat, next, 0xfff);
        at = data(next);
        next += 1;
    }
    let mut layout = Layout {
        files: Vec::new(),
        entries: Vec::new(),
        clusters: Vec::new(),
        tables: [1, 2].map(|sector| (FIRST + sector) * SECTOR),
    };
    for (long, short, bytes) in files {
        if long.len() > 12 {
            long_name(&mut fat[at..], long, short);
            at += 32;
        }
        entry(&mut fat[at..], short, 0x20, next, bytes.len() as u32);
        layout.entries.push(FIRST * SECTOR + at);
        at += 32;
        layout.clusters.push(next);
        layout.files.push((FIRST + data(next) / SECTOR) as u64);
        fat[data(next)..][..bytes.len()].copy_from_slice(bytes);
        let last = next + bytes.len().div_ceil(SECTOR) as u16 - 1;
        (next..last).for_each(|cluster| link(&mut fat, cluster, cluster + 1));
        link(&mut fat, last, 0xfff);
        // A free cluster behind every file, so that tests can lead a chain there.
        next = last + 2;
    }
    (fat, layout)
}

fn entry(at: &mut [u8], name: &str, attributes: u8, cluster: u16, size: u32) {
    at[..11].copy_from_slice(name.as_bytes());
    at[11] = attributes;
    at[26..28].copy_from_slice(&cluster.to_le_bytes());
    at[28..32].copy_from_slice(&size.to_le_bytes());
}

/// A long name of one part, which is 13 letters.
fn long_name(at: &mut [u8], long: &str, short: &str) {
    at[..32].fill(0);
    at[0] = 0x41;
    at[11] = 0x0f;
    at[13] = short.bytes().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(byte));
    let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
    for (place, letter) in places.into_iter().zip(long.encode_utf16()) {
        at[place..place + 2].copy_from_slice(&letter.to_le_bytes());
    }
}

/// Writes an entry of both tables of a file system.
fn link(fat: &mut [u8], cluster: u16, value: u16) {
    for table in [SECTOR, 2 * SECTOR] {
        set_link(fat, table, cluster, value);
    }
}

/// Writes an entry of the table at an offset.
pub fn set_link(bytes: &mut [u8], table: usize, cluster: u16, value: u16) {
    let at = table + usize::from(cluster) * 3 / 2;
    let old = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let new = if cluster % 2 == 1 { old & 0xf | value << 4 } else { old & 0xf000 | value };
    bytes[at..at + 2].copy_from_slice(&new.to_le_bytes());
}
