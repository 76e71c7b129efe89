//! VMware's VMDK, stream-optimised, as clouds and OVF take it: grains of 64 KiB, each deflated by itself.
//!
//! ```text
//!   | header | descriptor | 64 KiB | grain | grain | ... | M table | grain | ... | M table |
//!                                      ^-------^-------------+  where 512 grains stand
//!   | M directory | M footer | M end |
//!         |            +-- the header again, which knows the directory
//!         +--- where the tables stand
//!
//!   grain | which sector of the disk | length | zlib data | zeros up to a sector
//!   M     | sectors that follow      | 0      | kind      | zeros up to a sector
//! ```
//! Source: Virtual Disk Format 5.0 of VMware. Numbers are little-endian; places are sectors of 512 bytes.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::pieces::{self, Packer};
use super::{FormatError, Out, Raw};
use crate::files;
use crate::units::SECTOR;

const MAGIC: &[u8; 4] = b"KDMV";
const VERSION: u32 = 3;
/// Line ends are checked by a pattern, grains are compressed, markers tell what follows.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
const DEFLATE: u16 = 1;
/// What a transfer as text would change.
const LINE_ENDS: &[u8; 4] = b"\n \r\n";
/// The directory is where the footer says.
const AT_END: u64 = u64::MAX;
const GRAIN: u64 = 64 << 10;
/// Grains that a table describes.
const ENTRIES: u64 = 512;
const DESCRIPTOR: u64 = 1;
const DESCRIPTOR_LENGTH: u64 = 20;
/// Where the first grain stands.
const OVERHEAD: u64 = 128;
/// Grains with less to gain are fast: what `qemu-img` takes, too.
const LEVEL: u32 = 6;

/// What markers announce.
#[derive(Clone, Copy)]
enum Marker {
    End = 0,
    Table = 1,
    Directory = 2,
    Footer = 3,
}

struct Deflate {
    zlib: Compress,
    grain: Vec<u8>,
}

impl Packer for Deflate {
    /// Those grains of a piece that are not zeros, by their number in it.
    type Packed = Vec<(u64, Vec<u8>)>;
    const LENGTHS: (u64, u64) = (16 * GRAIN, 1 << 40);
    const UNIT: u64 = GRAIN;

    fn new() -> io::Result<Self> {
        Ok(Deflate { zlib: Compress::new(Compression::new(LEVEL), true), grain: Vec::new() })
    }

    fn pack(&mut self, bytes: &[u8]) -> io::Result<Self::Packed> {
        let grains = (0..).zip(bytes.chunks(GRAIN as usize)).filter(|(_, grain)| !files::is_zero(grain));
        grains.map(|(number, grain)| Ok((number, self.deflate(grain)?))).collect()
    }

    fn pack_zeros(&mut self, _: u64) -> io::Result<Self::Packed> {
        Ok(Vec::new())
    }
}

impl Deflate {
    /// Packs a grain. The last one of the disk may be short.
    fn deflate(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.zlib.reset();
        self.grain.clear();
        self.grain.extend(bytes);
        self.grain.resize(GRAIN as usize, 0);
        let mut packed = Vec::with_capacity((GRAIN + GRAIN / 8) as usize);
        match self.zlib.compress_vec(&self.grain, &mut packed, FlushCompress::Finish)? {
            Status::StreamEnd => Ok(packed),
            Status::Ok | Status::BufError => Err(io::Error::other("zlib ran out of room")),
        }
    }
}

/// Writes the image.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let capacity = raw.size().next_multiple_of(GRAIN) / SECTOR;
    out.put(&header(capacity, AT_END))?;
    out.put(descriptor(capacity, raw.id()?.serial("vmdk")).as_bytes())?;
    out.skip_to(OVERHEAD * SECTOR)?;
    let mut grains = Grains { out, directory: Vec::new(), table: [0; ENTRIES as usize] };
    let mut first = 0;
    pieces::pack::<Deflate>(raw, progress, |len, packed| {
        packed.iter().try_for_each(|(number, grain)| grains.put(first + number, grain))?;
        first += len.div_ceil(GRAIN);
        Ok(())
    })?;
    let directory = grains.finish((capacity * SECTOR).div_ceil(GRAIN * ENTRIES))?;
    out.put(&marker(Marker::Footer, 1))?;
    out.put(&header(capacity, directory))?;
    out.put(&marker(Marker::End, 0))
}

