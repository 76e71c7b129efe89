//! Initramfs: archives of the kernel's own format, packed, and what is in them.

use std::collections::BTreeSet;
use std::io::{BufReader, Read};

use super::scene::{Partition, Scene};
use super::systems::Part;
use super::{Finding, Rule, Scope, Severity, kernel};
use crate::archive::cpio::{self, newc};

/// What the kernel starts.
const INIT: &str = "init";
const MODULES: &str = "lib/modules/";
/// The init stages of this program, and the command that they ask for slots and partitions.
const STAGES: &str = "lib/factory/stages/";
const COMMAND: &str = "bin/bootenv";
/// The type of a file in its mode, and the right to execute it.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const EXECUTE: u32 = 0o111;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "initramfs-missing",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "every system has the initramfs that its loader looks for",
        why: "the kernel finds no init, and panics",
        link: "raspberrypi/documentation, config_txt/boot.adoc",
        way_out: "put the file there, or correct the `initramfs` line of config.txt",
        check: missing,
    },
    Rule {
        name: "initramfs-damaged",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "initramfs can be unpacked and are well-formed to their end",
        why: "the kernel unpacks as far as it can, and then panics or misses files",
        link: "Linux, driver-api/early-userspace/buffer-format.rst; raspberrypi/firmware#1843",
        way_out: "write the system again",
        check: damaged,
    },
    Rule {
        name: "initramfs-init",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "initramfs have an /init that can be executed",
        why: "the kernel looks for a root file system then, finds none, and panics",
        link: "Linux, filesystems/ramfs-rootfs-initramfs.rst",
        way_out: "put an executable `init` at its top",
        check: init,
    },
    Rule {
        name: "initramfs-command",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "initramfs with our init stages have the command that these ask for slots and partitions",
        why: "init finds neither slot nor Data, and a trial is never committed",
        link: "bootenv/README.md",
        way_out: "write the system again",
        check: command,
    },
    Rule {
        name: "kernel-modules",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "modules are those of the kernel beside them",
        why: "a kernel loads only modules of its own release, so no driver works, nor the disk",
        link: "Linux, Documentation/kbuild/modules.rst",
        way_out: "take kernel and modules from the same package",
        check: modules,
    },
];

/// What is in an initramfs.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive {
    /// The mode of `/init`.
    init: Option<u32>,
    /// Whether it has init stages of ours.
    has_stages: bool,
    /// The mode of `bootenv`.
    command: Option<u32>,
    /// The releases that it has modules for.
    releases: BTreeSet<String>,
    /// Why it cannot be read to its end.
    damage: Option<String>,
}

/// Reads an initramfs to its end.
pub(super) fn probe(packed: impl Read) -> Archive {
    let mut archive = Archive::default();
    let read = cpio::read(&mut BufReader::with_capacity(256 << 10, packed), |entry, _| {
        archive.note(entry);
        Ok(())
    });
    archive.damage = read.err().map(|error| error.to_string());
    archive
}

impl Archive {
    fn note(&mut self, entry: &newc::Entry) {
        let name = cpio::name(entry);
        if name == INIT {
            self.init = Some(entry.mode());
        }
        if name == COMMAND {
            self.command = Some(entry.mode());
        }
        self.has_stages |= name.starts_with(STAGES);
        if let Some((release, _)) = name.strip_prefix(MODULES).and_then(|rest| rest.split_once('/')) {
            self.releases.insert(release.to_owned());
        }
    }

    fn has_init(&self) -> bool {
        self.init.is_some_and(|mode| is_program(mode) || mode & TYPE == SYMLINK)
    }
}

const fn is_program(mode: u32) -> bool {
    mode & TYPE == REGULAR && mode & EXECUTE != 0
}

/// All initramfs that could be read.
fn all(scene: &Scene) -> impl Iterator<Item = (&Partition, &str, &Archive)> {
    scene.contents.archives.iter().filter_map(|((number, path), archive)| {
        let partition = scene.partitions.iter().find(|one| one.entry.number == *number)?;
        Some((partition, path.as_str(), archive))
    })
}

fn missing(scene: &Scene) -> Vec<Finding> {
    kernel::gone(scene, Part::Initramfs)
}

fn damaged(scene: &Scene) -> Vec<Finding> {
    let found = all(scene).filter_map(|(partition, path, archive)| {
        archive.damage.as_ref().map(|damage| Finding::new(partition.at(path), damage))
    });
    found.collect()
}

/// Where there are several, one of them has it.
fn init(scene: &Scene) -> Vec<Finding> {
    let has_other = |at: &Partition| {
        all(scene).any(|(other, _, archive)| other.entry.number == at.entry.number && archive.has_init())
    };
    let without =
        all(scene).filter(|(partition, _, archive)| archive.damage.is_none() && !has_other(partition));
    let what = |archive: &Archive| match archive.init {
        None => "it has no /init",
        Some(_) => "its /init is not a program",
    };
    without.map(|(partition, path, archive)| Finding::new(partition.at(path), what(archive))).collect()
}

fn command(scene: &Scene) -> Vec<Finding> {
    let ours = all(scene).filter(|(_, _, archive)| archive.damage.is_none() && archive.has_stages);
    let without = ours.filter(|(_, _, archive)| !archive.command.is_some_and(is_program));
    let what = "it has our init stages, and no program /bin/bootenv";
    without.map(|(partition, path, _)| Finding::new(partition.at(path), what)).collect()
}

fn modules(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (partition, path, archive) in all(scene).filter(|(_, _, archive)| archive.damage.is_none()) {
        let beside = kernel::all(scene).filter(|(other, _, _)| other.entry.number == partition.entry.number);
        for release in beside.filter_map(|(_, _, kernel)| kernel.release.as_ref()) {
            if !archive.releases.is_empty() && !archive.releases.contains(release) {
                let have: Vec<&str> = archive.releases.iter().map(String::as_str).collect();
                let what = format!("it has modules for {}, and the kernel is {release}", have.join(", "));
                findings.push(Finding::new(partition.at(path), what));
            }
        }
    }
    findings
}
