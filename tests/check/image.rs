//! Small images of both tracks, as a test wants them: changed before they are made, or after.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use bootenv::grub::{self, GrubState};
use bootenv::rpi::{self, Autoboot};
use factory::digest::Sha256;
use factory::image::extents::Extents;
use factory::image::layout::{self, Layout, PartitionTable, Role, Scheme};
use factory::image::write::{self, Job};
use factory::image::{ext4, fat};
use factory::slot::{LAYOUT_GENERATION, SLOT_FILE, SlotFile, SlotJson};
use factory::track::{self, Format};
use factory::tree::FileTree;
use factory::units::Bytes;
use uuid::Uuid;

use super::parts::{self, SLOTS};
use super::support::tools;

/// Files by their path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// An image on the host's disk.
pub struct Image {
    pub path: PathBuf,
    pub table: PartitionTable,
    _dir: tempfile::TempDir,
}

/// What an image is made of.
pub struct Recipe {
    scheme: Scheme,
    /// Sizes of single partitions, by their names.
    pub sizes: BTreeMap<&'static str, Bytes>,
    /// What the partition holds that is read first.
    pub selector: Files,
    /// What the slots hold, but for the list.
    pub slot: Files,
    /// What slot B holds instead, if it differs.
    pub slot_b: Option<Files>,
    /// Version in the lists of the slots.
    pub version: &'static str,
    /// Generation in the lists of the slots.
    pub generation: u32,
}

impl Recipe {
    fn new(scheme: Scheme, selector: Files, slot: Files) -> Self {
        let (sizes, version, generation) = (BTreeMap::new(), "1", LAYOUT_GENERATION);
        Recipe { scheme, sizes, selector, slot, slot_b: None, version, generation }
    }

    /// An image of the generic track.
    pub fn generic() -> Self {
        let mut esp = Files::new();
        esp.insert("EFI/BOOT/BOOTAA64.EFI".into(), parts::program(2000));
        esp.insert(format!("{}/grub.cfg", grub::DIRECTORY), b"set timeout=0\n".to_vec());
        for file in [grub::GRUBENV, grub::GRUBENV_SPARE] {
            esp.insert(file.into(), GrubState::initial().encode().to_vec());
        }
        let mut slot = Files::new();
        slot.insert(grub::KERNEL.into(), parts::kernel(parts::RELEASE));
        slot.insert(grub::INITRAMFS.into(), parts::initramfs());
        slot.insert(grub::SLOT_ENV.into(), grub::slot_env("quiet").unwrap().to_vec());
        Recipe::new(Scheme::Gpt, esp, slot)
    }

    /// An image of the Raspberry Pi track, for Raspberry Pi 4 and 5.
    pub fn rpi() -> Self {
        let mut slot = Files::new();
        slot.insert(rpi::START.into(), parts::start("Feb 11 2026"));
        slot.insert("fixup4.dat".into(), parts::fixup());
        slot.insert(rpi::CONFIG.into(), config("").into_bytes());
        slot.insert(rpi::CMDLINE.into(), b"panic=10\n".to_vec());
        slot.insert(rpi::KERNEL.into(), parts::kernel(parts::RELEASE));
        slot.insert(rpi::INITRAMFS.into(), parts::initramfs());
        let pi5 = parts::dtb("raspberrypi,5-model-b", "brcm,bcm2712").encode();
        for name in ["bcm2712-rpi-5-b.dtb", "bcm2712d0-rpi-5-b.dtb", "bcm2712-d-rpi-5-b.dtb"] {
            slot.insert(name.into(), pi5.clone());
        }
        slot.insert(PI4_DTB.into(), parts::dtb("raspberrypi,4-model-b", "brcm,bcm2711").encode());
        let mut control = slot.clone();
        control.insert(rpi::AUTOBOOT.into(), Autoboot::initial().encode().to_vec());
        Recipe::new(Scheme::Mbr, control, slot)
    }

    /// Puts a file into the slots, and where the control partition has one, there too.
    pub fn system(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        if self.scheme == Scheme::Mbr {
            self.selector.insert(path.into(), content.clone());
        }
        self.slot.insert(path.into(), content);
        self
    }

    /// Takes a file out of the slots and the control partition.
    pub fn without(mut self, path: &str) -> Self {
        self.selector.remove(path);
        self.slot.remove(path);
        self
    }

    /// Puts a file into the partition that is read first.
    pub fn selector(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.selector.insert(path.into(), content.into());
        self
    }

    /// Makes a partition of this size.
    pub fn sized(mut self, name: &'static str, size: Bytes) -> Self {
        self.sizes.insert(name, size);
        self
    }

