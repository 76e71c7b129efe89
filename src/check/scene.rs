//! The opened disk that rules look at: opened once, and read no further than they must.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bootenv::bootsector::HIDDEN;

use super::content::{self, Contents};
use super::fat::Usage;
use super::{CheckError, Finding, Options, Progress, firmware};
use crate::image::layout::{Entry, Role, Scheme};
use crate::slot::{SLOT_FILE, SlotJson};
use crate::track;
use crate::units::SECTOR;
use crate::volume::fat::{Fat, Node};
use crate::volume::{self, Disk, Opened, Region, Table, TableError};

/// Bytes at the start of the disk that tell what it is: the table, and a GPT of 4 KiB sectors.
const HEAD: u64 = 8 << 10;

/// Largest list of a slot's files, in bytes.
const LARGEST_LIST: u32 = 16 << 20;

/// A disk.
pub(super) struct Scene {
    /// The disk.
    pub(super) disk: Disk,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    /// Its partition table.
    pub(super) table: Result<Table, TableError>,
    /// Its partitions, in order of their numbers.
    pub(super) partitions: Vec<Partition>,
    /// What was read of large files.
    pub(super) contents: Contents,
    /// What was read of the firmware.
    pub(super) firmware: firmware::Cache,
    /// How much is looked at.
    pub(super) options: Options,
    /// What could not be read so far.
    failures: RefCell<Vec<Finding>>,
}

/// A partition.
pub(super) struct Partition {
    /// Its entry in the table.
    pub(super) entry: Entry,
    /// The row of the track that it goes by, whatever its type.
    pub(super) row: Option<&'static track::Partition>,
    /// Its bytes, as far as the disk goes.
    pub(super) region: Region,
    /// What is in it.
    pub(super) volume: Volume,
    /// Sizes of its regular files; on FAT, names are in lower case.
    files: BTreeMap<String, u64>,
    /// On FAT, what each cluster belongs to.
    pub(super) usage: Option<Usage>,
    list: OnceCell<Result<SlotJson, String>>,
}

/// What is in a partition.
pub(super) enum Volume {
    /// A file system whose files can be listed.
    Sound(Opened),
    /// FAT whose boot sector says another kind than its clusters do, so that programs disagree
    /// where its files are.
    Ambiguous(Fat),
    /// A file system that cannot be read, and why.
    Broken(&'static str, String),
    /// None, so that the boot ROM does not find it: a slot of a Raspberry Pi.
    Hidden,
    /// None that is known.
    Unknown,
    /// The disk ends before it does.
    Cut,
}

impl Scene {
    /// Opens the disk at `path`.
    pub(super) fn open(path: &Path, options: Options, progress: &Progress<'_>) -> Result<Scene, CheckError> {
        let disk = Disk::open(path)?;
        let table = disk.table();
        let mut failures = Vec::new();
        let head = disk.region().read(0, HEAD.min(disk.size())).unwrap_or_else(|error| {
            failures.push(Finding::new("the disk", error.to_string()));
            Vec::new()
        });
        let entries = table.as_ref().map_or(&[][..], |table| &table.table.entries);
        let scheme = table.as_ref().ok().map(|table| table.table.scheme);
        let mut partitions: Vec<Partition> = Vec::new();
        for entry in entries {
            partitions.push(Partition::open(&disk, scheme, entry, &mut failures));
        }
        let failures = RefCell::new(failures);
        let (contents, firmware) = (Contents::default(), firmware::Cache::new());
        let mut scene = Scene { disk, head, table, partitions, contents, firmware, options, failures };
        scene.contents = content::read(&scene, progress)?;
        Ok(scene)
    }

    /// Format of the partition table, if there is one.
    pub(super) fn scheme(&self) -> Option<Scheme> {
        self.table.as_ref().ok().map(|table| table.table.scheme)
    }

    /// The partition for `role`, whether or not it can be read.
    pub(super) fn find(&self, role: Role) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.role() == Some(role))
    }

    /// The partition that is read first, if it can be read.
    pub(super) fn selector(&self) -> Option<&Partition> {
        self.find(Role::Selector).filter(|selector| selector.is_readable())
    }

    /// The slots that can be read and hold anything.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter(|partition| partition.is_slot() && !partition.files.is_empty())
    }

    /// The file systems that are FAT.
    pub(super) fn fats(&self) -> impl Iterator<Item = (&Partition, &Fat)> {
        self.partitions.iter().filter_map(|partition| match &partition.volume {
            Volume::Sound(Opened::Fat(fat)) | Volume::Ambiguous(fat) => Some((partition, fat)),
            _ => None,
        })
    }

    /// The bytes of a file, `None` when it is not there, is larger than `most`, or cannot be read,
    /// of which note is taken.
    pub(super) fn read(&self, partition: &Partition, path: &str, most: u32) -> Option<Vec<u8>> {
        if partition.size(path)? > u64::from(most) {
            return None;
        }
        let bytes = partition.opened()?.reader(path).transpose()?.and_then(|mut reader| {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        });
        bytes.map_err(|error| self.fail(&partition.at(path), &error)).ok()
    }

    /// Takes note of something that cannot be read. Broken chains of clusters have a rule of
    /// their own.
    pub(super) fn fail(&self, place: &str, error: &io::Error) {
        let what = match error.kind() {
            io::ErrorKind::InvalidData => return,
            io::ErrorKind::UnexpectedEof => "the disk ended while it was read".to_owned(),
            _ => error.to_string(),
        };
        self.failures.borrow_mut().push(Finding::new(place, what));
    }

    /// What could not be read, by now.
    pub(super) fn failures(&self) -> Vec<Finding> {
        self.failures.borrow().clone()
    }

    /// The list of a slot's files.
    pub(super) fn list<'a>(&self, slot: &'a Partition) -> Result<&'a SlotJson, &'a str> {
        let list = slot.list.get_or_init(|| {
            let text = self.read(slot, SLOT_FILE, LARGEST_LIST).ok_or("there is none")?;
            serde_json::from_slice(&text).map_err(|error| error.to_string())
        });
        list.as_ref().map_err(String::as_str)
    }
}

