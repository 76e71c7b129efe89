//! QEMU's qcow2, version 3: only clusters that hold something.
//!
//! ```text
//!   clusters of 64 KiB
//!   | header | L1 table | refcount table | refcount blocks | L2 tables | data ... |
//!                 |             +-> which blocks   1 for each of the    ^  ^
//!                 +----- which L2 table describes 512 MiB of the disk --+  |
//!                              L2 entry: where a cluster of the disk is ---+
//! ```
//! How many clusters there are is known before the first is written, so all goes from front to back.
//! Source: docs/interop/qcow2.txt of QEMU. Numbers are big-endian.

use std::ops::Range;

use super::{FormatError, Out, Raw};
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
const HEADER_LENGTH: u32 = 104;
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

/// Where everything stands, in clusters of the file.
struct Plan {
    /// Clusters of the disk that hold something.
    runs: Vec<Range<u64>>,
    /// Which clusters of the disk an L2 table describes, for each that there is.
    tables: Vec<u64>,
    /// Entries of the L1 table.
    l1_entries: u64,
    l1: Range<u64>,
    refcount_table: Range<u64>,
    refcount_blocks: Range<u64>,
    l2: Range<u64>,
    data: Range<u64>,
}

impl Plan {
    fn new(raw: &Raw) -> Plan {
        let runs = raw.blocks().units(CLUSTER);
        let used: u64 = runs.iter().map(|run| run.end - run.start).sum();
        let mut tables: Vec<u64> =
            runs.iter().flat_map(|run| run.start / ENTRIES..=(run.end - 1) / ENTRIES).collect();
        tables.dedup();
        let l1_entries = raw.size().div_ceil(CLUSTER).div_ceil(ENTRIES);
        let l1_clusters = l1_entries.div_ceil(ENTRIES).max(1);
        let others = 1 + l1_clusters + tables.len() as u64 + used;
        let (table, blocks) = refcount_clusters(others);
        let mut at = 1;
        let mut take = |count: u64| {
            at += count;
            at - count..at
        };
        let [l1, refcount_table, refcount_blocks, l2, data] =
            [l1_clusters, table, blocks, tables.len() as u64, used].map(&mut take);
        Plan { runs, tables, l1_entries, l1, refcount_table, refcount_blocks, l2, data }
    }

    fn header(&self, size: u64) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        let mut put = |bytes: &[u8]| header.extend(bytes);
        put(&VERSION.to_be_bytes());
        put(&[0; 12]); // no backing file
        put(&CLUSTER_BITS.to_be_bytes());
        put(&size.next_multiple_of(SECTOR).to_be_bytes());
        put(&[0; 4]); // not encrypted
        put(&(self.l1_entries as u32).to_be_bytes());
        put(&(self.l1.start * CLUSTER).to_be_bytes());
        put(&(self.refcount_table.start * CLUSTER).to_be_bytes());
        put(&((self.refcount_table.end - self.refcount_table.start) as u32).to_be_bytes());
        put(&[0; 12]); // no snapshots
        put(&[0; 24]); // no features
        put(&REFCOUNT_ORDER.to_be_bytes());
        put(&HEADER_LENGTH.to_be_bytes());
        put(&[0; 8]); // no extensions
        header
    }

    fn l1(&self) -> Vec<u8> {
        let mut table = vec![0; self.l1_entries as usize * 8];
        for (part, cluster) in self.tables.iter().zip(self.l2.clone()) {
            set(&mut table, *part, (cluster * CLUSTER) | COPIED);
        }
        table
    }

    fn refcount_table(&self) -> Vec<u8> {
        self.refcount_blocks.clone().flat_map(|block| (block * CLUSTER).to_be_bytes()).collect()
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

/// Writes the image.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let plan = Plan::new(raw);
    out.put(&plan.header(raw.size()))?;
    out.skip_to(plan.l1.start * CLUSTER)?;
    out.put(&plan.l1())?;
    out.skip_to(plan.refcount_table.start * CLUSTER)?;
    out.put(&plan.refcount_table())?;
    out.skip_to(plan.refcount_blocks.start * CLUSTER)?;
    let block = [0, 1].repeat(REFCOUNTS as usize);
    let mut left = plan.data.end;
    while left > 0 {
        let count = left.min(REFCOUNTS);
        out.put(&block[..count as usize * 2])?;
        left -= count;
    }
    out.skip_to(plan.l2.start * CLUSTER)?;
    write_l2(&plan, out)?;
    for run in &plan.runs {
        out.copy(raw, run.start * CLUSTER..run.end * CLUSTER, progress)?;
    }
    out.skip_to(plan.data.end * CLUSTER)
}

fn write_l2(plan: &Plan, out: &mut Out) -> Result<(), FormatError> {
    let mut host = plan.data.clone();
    let mut used = plan.runs.iter().cloned().flatten().peekable();
    for part in &plan.tables {
        let mut table = vec![0; CLUSTER as usize];
        let within = |cluster: &u64| cluster / ENTRIES == *part;
        while let (Some(cluster), Some(place)) = (used.next_if(within), host.clone().next()) {
            set(&mut table, cluster % ENTRIES, (place * CLUSTER) | COPIED);
            host.start += 1;
        }
        out.put(&table)?;
    }
    Ok(())
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
