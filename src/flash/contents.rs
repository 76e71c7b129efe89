//! What is on a device: its table, and the file systems that are known, as far as they can be read.

use std::path::Path;

use serde::Serialize;

use crate::image::layout::Scheme;
use crate::units::Bytes;
use crate::volume::{Disk, Kind, Opened};

/// What a partition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Content {
    /// Number of the partition.
    pub number: u32,
    /// Its name in the table.
    pub name: Option<String>,
    /// Its length.
    pub size: Bytes,
    /// Format of its file system, where that is known.
    pub kind: Option<Kind>,
    /// Label of its file system.
    pub label: Option<String>,
}

/// What is on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Contents {
    /// `gpt` or `mbr`.
    pub table: &'static str,
    /// Its partitions.
    pub partitions: Vec<Content>,
}

/// Looks what is on the device or file at `path`; none when it has no table, or cannot be read.
pub fn read(path: &Path) -> Option<Contents> {
    let disk = Disk::open(path).ok()?;
    let table = disk.table().ok()?.table;
    let content = |entry: &crate::image::layout::Entry| {
        let (kind, label) = file_system(&disk.partition(entry));
        let name = Some(clean(&entry.name)).filter(|name| !name.is_empty());
        Content { number: entry.number, name, size: entry.size(), kind, label }
    };
    let scheme = match table.scheme {
        Scheme::Gpt => "gpt",
        Scheme::Mbr => "mbr",
    };
    Some(Contents { table: scheme, partitions: table.entries.iter().map(content).collect() })
}

fn file_system(region: &crate::volume::Region) -> (Option<Kind>, Option<String>) {
    match Opened::enter(region) {
        Ok(Opened::Ext4(ext4)) => (Some(Kind::Ext4), ext4.label().to_str().ok().and_then(label)),
        Ok(Opened::Fat(fat)) => (Some(Kind::Fat), fat.volume().label.as_deref().and_then(label)),
        Ok(Opened::Closed) | Err(_) => {
            let is_squashfs = region.read(0, region.size().min(4)).is_ok_and(|head| head == b"hsqs");
            (is_squashfs.then_some(Kind::Squashfs), None)
        }
    }
}

fn label(text: &str) -> Option<String> {
    Some(clean(text)).filter(|label| !label.is_empty())
}

/// Without what a terminal would take for an order.
fn clean(text: &str) -> String {
    text.trim_end_matches(['\0', ' ']).chars().filter(|c| !c.is_control()).collect()
}
