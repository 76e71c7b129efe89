//! The same project makes the same bytes, whoever builds it, where, when and how.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::disk::Disk;
use super::support::elf;
use super::support::machine::Machine;
use super::support::packages::{Member, tar_of, xz};
use super::support::tools::{print, succeed};

const PROJECT: &str = "[substrate]\npayload = \"payload\"\n\n[generic]\nesp = \"esp\"\n\n\
                       [[rootfs.layer]]\ntar = \"base.tar.xz\"\n\n[[rootfs.layer]]\ndir = \"overlay\"\n";

/// A machine with the project, whose files are written in this order.
fn machine(order: impl Iterator<Item = usize>) -> Machine {
    let machine = Machine::with(PROJECT);
    let base = tar_of(&[Member::program("sbin/init", elf::program()), Member::file("etc/a", "a")]);
    machine.write("base.tar.xz", xz(&base));
    for number in order {
        for dir in ["payload", "esp/Files", "overlay/etc"] {
            machine.write(&format!("{dir}/file-{number}"), format!("{dir} {number}"));
        }
    }
    machine
}

/// Gives all files of a project another time.
fn touch(dir: &Path, days: u64) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            touch(&entry.path(), days + 1);
        } else {
            let time = UNIX_EPOCH + Duration::from_secs(days * 86_400);
            File::open(entry.path()).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
        }
    }
}

/// The first place where two images differ, in words.
fn difference(one: &Disk, two: &Disk) -> Option<String> {
    let (a, b) = (File::open(&one.path).unwrap(), File::open(&two.path).unwrap());
    let size = a.metadata().unwrap().len();
    if size != b.metadata().unwrap().len() {
        return Some("they have other sizes".into());
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    for start in (0..size).step_by(1 << 20) {
        a.read_exact_at(&mut left, start).unwrap();
        b.read_exact_at(&mut right, start).unwrap();
        if left != right {
            let at = start + left.iter().zip(&right).position(|(a, b)| a != b).unwrap() as u64;
            return Some(place(one, at));
        }
    }
    None
}

fn place(disk: &Disk, at: u64) -> String {
    for name in ["esp", "system-a", "system-b", "data"] {
        let (start, size) = disk.partition(name);
        if (start..start + size).contains(&at) {
            return format!("`{name}` differs first, at byte {}", at - start);
        }
    }
    format!("the partition table differs, at byte {at}")
}

#[test]
fn another_user_place_store_language_clock_and_umask_make_the_same_image() {
    let one = machine(0..30);
    let here = Disk::of(&one);
    let two = machine((0..30).rev());
    touch(&two.project("."), 4_000);
    let mut other = two.factory_as_nobody();
    other
        .args(["image", "--track", "generic", "--jobs", "1", "-o", "disk.img"])
        .env("TZ", "Asia/Kathmandu")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("FACTORY_STORE", two.path("home/a store of somebody else"));
    succeed(other);
    let there = Disk::read(&two.project("disk.img"));
    assert_eq!(difference(&here, &there), None);
    assert_eq!(here.manifest, there.manifest);
}

#[test]
fn a_second_build_from_the_store_makes_the_same_image() {
    let machine = machine(0..3);
    let first = Disk::of(&machine);
    machine.server().clear();
    machine.run(&["image", "--track", "generic", "--offline", "-o", "again.img"]);
    let second = Disk::read(&machine.project("again.img"));
    assert_eq!(difference(&first, &second), None);
}

#[test]
fn the_build_date_can_be_set() {
    let machine = machine(0..1);
    let mut command = machine.factory(&["image", "--track", "generic", "-o", "disk.img"]);
    command.env("SOURCE_DATE_EPOCH", "1600000000");
    succeed(command);
    let disk = Disk::read(&machine.project("disk.img"));
    assert_eq!(disk.manifest["epoch"], 1_600_000_000);
    let stats = print("debugfs", ["-R", "stats -h", &disk.ext4("data")]);
    assert!(stats.contains("Filesystem created:       Sun Sep 13"), "{stats}");
}

#[test]
fn one_other_byte_makes_another_build() {
    let machine = machine(0..3);
    let before = Disk::of(&machine).manifest;
    let changes = ["payload/file-1", "esp/Files/file-1", "overlay/etc/file-1", "base.tar.xz"];
    let mut seen = vec![before["build"].clone()];
    for name in changes {
        if name == "base.tar.xz" {
            let base = tar_of(&[Member::program("sbin/init", elf::program()), Member::file("etc/a", "b")]);
            machine.write(name, xz(&base));
        } else {
            machine.write(name, "changed");
        }
        let build = Disk::of(&machine).manifest["build"].clone();
        assert!(!seen.contains(&build), "{name}");
        seen.push(build);
    }
}
