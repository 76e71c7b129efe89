//! Small memory cards, made of parts.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use dtoolkit::model::{DeviceTree, DeviceTreeProperty};
use factory::image::extents::Extents;
use factory::image::fat::{self, Kind, Options};
use factory::image::layout::{Entry, PartitionTable, PartitionType, Scheme};
use factory::image::write::{self, Job};
use factory::tree::FileTree;
use factory::units::{Bytes, Sectors};
use factory::volume::Disk;
use tempfile::TempDir;
use uuid::Uuid;

/// What a slot's autoboot.txt says in the vendor's documentation.
pub(crate) const AUTOBOOT: &str = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";

/// Size of a FAT16, and of partitions without a file system.
const SMALL: Bytes = Bytes::mib(3);
/// Size of a FAT32.
const LARGE: Bytes = Bytes::mib(33);

/// A partition and its files.
#[derive(Clone, Default)]
pub(crate) struct Part {
    files: Vec<(String, Vec<u8>)>,
    linux: bool,
    clusters: Option<u32>,
}

/// A card in a file.
pub(crate) struct Card {
    dir: TempDir,
}

impl Part {
    /// An empty FAT.
    pub(crate) fn fat() -> Self {
        Part::default()
    }

    /// A partition that is no FAT.
    pub(crate) fn linux() -> Self {
        Part { linux: true, ..Part::default() }
    }

    /// All that a Raspberry Pi 4 needs.
    pub(crate) fn pi4() -> Self {
        Part::fat()
            .with("start4.elf", start4("Feb 11 2026"))
            .with("fixup4.dat", "fixup")
            .with("bcm2711-rpi-4-b.dtb", tree("raspberrypi,4-model-b", "brcm,bcm2711"))
            .system()
    }

    /// All that a Raspberry Pi 5 needs.
    pub(crate) fn pi5() -> Self {
        Part::fat().with("bcm2712-rpi-5-b.dtb", tree("raspberrypi,5-model-b", "brcm,bcm2712")).system()
    }

    fn system(self) -> Self {
        self.with("config.txt", "kernel=kernel8.img\ninitramfs initramfs8 followkernel\n")
            .with("cmdline.txt", "quiet panic=10\n")
            .with("kernel8.img", "kernel")
            .with("initramfs8", "initramfs")
    }

    /// The same with another file, or another content of a file.
    pub(crate) fn with(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.retain(|(path, _)| path != name);
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// The same without a file.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.files.retain(|(path, _)| path != name);
        self
    }

    /// The same as a FAT32 whose boot sector counts so many clusters.
    pub(crate) fn with_clusters(mut self, clusters: u32) -> Self {
        self.clusters = Some(clusters);
        self
    }

    fn size(&self) -> Bytes {
        if self.clusters.is_some() { LARGE } else { SMALL }
    }

    fn kind(&self, scheme: Scheme) -> PartitionType {
        match scheme {
            _ if self.linux => PartitionType::Linux,
            Scheme::Mbr => PartitionType::Fat,
            Scheme::Gpt => PartitionType::Esp,
        }
    }

    fn format(&self, start: Sectors) -> Extents {
        let mut tree = FileTree::new();
        for (path, content) in &self.files {
            tree.file(path, 0o644, Extents::bytes(content.clone()));
        }
        let options = Options {
            size: self.size(),
            serial: 1,
            label: String::new(),
            epoch: 1_700_000_000,
            hidden_sectors: start,
            kind: if self.clusters.is_some() { Kind::Fat32 } else { Kind::Auto },
        };
        fat::format(&tree, &options).unwrap().extents
    }
}

impl Card {
    /// A card with an MBR.
    pub(crate) fn mbr(parts: &[Part]) -> Card {
        let order: Vec<usize> = (0..parts.len()).collect();
        Card::new(Scheme::Mbr, parts, &order)
    }

