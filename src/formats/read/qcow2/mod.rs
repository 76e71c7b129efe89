//! QEMU's qcow2 as an image that is read in any order: versions 2 and 3, all sizes of clusters.
//!
//! ```text
//!   place in the disk   | which L2 table | which entry | within the cluster |
//!                              |                |                |
//!   L1 table, in memory  [.....#....]           |                |
//!   L2 table, in the file      +------> [.......#....]           |
//!                                               +-----> zeros, a cluster, or sectors that unpack to one
//! ```
//! All tables are gone through once when the image is opened, so that what is wrong with them is told then, and
//! it is known which clusters hold something. No table may be used twice, so that this ends with the file.
//! Source: docs/interop/qcow2.txt of QEMU. Numbers are big-endian.

mod header;

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use flate2::{Decompress, FlushDecompress};

use super::parts::Parts;
use crate::formats::blocks::Blocks;
use crate::formats::qcow2::{COMPRESSED, OFFSET, ZERO, packed_offset_bits};
use crate::interrupt::{self, Interrupted};
use crate::units::SECTOR;
use header::{Header, Packing, u64_at};

/// Most entries of the L1 table: QEMU takes no larger one either.
const MOST_L1: u64 = (32 << 20) / 8;
/// What packed clusters may ask for to be unpacked, as a power of 2: four times the largest cluster.
const WINDOW_BITS: u32 = 23;

/// Why a qcow2 image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A version that nobody writes.
    #[error("it has version {0} of the format, and only 2 and 3 are known")]
    Version(u32),
    /// It is only what was changed of another image.
    #[error(
        "it is only what differs from another image\n\nhint: make it whole with `qemu-img convert -O qcow2`"
    )]
    Backed,
    /// Nobody can read it without the key.
    #[error("it is encrypted\n\nhint: decrypt it with `qemu-img convert -O raw`")]
    Encrypted,
    /// QEMU found it to be damaged.
    #[error("it is marked as damaged\n\nhint: see what `qemu-img check -r all` says of it")]
    Corrupt,
    /// It asks for what is not known here.
    #[error("it uses {0}\n\nhint: make it plain with `qemu-img convert -O qcow2`")]
    Feature(String),
    /// Its tables contradict themselves or the file.
    #[error("it is cut off or damaged: {0}")]
    Damaged(&'static str),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Where the bytes of a cluster are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cluster {
    Zeros,
    Plain(u64),
    Packed { at: u64, len: u64 },
}

/// A qcow2 image, open.
#[derive(Debug)]
pub struct Qcow2 {
    file: File,
    len: u64,
    header: Header,
    /// Where the L2 tables are, 0 for none.
    l1: Vec<u64>,
    blocks: Blocks,
}

impl Qcow2 {
    /// Takes an open file.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or needs what is not in it.
    pub fn open(file: File, len: u64) -> Result<Self, Qcow2Error> {
        let mut head = vec![0; len.min(SECTOR) as usize];
        file.read_exact_at(&mut head, 0)?;
        let header = Header::decode(&head)?;
        let mut image = Qcow2 { file, len, header, l1: Vec::new(), blocks: Blocks::default() };
        image.l1 = image.read_l1()?;
        image.blocks = image.find_blocks()?;
        Ok(image)
    }

    fn read_l1(&self) -> Result<Vec<u64>, Qcow2Error> {
        let Header { size, l1, l1_entries, .. } = self.header;
        let needed = size.div_ceil(self.header.reach());
        let damaged = || Qcow2Error::Damaged("its L1 table");
        let end = l1.checked_add(needed.checked_mul(8).ok_or_else(damaged)?).ok_or_else(damaged)?;
        if needed > l1_entries.min(MOST_L1) || end > self.len || size > i64::MAX as u64 {
            return Err(damaged());
        }
        let mut tables = Vec::new();
        self.read_table(l1, needed as usize, &mut tables)?;
        tables.iter_mut().for_each(|entry| *entry &= OFFSET);
        let mut places: Vec<u64> = tables.iter().copied().filter(|place| *place != 0).collect();
        places.sort_unstable();
        let is_twice = places.windows(2).any(|pair| pair[0] == pair[1]);
        let is_outside = places
            .iter()
            .any(|at| !at.is_multiple_of(self.header.cluster()) || at + self.header.cluster() > self.len);
        if is_twice || is_outside { Err(Qcow2Error::Damaged("its L2 tables")) } else { Ok(tables) }
    }

    fn find_blocks(&self) -> Result<Blocks, Qcow2Error> {
        let (cluster, size) = (self.header.cluster(), self.header.size);
        let mut blocks = Blocks { size, ranges: Vec::new() };
        let mut entries = Vec::new();
        for (start, place) in (0..size).step_by(self.header.reach() as usize).zip(&self.l1) {
            interrupt::check()?;
            if *place == 0 {
                continue;
            }
            let count = (size - start).div_ceil(cluster).min(cluster / 8);
            self.read_table(*place, count as usize, &mut entries)?;
            for (at, entry) in (start..).step_by(cluster as usize).zip(&entries) {
                let end = size.min(at + cluster);
                if self.locate(*entry, end - at)? != Cluster::Zeros {
                    blocks.push(at..end);
                }
            }
        }
        Ok(blocks)
    }

    /// Reads `count` numbers, in place of what is in `entries`.
    fn read_table(&self, at: u64, count: usize, entries: &mut Vec<u64>) -> io::Result<()> {
        let mut bytes = vec![0; count * 8];
        self.file.read_exact_at(&mut bytes, at)?;
        entries.clear();
        entries.extend((0..count).filter_map(|index| u64_at(&bytes, index * 8)));
        Ok(())
    }

