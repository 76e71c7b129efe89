//! Clusters packed by zstd, each by itself, where that makes them smaller.
//!
//! ```text
//!   | header | L1 table | L2 tables | packed | packed | pac...ked |   | as it is | packed | refcounts |
//!      ^          ^          ^                            across            ^
//!      +----------+----------+-- filled in when it is     clusters          +-- at the next whole cluster
//!                                known what follows
//! ```
//! Packed clusters stand one behind the other, so that a cluster of the file is used by several.

use std::io;
use std::ops::Range;

use super::{
    CLUSTER, CLUSTER_BITS, COMPRESSED, COPIED, ENTRIES, Header, REFCOUNTS, Tables, packed_offset_bits,
    refcount_clusters, refcount_table, set,
};
use crate::files;
use crate::formats::pieces::{self, Packer};
use crate::formats::{FormatError, Out, Raw};
use crate::units::SECTOR;

/// What `zstd` takes without being asked.
const LEVEL: i32 = 3;

struct Zstd(zstd::bulk::Compressor<'static>);

/// What is written for a cluster.
#[derive(Clone)]
enum Stored {
    Packed(Vec<u8>),
    Whole(Vec<u8>),
}

impl Packer for Zstd {
    /// Those clusters of a piece that are not zeros, by their number in it.
    type Packed = Vec<(u64, Stored)>;
    const LENGTHS: (u64, u64) = (16 * CLUSTER, 1 << 40);
    const UNIT: u64 = CLUSTER;

    fn new() -> io::Result<Self> {
        Ok(Zstd(zstd::bulk::Compressor::new(LEVEL)?))
    }

    fn pack(&mut self, bytes: &[u8]) -> io::Result<Self::Packed> {
        let clusters = (0..).zip(bytes.chunks(CLUSTER as usize));
        let clusters = clusters.filter(|(_, cluster)| !files::is_zero(cluster));
        clusters.map(|(number, cluster)| Ok((number, self.store(cluster)?))).collect()
    }

    fn pack_zeros(&mut self, _: u64) -> io::Result<Self::Packed> {
        Ok(Vec::new())
    }
}

impl Zstd {
    /// Packs a cluster. The last one of the disk may be short.
    fn store(&mut self, bytes: &[u8]) -> io::Result<Stored> {
        let mut whole = bytes.to_vec();
        whole.resize(CLUSTER as usize, 0);
        let packed = self.0.compress(&whole)?;
        Ok(if packed.len() < whole.len() { Stored::Packed(packed) } else { Stored::Whole(whole) })
    }
}

/// Writes the image.
pub(in crate::formats) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let tables = Tables::new(raw);
    let l2 = 1 + tables.l1_clusters()..1 + tables.l1_clusters() + tables.l2_clusters();
    out.skip_to(l2.end * CLUSTER)?;
    let mut file = Clusters::new(out, &tables, l2.clone());
    let mut first = 0;
    pieces::pack::<Zstd>(raw, progress, |len, packed| {
        packed.into_iter().try_for_each(|(number, stored)| file.put(first + number, &stored))?;
        first += len.div_ceil(CLUSTER);
        Ok(())
    })?;
    let refcounts = file.finish()?;
    let header = Header { raw, tables: &tables, l1: 1, refcounts, is_zstd: true };
    out.fill(CLUSTER, &tables.l1(l2))?;
    out.fill(0, &header.encode())
}

/// The clusters as they are written, and what the tables will say of them.
struct Clusters<'a> {
    out: &'a mut Out,
    /// The L2 tables that are not filled in yet: which part of the disk, and where.
    parts: std::iter::Zip<std::slice::Iter<'a, u64>, Range<u64>>,
    /// The part that the table below describes, and where that belongs.
    part: Option<(u64, u64)>,
    table: Vec<u8>,
    /// How often each cluster of the file is used.
    uses: Vec<u16>,
}

impl<'a> Clusters<'a> {
    fn new(out: &'a mut Out, tables: &'a Tables, l2: Range<u64>) -> Self {
        let uses = vec![1; l2.end as usize];
        let table = vec![0; CLUSTER as usize];
        Clusters { out, parts: tables.parts.iter().zip(l2), part: None, table, uses }
    }

    /// Writes cluster `number` of the disk.
    fn put(&mut self, number: u64, stored: &Stored) -> Result<(), FormatError> {
        while self.part.is_none_or(|(part, _)| part < number / ENTRIES) {
            self.next_table()?;
        }
        let (bytes, entry) = match stored {
            Stored::Packed(bytes) => (bytes, packed_entry(self.out.at(), bytes.len() as u64)),
            Stored::Whole(bytes) => {
                self.out.skip_to(self.out.at().next_multiple_of(CLUSTER))?;
                (bytes, self.out.at() | COPIED)
            }
        };
        set(&mut self.table, number % ENTRIES, entry);
        let (first, last) = (self.out.at() / CLUSTER, (self.out.at() + bytes.len() as u64 - 1) / CLUSTER);
        self.uses.resize(self.uses.len().max(last as usize + 1), 0);
        self.uses[first as usize..=last as usize].iter_mut().for_each(|uses| *uses += 1);
        self.out.put(bytes)
    }

    /// Fills in the table that is full, and begins the next one.
    fn next_table(&mut self) -> Result<(), FormatError> {
        if let Some((_, place)) = self.part {
            self.out.fill(place * CLUSTER, &self.table)?;
            self.table.fill(0);
        }
        // Behind the last one nothing is asked for.
        let end = (u64::MAX, 0);
        self.part = Some(self.parts.next().map_or(end, |(part, place)| (*part, place)));
        Ok(())
    }

    /// Writes what is left, and how often everything is used. Returns where the table of that stands.
    fn finish(mut self) -> Result<Range<u64>, FormatError> {
        if self.part.is_some() {
            self.next_table()?;
        }
        let others = self.uses.len() as u64;
        let (table, blocks) = refcount_clusters(others);
        let (blocks, end) = (others..others + blocks, others + blocks + table);
        self.uses.resize(end as usize, 1);
        self.out.skip_to(blocks.start * CLUSTER)?;
        for part in self.uses.chunks(REFCOUNTS as usize) {
            let block: Vec<u8> = part.iter().flat_map(|uses| uses.to_be_bytes()).collect();
            self.out.put(&block)?;
        }
        self.out.skip_to(blocks.end * CLUSTER)?;
        self.out.put(&refcount_table(blocks.clone()))?;
        self.out.skip_to(end * CLUSTER)?;
        Ok(blocks.end..end)
    }
}

/// The entry of a packed cluster, and the sectors that it reaches into after its first.
fn packed_entry(at: u64, len: u64) -> u64 {
    let more_sectors = (at + len - 1) / SECTOR - at / SECTOR;
    COMPRESSED | more_sectors << packed_offset_bits(CLUSTER_BITS) | at
}
