//! QEMU's qcow2, version 3: what both writers and the reader know of it.
//!
//! ```text
//!   clusters of 64 KiB, in the order that suits the writer
//!   | header | L1 table | refcount table | refcount blocks | L2 tables | data ... |
//!                 |             +-> which blocks   uses of each of the   ^  ^
//!                 +----- which L2 table describes 512 MiB of the disk ---+  |
//!                              L2 entry: where a cluster of the disk is ----+
//! ```
//! Source: docs/interop/qcow2.txt of QEMU. Numbers are big-endian.

pub(super) mod packed;
pub(super) mod plain;

use std::ops::Range;

use super::Raw;
use crate::units::SECTOR;

/// The first bytes of a file.
pub(super) const MAGIC: &[u8; 4] = b"QFI\xfb";
const VERSION: u32 = 3;
const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of 8 bytes in a cluster.
const ENTRIES: u64 = CLUSTER / 8;
/// Counts of 2 bytes in a cluster: 2 to the power of 4 bits.
const REFCOUNTS: u64 = CLUSTER / 2;
const REFCOUNT_ORDER: u32 = 4;
/// Length of the header, and of one that tells the compression.
const HEADER_LENGTH: u32 = 104;
const LONG_HEADER_LENGTH: u32 = 112;
/// In tables: the cluster is used only once, so that it may be written in place.
const COPIED: u64 = 1 << 63;
/// In L2 tables: where the cluster is packed, and in how many sectors.
pub(super) const COMPRESSED: u64 = 1 << 62;
/// In L2 tables, from version 3 on: the cluster is zeros.
pub(super) const ZERO: u64 = 1;
/// The bits that are an offset in the file, which is a multiple of a sector at least.
pub(super) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The compression that is not deflate.
pub(super) const ZSTD: u8 = 1;

/// What readers must know of to read an image.
#[derive(Clone, Copy)]
pub(super) enum Feature {
    /// The refcounts may be wrong, which does not matter to readers.
    Dirty = 0,
    Corrupt = 1,
    DataFile = 2,
    /// Packed clusters are not deflated.
    Packing = 3,
    Subclusters = 4,
}

impl Feature {
    pub(super) fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// How many bits of an entry say where a packed cluster is. Those above count the sectors after its first.
pub(super) fn packed_offset_bits(cluster_bits: u32) -> u32 {
    62 - (cluster_bits - 8)
}

/// Which tables an image needs.
struct Tables {
    /// Clusters of the disk that hold something.
    runs: Vec<Range<u64>>,
    /// Which part of the disk an L2 table describes, for each that there is.
    parts: Vec<u64>,
    l1_entries: u64,
}

impl Tables {
    fn new(raw: &Raw) -> Self {
        let runs = raw.blocks().units(CLUSTER);
        let reached = runs.iter().flat_map(|run| run.start / ENTRIES..=(run.end - 1) / ENTRIES);
        let mut parts: Vec<u64> = reached.collect();
        parts.dedup();
        Tables { runs, parts, l1_entries: raw.size().div_ceil(CLUSTER).div_ceil(ENTRIES) }
    }

    /// Clusters that the L1 table takes.
    fn l1_clusters(&self) -> u64 {
        self.l1_entries.div_ceil(ENTRIES).max(1)
    }

    /// Clusters that the L2 tables take.
    fn l2_clusters(&self) -> u64 {
        self.parts.len() as u64
    }

    /// The L1 table when the L2 tables stand in these clusters.
    fn l1(&self, l2: Range<u64>) -> Vec<u8> {
        let mut table = vec![0; self.l1_entries as usize * 8];
        for (part, cluster) in self.parts.iter().zip(l2) {
            set(&mut table, *part, (cluster * CLUSTER) | COPIED);
        }
        table
    }
}

/// What the header tells.
struct Header<'a> {
    raw: &'a Raw,
    tables: &'a Tables,
    /// The cluster of the L1 table.
    l1: u64,
    /// Clusters of the refcount table.
    refcounts: Range<u64>,
    is_zstd: bool,
}

impl Header<'_> {
    fn encode(&self) -> Vec<u8> {
        let (features, length) =
            if self.is_zstd { (Feature::Packing.bit(), LONG_HEADER_LENGTH) } else { (0, HEADER_LENGTH) };
        let mut header = MAGIC.to_vec();
        let mut put = |bytes: &[u8]| header.extend(bytes);
        put(&VERSION.to_be_bytes());
        put(&[0; 12]); // no backing file
        put(&CLUSTER_BITS.to_be_bytes());
        put(&self.raw.size().next_multiple_of(SECTOR).to_be_bytes());
        put(&[0; 4]); // not encrypted
        put(&(self.tables.l1_entries as u32).to_be_bytes());
        put(&(self.l1 * CLUSTER).to_be_bytes());
        put(&(self.refcounts.start * CLUSTER).to_be_bytes());
        put(&((self.refcounts.end - self.refcounts.start) as u32).to_be_bytes());
        put(&[0; 12]); // no snapshots
        put(&features.to_be_bytes());
        put(&[0; 16]); // no features that readers need not know
        put(&REFCOUNT_ORDER.to_be_bytes());
        put(&length.to_be_bytes());
        if self.is_zstd {
            put(&[ZSTD, 0, 0, 0, 0, 0, 0, 0]);
        }
        put(&[0; 8]); // no extensions
        header
    }
}

/// Sets entry `index` of a table.
fn set(table: &mut [u8], index: u64, value: u64) {
    table[index as usize * 8..][..8].copy_from_slice(&value.to_be_bytes());
}

/// How many clusters the refcount table and its blocks take, which count themselves, too.
fn refcount_clusters(others: u64) -> (u64, u64) {
    let (mut table, mut blocks) = (1, 1);
    loop {
        let needed = (others + table + blocks).div_ceil(REFCOUNTS);
        if needed == blocks {
            return (table, blocks);
        }
        (table, blocks) = (needed.div_ceil(ENTRIES), needed);
    }
}

/// The refcount table when its blocks stand in these clusters.
fn refcount_table(blocks: Range<u64>) -> Vec<u8> {
    blocks.flat_map(|block| (block * CLUSTER).to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_have_room_for_themselves() {
        for others in [1, REFCOUNTS - 3, REFCOUNTS - 2, REFCOUNTS - 1, REFCOUNTS, REFCOUNTS * ENTRIES] {
            let (table, blocks) = refcount_clusters(others);
            assert!(blocks * REFCOUNTS >= others + table + blocks, "{others}");
            assert!((blocks - 1) * REFCOUNTS < others + table + blocks, "{others}");
            assert!(table * ENTRIES >= blocks);
        }
    }
}
