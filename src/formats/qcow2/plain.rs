//! Clusters as they are. How many there will be is known before the first is written.
//!
//! ```text
//!   | header | L1 table | refcount table | refcount blocks | L2 tables | data ... |
//! ```

use std::ops::Range;

use super::{CLUSTER, COPIED, ENTRIES, Header, REFCOUNTS, Tables, refcount_clusters, refcount_table, set};
use crate::formats::{FormatError, Out, Raw};

/// Where everything stands, in clusters of the file.
struct Plan {
    l1: Range<u64>,
    refcount_table: Range<u64>,
    refcount_blocks: Range<u64>,
    l2: Range<u64>,
    data: Range<u64>,
}

impl Plan {
    fn new(tables: &Tables) -> Plan {
        let used = tables.runs.iter().map(|run| run.end - run.start).sum();
        let (l1, l2) = (tables.l1_clusters(), tables.l2_clusters());
        let (table, blocks) = refcount_clusters(1 + l1 + l2 + used);
        let mut at = 1;
        let mut take = |count: u64| {
            at += count;
            at - count..at
        };
        let [l1, refcount_table, refcount_blocks, l2, data] = [l1, table, blocks, l2, used].map(&mut take);
        Plan { l1, refcount_table, refcount_blocks, l2, data }
    }
}

/// Writes the image.
pub(in crate::formats) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let tables = Tables::new(raw);
    let plan = Plan::new(&tables);
    let refcounts = plan.refcount_table.clone();
    let header = Header { raw, tables: &tables, l1: plan.l1.start, refcounts, is_zstd: false };
    out.put(&header.encode())?;
    out.skip_to(plan.l1.start * CLUSTER)?;
    out.put(&tables.l1(plan.l2.clone()))?;
    out.skip_to(plan.refcount_table.start * CLUSTER)?;
    out.put(&refcount_table(plan.refcount_blocks.clone()))?;
    out.skip_to(plan.refcount_blocks.start * CLUSTER)?;
    let block = [0, 1].repeat(REFCOUNTS as usize);
    let mut left = plan.data.end;
    while left > 0 {
        let count = left.min(REFCOUNTS);
        out.put(&block[..count as usize * 2])?;
        left -= count;
    }
    out.skip_to(plan.l2.start * CLUSTER)?;
    write_l2(&tables, plan.data.clone(), out)?;
    for run in &tables.runs {
        out.copy(raw, run.start * CLUSTER..run.end * CLUSTER, progress)?;
    }
    out.skip_to(plan.data.end * CLUSTER)
}

/// Writes the L2 tables when the clusters follow each other in those of `data`.
fn write_l2(tables: &Tables, mut data: Range<u64>, out: &mut Out) -> Result<(), FormatError> {
    let mut used = tables.runs.iter().cloned().flatten().peekable();
    for part in &tables.parts {
        let mut table = vec![0; CLUSTER as usize];
        let within = |cluster: &u64| cluster / ENTRIES == *part;
        while let (Some(cluster), Some(place)) = (used.next_if(within), data.clone().next()) {
            set(&mut table, cluster % ENTRIES, (place * CLUSTER) | COPIED);
            data.start += 1;
        }
        out.put(&table)?;
    }
    Ok(())
}