    /// A card with a GPT.
    pub(crate) fn gpt(parts: &[Part]) -> Card {
        let order: Vec<usize> = (0..parts.len()).collect();
        Card::new(Scheme::Gpt, parts, &order)
    }

    /// A card with an MBR whose partitions lie in another order, counted from 1.
    pub(crate) fn mixed(parts: &[Part], order: [usize; 4]) -> Card {
        Card::new(Scheme::Mbr, parts, &order.map(|number| number - 1))
    }

    fn new(scheme: Scheme, parts: &[Part], order: &[usize]) -> Card {
        let table = table(scheme, parts, order);
        let mut disk = table.encode();
        for (part, entry) in parts.iter().zip(&table.entries).filter(|(part, _)| !part.linux) {
            disk.place(entry.offset().0, &part.format(entry.start));
        }
        disk.sort();
        let card = Card { dir: tempfile::tempdir().unwrap() };
        write::write(&card.path(), &Job { extents: &disk, mirrors: &[], watches: &[] }, |_| ()).unwrap();
        for (part, entry) in parts.iter().zip(&table.entries) {
            if let Some(clusters) = part.clusters {
                card.set_clusters(entry.offset().0, clusters);
            }
        }
        card
    }

    /// A card with these bytes only.
    pub(crate) fn raw(bytes: &[u8]) -> Card {
        let card = Card { dir: tempfile::tempdir().unwrap() };
        std::fs::write(card.path(), bytes).unwrap();
        card
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("card.img")
    }

    pub(crate) fn disk(&self) -> Disk {
        Disk::open(&self.path()).unwrap()
    }

    /// Where a partition starts, in bytes.
    pub(crate) fn start(&self, number: u32) -> u64 {
        let table = self.disk().table().unwrap().table;
        table.entries.iter().find(|entry| entry.number == number).unwrap().offset().0
    }

    /// Writes bytes somewhere.
    pub(crate) fn replace(&self, at: u64, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.path()).unwrap();
        file.write_all_at(bytes, at).unwrap();
    }

    /// Counts the sectors of a FAT32 anew, so that it has so many clusters.
    fn set_clusters(&self, at: u64, clusters: u32) {
        let boot = self.disk().region().read(at, 512).unwrap();
        let word = |at: usize| u32::from_le_bytes(boot[at..at + 4].try_into().unwrap());
        let reserved = u32::from(u16::from_le_bytes([boot[14], boot[15]]));
        let sectors = reserved + 2 * word(36) + clusters * u32::from(boot[13]);
        self.replace(at + 32, &sectors.to_le_bytes());
    }
}

/// The partitions, whose addresses follow `order` while their numbers follow `parts`.
fn table(scheme: Scheme, parts: &[Part], order: &[usize]) -> PartitionTable {
    let mut at = Bytes::mib(1);
    let mut entries: Vec<Entry> = Vec::new();
    for &index in order {
        let part = &parts[index];
        entries.push(Entry {
            number: index as u32 + 1,
            role: None,
            name: String::new(),
            start: at.sectors(),
            length: part.size().sectors(),
            kind: part.kind(scheme),
            id: Uuid::from_u128(index as u128 + 1),
        });
        at = at + part.size();
    }
    entries.sort_by_key(|entry| entry.number);
    PartitionTable { scheme, id: Uuid::from_u128(99), disk: at + Bytes::mib(1), entries }
}

/// Firmware that says when it was built, as the real one does.
pub(crate) fn start4(date: &str) -> Vec<u8> {
    format!("\x7fELF\0VC_BUILD_ID_TIME: 18:28:41\0VC_BUILD_ID_TIME: {date}\0").into_bytes()
}

/// A device tree of a board.
pub(crate) fn tree(board: &str, chip: &str) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    let compatible = format!("{board}\0{chip}\0");
    tree.root.add_property(DeviceTreeProperty::new_unchecked("compatible", compatible.as_bytes()));
    tree.to_dtb()
}
