//! Reading disks, tables and file systems that may be damaged or hostile.
//!
//! ```text
//!   file --> Disk --> table (GPT, MBR) --> Region of each partition --> Fat, Ext4
//! ```
//! Nothing here panics, loops for ever, or allocates what a damaged number asks for.

mod disk;
pub mod ext4;
pub mod fat;
mod field;
mod region;
pub mod time;

use std::error::Error;
use std::io::{self, Read};

use serde::Serialize;

pub use disk::{Disk, OpenError, Table, TableError};
pub use field::{Field, Show};
pub use region::{Region, Run};

use fat::Fat;

/// Most entries of one file system that are looked at: hostile directories can form rings.
const MOST_ENTRIES: u64 = 400_000;

/// Deepest directory that is looked into.
const DEEPEST: usize = 48;

/// Formats that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// ext2, ext3 or ext4.
    Ext4,
    /// squashfs, which is not looked into.
    Squashfs,
}

impl Kind {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Fat => "FAT",
            Kind::Ext4 => "ext4",
            Kind::Squashfs => "squashfs",
        }
    }
}

/// What a file system holds.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its format.
    pub kind: Kind,
    /// Its label.
    pub label: Option<String>,
    /// Its UUID, or serial number.
    pub uuid: Option<String>,
    /// Bytes of the file system.
    pub size: u64,
    /// Bytes of it in use, its own tables included where it counts them.
    pub used: u64,
    /// Its regular files.
    pub files: Files,
    /// Why not everything could be read.
    pub problem: Option<String>,
}

/// The regular files of a file system, as far as they were looked at.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Path from the root, with a slash in front, and size in bytes.
    pub sizes: Vec<(String, u64)>,
    seen: u64,
}

impl Files {
    /// Notes an entry. False when there were so many that the walk must stop.
    pub fn add(&mut self, path: &str, size: u64, is_file: bool) -> bool {
        self.seen += 1;
        if is_file {
            self.sizes.push((path.to_owned(), size));
        }
        self.seen < MOST_ENTRIES
    }

    /// Whether a directory may be looked into.
    pub fn is_shallow(&self, path: &str) -> bool {
        path.matches('/').count() < DEEPEST
    }

    /// The size of the file at `path`.
    pub fn size(&self, path: &str) -> Option<u64> {
        self.sizes.iter().find(|(at, _)| at == path).map(|(_, size)| *size)
    }
}

/// What a byte of a file system belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The structure, in words.
    pub structure: String,
    /// The first byte that belongs to something else.
    pub end: u64,
}

impl Spot {
    /// A structure up to `end`.
    pub fn new(structure: impl Into<String>, end: u64) -> Self {
        Spot { structure: structure.into(), end }
    }

    /// The field at `within` of a structure of `size` bytes, which ends where the field does, counted
    /// from the start of the structure.
    pub fn in_fields(of: &str, fields: &[Field], within: u64, size: u64) -> Self {
        let next = fields.partition_point(|field| field.at as u64 <= within);
        let before = next.checked_sub(1).map(|at| &fields[at]);
        match before.filter(|field| within < (field.at + field.len) as u64) {
            Some(field) => Spot::new(format!("{of}, {}", field.name), (field.at + field.len) as u64),
            None => Spot::new(of, fields.get(next).map_or(size, |field| field.at as u64)),
        }
    }

    /// The same, when the structure begins at `start`.
    pub fn from(self, start: u64) -> Self {
        Spot { end: self.end.saturating_add(start), ..self }
    }
}

/// A file system that was opened.
#[derive(Debug)]
pub enum Opened {
    /// FAT.
    Fat(Fat),
    /// ext4.
    Ext4(ext4_view::Ext4),
    /// One that is not looked into, or too damaged to.
    Closed,
}

/// Opens the file system of a region, `None` when it has none that is known.
///
/// # Errors
/// When it has one, of which nothing can be read.
pub fn open(region: &Region) -> Result<Option<(Volume, Opened)>, Box<dyn Error + Send + Sync>> {
    let head = region.read(0, region.size().min(512))?;
    if ext4::is_there(region) {
        let (volume, ext4) = ext4::open(region.clone())?;
        return Ok(Some((volume, ext4.map_or(Opened::Closed, Opened::Ext4))));
    }
    if head.starts_with(b"hsqs") && head.len() >= 48 {
        return Ok(Some((squashfs(&head), Opened::Closed)));
    }
    if fat::is_fat(&head) {
        let fat = Fat::open(region.clone())?;
        return Ok(Some((fat.volume(), Opened::Fat(fat))));
    }
    Ok(None)
}

impl Opened {
    /// Opens the file system of a region without looking around in it; [`Opened::Closed`] when it
    /// has none that is known.
    ///
    /// # Errors
    /// When it has one that cannot be read.
    pub fn enter(region: &Region) -> Result<Opened, Box<dyn Error + Send + Sync>> {
        if ext4::is_there(region) {
            return Ok(Opened::Ext4(ext4_view::Ext4::load(Box::new(region.clone()))?));
        }
        let head = region.read(0, region.size().min(512))?;
        if fat::is_fat(&head) {
            return Ok(Opened::Fat(Fat::open(region.clone())?));
        }
        Ok(Opened::Closed)
    }

    /// The bytes of the file at `path`, `None` when there is none, it cannot be read, or it is
    /// larger than `most`.
    pub fn read(&self, path: &str, most: u32) -> Option<Vec<u8>> {
        match self {
            Opened::Fat(fat) => fat.read(path.trim_start_matches('/'), most).ok().flatten(),
            Opened::Ext4(ext4) => {
                ext4::read(ext4, &format!("/{}", path.trim_start_matches('/')), most.into())
            }
            Opened::Closed => None,
        }
    }

    /// The file at `path` as a stream, `None` when there is none.
    ///
    /// # Errors
    /// When the file, or a directory on the way, cannot be read.
    pub fn reader(&self, path: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        let path = path.trim_start_matches('/');
        match self {
            Opened::Fat(fat) => {
                let reader = fat.reader(path).map_err(io::Error::from)?;
                Ok(reader.map(|reader| Box::new(reader) as Box<dyn Read>))
            }
            Opened::Ext4(ext4) => match ext4.open(format!("/{path}").as_str()) {
                Ok(file) => Ok(Some(Box::new(ext4::Reader(file)))),
                Err(ext4_view::Ext4Error::NotFound) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Opened::Closed => Ok(None),
        }
    }
}

/// A squashfs says how long it is at byte 40 (squashfs 4.0); it is always full.
fn squashfs(head: &[u8]) -> Volume {
    let mut length = [0; 8];
    length.copy_from_slice(&head[40..48]);
    let size = u64::from_le_bytes(length);
    let files = Files::default();
    Volume { kind: Kind::Squashfs, label: None, uuid: None, size, used: size, files, problem: None }
}
