//! Files of the Raspberry Pi's own firmware.

use std::cell::OnceCell;

use bootenv::rpi::{CONFIG, FIXUP, START};

use super::scene::{Partition, Scene};
use super::systems;
use super::{Finding, Rule, Scope, Severity};
use crate::board::{Board, Chip};
use crate::track::rpi::FIRMWARE_SINCE;
use crate::videocore::{self, Firmware};

/// Largest firmware file, in bytes; the debugging one has 5 MiB.
const LARGEST: u32 = 16 << 20;
/// Relocations for `start4.elf`, of the same build.
const ELF: &[u8] = b"\x7fELF";
/// Files that rewrite or replace the EEPROM.
const UPDATES: [&str; 4] = ["recovery.bin", "pieeprom.upd", "pieeprom.bin", "vl805.bin"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "firmware-missing",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "every partition that is started from has the firmware of its boards",
        why: "the EEPROM of a Raspberry Pi 4 starts only from a partition that has start4.elf and \
              fixup4.dat itself, that of a Raspberry Pi 5 from one with config.txt",
        link: "raspberrypi/documentation, config_txt/autoboot.adoc; raspberrypi/rpi-eeprom#705",
        way_out: "write the partition again",
        check: missing,
    },
    Rule {
        name: "firmware-kind",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "firmware files are what their names say",
        why: "the EEPROM starts whatever is called start4.elf, and the board stays dark",
        link: "raspberrypi/documentation, raspberry-pi/bootflow-eeprom.adoc",
        way_out: "take the files from the package raspi-firmware",
        check: kind,
    },
    Rule {
        name: "firmware-pair",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "start4.elf and fixup4.dat are of the same build",
        why: "fixup4.dat moves addresses within start4.elf, and breaks one of another build",
        link: "raspberrypi/documentation, computers/configuration/boot_folder.adoc",
        way_out: "take both from the same package",
        check: pair,
    },
    Rule {
        name: "firmware-age",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "the firmware is new enough for A/B boot",
        why: "older ones read `[boot_partition=N]` as a section that never holds, and do not start \
              the kernel's watchdog",
        link: "raspberrypi/firmware#1940",
        way_out: "take raspi-firmware of 2025-03-10 or later",
        check: age,
    },
    Rule {
        name: "firmware-differs",
        severity: Severity::Note,
        scope: Scope::Rpi,
        title: "all partitions have the same firmware",
        why: "after an update they do not; on a new image they should",
        link: "raspberrypi/documentation, config_txt/autoboot.adoc",
        way_out: "nothing, unless the image is new",
        check: differs,
    },
    Rule {
        name: "eeprom-update",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "no partition has an update of the EEPROM",
        why: "the boot ROM starts recovery.bin before anything else, at every start, and a slot with \
              one does not boot",
        link: "raspberrypi/rpi-eeprom#499; raspberrypi/rpi-eeprom#663",
        way_out: "remove the files; update the EEPROM by itself",
        check: update,
    },
];

/// Builds of `start4.elf`, read once.
pub(super) type Cache = OnceCell<Vec<(usize, Vec<u8>, Option<Firmware>)>>;

/// The systems with a `start4.elf`, its bytes, and what it says of itself.
fn starts(scene: &Scene) -> impl Iterator<Item = (&Partition, &[u8], Option<&Firmware>)> {
    let read = scene.firmware.get_or_init(|| {
        let systems = scene.partitions.iter().enumerate();
        let systems = systems.filter(|(_, one)| systems::all(scene).any(|system| std::ptr::eq(system, *one)));
        let read = systems.filter_map(|(at, system)| Some((at, scene.read(system, START, LARGEST)?)));
        read.map(|(at, bytes)| (at, digest(&bytes), videocore::read(&bytes))).collect()
    });
    read.iter().map(|(at, digest, firmware)| (&scene.partitions[*at], &digest[..], firmware.as_ref()))
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    crate::digest::Sha256::of(bytes).0.to_vec()
}

fn needs(boards: &[&Board]) -> Vec<(String, &'static str)> {
    let mut needs: Vec<(String, &'static str)> = Vec::new();
    let files = boards.iter().flat_map(|board| board.firmware.iter());
    for file in files {
        if !needs.iter().any(|(known, _)| known == file) {
            needs.push((file.clone(), "which the EEPROM of Raspberry Pi 4 starts from"));
        }
    }
    if boards.iter().any(|board| board.chip == Chip::Bcm2712) || !needs.is_empty() {
        needs.push((
            CONFIG.to_owned(),
            "without which the EEPROM of Raspberry Pi 5 passes the partition over",
        ));
    }
    needs
}

fn missing(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for system in systems::all(scene) {
        let needs = needs(&system.boards()).into_iter().filter(|(file, _)| !system.has(file));
        findings.extend(
            needs.map(|(file, why)| Finding::new(system.at(&file), format!("there is no such file, {why}"))),
        );
    }
    findings
}

fn kind(scene: &Scene) -> Vec<Finding> {
    let other = starts(scene).filter(|(_, _, firmware)| firmware.is_none());
    let starts = other.map(|(system, ..)| Finding::new(system.at(START), "it is no program for a VideoCore"));
    let fixups = systems::all(scene).filter_map(|system| {
        let bytes = scene.read(system, FIXUP, LARGEST)?;
        let is_wrong = bytes.len() < 1024 || bytes.starts_with(ELF) || bytes.iter().all(|byte| *byte == 0);
        is_wrong.then(|| Finding::new(system.at(FIXUP), "it holds no relocations"))
    });
    starts.chain(fixups).collect()
}

/// A fixup file does not say what it belongs to; but the same firmware has the same one everywhere.
fn pair(scene: &Scene) -> Vec<Finding> {
    let pairs: Vec<_> = starts(scene)
        .filter_map(|(system, start, _)| Some((system, start, scene.read(system, FIXUP, LARGEST)?)))
        .collect();
    let mut findings = Vec::new();
    for (at, (one, start, fixup)) in pairs.iter().enumerate() {
        for (other, other_start, other_fixup) in &pairs[at + 1..] {
            if (start == other_start) != (fixup == other_fixup) {
                let differs = if start == other_start { FIXUP } else { START };
                let what = format!("it differs from that of {}, and its partner does not", one.name());
                findings.push(Finding::new(other.at(differs), what));
            }
        }
    }
    findings
}

fn age(scene: &Scene) -> Vec<Finding> {
    let old = starts(scene).filter_map(|(system, _, firmware)| {
        let built = firmware?.built.as_deref().filter(|built| *built < FIRMWARE_SINCE)?;
        Some(Finding::new(system.at(START), format!("it was built on {built}")))
    });
    old.collect()
}

fn differs(scene: &Scene) -> Vec<Finding> {
    let mut all = starts(scene);
    let Some((first, start, _)) = all.next() else { return Vec::new() };
    let others = all.filter(|(_, other, _)| *other != start);
    let what = format!("it is another than that of {}", first.name());
    others.map(|(system, ..)| Finding::new(system.at(START), what.clone())).collect()
}

fn update(scene: &Scene) -> Vec<Finding> {
    let files = scene.fats().flat_map(|(partition, _)| {
        let there = UPDATES.into_iter().filter(|file| partition.has(file));
        there.map(|file| Finding::new(partition.at(file), "it updates the EEPROM"))
    });
    files.collect()
}