impl Partition {
    fn open(disk: &Disk, scheme: Option<Scheme>, entry: &Entry, failures: &mut Vec<Finding>) -> Partition {
        let region = disk.partition(entry);
        let row = scheme.and_then(|scheme| track::row(scheme, entry));
        let is_whole =
            entry.start.0.checked_add(entry.length.0).is_some_and(|end| end <= disk.size() / SECTOR);
        let volume = if is_whole { look(&region) } else { Volume::Cut };
        let list = OnceCell::new();
        let (entry, files) = (entry.clone(), BTreeMap::new());
        let mut partition = Partition { entry, row, region, volume, files, usage: None, list };
        if matches!(partition.volume, Volume::Unknown) && partition.is_hidden() {
            partition.volume = Volume::Hidden;
        }
        if let Err(error) = partition.walk() {
            failures.push(Finding::new(partition.name(), error.to_string()));
        }
        partition
    }

    /// Lists the files. Those of the data partition are nobody's business.
    fn walk(&mut self) -> io::Result<()> {
        match &self.volume {
            Volume::Sound(Opened::Fat(fat)) => {
                let nodes = fat.nodes().map_err(io::Error::from)?;
                self.files = nodes.iter().filter(|node| !node.is_dir).map(listed).collect();
                self.usage = Some(Usage::new(fat, nodes));
            }
            Volume::Sound(Opened::Ext4(ext4)) if self.is_slot() => {
                let (files, problem) = volume::ext4::files(ext4);
                let files = files.sizes.into_iter();
                self.files =
                    files.map(|(path, size)| (path.trim_start_matches('/').to_owned(), size)).collect();
                if let Some(problem) = problem {
                    self.volume = Volume::Broken("ext4", problem);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What the partition is for, if its type is right.
    pub(super) fn role(&self) -> Option<Role> {
        self.row.filter(|row| row.kind == self.entry.kind).map(|row| row.role)
    }

    /// Whether it is a slot's.
    pub(super) fn is_slot(&self) -> bool {
        matches!(self.role(), Some(Role::Boot(_) | Role::System(_)))
    }

    /// Whether it is a slot that starts as those do that are not to be booted.
    fn is_hidden(&self) -> bool {
        let is_slot = matches!(self.role(), Some(Role::Boot(_)));
        is_slot && self.region.read(0, SECTOR).is_ok_and(|first| first == HIDDEN)
    }

    /// Its name: that of the track's row, or its number.
    pub(super) fn name(&self) -> String {
        self.row.map_or_else(|| format!("partition {}", self.entry.number), |row| row.name.to_owned())
    }

    /// A file of it, as a place.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}: {path}", self.name())
    }

    /// Whether its files can be listed.
    pub(super) fn is_readable(&self) -> bool {
        matches!(self.volume, Volume::Sound(_))
    }

    /// The file system, when its files can be read.
    pub(super) fn opened(&self) -> Option<&Opened> {
        match &self.volume {
            Volume::Sound(opened) => Some(opened),
            _ => None,
        }
    }

    /// The size of a file in bytes, `None` when there is none.
    pub(super) fn size(&self, path: &str) -> Option<u64> {
        let is_fat = matches!(self.volume, Volume::Sound(Opened::Fat(_)));
        if is_fat { self.files.get(&path.to_ascii_lowercase()) } else { self.files.get(path) }.copied()
    }

    /// Whether there is a file at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.size(path).is_some()
    }

    /// Paths and sizes of all files; on FAT, names are in lower case.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.iter().map(|(path, size)| (path.as_str(), *size))
    }
}

fn listed(node: &Node) -> (String, u64) {
    (node.path.trim_start_matches('/').to_ascii_lowercase(), node.size.into())
}

fn look(region: &Region) -> Volume {
    let kind = if volume::ext4::is_there(region) { "ext4" } else { "FAT" };
    match Opened::enter(region) {
        Ok(Opened::Closed) => Volume::Unknown,
        Ok(Opened::Fat(fat)) if fat.is_ambiguous() => Volume::Ambiguous(fat),
        Ok(opened) => Volume::Sound(opened),
        Err(error) => Volume::Broken(kind, error.to_string()),
    }
}
