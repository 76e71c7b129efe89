//! The header of a qcow2 image, which says what its readers must know of.
//!
//! ```text
//!   0 magic  4 version  8 backing file  20 cluster bits  24 size  32 encryption  36 L1: entries  40 and place
//!   in version 3 also:  72 features  100 length of the header  104 compression, where the header is longer
//! ```

use super::Qcow2Error;
use crate::formats::qcow2::{Feature, MAGIC, ZSTD};

/// Sizes of clusters that there may be, as powers of 2.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Where a header that tells the compression does so.
const COMPRESSION: usize = 104;

/// What packed clusters are packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Deflate,
    Zstd,
}

/// What of the header counts for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) cluster_bits: u32,
    pub(super) size: u64,
    pub(super) l1: u64,
    pub(super) l1_entries: u64,
    pub(super) packing: Packing,
}

impl Header {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Qcow2Error> {
        let damaged = || Qcow2Error::Damaged("its header");
        let number = |at: usize| u32_at(bytes, at).ok_or_else(damaged);
        let long = |at: usize| u64_at(bytes, at).ok_or_else(damaged);
        let version = number(4)?;
        if !bytes.starts_with(MAGIC) {
            return Err(damaged());
        }
        if !(2..=3).contains(&version) {
            return Err(Qcow2Error::Version(version));
        }
        let packing = if version == 3 { features(long(72)?, number(100)?, bytes)? } else { Packing::Deflate };
        if long(8)? != 0 {
            return Err(Qcow2Error::Backed);
        }
        if number(32)? != 0 {
            return Err(Qcow2Error::Encrypted);
        }
        let header = Header {
            version,
            cluster_bits: number(20)?,
            size: long(24)?,
            l1: long(40)?,
            l1_entries: number(36)?.into(),
            packing,
        };
        if CLUSTER_BITS.contains(&header.cluster_bits) { Ok(header) } else { Err(damaged()) }
    }

    pub(super) fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bytes of the disk that an L2 table describes.
    pub(super) fn reach(&self) -> u64 {
        self.cluster() * (self.cluster() / 8)
    }
}

/// Checks what the image asks its readers to know, and tells what it is packed with.
fn features(asked: u64, header_len: u32, bytes: &[u8]) -> Result<Packing, Qcow2Error> {
    let uses = |feature: Feature| asked & feature.bit() != 0;
    let known = [Feature::Dirty, Feature::Corrupt, Feature::DataFile, Feature::Packing, Feature::Subclusters];
    let unknown = known.iter().fold(asked, |left, feature| left & !feature.bit());
    let packing = if header_len as usize > COMPRESSION { bytes.get(COMPRESSION) } else { None };
    match packing.copied().unwrap_or(0) {
        _ if uses(Feature::Corrupt) => Err(Qcow2Error::Corrupt),
        _ if uses(Feature::DataFile) => Err(Qcow2Error::Feature("a second file for its data".to_owned())),
        _ if uses(Feature::Subclusters) => Err(Qcow2Error::Feature("subclusters".to_owned())),
        _ if unknown != 0 => {
            Err(Qcow2Error::Feature(format!("features that are unknown here ({unknown:#x})")))
        }
        0 if !uses(Feature::Packing) => Ok(Packing::Deflate),
        ZSTD if uses(Feature::Packing) => Ok(Packing::Zstd),
        other => Err(Qcow2Error::Feature(format!("a compression that is unknown here ({other})"))),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// A number in a table, none behind its end.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_header_does_harm(
            version in 0..5_u32,
            rest in prop::collection::vec(prop_oneof![Just(0), Just(9), any::<u8>()], 0..120),
        ) {
            let bytes = [&MAGIC[..], &version.to_be_bytes(), &rest].concat();
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert!(CLUSTER_BITS.contains(&header.cluster_bits) && header.reach() >= header.cluster());
            }
        }
    }
}
