//! A finished image, taken apart by tools that have never seen the builder.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::machine::Machine;
use super::support::programs;
use super::support::tools::{print, run};

/// An image with what `sfdisk` and the manifest say of it.
pub struct Disk {
    pub path: PathBuf,
    pub manifest: Value,
    table: Value,
    dir: tempfile::TempDir,
}

impl Disk {
    /// The image of a machine's project.
    pub fn of(machine: &Machine) -> Self {
        Disk::read(&machine.image())
    }

    pub fn read(path: &Path) -> Self {
        let manifest = fs::read(format!("{}.manifest.json", path.display())).unwrap();
        let table: Value = serde_json::from_str(&print("sfdisk", ["--json", text(path)])).unwrap();
        Disk {
            path: path.to_owned(),
            manifest: serde_json::from_slice(&manifest).unwrap(),
            table: table["partitiontable"].clone(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A path for what is taken out.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The partitions, as `sfdisk` sees them.
    pub fn rows(&self) -> &[Value] {
        self.table["partitions"].as_array().unwrap()
    }

    /// First byte and length of a partition, as `sfdisk` sees it. Where its table has no names, the
    /// manifest tells the number.
    pub fn partition(&self, name: &str) -> (u64, u64) {
        let place = self.manifest["partitions"].as_array().unwrap();
        let place = place.iter().position(|row| row["name"] == name).unwrap();
        let named = self.rows().iter().find(|row| row["name"] == name);
        let row = named.unwrap_or(&self.rows()[place]);
        (row["start"].as_u64().unwrap() * 512, row["size"].as_u64().unwrap() * 512)
    }

    /// How programs that know ext4 are told where it is.
    pub fn ext4(&self, partition: &str) -> String {
        format!("{}?offset={}", text(&self.path), self.partition(partition).0)
    }

    /// Takes a file out of an ext4 partition.
    pub fn dump(&self, partition: &str, name: &str) -> PathBuf {
        let out = self.scratch(&name.replace('/', "-"));
        let request = format!("dump /{name} {}", text(&out));
        run("debugfs", ["-R", &request, &self.ext4(partition)]);
        out
    }

    /// How mtools are told where a FAT partition is.
    pub fn fat(&self, partition: &str) -> String {
        format!("{}@@{}", text(&self.path), self.partition(partition).0)
    }

    /// Takes a file out of a FAT partition.
    pub fn read_fat(&self, partition: &str, name: &str) -> Vec<u8> {
        let out = self.scratch("file");
        run("mcopy", ["-n", "-o", "-i", &self.fat(partition), &format!("::{name}"), text(&out)]);
        fs::read(out).unwrap()
    }

    /// Takes a file out of the ESP.
    pub fn read_esp(&self, name: &str) -> Vec<u8> {
        self.read_fat("esp", name)
    }

    /// What `fsck.vfat` says of a FAT partition.
    pub fn check_fat(&self, partition: &str) -> String {
        let (start, size) = self.partition(partition);
        let copy = self.scratch("fat.img");
        let mut bytes = vec![0; size as usize];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, start).unwrap();
        fs::write(&copy, bytes).unwrap();
        print("fsck.vfat", ["-n", "-v", text(&copy)])
    }

    /// Whether two partitions hold the same bytes.
    pub fn assert_same(&self, one: &str, other: &str) {
        let ((a, size), (b, same)) = (self.partition(one), self.partition(other));
        assert_eq!(size, same);
        let image = File::open(&self.path).unwrap();
        let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        for at in (0..size).step_by(1 << 20) {
            image.read_exact_at(&mut left, a + at).unwrap();
            image.read_exact_at(&mut right, b + at).unwrap();
            assert!(left == right, "{one} and {other} differ in the MiB at {at}");
        }
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_partition_table_is_sound_and_as_the_manifest_says() {
    let machine = Machine::new();
    let disk = Disk::of(&machine);
    let verdict = print("sgdisk", ["--verify", text(&disk.path)]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let id = disk.table["id"].as_str().unwrap().to_lowercase();
    assert_eq!(disk.manifest["image"]["disk"], id);
    assert_eq!(disk.manifest["image"]["size"], fs::metadata(&disk.path).unwrap().len());
    let rows = disk.rows();
    let said = disk.manifest["partitions"].as_array().unwrap();
    assert_eq!(rows.len(), said.len());
    for (number, (row, said)) in (1..).zip(rows.iter().zip(said)) {
        let name = row["name"].as_str().unwrap();
        let (start, size) = disk.partition(name);
        assert_eq!((&said["name"], &said["number"]), (&row["name"], &number.into()));
        assert_eq!((&said["start"], &said["size"]), (&start.into(), &size.into()), "{name}");
        assert_eq!(said["id"], row["uuid"].as_str().unwrap().to_lowercase(), "{name}");
    }
}

#[test]
fn the_esp_is_clean_and_holds_what_boots() {
    let machine = Machine::with("[generic]\nesp = \"esp\"\n");
    machine.write("esp/EFI/factory/notes.txt", "beside the builder's own files");
    machine.write("esp/Read me first.txt", "a long name");
    let disk = Disk::of(&machine);
    let verdict = disk.check_fat("esp");
    assert!(!verdict.to_lowercase().contains("differences"), "{verdict}");
    let names = print("mdir", ["-b", "-/", "-i", &disk.fat("esp"), "::"]);
    let names: Vec<&str> = names.lines().collect();
    assert_eq!(
        names,
        [
            "::/EFI/",
            "::/Read me first.txt",
            "::/EFI/BOOT/",
            "::/EFI/debian/",
            "::/EFI/factory/",
            "::/EFI/BOOT/BOOTAA64.EFI",
            "::/EFI/debian/grub.cfg",
            "::/EFI/factory/grub.cfg",
            "::/EFI/factory/grubenv",
            "::/EFI/factory/grubenv.spare",
            "::/EFI/factory/notes.txt"
        ]
    );
    assert_eq!(disk.read_esp("EFI/BOOT/BOOTAA64.EFI"), programs::program(2000));
    assert_eq!(disk.read_esp("EFI/factory/notes.txt"), b"beside the builder's own files");
    assert_eq!(disk.read_esp("EFI/factory/grub.cfg"), fs::read("tracks/generic/grub.cfg").unwrap());
}

#[test]
fn grub_reads_the_state_from_both_copies() {
    let machine = Machine::new();
    let disk = Disk::of(&machine);
    let state = |name: &str| {
        let copy = disk.scratch("grubenv");
        fs::write(&copy, disk.read_esp(name)).unwrap();
        print("grub-editenv", [text(&copy), "list"])
    };
    let first = state("EFI/factory/grubenv");
    assert!(first.lines().any(|line| line == "boot_default=A"), "{first}");
    assert_eq!(state("EFI/factory/grubenv.spare"), first);
}

#[test]
fn the_ext4_partitions_are_clean_and_both_slots_are_the_same() {
    let machine = Machine::new();
    let disk = Disk::of(&machine);
    for partition in ["system-a", "system-b", "data"] {
        run("e2fsck", ["-f", "-n", &disk.ext4(partition)]);
    }
    disk.assert_same("system-a", "system-b");
    let data = print("debugfs", ["-R", "ls -p /", &disk.ext4("data")]);
    let names: Vec<&str> = data.lines().filter_map(|row| row.split('/').nth(5)).collect();
    assert_eq!(names, [".", "..", "lost+found"], "data starts empty");
}
