//! A file system, whatever its format.

use serde::Serialize;

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
pub(super) struct Volume {
    pub(super) kind: Kind,
    pub(super) label: Option<String>,
    pub(super) uuid: Option<String>,
    /// Bytes of the file system.
    pub(super) size: u64,
    /// Bytes of it in use, its own tables included where it counts them.
    pub(super) used: u64,
    pub(super) files: Files,
    /// Why not everything could be read.
    pub(super) problem: Option<String>,
}

/// The regular files of a file system, as far as they were looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    /// Path from the root, with a slash in front, and size in bytes.
    pub(super) sizes: Vec<(String, u64)>,
    seen: u64,
}

impl Files {
    /// Notes an entry. False when there were so many that the walk must stop.
    pub(super) fn add(&mut self, path: &str, size: u64, is_file: bool) -> bool {
        self.seen += 1;
        if is_file {
            self.sizes.push((path.to_owned(), size));
        }
        self.seen < MOST_ENTRIES
    }

    /// Whether a directory may be looked into.
    pub(super) fn is_shallow(&self, path: &str) -> bool {
        path.matches('/').count() < DEEPEST
    }

    /// The size of the file at `path`.
    pub(super) fn size(&self, path: &str) -> Option<u64> {
        self.sizes.iter().find(|(at, _)| at == path).map(|(_, size)| *size)
    }
}