    /// What an entry of an L2 table says of a cluster, of which `needed` bytes belong to the disk.
    fn locate(&self, entry: u64, needed: u64) -> Result<Cluster, Qcow2Error> {
        if entry & COMPRESSED != 0 {
            return self.locate_packed(entry);
        }
        let at = entry & OFFSET;
        match at {
            _ if self.header.version > 2 && entry & ZERO != 0 => Ok(Cluster::Zeros),
            0 => Ok(Cluster::Zeros),
            _ if !at.is_multiple_of(self.header.cluster()) || at + needed > self.len => {
                Err(Qcow2Error::Damaged("a cluster is outside of the file"))
            }
            _ => Ok(Cluster::Plain(at)),
        }
    }

    fn locate_packed(&self, entry: u64) -> Result<Cluster, Qcow2Error> {
        let bits = packed_offset_bits(self.header.cluster_bits);
        let at = entry & ((1 << bits) - 1);
        let more_sectors = (entry & (COMPRESSED - 1)) >> bits;
        let end = ((at / SECTOR + more_sectors + 1) * SECTOR).min(self.len);
        match end.checked_sub(at) {
            Some(len) if len > 0 => Ok(Cluster::Packed { at, len }),
            _ => Err(Qcow2Error::Damaged("a packed cluster is outside of the file")),
        }
    }

    /// Fills `buffer` from clusters of one L2 table.
    fn read_within_table(&self, at: u64, buffer: &mut [u8]) -> Result<(), Qcow2Error> {
        let (cluster, end) = (self.header.cluster(), at + buffer.len() as u64);
        let table = self.l1.get((at / self.header.reach()) as usize).copied().unwrap_or(0);
        if table == 0 {
            buffer.fill(0);
            return Ok(());
        }
        let clusters = at / cluster..end.div_ceil(cluster);
        let first = clusters.start % (cluster / 8);
        let mut entries = Vec::new();
        self.read_table(table + first * 8, (clusters.end - clusters.start) as usize, &mut entries)?;
        let mut runs: Vec<Run> = Vec::new();
        for (number, entry) in clusters.zip(entries) {
            let range = at.max(number * cluster)..end.min((number + 1) * cluster);
            let skipped = range.start - number * cluster;
            let from = self.locate(entry, range.end - number * cluster)?;
            match runs.last_mut() {
                Some(run) if run.goes_on(from) => run.range.end = range.end,
                _ => runs.push(Run { from, skipped, range }),
            }
        }
        for run in runs {
            let part = &mut buffer[(run.range.start - at) as usize..(run.range.end - at) as usize];
            self.read_run(&run, part)?;
        }
        Ok(())
    }

    fn read_run(&self, run: &Run, buffer: &mut [u8]) -> Result<(), Qcow2Error> {
        match run.from {
            Cluster::Zeros => buffer.fill(0),
            Cluster::Plain(at) => self.file.read_exact_at(buffer, at + run.skipped)?,
            Cluster::Packed { at, len } => {
                let mut packed = vec![0; len as usize];
                self.file.read_exact_at(&mut packed, at)?;
                let mut content = vec![0; run.skipped as usize + buffer.len()];
                self.unpack(&packed, &mut content)?;
                buffer.copy_from_slice(&content[run.skipped as usize..]);
            }
        }
        Ok(())
    }

    /// Unpacks the beginning of a cluster. What follows it in its last sector is another one's.
    fn unpack(&self, packed: &[u8], content: &mut [u8]) -> Result<(), Qcow2Error> {
        let is_whole = match self.header.packing {
            Packing::Deflate => {
                let mut inflate = Decompress::new(false);
                let done = inflate.decompress(packed, content, FlushDecompress::Sync);
                done.is_ok() && inflate.total_out() == content.len() as u64
            }
            Packing::Zstd => {
                let mut reader = zstd::stream::read::Decoder::with_buffer(packed)?.single_frame();
                reader.window_log_max(WINDOW_BITS)?;
                reader.read_exact(content).is_ok()
            }
        };
        if is_whole { Ok(()) } else { Err(Qcow2Error::Damaged("a packed cluster does not unpack")) }
    }
}

/// A part of the disk whose bytes stand in a row, from `skipped` bytes behind the beginning of a cluster on.
struct Run {
    from: Cluster,
    skipped: u64,
    range: Range<u64>,
}

impl Run {
    /// Whether the bytes of a cluster follow in the file.
    fn goes_on(&self, next: Cluster) -> bool {
        match (self.from, next) {
            (Cluster::Zeros, Cluster::Zeros) => true,
            (Cluster::Plain(at), Cluster::Plain(next)) => {
                at + self.skipped + (self.range.end - self.range.start) == next
            }
            _ => false,
        }
    }
}

impl Parts for Qcow2 {
    fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let reach = self.header.reach();
        let (mut at, mut left) = (at, buffer);
        while !left.is_empty() {
            let count = (reach - at % reach).min(left.len() as u64) as usize;
            let (part, rest) = left.split_at_mut(count);
            self.read_within_table(at, part).map_err(io::Error::from)?;
            (at, left) = (at + count as u64, rest);
        }
        Ok(())
    }
}

impl From<Qcow2Error> for io::Error {
    fn from(error: Qcow2Error) -> Self {
        match error {
            Qcow2Error::Io(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}
