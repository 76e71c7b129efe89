//! What is in a slot (`slot.json`, on the device) and in an image (the manifest beside it).

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::{Digests, Sha256};
use crate::image::extents::Extents;
use crate::image::layout::PartitionTable;
use crate::lock::Pin;
use crate::units::Bytes;

/// Name of the list of files in a slot.
pub const SLOT_FILE: &str = "slot.json";

/// Generation of the partition layout and of what init expects of it; an update for another one
/// does not fit.
pub const LAYOUT_GENERATION: u32 = 1;

/// `slot.json`: what a slot holds, so that it can be verified where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotJson {
    /// Generation of the layout.
    pub layout: u32,
    /// Name of the product.
    pub name: String,
    /// Version of the product.
    pub version: String,
    /// The build's id.
    pub build: String,
    /// Every file but this one, by path.
    pub files: Vec<SlotFile>,
}

/// A file of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFile {
    /// Path from the slot's root.
    pub path: String,
    /// Length in bytes, holes included.
    pub size: u64,
    /// Digest of its content, holes included.
    pub sha256: Sha256,
}

impl SlotJson {
    /// The file's content, made when the digests of all the others are known. Its length does not
    /// depend on them.
    pub fn late(self) -> Extents {
        let size = self.encode().len() as u64;
        Extents::late(size, Arc::new(move |digests: &Digests| self.clone().with(digests).encode()))
    }

    /// The same list with these digests.
    pub fn with(mut self, digests: &Digests) -> Self {
        for file in &mut self.files {
            if let Some(digest) = digests.get(&file.path) {
                file.sha256 = *digest;
            }
        }
        self
    }

    fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a list of files is plain data");
        text.push(b'\n');
        text
    }
}

/// The manifest of an image.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Name of the product.
    pub name: String,
    /// Version of the product.
    pub version: String,
    /// Boot chain.
    pub track: &'static str,
    /// The build's id.
    pub build: String,
    /// Time of everything in the image, in seconds since 1970.
    pub epoch: i64,
    /// The image file.
    pub image: Image,
    /// The partitions, in order.
    pub partitions: Vec<Partition>,
    /// What each of the slots holds.
    pub slot: SlotJson,
    /// Everything that came from outside.
    pub sources: Vec<Pin>,
}

/// The image file.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Its name.
    pub file: String,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes that are not holes.
    pub mapped: u64,
    /// Identity of the disk.
    pub disk: String,
}

/// A partition of the image.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// What it is for.
    pub role: String,
    /// Its name in the table.
    pub name: String,
    /// Its identity in the table.
    pub id: String,
    /// Offset of its first byte.
    pub start: u64,
    /// Its length in bytes.
    pub size: u64,
}

/// Rows of a manifest for the partitions of `table`.
pub fn partitions(table: &PartitionTable) -> Vec<Partition> {
    let row = |entry: &crate::image::layout::Entry| Partition {
        number: entry.number,
        role: entry.role.map(|role| role.to_string()).unwrap_or_default(),
        name: entry.name.clone(),
        id: entry.id.to_string(),
        start: entry.offset().0,
        size: entry.size().0,
    };
    table.entries.iter().map(row).collect()
}

impl Manifest {
    /// Path of the manifest of the image at `image`.
    pub fn path(image: &Path) -> PathBuf {
        let mut name = image.as_os_str().to_owned();
        name.push(".manifest.json");
        name.into()
    }

    /// Writes the manifest beside the image, complete or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_beside(&self, image: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        crate::files::replace(&Self::path(image), &text)
    }

    /// What was made, for people.
    pub fn summary(&self, image: &Path, took: Duration) -> String {
        let (size, mapped) = (Bytes(self.image.size), Bytes(self.image.mapped));
        let mut text = format!("made `{}` in {:.1} s\n", image.display(), took.as_secs_f64());
        let _ = writeln!(
            text,
            "  {} {}, track {}, build {}\n  {size}, of which {mapped} are not holes",
            self.name, self.version, self.track, self.build
        );
        for partition in &self.partitions {
            let Partition { number, name, size, .. } = partition;
            let _ = writeln!(text, "  {number} {name:<10} {:>9}", Bytes(*size).to_string());
        }
        let _ = write!(text, "next: factory boot {0}", image.display());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_slot_list_is_known_before_its_digests() {
        let file = SlotFile { path: "Image".to_owned(), size: 3, sha256: Sha256([0; 32]) };
        let list = SlotJson {
            layout: LAYOUT_GENERATION,
            name: "kiosk".to_owned(),
            version: "1".to_owned(),
            build: "0".to_owned(),
            files: vec![file],
        };
        let digests = Digests::from([("Image".to_owned(), Sha256::of(b"abc"))]);
        let late = list.clone().late();
        assert_eq!(late.size(), list.with(&digests).encode().len() as u64);
    }
}
