//! Block devices of a machine, by what its kernel tells about them.
//!
//! ```text
//!   /sys/block/NAME/    dev  size  ro  removable  queue/logical_block_size  device/{vendor,model,type}
//!       NAME1/          dev  size  partition  start  holders/dm-0 --> /sys/block/dm-0 --> ...
//!   /proc/self/mountinfo, /proc/swaps         which of them are in use
//! ```
//! Sizes and starts are in units of 512 bytes whatever the device's sectors are
//! (`Documentation/ABI/stable/sysfs-block`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::mounts::{self, Mounts};
use crate::units::{Bytes, Sectors};

/// Deepest stack of devices that is followed: a partition, RAID, encryption and volumes are four.
const DEEPEST: usize = 8;

/// Where the running system lives: whatever carries one of these is never written.
const SYSTEM: [&str; 8] = ["/", "/usr", "/var", "/home", "/boot", "/boot/efi", "/boot/firmware", "/efi"];

/// How a device is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// USB, a card in a USB reader included.
    Usb,
    /// An SD card.
    Sd,
    /// Flash memory that is soldered in.
    Emmc,
    /// NVMe.
    Nvme,
    /// SATA or PATA.
    Ata,
    /// A disk of a virtual machine.
    Virtio,
    /// A loop or network block device, which somebody set up by hand.
    Virtual,
    /// Another.
    Other,
}

/// What keeps a device from being written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Use {
    /// A file system of it is mounted.
    Mounted {
        /// Name of the device that holds the file system: the disk, a partition, or one on top.
        device: String,
        /// Where it is mounted.
        at: String,
    },
    /// Memory is swapped out to it.
    Swap {
        /// Name of the device.
        device: String,
    },
    /// Another device is made of it: RAID, encryption, a volume.
    Held {
        /// Name of the device.
        device: String,
        /// Name of the device on top.
        by: String,
    },
}

/// A part of a device, as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Name, such as `sdb1`.
    pub name: String,
    /// Number in the partition table.
    pub number: u32,
    /// First byte on the device.
    pub start: Bytes,
    /// Length.
    pub size: Bytes,
}

/// A block device that is not a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Name, such as `sdb`.
    pub name: String,
    /// Its node.
    pub path: PathBuf,
    /// Length; 0 when a reader has no card.
    pub size: Bytes,
    /// Bytes in one logical sector.
    pub sector: u64,
    /// Who made it.
    pub vendor: Option<String>,
    /// What it is.
    pub model: Option<String>,
    /// How it is attached.
    pub bus: Bus,
    /// Whether it can be taken out: the kernel says so, or it is on USB, an SD card, or set up by hand.
    pub removable: bool,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Whether the running system is on it.
    pub system: bool,
    /// What it is in use for.
    pub uses: Vec<Use>,
    /// Its partitions, by number.
    pub parts: Vec<Part>,
}

/// What the kernel tells about block devices, below a directory that is `/` but for tests.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Default for Machine {
    fn default() -> Self {
        Machine::below("/")
    }
}