    fn tree(&self, role: Role) -> FileTree {
        let mut tree = FileTree::new();
        let is_b = matches!(role, Role::Boot(slot) | Role::System(slot) if slot == SLOTS[1]);
        let files = match role {
            Role::Selector => &self.selector,
            Role::Data => return tree,
            _ if is_b => self.slot_b.as_ref().unwrap_or(&self.slot),
            _ => &self.slot,
        };
        for (path, content) in files {
            tree.file(path, 0o644, Extents::bytes(content.clone()));
        }
        if role != Role::Selector && !files.contains_key(SLOT_FILE) {
            tree.file(SLOT_FILE, 0o644, Extents::bytes(self.list(files)));
        }
        tree
    }

    /// The list of a slot's files.
    pub fn list(&self, files: &Files) -> Vec<u8> {
        let file = |(path, content): (&String, &Vec<u8>)| SlotFile {
            path: path.clone(),
            size: content.len() as u64,
            sha256: Sha256::of(content),
        };
        let list = SlotJson {
            layout: self.generation,
            name: "kiosk".into(),
            version: self.version.into(),
            build: "0".into(),
            files: files.iter().map(file).collect(),
        };
        serde_json::to_vec(&list).unwrap()
    }

    /// Makes the image.
    pub fn build(&self) -> Image {
        let rows: Vec<_> = track::rows(self.scheme).collect();
        let size = |row: &track::Partition| match row.format {
            _ if self.sizes.contains_key(row.name) => self.sizes[row.name],
            Format::Ext4 => Bytes::mib(16),
            _ => Bytes::mib(40),
        };
        let partition = |row: &&track::Partition| layout::Partition {
            role: row.role,
            name: row.name.to_owned(),
            size: size(row),
            kind: row.kind,
            id: Uuid::from_u128(1),
        };
        let partitions = rows.iter().map(partition).collect();
        let id = Uuid::from_u128(7 << 96);
        let table = layout::place(&Layout { scheme: self.scheme, id, disk: None, partitions }).unwrap();
        let mut disk = table.encode();
        for (row, entry) in rows.iter().zip(&table.entries) {
            let tree = self.tree(row.role);
            let (label, epoch, size) = (row.label.to_owned(), 0, entry.size());
            let formatted = match row.format {
                Format::Ext4 => {
                    let usage = ext4::Usage::Writable;
                    ext4::format(&tree, &ext4::Options { size, uuid: [1; 16], label, epoch, usage }).unwrap()
                }
                _ => {
                    let (hidden_sectors, kind) = (entry.start, fat::Kind::Auto);
                    fat::format(&tree, &fat::Options { size, serial: 1, label, epoch, hidden_sectors, kind })
                        .unwrap()
                }
            };
            disk.place(entry.offset().0, &formatted.extents);
        }
        disk.sort();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        write::write(&path, &Job { extents: &disk, mirrors: &[], watches: &[] }, |_| {}).unwrap();
        Image { path, table, _dir: dir }
    }
}

pub const PI4_DTB: &str = "bcm2711-rpi-4-b.dtb";

/// A config.txt with these lines at the end.
pub fn config(more: &str) -> String {
    format!("[all]\narm_64bit=1\nkernel=kernel8.img\ninitramfs initramfs8 followkernel\n{more}")
}

impl Image {
    /// Overwrites bytes of the disk.
    pub fn put(&self, at: u64, bytes: &[u8]) -> &Self {
        OpenOptions::new().write(true).open(&self.path).unwrap().write_all_at(bytes, at).unwrap();
        self
    }

    /// Reads bytes of the disk.
    pub fn get(&self, at: u64, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    pub fn truncate(&self, size: u64) -> &Self {
        OpenOptions::new().write(true).open(&self.path).unwrap().set_len(size).unwrap();
        self
    }

    /// Where a partition starts, by its number.
    pub fn offset(&self, number: usize) -> u64 {
        self.table.entries[number - 1].offset().0
    }

    /// Runs a tool of mtools in a partition.
    pub fn mtool(&self, tool: &str, number: usize, arguments: &[&str]) -> &Self {
        let at = format!("{}@@{}", self.path.display(), self.offset(number));
        tools::run(tool, ["-i", &at].iter().chain(arguments));
        self
    }

    /// Runs a command of debugfs in a partition.
    pub fn debugfs(&self, number: usize, command: &str) -> &Self {
        let at = format!("{}?offset={}", self.path.display(), self.offset(number));
        tools::run("debugfs", ["-w", "-R", command, &at]);
        self
    }

    /// Where the bytes of a file of FAT start on the disk.
    pub fn file_at(&self, number: usize, content: &[u8]) -> u64 {
        let (start, size) = (self.offset(number), self.table.entries[number - 1].size().0);
        let bytes = self.get(start, size as usize);
        let head = &content[..content.len().min(64)];
        start + bytes.windows(head.len()).position(|window| window == head).unwrap() as u64
    }
}
