//! Reading FAT file systems that may be damaged (Microsoft's FAT specification, version 1.03).
//!
//! ```text
//!   | boot sector ... | FAT | FAT | root directory  | clusters 2, 3, 4 ...          |
//!     11 bytes/sector               (FAT12, FAT16)    a directory is 32-byte entries:
//!     13 sectors/cluster                               0 name, 11 attributes,
//!     14 reserved sectors                             20 cluster, high half (FAT32)
//!     16 FATs                                         26 cluster, low half
//!     17 root entries                                 28 size
//!     19 or 32 sectors
//!     22 or 36 sectors of one FAT
//! ```

pub mod add;
mod areas;
mod geometry;
mod nodes;
mod reader;
mod table;

use std::io;

use super::Region;
use super::{Files, Kind, Volume};

pub use areas::{Areas, BOOT_FIELDS, BOOT_FIELDS_32};
pub use geometry::{Geometry, Info};
pub use nodes::{Node, Stamps};
pub use reader::FatReader;

use table::Table;

/// Largest FAT that is read, in bytes: 16 million clusters of FAT32.
const LARGEST_FAT: u64 = 64 << 20;

/// Largest directory, in bytes, by the specification.
const LARGEST_DIRECTORY: usize = 65536 * ENTRY;

const ENTRY: usize = 32;

/// Why a region is no FAT file system, or not a sound one.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// The boot sector's numbers contradict each other.
    #[error("the boot sector of the FAT makes no sense")]
    Geometry,
    /// A table that would take more memory than any that is in use.
    #[error("the FAT is larger than anybody makes it")]
    TooLarge,
    /// A chain of clusters leaves the file system.
    #[error("`{0}` has a broken chain of clusters")]
    Chain(String),
    /// The disk cannot be read, or ends too early.
    #[error("reading the FAT file system: {0}")]
    Io(#[from] io::Error),
}