impl Machine {
    /// The machine whose `sys`, `proc` and `dev` are in a directory.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Machine { root: root.into() }
    }

    /// All block devices that are not partitions, by name.
    ///
    /// # Errors
    /// When the kernel's list cannot be read; a device that vanishes meanwhile is left out.
    pub fn devices(&self) -> io::Result<Vec<Device>> {
        let mounts = Mounts::read(&self.root);
        let mut names = names(&self.root.join("sys/block"))?;
        names.sort();
        Ok(names.iter().filter_map(|name| self.device(name, &mounts)).collect())
    }

    /// The name of the disk and of the partition that has a device number.
    pub fn named(&self, (major, minor): (u32, u32)) -> Option<Named> {
        let number = format!("{major}:{minor}");
        for disk in names(&self.root.join("sys/block")).ok()? {
            let dir = self.root.join("sys/block").join(&disk);
            if text(&dir.join("dev")).as_deref() == Some(&number) {
                return Some(Named { disk, part: None });
            }
            let has = |part: &String| text(&dir.join(part).join("dev")).as_deref() == Some(&number);
            if let Some(part) = parts(&dir).into_iter().map(|part| part.name).find(has) {
                return Some(Named { disk, part: Some(part) });
            }
        }
        None
    }

    fn device(&self, name: &str, mounts: &Mounts) -> Option<Device> {
        let dir = self.root.join("sys/block").join(name);
        let flag = |file: &str| text(&dir.join(file)).is_some_and(|text| text != "0");
        let words = |file: &str| text(&dir.join("device").join(file)).filter(|text| !text.is_empty());
        let parts = parts(&dir);
        let mut uses = Vec::new();
        for own in std::iter::once(name).chain(parts.iter().map(|part| part.name.as_str())) {
            let own_dir = if own == name { dir.clone() } else { dir.join(own) };
            self.uses(own, &own_dir, mounts, DEEPEST, &mut uses);
        }
        let bus = bus(&dir, name);
        Some(Device {
            name: name.to_owned(),
            path: node(name),
            size: number(&dir.join("size"))?,
            sector: text(&dir.join("queue/logical_block_size"))?.parse().ok()?,
            vendor: words("vendor"),
            model: words("model").or_else(|| words("name")),
            bus,
            removable: flag("removable") || matches!(bus, Bus::Usb | Bus::Sd | Bus::Virtual),
            read_only: flag("ro"),
            system: uses
                .iter()
                .any(|of| matches!(of, Use::Mounted { at, .. } if SYSTEM.contains(&at.as_str()))),
            uses,
            parts,
        })
    }

    /// Adds what one device is used for, and all that is made of it.
    fn uses(&self, name: &str, dir: &Path, mounts: &Mounts, depth: usize, uses: &mut Vec<Use>) {
        let device = name.to_owned();
        let dev = text(&dir.join("dev")).unwrap_or_default();
        let node = node(name);
        uses.extend(mounts.of(&dev, &node).map(|at| Use::Mounted { device: device.clone(), at }));
        if mounts.swaps(&node) {
            uses.push(Use::Swap { device: device.clone() });
        }
        for by in names(&dir.join("holders")).unwrap_or_default() {
            uses.push(Use::Held { device: device.clone(), by: by.clone() });
            if depth > 0 {
                self.uses(&by, &self.root.join("sys/block").join(&by), mounts, depth - 1, uses);
            }
        }
    }
}

/// What a device number belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Name of the disk.
    pub disk: String,
    /// Name of its partition, when that is what has the number.
    pub part: Option<String>,
}

/// The node of a device. A slash in its name is an exclamation mark in sysfs (`drivers/base/core.c`).
fn node(name: &str) -> PathBuf {
    Path::new("/dev").join(name.replace('!', "/"))
}

/// Partitions are the directories that have a number.
fn parts(dir: &Path) -> Vec<Part> {
    let part = |name: String| {
        let dir = dir.join(&name);
        let number_in_table = text(&dir.join("partition"))?.parse().ok()?;
        let (start, size) = (number(&dir.join("start"))?, number(&dir.join("size"))?);
        Some(Part { name, number: number_in_table, start, size })
    };
    let mut parts: Vec<_> = names(dir).unwrap_or_default().into_iter().filter_map(part).collect();
    parts.sort_by_key(|part| part.number);
    parts
}