/// The grains as they are written, and where they stand.
struct Grains<'a> {
    out: &'a mut Out,
    directory: Vec<u32>,
    /// Of the table that the directory lacks next.
    table: [u32; ENTRIES as usize],
}

impl Grains<'_> {
    fn put(&mut self, number: u64, packed: &[u8]) -> Result<(), FormatError> {
        self.close_tables(number / ENTRIES)?;
        self.table[(number % ENTRIES) as usize] = sector(self.out)?;
        let place = number * (GRAIN / SECTOR);
        let mut grain = [&place.to_le_bytes()[..], &(packed.len() as u32).to_le_bytes(), packed].concat();
        pad(&mut grain);
        self.out.put(&grain)
    }

    /// Writes all tables before the one of this number; those without a grain are left out.
    fn close_tables(&mut self, number: u64) -> Result<(), FormatError> {
        while (self.directory.len() as u64) < number {
            let is_empty = self.table.iter().all(|place| *place == 0);
            let place = if is_empty { 0 } else { put_numbers(self.out, Marker::Table, &self.table)? };
            self.directory.push(place);
            self.table.fill(0);
        }
        Ok(())
    }

    /// Writes what is left, and the directory of `tables`. Where that stands.
    fn finish(mut self, tables: u64) -> Result<u64, FormatError> {
        self.close_tables(tables)?;
        put_numbers(self.out, Marker::Directory, &self.directory).map(u64::from)
    }
}

/// Writes numbers behind their marker. Where they stand.
fn put_numbers(out: &mut Out, kind: Marker, numbers: &[u32]) -> Result<u32, FormatError> {
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    pad(&mut bytes);
    out.put(&marker(kind, bytes.len() as u64 / SECTOR))?;
    let place = sector(out)?;
    out.put(&bytes)?;
    Ok(place)
}

/// Where the next byte goes.
fn sector(out: &Out) -> Result<u32, FormatError> {
    u32::try_from(out.at() / SECTOR).map_err(|_| out.too_large())
}

fn marker(kind: Marker, sectors: u64) -> Vec<u8> {
    let mut marker = [&sectors.to_le_bytes()[..], &[0; 4], &(kind as u32).to_le_bytes()].concat();
    pad(&mut marker);
    marker
}

fn header(capacity: u64, directory: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    let mut put = |bytes: &[u8]| header.extend(bytes);
    put(&VERSION.to_le_bytes());
    put(&FLAGS.to_le_bytes());
    put(&[capacity, GRAIN / SECTOR, DESCRIPTOR, DESCRIPTOR_LENGTH].map(u64::to_le_bytes).concat());
    put(&(ENTRIES as u32).to_le_bytes());
    put(&[0, directory, OVERHEAD].map(u64::to_le_bytes).concat()); // no second directory
    put(&[0]); // closed in order
    put(LINE_ENDS);
    put(&DEFLATE.to_le_bytes());
    pad(&mut header);
    header
}

/// The text that describes the disk. Its content id must not be all ones, which means that there is none.
fn descriptor(capacity: u64, content: u32) -> String {
    let (content, cylinders) = (content & 0x7fff_ffff, (capacity / (255 * 63)).min(65_535));
    format!(
        "\
# Disk DescriptorFile
version=1
CID={content:08x}
parentCID=ffffffff
createType=\"streamOptimized\"

# Extent description
RW {capacity} SPARSE \"disk.vmdk\"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = \"4\"
ddb.geometry.cylinders = \"{cylinders}\"
ddb.geometry.heads = \"255\"
ddb.geometry.sectors = \"63\"
ddb.adapterType = \"lsilogic\"
"
    )
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
}
