//! An image with a little of everything, and copies of it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::support::elf;
use super::support::machine::Machine;
use super::support::packages::{Member, tar_of, xz};
use super::support::tools::run;

pub const MIB: u64 = 1 << 20;

/// First byte of each partition.
pub const ESP: u64 = MIB;
pub const SYSTEM_A: u64 = 9 * MIB;
pub const SYSTEM_B: u64 = 33 * MIB;
pub const DATA: u64 = 57 * MIB;

pub const PROJECT: &str = "[image]\nversion = \"1\"\n\n[sizes]\nselector = \"8 MiB\"\nsystem = \"24 MiB\"\n\
                           data = \"16 MiB\"\n\n[substrate]\npayload = \"payload\"\n\n\
                           [[rootfs.layer]]\ntar = \"base.tar.xz\"\n";

/// A project with a payload and a root file system.
pub fn machine() -> Machine {
    machine_with(PROJECT, &base(Vec::new()))
}

pub fn machine_with(project: &str, base: &[u8]) -> Machine {
    let machine = Machine::with(project);
    machine.write("payload/etc/app.conf", "answer = 42\n");
    machine.write("base.tar.xz", base);
    machine
}

/// A root file system with these as well.
pub fn base(more: Vec<Member>) -> Vec<u8> {
    let mut members = vec![
        Member::program("sbin/init", elf::program()),
        Member::file("etc/hostname", "kiosk\n"),
        Member::symlink("etc/link", "hostname"),
    ];
    members.extend(more);
    xz(&tar_of(&members))
}

/// Two images of the same bytes, of which the second is to be changed.
pub struct Pair {
    pub machine: Machine,
}

impl Pair {
    /// Two copies of the same.
    pub fn new() -> Self {
        Pair::of(machine())
    }

    pub fn of(machine: Machine) -> Self {
        let image = machine.image();
        run("cp", ["--sparse=always", text(&image), text(&machine.project("b.img"))]);
        fs::rename(image, machine.project("a.img")).unwrap();
        Pair { machine }
    }

    /// An image, and what comes of the project when it was changed.
    pub fn changed(change: impl Fn(&Machine)) -> Self {
        let machine = machine();
        fs::rename(machine.image(), machine.project("a.img")).unwrap();
        change(&machine);
        fs::rename(machine.image(), machine.project("b.img")).unwrap();
        Pair { machine }
    }

    pub fn b(&self) -> PathBuf {
        self.machine.project("b.img")
    }

    /// Overwrites bytes of the second.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(self.b()).unwrap().write_all_at(bytes, at).unwrap();
    }

    /// Reads bytes of the second.
    pub fn get(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        fs::File::open(self.b()).unwrap().read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    /// Lets debugfs change the ext4 that starts at `at` of the second.
    pub fn debugfs(&self, at: u64, request: &str) {
        run("debugfs", ["-w", "-R", request, &format!("{}?offset={at}", text(&self.b()))]);
    }

    pub fn diff(&self, arguments: &[&str]) -> Output {
        let all = [&["diff", "a.img", "b.img"], arguments].concat();
        self.machine.factory(&all).output().unwrap()
    }

    /// What is said of how they differ, without the first line.
    pub fn said(&self) -> String {
        let output = self.diff(&[]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let (first, rest) = said.split_once('\n').unwrap();
        assert!(first.starts_with("a.img and b.img differ"), "{first}");
        rest.trim_start_matches('\n').to_owned()
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Lines without ids that follow from all that is in an image: UUIDs, digests and serial numbers.
pub fn without_ids(said: &str) -> String {
    let ids = regex::Regex::new(
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9A-F]{4}-[0-9A-F]{4}\b|\b[0-9a-f]{12}\b",
    );
    ids.unwrap().replace_all(said, "ID").into_owned()
}