impl From<FatError> for io::Error {
    fn from(error: FatError) -> Self {
        match error {
            FatError::Io(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// An open FAT file system.
#[derive(Debug)]
pub struct Fat {
    region: Region,
    bits: Bits,
    cluster_size: u64,
    clusters: u32,
    table: Table,
    root: Root,
    boot: Vec<u8>,
    geometry: Box<Geometry>,
}

/// Width of a FAT's entries, which the number of clusters decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// FAT12
    Twelve,
    /// FAT16
    Sixteen,
    /// FAT32
    ThirtyTwo,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    At { start: u64, size: u64 },
    Cluster(u32),
}

/// One entry of a directory.
#[derive(Debug)]
struct Entry {
    name: String,
    is_dir: bool,
    cluster: u32,
    size: u32,
    attributes: u8,
    stamps: Stamps,
}

fn u16_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u16_at(bytes, at) | u16_at(bytes, at + 2) << 16
}

/// Whether a boot sector is FAT's: a jump, the signature, and at least one FAT.
pub fn is_fat(boot: &[u8]) -> bool {
    boot.len() >= 512
        && boot[510..512] == [0x55, 0xaa]
        && matches!(boot[0], 0xeb | 0xe9)
        && matches!(boot[16], 1 | 2)
        && boot[13].is_power_of_two()
        && matches!(u16_at(boot, 11), 512 | 1024 | 2048 | 4096)
}

impl Fat {
    /// Reads boot sector and FAT.
    pub fn open(region: Region) -> Result<Fat, FatError> {
        let boot = region.read(0, 512)?;
        if !is_fat(&boot) {
            return Err(FatError::Geometry);
        }
        let geometry = Geometry::decode(&boot).ok_or(FatError::Geometry)?;
        if geometry.table_size > LARGEST_FAT {
            return Err(FatError::TooLarge);
        }
        let bits = geometry.bits();
        let table = Table::new(bits, region.read(geometry.table_at(0), geometry.table_size)?);
        let root = match bits {
            Bits::ThirtyTwo => Root::Cluster(u32_at(&boot, 44)),
            _ => Root::At { start: geometry.root_at, size: geometry.root_size },
        };
        let cluster_size = geometry.cluster_size;
        let clusters = table.clusters(&geometry);
        Ok(Fat { region, bits, cluster_size, clusters, table, root, boot, geometry: Box::new(geometry) })
    }

    /// Which FAT it is, by its number of clusters.
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// Clusters for files and directories.
    pub fn clusters(&self) -> u32 {
        self.clusters
    }

    /// The size of the file at `path` in bytes, `None` when there is none.
    ///
    /// # Errors
    /// When a directory on the way cannot be read.
    pub fn size(&self, path: &str) -> Result<Option<u32>, FatError> {
        Ok(self.find(path)?.map(|entry| entry.size))
    }

    /// Names, sizes and how much of it is used.
    pub fn volume(&self) -> Volume {
        let mut files = Files::default();
        let problem = self.walk(&mut files).err().map(|error| error.to_string());
        let free = (2..self.clusters + 2).filter(|cluster| self.next(*cluster) == 0).count() as u64;
        let size = u64::from(self.clusters) * self.cluster_size;
        Volume {
            kind: Kind::Fat,
            label: self.label(),
            uuid: Some(self.serial()),
            size,
            used: size - free * self.cluster_size,
            files,
            problem,
        }
    }

    /// The bytes of the file at `path`, `None` when there is none, or it is larger than `most`.
    ///
    /// # Errors
    /// When the file, or a directory on the way, cannot be read.
    pub fn read(&self, path: &str, most: u32) -> Result<Option<Vec<u8>>, FatError> {
        let Some(entry) = self.find(path)?.filter(|entry| entry.size <= most) else { return Ok(None) };
        let mut content = self.chain(entry.cluster, entry.size as usize, path)?;
        content.truncate(entry.size as usize);
        Ok((content.len() == entry.size as usize).then_some(content))
    }

    /// The file at `path`, whose parts are compared in either case, as FAT does.
    fn find(&self, path: &str) -> Result<Option<Entry>, FatError> {
        let mut directory = self.root_bytes()?;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let mut entries = entries(&directory, self.bits).into_iter();
            let Some(entry) = entries.find(|entry| entry.name.eq_ignore_ascii_case(part)) else { break };
            match (entry.is_dir, parts.peek()) {
                (true, Some(_)) => directory = self.chain(entry.cluster, LARGEST_DIRECTORY, path)?,
                (false, None) => return Ok(Some(entry)),
                _ => break,
            }
        }
        Ok(None)
    }

    /// Notes all files. A directory that cannot be read is passed over, and told at the end.
    fn walk(&self, files: &mut Files) -> Result<(), FatError> {
        let mut directories = vec![(String::new(), self.root_bytes()?)];
        let mut first_error = Ok(());
        while let Some((path, bytes)) = directories.pop() {
            for entry in entries(&bytes, self.bits) {
                let at = format!("{path}/{}", entry.name);
                if !files.add(&at, u64::from(entry.size), !entry.is_dir) {
                    return first_error;
                }
                if entry.is_dir && files.is_shallow(&at) {
                    match self.chain(entry.cluster, LARGEST_DIRECTORY, &at) {
                        Ok(content) => directories.push((at, content)),
                        Err(error) => first_error = first_error.and(Err(error)),
                    }
                }
            }
        }
        first_error
    }

    fn root_bytes(&self) -> Result<Vec<u8>, FatError> {
        match self.root {
            Root::At { start, size } => Ok(self.region.read(start, size)?),
            Root::Cluster(first) => self.chain(first, LARGEST_DIRECTORY, "/"),
        }
    }

    /// The clusters from `first` on, until the chain ends or `most` bytes have been read. Since a
    /// chain in a ring ends there too, it cannot hold us up.
    fn chain(&self, first: u32, most: usize, path: &str) -> Result<Vec<u8>, FatError> {
        let broken = || FatError::Chain(path.to_owned());
        let mut bytes = Vec::new();
        let mut cluster = first;
        while bytes.len() < most && !self.is_end(cluster) {
            let at = self.offset(cluster).ok_or_else(broken)?;
            bytes.extend(self.region.read(at, self.cluster_size)?);
            cluster = self.next(cluster);
        }
        Ok(bytes)
    }

    /// Where a cluster lies in the file system, `None` when it has no such cluster.
    fn offset(&self, cluster: u32) -> Option<u64> {
        self.geometry.offset(cluster, self.clusters)
    }

    /// The entry of the FAT for `cluster`, which must be one of ours.
    fn next(&self, cluster: u32) -> u32 {
        self.table.next(cluster)
    }

    fn is_end(&self, cluster: u32) -> bool {
        self.table.is_end(cluster)
    }

    /// The label in the root directory, else the one in the boot sector.
    fn label(&self) -> Option<String> {
        let at = if self.bits == Bits::ThirtyTwo { 71 } else { 43 };
        let in_boot = || String::from_utf8_lossy(&self.boot[at..at + 11]).trim_end().to_owned();
        let label = self.root_label().unwrap_or_else(in_boot);
        (!label.is_empty() && label != "NO NAME").then_some(label)
    }

    /// The label in the root directory.
    pub fn root_label(&self) -> Option<String> {
        let root = self.root_bytes().unwrap_or_default();
        let label = live(&root).find(|entry| entry[11] & 0x18 == 0x08 && entry[11] != 0x0f);
        label.map(|entry| String::from_utf8_lossy(&entry[..11]).trim_end().to_owned())
    }

    /// The serial number as `blkid` shows it.
    fn serial(&self) -> String {
        let at = if self.bits == Bits::ThirtyTwo { 67 } else { 39 };
        format!("{:04X}-{:04X}", u16_at(&self.boot, at + 2), u16_at(&self.boot, at))
    }
}

/// The 32-byte entries in use, up to the end mark.
fn live(directory: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = directory.as_chunks::<ENTRY>().0.iter();
    all.take_while(|entry| entry[0] != 0).filter(|entry| entry[0] != 0xe5).map(|entry| &entry[..])
}

/// Files and directories, but not labels, `.` and `..`.
fn entries(directory: &[u8], bits: Bits) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut long: Vec<u16> = Vec::new();
    for entry in live(directory) {
        let attributes = entry[11];
        if attributes & 0x3f == 0x0f {
            long.splice(0..0, long_part(entry));
            continue;
        }
        let name = long_name(&std::mem::take(&mut long)).unwrap_or_else(|| short_name(entry));
        if attributes & 0x08 != 0 || name == "." || name == ".." {
            continue;
        }
        let high = if bits == Bits::ThirtyTwo { u16_at(entry, 20) } else { 0 };
        found.push(Entry {
            name,
            is_dir: attributes & 0x10 != 0,
            cluster: high << 16 | u16_at(entry, 26),
            size: u32_at(entry, 28),
            attributes,
            stamps: Stamps::decode(entry),
        });
    }
    found
}

/// Thirteen UTF-16 units of a long name; the parts come last one first.
fn long_part(entry: &[u8]) -> impl Iterator<Item = u16> {
    let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
    places.map(|at| u16_at(entry, at) as u16).collect::<Vec<_>>().into_iter()
}

fn long_name(units: &[u16]) -> Option<String> {
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    (end > 0).then(|| String::from_utf16_lossy(&units[..end]))
}

/// The 8.3 name; two bits at 12 say which halves are meant in lower case.
fn short_name(entry: &[u8]) -> String {
    let half = |bytes: &[u8], is_lower: bool| {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        if is_lower { text.to_ascii_lowercase() } else { text }
    };
    let (base, extension) =
        (half(&entry[..8], entry[12] & 0x08 != 0), half(&entry[8..11], entry[12] & 0x10 != 0));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}
