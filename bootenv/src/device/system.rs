//! What the running system says of itself: its kernel's command line, its firmware and its disks.
//!
//! ```text
//!   /proc/cmdline                             factory.slot, factory.state, factory.system, factory.data
//!   /proc/device-tree/chosen/bootloader/*     partition, tryboot, boot-mode ...: a Raspberry Pi's firmware
//!   /sys/block/<disk>/<partition>/partition   numbers; /dev/<name> is where they are read
//! ```
//!
//! Everything is read below a root directory, so that it can be tried on a copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::Track;
use crate::locate::partuuid;
use crate::medium::{Access, FileMedium};
use crate::{Booted, How, Slot, rpi};

/// Where a Raspberry Pi's firmware leaves its words (Raspberry Pi documentation,
/// `configuration/device-tree.adoc`).
const BOOTLOADER: &str = "proc/device-tree/chosen/bootloader";

/// Longest file of the kernel's that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// A running system.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
}

/// What was started, and from where. A part that is not there, or not yet, is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The track, when a loader of ours or a Raspberry Pi's firmware started this kernel.
    pub track: Option<Track>,
    /// The slot; none on the control partition's own kernel, or one that was started by hand.
    pub booted: Option<Booted>,
    /// The disk with the control files.
    pub disk: Option<PathBuf>,
    /// The slot's partition.
    pub system: Option<PathBuf>,
    /// The partition that is kept across updates.
    pub data: Option<PathBuf>,
}

/// A partition as the kernel knows it.
#[derive(Clone, Debug)]
struct Partition {
    disk: String,
    name: String,
    number: u32,
}

impl System {
    /// The one that this program runs on.
    pub fn running() -> Self {
        System::below(Path::new("/"))
    }

    /// One whose `/proc`, `/sys` and `/dev` are below `root`.
    pub fn below(root: &Path) -> Self {
        System { root: root.to_owned() }
    }

