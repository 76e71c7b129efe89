//! VHD, fixed, as Azure takes it: the disk up to a whole MiB, and a footer.
//!
//! ```text
//!   | bytes of the disk, with their holes | zeros up to a MiB | footer: 512 bytes |
//!
//!   footer  0 "conectix"   8 features   12 version   16 no offset   24 time    28 who made it
//!          40 sizes       56 geometry   60 kind      64 checksum    68 UUID    84 zeros
//! ```
//! Source: Virtual Hard Disk Image Format Specification 1.0, and "Prepare a Windows VHD or VHDX to upload to
//! Azure" for what Azure wants. Numbers are big-endian.

use uuid::Uuid;

use super::{FormatError, Out, Raw, raw};
use crate::units::{MIB, SECTOR};

const COOKIE: &[u8; 8] = b"conectix";
/// A bit that is always set.
const FEATURES: u32 = 2;
const VERSION: u32 = 0x1_0000;
/// Nothing else describes a fixed disk.
const NO_OFFSET: u64 = u64::MAX;
/// Since the year 2000.
const NO_TIME: u32 = 0;
/// Hyper-V on Windows: readers take the size as it is for it, and for others what the geometry makes of it.
const MAKER: &[u8; 4] = b"win ";
const MAKER_VERSION: u32 = 0xa_0000;
const MAKER_SYSTEM: &[u8; 4] = b"Wi2k";
const FIXED: u32 = 2;
const CHECKSUM: usize = 64;

/// Writes the image.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let size = raw.size().next_multiple_of(MIB);
    raw::write(raw, out, progress)?;
    out.skip_to(size)?;
    out.put(&footer(size, raw.id()?.uuid("vhd")))
}

fn footer(size: u64, id: Uuid) -> Vec<u8> {
    let mut footer = COOKIE.to_vec();
    let mut put = |bytes: &[u8]| footer.extend(bytes);
    put(&FEATURES.to_be_bytes());
    put(&VERSION.to_be_bytes());
    put(&NO_OFFSET.to_be_bytes());
    put(&NO_TIME.to_be_bytes());
    put(MAKER);
    put(&MAKER_VERSION.to_be_bytes());
    put(MAKER_SYSTEM);
    put(&size.to_be_bytes()); // when it was made
    put(&size.to_be_bytes()); // now
    put(&geometry(size / SECTOR));
    put(&FIXED.to_be_bytes());
    put(&[0; 4]);
    put(id.as_bytes());
    footer.resize(SECTOR as usize, 0);
    let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
    footer[CHECKSUM..CHECKSUM + 4].copy_from_slice(&(!sum).to_be_bytes());
    footer
}

/// Cylinders in two bytes, heads and sectors in one each, by the specification's appendix.
fn geometry(sectors: u64) -> [u8; 4] {
    let sectors = sectors.min(65_535 * 16 * 255);
    let fits = |per_track: u64, heads: u64| sectors / per_track < heads * 1024;
    let few_heads = (sectors / 17).div_ceil(1024).max(4);
    let (per_track, heads) = match few_heads {
        _ if sectors >= 65_535 * 16 * 63 => (255, 16),
        heads if heads <= 16 && fits(17, heads) => (17, heads),
        _ if fits(31, 16) => (31, 16),
        _ => (63, 16),
    };
    let [high, low] = ((sectors / per_track / heads) as u16).to_be_bytes();
    [high, low, heads as u8, per_track as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometry_is_that_of_the_specification() {
        let of = |mib: u64| {
            let [high, low, heads, per_track] = geometry(mib * MIB / SECTOR);
            (u16::from_be_bytes([high, low]), heads, per_track)
        };
        assert_eq!(of(1), (30, 4, 17));
        assert_eq!(of(100), (1003, 12, 17));
        assert_eq!(of(200), (825, 16, 31));
        assert_eq!(of(500), (1015, 16, 63));
        assert_eq!(of(6 << 10), (12_483, 16, 63));
        assert_eq!(of(1 << 20), (65_535, 16, 255));
    }
}