/// How a device is attached: by the devices above it in sysfs, which its link tells.
fn bus(dir: &Path, name: &str) -> Bus {
    let real = fs::canonicalize(dir).unwrap_or_default();
    let above = |start: &str| {
        let mut parts = real.components().map(|part| part.as_os_str().to_string_lossy());
        parts.any(|part| {
            part.strip_prefix(start).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    let known = [("usb", Bus::Usb), ("nvme", Bus::Nvme), ("ata", Bus::Ata), ("virtio", Bus::Virtio)];
    if let Some((_, bus)) = known.into_iter().find(|(start, _)| above(start)) {
        return bus;
    }
    match text(&dir.join("device/type")).as_deref() {
        Some("SD") => Bus::Sd,
        Some("MMC") => Bus::Emmc,
        _ if name.starts_with("loop") || name.starts_with("nbd") => Bus::Virtual,
        _ => Bus::Other,
    }
}

/// A length in sysfs.
fn number(path: &Path) -> Option<Bytes> {
    let sectors: u64 = text(path)?.parse().ok()?;
    sectors.checked_mul(Sectors(1).bytes().0).map(Bytes)
}

/// A line of sysfs, without what a terminal would take for an order.
fn text(path: &Path) -> Option<String> {
    let text = mounts::read(path)?;
    Some(text.trim().chars().filter(|c| !c.is_control()).collect())
}

/// Names of what is in a directory.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    Ok(fs::read_dir(dir)?.filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stage(tempfile::TempDir);

    impl Stage {
        fn new() -> Self {
            let stage = Stage(tempfile::tempdir().unwrap());
            stage.write("proc/self/mountinfo", "");
            fs::create_dir_all(stage.0.path().join("sys/block")).unwrap();
            stage
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// A disk of 8 GiB with two partitions, behind these devices.
        fn disk(&self, name: &str, above: &str, major: u32) {
            let place = format!("sys/devices/{above}/block/{name}");
            let put = |file: &str, text: &str| self.write(&format!("{place}/{file}"), text);
            put("size", "16777216\n");
            put("ro", "0\n");
            put("removable", "0\n");
            put("dev", &format!("{major}:0\n"));
            put("queue/logical_block_size", "512\n");
            for part in 1..=2 {
                put(&format!("{name}{part}/dev"), &format!("{major}:{part}\n"));
                put(&format!("{name}{part}/partition"), &format!("{part}\n"));
                put(&format!("{name}{part}/start"), "2048\n");
                put(&format!("{name}{part}/size"), "4096\n");
            }
            let link = self.0.path().join("sys/block").join(name);
            std::os::unix::fs::symlink(self.0.path().join(&place), link).unwrap();
        }

        fn machine(&self) -> Machine {
            Machine::below(self.0.path())
        }

        fn only(&self) -> Device {
            self.machine().devices().unwrap().remove(0)
        }
    }

    #[test]
    fn a_stick_is_listed_with_all_that_is_told() {
        let stage = Stage::new();
        stage.disk("sdb", "pci0000:00/usb2/2-1/host3/3:0:0:0", 8);
        stage.write("sys/block/sdb/device/vendor", "SanDisk \n");
        stage.write("sys/block/sdb/device/model", "Ul\u{1b}tra  \n");
        let stick = stage.only();
        assert_eq!((stick.path.to_str().unwrap(), stick.size), ("/dev/sdb", Bytes(8 << 30)));
        assert_eq!((stick.vendor.as_deref(), stick.model.as_deref()), (Some("SanDisk"), Some("Ultra")));
        assert_eq!(
            (stick.bus, stick.removable, stick.read_only, stick.system),
            (Bus::Usb, true, false, false)
        );
        assert_eq!((stick.parts.len(), stick.parts[1].number, stick.parts[1].size), (2, 2, Bytes::mib(2)));
        assert_eq!(stage.machine().named((8, 0)), Some(Named { disk: "sdb".into(), part: None }));
        assert_eq!(stage.machine().named((8, 2)).unwrap().part.as_deref(), Some("sdb2"));
        assert_eq!(stage.machine().named((9, 2)), None);
    }

    #[test]
    fn the_bus_is_told_by_what_a_device_hangs_on() {
        for (name, above, kind, bus, removable) in [
            ("sda", "pci0/ata1/host0/0:0:0:0", "", Bus::Ata, false),
            ("nvme0n1", "pci0/nvme/nvme0", "", Bus::Nvme, false),
            ("vda", "pci0/virtio1", "", Bus::Virtio, false),
            ("mmcblk0", "platform/mmc_host/mmc0/mmc0:0001", "SD\n", Bus::Sd, true),
            ("mmcblk1", "platform/mmc_host/mmc1/mmc1:0001", "MMC\n", Bus::Emmc, false),
            ("loop0", "virtual", "", Bus::Virtual, true),
        ] {
            let stage = Stage::new();
            stage.disk(name, above, 8);
            stage.write(&format!("sys/block/{name}/device/type"), kind);
            assert_eq!((stage.only().bus, stage.only().removable), (bus, removable), "{name}");
        }
    }

    #[test]
    fn the_disk_under_encryption_and_volumes_is_the_systems() {
        let stage = Stage::new();
        stage.disk("nvme0n1", "pci0/nvme/nvme0", 259);
        stage.write("sys/block/nvme0n1/nvme0n12/holders/dm-0", "");
        stage.write("sys/block/dm-0/holders/dm-1", "");
        stage.write("sys/block/dm-1/dev", "254:1\n");
        stage.write("proc/self/mountinfo", "1 0 254:1 / / rw - ext4 /dev/mapper/root rw\n");
        stage.write("proc/swaps", "Filename\n/dev/nvme0n11 partition 1 0 -2\n");
        let disk = stage.only();
        assert!(disk.system);
        let held = |device: &str, by: &str| Use::Held { device: device.into(), by: by.into() };
        let mounted = Use::Mounted { device: "dm-1".into(), at: "/".into() };
        let swap = Use::Swap { device: "nvme0n11".into() };
        assert_eq!(disk.uses, [swap, held("nvme0n12", "dm-0"), held("dm-0", "dm-1"), mounted]);
    }

    #[test]
    fn holders_that_form_a_ring_and_nonsense_are_survived() {
        let stage = Stage::new();
        stage.disk("sda", "pci0/usb1", 8);
        stage.write("sys/block/sda/holders/sda", "");
        stage.write("sys/block/sda/sda1/start", "18446744073709551615\n");
        stage.write("sys/block/sdb/size", "many\n");
        let disk = stage.only();
        assert_eq!((disk.uses.len(), disk.parts.len()), (DEEPEST + 1, 1));
    }
}
