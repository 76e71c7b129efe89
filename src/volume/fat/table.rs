//! The FAT itself: what follows each cluster.

use std::ops::Range;

use super::{Bits, Geometry, u16_at, u32_at};

/// A FAT in memory.
#[derive(Debug)]
pub(super) struct Table {
    bits: Bits,
    bytes: Vec<u8>,
}

impl Table {
    pub(super) fn new(bits: Bits, bytes: Vec<u8>) -> Table {
        Table { bits, bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Clusters that both the file system and this have.
    pub(super) fn clusters(&self, geometry: &Geometry) -> u32 {
        let entries = match self.bits {
            Bits::Twelve => self.bytes.len().saturating_sub(1) * 2 / 3,
            Bits::Sixteen => self.bytes.len() / 2,
            Bits::ThirtyTwo => self.bytes.len() / 4,
        };
        (geometry.clusters as u32).min(u32::try_from(entries).unwrap_or(u32::MAX).saturating_sub(2))
    }

    /// The entry for `cluster`, which must be one of [`Table::clusters`].
    pub(super) fn next(&self, cluster: u32) -> u32 {
        let at = self.place(cluster).start;
        match self.bits {
            Bits::Sixteen => u16_at(&self.bytes, at),
            Bits::ThirtyTwo => u32_at(&self.bytes, at) & 0x0fff_ffff,
            Bits::Twelve => u16_at(&self.bytes, at) >> (4 * (cluster % 2)) & 0xfff,
        }
    }

    /// Lets `next` follow `cluster`, which must be one of [`Table::clusters`]. Bits that belong to others,
    /// or to nobody, stay.
    pub(super) fn set(&mut self, cluster: u32, next: u32) {
        let place = self.place(cluster);
        let (mask, shift) = match self.bits {
            Bits::Twelve => (0xfff, 4 * (cluster % 2)),
            Bits::Sixteen => (0xffff, 0),
            Bits::ThirtyTwo => (0x0fff_ffff, 0),
        };
        let bytes = &mut self.bytes[place];
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = u32::from_le_bytes(word) & !(mask << shift) | (next & mask) << shift;
        bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
    }

    /// The bytes that hold the entry for `cluster`.
    pub(super) fn place(&self, cluster: u32) -> Range<usize> {
        let at = cluster as usize;
        match self.bits {
            Bits::Twelve => at + at / 2..at + at / 2 + 2,
            Bits::Sixteen => 2 * at..2 * at + 2,
            Bits::ThirtyTwo => 4 * at..4 * at + 4,
        }
    }

    /// Whether an entry ends a chain.
    pub(super) fn is_end(&self, entry: u32) -> bool {
        entry
            >= match self.bits {
                Bits::Twelve => 0xff8,
                Bits::Sixteen => 0xfff8,
                Bits::ThirtyTwo => 0x0fff_fff8,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_that_is_set_is_read_and_no_other_changes(
            bits in prop_oneof![Just(Bits::Twelve), Just(Bits::Sixteen), Just(Bits::ThirtyTwo)],
            bytes in proptest::collection::vec(any::<u8>(), 400),
            cluster in 2..90_u32,
            next: u32,
        ) {
            let before = Table::new(bits, bytes.clone());
            let mut after = Table::new(bits, bytes);
            after.set(cluster, next);
            let width = match bits { Bits::Twelve => 12, Bits::Sixteen => 16, Bits::ThirtyTwo => 28 };
            prop_assert_eq!(after.next(cluster), next & ((1 << width) - 1));
            for other in (0..90).filter(|other| *other != cluster) {
                prop_assert_eq!(after.next(other), before.next(other));
            }
        }
    }
}
