//! The manifest of an image, beside it: what stands where, and what it was made from.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::disk::Disk;
use crate::fetch::Parts;
use crate::image::layout::{Entry, PartitionTable};
use crate::image::write::Written;
use crate::lock::Pin;
use crate::plan::{Build, Plan};
use crate::slot::SlotJson;
use crate::units::Bytes;

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
    pub epoch: u32,
    /// The image file.
    pub image: Image,
    /// The partitions, in order.
    pub partitions: Vec<Partition>,
    /// What each of the slots holds.
    pub slot: SlotJson,
    /// Everything that came from outside.
    pub sources: Vec<Pin>,
    /// Kernel modules that are not the kernel's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<Module>,
    /// Licences that go with parts of it, in every partition that the loader reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<Licence>,
}

/// The licence of a part.
#[derive(Clone, Debug, Serialize)]
pub struct Licence {
    /// What the part is for, as in the sources.
    pub part: &'static str,
    /// The file that holds it.
    pub file: &'static str,
}

/// A kernel module that is not the kernel's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its length in bytes, not packed.
    pub size: u64,
    /// Its digest, not packed.
    pub sha256: Sha256,
    /// The licence that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Its source, where the image has that as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ModuleSource>,
}

/// The source of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleSource {
    /// The directory in every initramfs of the image.
    pub initramfs: String,
    /// Digest of all its files.
    pub sha256: Sha256,
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
fn partitions(table: &PartitionTable) -> Vec<Partition> {
    let row = |entry: &Entry| Partition {
        number: entry.number,
        role: entry.role.map(|role| role.to_string()).unwrap_or_default(),
        name: entry.name.clone(),
        id: table.partuuid(entry),
        start: entry.offset().0,
        size: entry.size().0,
    };
    table.entries.iter().map(row).collect()
}

fn licences(plan: &Plan) -> Vec<Licence> {
    let licences = plan.track.licences(&plan.loader.choices).into_iter();
    licences.map(|(part, file)| Licence { part, file }).collect()
}

impl Manifest {
    /// The manifest of the image at `path`, which holds `disk` as it was `written`.
    pub fn new(
        plan: &Plan,
        build: &Build,
        parts: &Parts,
        modules: &[Module],
        disk: &Disk,
        written: &Written,
        path: &Path,
    ) -> Self {
        Manifest {
            format: 1,
            name: plan.name.clone(),
            version: plan.version.clone(),
            track: plan.track.name(),
            build: build.id.to_string(),
            epoch: build.epoch,
            image: Image {
                file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                size: disk.table.disk.0,
                mapped: written.mapped.iter().map(|range| range.end - range.start).sum(),
                disk: disk.table.disk_id(),
            },
            partitions: partitions(&disk.table),
            slot: disk.slot.clone().with(&written.digests),
            sources: parts.iter().map(|part| part.pin.clone()).collect(),
            modules: modules.to_vec(),
            licences: licences(plan),
        }
    }

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

    /// What was made, for people; `image` where that is kept.
    pub fn summary(&self, image: Option<&Path>, took: Duration) -> String {
        let (size, mapped) = (Bytes(self.image.size), Bytes(self.image.mapped));
        let made = image.map_or("done".to_owned(), |image| format!("made `{}`", image.display()));
        let mut text = format!("{made} in {:.1} s\n", took.as_secs_f64());
        let _ = writeln!(
            text,
            "  {} {}, track {}, build {}\n  {size}, of which {mapped} are not holes",
            self.name, self.version, self.track, self.build
        );
        for partition in &self.partitions {
            let Partition { number, name, size, .. } = partition;
            let _ = writeln!(text, "  {number} {name:<10} {:>9}", Bytes(*size).to_string());
        }
        let next = image.map(|image| format!("next: factory boot {}", image.display()));
        (text + &next.unwrap_or_default()).trim_end().to_owned()
    }
}