    /// A path of the system.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Text of a small file; nothing when it is not there.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.path(path)).ok().filter(|bytes| bytes.len() <= LONGEST)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The value of a `name=value` on the kernel's command line; the last one counts.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let line = self.text("proc/cmdline")?;
        let mut values =
            line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        values.next_back().map(str::to_owned).filter(|value| !value.is_empty())
    }

    /// A number that a Raspberry Pi's firmware has left, big-endian. Older firmware has underscores in
    /// the names.
    pub(super) fn firmware(&self, name: &str) -> Option<u32> {
        let read = |name: &str| self.word(&self.path(BOOTLOADER).join(name));
        read(name).or_else(|| read(&name.replace('-', "_")))
    }

    /// A word of the device tree, big-endian.
    pub(super) fn word(&self, path: &Path) -> Option<u32> {
        Some(u32::from_be_bytes(fs::read(path).ok()?.try_into().ok()?))
    }

    /// What was started, and where its partitions are.
    pub fn find(&self) -> Found {
        let partition = self.firmware("partition");
        let named = self.parameter("factory.slot").and_then(|slot| slot.parse().ok());
        let slot = named.or_else(|| partition.and_then(rpi::slot_of));
        match partition {
            Some(_) => self.find_rpi(slot),
            None if named.is_some() => self.find_generic(slot),
            None => Found { data: self.data(None).map(|data| self.device(&data.name)), ..Found::default() },
        }
    }

    fn find_generic(&self, slot: Option<Slot>) -> Found {
        let how = match self.parameter("factory.state").as_deref() {
            Some("trial") => How::Trial,
            Some("handover") => How::HandOver,
            _ => How::Committed,
        };
        let system =
            slot.and_then(|slot| self.chosen("factory.system", &std::format!("system-{slot}"), None));
        self.found(Track::Generic, slot.map(|slot| Booted { slot, how }), system)
    }

    fn find_rpi(&self, slot: Option<Slot>) -> Found {
        let tried = self.firmware("tryboot") == Some(1);
        let booted = slot.and_then(|slot| crate::machine::rpi::booted(rpi::partition(slot), tried));
        let disk = self.disks().into_iter().find(|disk| self.is_boot_disk(disk));
        let number = |wanted| {
            let disk = disk.as_deref()?;
            self.partitions(disk).into_iter().find(|partition| partition.number == wanted)
        };
        let system = slot.and_then(|slot| number(rpi::partition(slot)));
        let data = self.parameter("factory.data").and_then(|id| self.with_partuuid(&id));
        let data = data.or_else(|| number(rpi::DATA_PARTITION));
        Found {
            track: Some(Track::Rpi),
            booted,
            disk: disk.as_deref().map(|disk| self.device(disk)),
            system: system.map(|system| self.device(&system.name)),
            data: data.map(|data| self.device(&data.name)),
        }
    }

    fn found(&self, track: Track, booted: Option<Booted>, system: Option<Partition>) -> Found {
        let data = self.data(system.as_ref());
        Found {
            track: Some(track),
            booted,
            disk: system.as_ref().map(|system| self.device(&system.disk)),
            system: system.map(|system| self.device(&system.name)),
            data: data.map(|data| self.device(&data.name)),
        }
    }

    fn data(&self, system: Option<&Partition>) -> Option<Partition> {
        self.chosen("factory.data", "data", system.map(|system| &*system.disk))
    }

    /// The partition whose PARTUUID a parameter gives, else the one with a name, on a disk if one is named.
    fn chosen(&self, parameter: &str, name: &str, disk: Option<&str>) -> Option<Partition> {
        match self.parameter(parameter) {
            Some(id) => self.with_partuuid(&id),
            None => self.with_name(name, disk),
        }
    }

    /// Read from the tables, since kernels up to 6.12 keep it to themselves.
    fn with_partuuid(&self, id: &str) -> Option<Partition> {
        self.disks().into_iter().find_map(|disk| {
            let mut medium = FileMedium::open(&self.device(&disk), Access::Look).ok()?;
            let number = partuuid(&mut medium, id)?;
            self.partitions(&disk).into_iter().find(|partition| partition.number == number)
        })
    }

    fn with_name(&self, name: &str, disk: Option<&str>) -> Option<Partition> {
        let line = std::format!("PARTNAME={name}");
        let disks = self.disks().into_iter().filter(|known| disk.is_none_or(|disk| known == disk));
        let mut partitions = disks.flat_map(|disk| self.partitions(&disk));
        partitions.find(|partition| {
            let uevent = self.text(&std::format!("sys/block/{}/{}/uevent", partition.disk, partition.name));
            uevent.is_some_and(|text| text.lines().any(|known| known == line))
        })
    }

    /// Whether a disk is of the kind that the firmware started from, and has an image's table. Raspberry
    /// Pi documentation, "boot-mode": 1 SD, 4 and 5 USB, 6 NVMe.
    fn is_boot_disk(&self, disk: &str) -> bool {
        let kind = match self.firmware("boot-mode") {
            Some(1) => disk.starts_with("mmcblk"),
            Some(4 | 5) => disk.starts_with("sd"),
            Some(6) => disk.starts_with("nvme"),
            _ => true,
        };
        let medium = || FileMedium::open(&self.device(disk), Access::Look).ok();
        kind && medium().is_some_and(|mut medium| rpi::has_table(&mut medium))
    }

    fn disks(&self) -> Vec<String> {
        names(&self.path("sys/block"))
    }

    fn partitions(&self, disk: &str) -> Vec<Partition> {
        let dir = self.path("sys/block").join(disk);
        let number =
            |name: &str| fs::read_to_string(dir.join(name).join("partition")).ok()?.trim().parse().ok();
        let found = names(&dir).into_iter();
        found
            .filter_map(|name| Some(Partition { number: number(&name)?, disk: disk.to_owned(), name }))
            .collect()
    }

    fn device(&self, name: &str) -> PathBuf {
        // What the kernel shows as `!` is a `/` (drivers/base/core.c).
        self.path("dev").join(name.replace('!', "/"))
    }
}

/// Names in a directory, sorted, so that the same disk is found every time.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().to_string()).collect();
    names.sort();
    names
}
