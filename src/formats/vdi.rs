//! VirtualBox's VDI, dynamic: only blocks of 1 MiB that hold something.
//!
//! ```text
//!   | 0        | 512             | whole MiB                    |
//!   | header   | map: 4 bytes    | blocks of the disk that hold |
//!   |          | for each block  | something, one after another |
//!                     +--which of them it is, or FREE-^
//! ```
//! Source: VDICore.h of VirtualBox, and block/vdi.c of QEMU. Numbers are little-endian.

use uuid::Uuid;

use super::{FormatError, Out, Raw};
use crate::units::{MIB, SECTOR};

/// Told to people who look at the file.
const TITLE: &[u8] = b"<<< Virtual disk image made by factory >>>\n";
const TITLE_LENGTH: usize = 64;
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x1_0001;
/// Bytes of the header that are used, from its length on.
const HEADER_LENGTH: u32 = 0x180;
/// Grows as it is written to.
const DYNAMIC: u32 = 1;
const COMMENT_LENGTH: usize = 256;
const BLOCK: u64 = MIB;
const MAP: u64 = SECTOR;
/// A block that was never written to, and is zeros.
const FREE: u32 = u32::MAX;

/// Writes the image.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let runs = raw.blocks().units(BLOCK);
    let used: u64 = runs.iter().map(|run| run.end - run.start).sum();
    let map = map(raw.size().div_ceil(BLOCK), runs.iter().cloned().flatten());
    let data = (MAP + map.len() as u64).next_multiple_of(BLOCK);
    out.put(&header(raw, data, used as u32)?)?;
    out.put(&map)?;
    out.skip_to(data)?;
    for run in &runs {
        out.copy(raw, run.start * BLOCK..run.end * BLOCK, progress)?;
    }
    out.skip_to(data + used * BLOCK)
}

/// The map of `count` blocks, of which the `used` ones are in the file in their order.
fn map(count: u64, used: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut map = FREE.to_le_bytes().repeat(count as usize);
    for (place, block) in (0_u32..).zip(used) {
        map[block as usize * 4..][..4].copy_from_slice(&place.to_le_bytes());
    }
    map
}

fn header(raw: &Raw, data: u64, used: u32) -> Result<Vec<u8>, FormatError> {
    let id = raw.id()?;
    let mut header = TITLE.to_vec();
    header.resize(TITLE_LENGTH, 0);
    let mut put = |bytes: &[u8]| header.extend(bytes);
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    put(&numbers(&[SIGNATURE, VERSION, HEADER_LENGTH, DYNAMIC]));
    put(&[0; 4]); // no flags
    put(&[0; COMMENT_LENGTH]);
    put(&numbers(&[MAP as u32, data as u32]));
    put(&numbers(&[0, 0, 0, SECTOR as u32])); // cylinders, heads and sectors are left to the reader
    put(&[0; 4]);
    put(&raw.size().next_multiple_of(SECTOR).to_le_bytes());
    put(&numbers(&[BLOCK as u32, 0])); // nothing before each block
    put(&numbers(&[raw.size().div_ceil(BLOCK) as u32, used]));
    put(&id.uuid("vdi").to_bytes_le());
    put(&id.uuid("vdi state").to_bytes_le());
    put(Uuid::nil().as_bytes()); // no parent
    put(Uuid::nil().as_bytes());
    header.resize(SECTOR as usize, 0);
    Ok(header)
}
