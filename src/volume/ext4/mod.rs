//! Reading ext4 file systems that may be damaged.
//!
//! What the superblock counts is read here (Linux, `Documentation/filesystems/ext4/super.rst`),
//! directories and files through `ext4-view`.
//!
//! ```text
//!   1024  0x00 inodes    0x18 log2(block size) - 10   0x60 incompatible features
//!         0x04 blocks    0x38 magic ef53              0x68 UUID
//!         0x0c free      0x150, 0x158 high halves     0x78 label, 16 bytes
//!                        0x3a state                   0x30 time of the last write
//! ```

mod areas;
mod attributes;
mod fields;
mod inode;
mod layout;
mod map;
mod walk;

use std::error::Error;
use std::io::{self, Read};

use ext4_view::{Ext4, Ext4Error, Ext4Read, File};

use super::Region;
use super::{Files, Kind, Volume};

pub use areas::Areas;
pub use attributes::Attributes;
pub use fields::SUPERBLOCK_FIELDS;
pub use inode::{Inode, Time};
pub use layout::{Group, Layout};
pub use map::Map;
pub use walk::{Found, Walk};

const SUPERBLOCK: u64 = 1024;
const MAGIC: [u8; 2] = [0x53, 0xef];
const FEATURE_64BIT: u32 = 0x80;
/// An incompatible feature: the journal has to be replayed.
const FEATURE_RECOVER: u32 = 0x04;
const STATE_CLEAN: u8 = 1;
const STATE_ERRORS: u8 = 2;

/// Whether a superblock is ext4's.
fn is_ext4(superblock: &[u8]) -> bool {
    superblock.get(0x38..0x3a) == Some(&MAGIC)
}

/// What the file system behind `reader` holds, and the file system, when it can be read.
pub fn open(
    mut reader: impl Ext4Read + 'static,
) -> Result<(Volume, Option<Ext4>), Box<dyn Error + Send + Sync>> {
    let mut superblock = [0; 1024];
    reader.read(SUPERBLOCK, &mut superblock)?;
    if !is_ext4(&superblock) {
        return Err("there is no ext4 superblock".into());
    }
    let mut volume = counts(&superblock);
    let ext4 = match Ext4::load(Box::new(reader)) {
        Ok(ext4) => ext4,
        Err(error) => {
            volume.problem = Some(error.to_string());
            return Ok((volume, None));
        }
    };
    (volume.files, volume.problem) = files(&ext4);
    Ok((volume, Some(ext4)))
}

fn counts(superblock: &[u8; 1024]) -> Volume {
    let word = |at: usize| {
        u64::from(u32::from_le_bytes([
            superblock[at],
            superblock[at + 1],
            superblock[at + 2],
            superblock[at + 3],
        ]))
    };
    let is_64bit = word(0x60) as u32 & FEATURE_64BIT != 0;
    let wide = |low, high| word(low) | if is_64bit { word(high) << 32 } else { 0 };
    let block = 1024_u64.checked_shl(word(0x18) as u32).unwrap_or(0);
    let (blocks, free) = (wide(0x04, 0x150), wide(0x0c, 0x158));
    let label = String::from_utf8_lossy(&superblock[0x78..0x88]).trim_end_matches('\0').to_owned();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&superblock[0x68..0x78]);
    Volume {
        kind: Kind::Ext4,
        label: (!label.is_empty()).then_some(label),
        uuid: Some(uuid::Uuid::from_bytes(uuid).to_string()),
        size: blocks.saturating_mul(block),
        used: blocks.saturating_sub(free).saturating_mul(block),
        files: Files::default(),
        problem: None,
    }
}

/// All files, and why some could not be listed.
pub fn files(ext4: &Ext4) -> (Files, Option<String>) {
    let mut files = Files::default();
    let problem = walk(ext4, &mut files).err().map(|error| error.to_string());
    (files, problem)
}

/// Notes all files. A directory that cannot be read is passed over, and told at the end.
fn walk(ext4: &Ext4, files: &mut Files) -> Result<(), Ext4Error> {
    let mut directories = vec![String::new()];
    let mut first_error = Ok(());
    while let Some(path) = directories.pop() {
        match walk_directory(ext4, &path, files, &mut directories) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => first_error = first_error.and(Err(error)),
        }
    }
    first_error
}

/// Notes the files of one directory, and what directories it has. False when it is enough.
fn walk_directory(
    ext4: &Ext4,
    path: &str,
    files: &mut Files,
    directories: &mut Vec<String>,
) -> Result<bool, Ext4Error> {
    let absolute = if path.is_empty() { "/" } else { path };
    let mut first_error = Ok(true);
    for entry in ext4.read_dir(absolute)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().as_str() else { continue };
        if matches!(name, "." | "..") {
            continue;
        }
        let at = format!("{path}/{name}");
        match entry.metadata() {
            Ok(about) => {
                let is_file = about.file_type().is_regular_file();
                if !files.add(&at, about.len(), is_file) {
                    return Ok(false);
                }
                if about.is_dir() && files.is_shallow(&at) {
                    directories.push(at);
                }
            }
            Err(error) => first_error = first_error.and(Err(error)),
        }
    }
    first_error
}

/// What the superblock says of the whole file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Bytes of all blocks.
    pub size: u64,
    /// Whether it was unmounted, and its journal is empty.
    pub is_clean: bool,
    /// Whether the kernel found errors in it.
    pub has_errors: bool,
    /// When it was last written, in seconds since 1970; the low half of that.
    pub written: u32,
}

/// Reads the superblock of a region, `None` when it is not ext4's.
///
/// # Errors
/// When it cannot be read.
pub fn state(region: &Region) -> io::Result<Option<State>> {
    let mut superblock = [0; 1024];
    region.read_exact(SUPERBLOCK, &mut superblock)?;
    let recover = superblock[0x60] & FEATURE_RECOVER as u8 != 0;
    Ok(is_ext4(&superblock).then(|| State {
        size: counts(&superblock).size,
        is_clean: superblock[0x3a] & STATE_CLEAN != 0 && !recover,
        has_errors: superblock[0x3a] & STATE_ERRORS != 0,
        written: u32::from_le_bytes([superblock[0x30], superblock[0x31], superblock[0x32], superblock[0x33]]),
    }))
}

/// A file that is read from its beginning to its end.
pub(super) struct Reader(pub(super) File);

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_bytes(&mut buffer[filled..]).map_err(io::Error::from)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }
}

/// The bytes of the file at `path` when it is there and not larger than `most`.
pub fn read(ext4: &Ext4, path: &str, most: u64) -> Option<Vec<u8>> {
    let small = ext4.metadata(path).ok()?.len() <= most;
    small.then(|| ext4.read(path).ok()).flatten()
}

/// A file of an ext4 file system as a disk of its own.
pub struct Nested(pub File);

impl Ext4Read for Nested {
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.seek_to(at)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_bytes(&mut buffer[filled..])? {
                0 => return Err("the file ends too early".into()),
                count => filled += count,
            }
        }
        Ok(())
    }
}

/// Whether a region holds ext4.
pub fn is_there(region: &Region) -> bool {
    region.read(SUPERBLOCK, 1024).is_ok_and(|superblock| is_ext4(&superblock))
}
