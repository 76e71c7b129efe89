//! `autoboot.txt`: the one file that chooses a slot on a Raspberry Pi.

use bootenv::rpi::{AUTOBOOT, AUTOBOOT_SIZE, Autoboot, AutobootError};

use super::scene::{Partition, Scene};
use super::{Finding, Rule, Scope, Severity};
use crate::configtxt::autoboot;
use crate::image::layout::Role;
use crate::units::SECTOR;

/// Largest file that is looked at, in bytes.
const LARGEST: u32 = 64 << 10;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "autoboot-missing",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "the first FAT has an autoboot.txt at its top",
        why: "without it the first partition that can boot is started, and no slot ever; nowhere else \
              is it looked for",
        link: "raspberrypi/documentation, config_txt/autoboot.adoc; raspberrypi/rpi-eeprom#818",
        way_out: "write it, with the agent or from another image",
        check: missing,
    },
    Rule {
        name: "autoboot-place",
        severity: Severity::Warning,
        scope: Scope::Rpi,
        title: "no other partition has an autoboot.txt",
        why: "it is not read there, and misleads who does read it",
        link: "raspberrypi/documentation, config_txt/autoboot.adoc; raspberrypi/rpi-eeprom#818",
        way_out: "remove it",
        check: place,
    },
    Rule {
        name: "autoboot-size",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "autoboot.txt has at most 512 bytes, in one sector",
        why: "no more are read; and only a single sector changes at once when power is lost",
        link: "raspberrypi/documentation, config_txt/autoboot.adoc",
        way_out: "write it again with 512 bytes",
        check: size,
    },
    Rule {
        name: "autoboot-content",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "autoboot.txt names a partition that is there, and another for a trial",
        why: "a line that is not understood is passed over without a word: another partition is \
              started than is meant, or a trial starts what it should replace",
        link: "raspberrypi/documentation, config_txt/autoboot.adoc",
        way_out: "write it again, with the agent or from another image",
        check: content,
    },
    Rule {
        name: "autoboot-foreign",
        severity: Severity::Warning,
        scope: Scope::Rpi,
        title: "autoboot.txt is as the agent writes it",
        why: "the agent takes no other for whole, and cannot change the slot in one sector",
        link: "raspberrypi/documentation#2697",
        way_out: "let the agent repair it",
        check: foreign,
    },
];

/// The file, on the partition that it is read from.
fn file(scene: &Scene) -> Option<(&Partition, Vec<u8>)> {
    let control = scene.selector()?;
    scene.read(control, AUTOBOOT, LARGEST).map(|text| (control, text))
}

/// Number of the partition that is started when nothing is tried.
pub(super) fn committed(scene: &Scene) -> Option<u32> {
    let (_, text) = file(scene)?;
    autoboot::evaluate(&text[..text.len().min(AUTOBOOT_SIZE)], false, true).boot_partition
}

fn finding(control: &Partition, what: impl Into<String>) -> Finding {
    Finding::new(control.at(AUTOBOOT), what)
}

fn missing(scene: &Scene) -> Vec<Finding> {
    let control = scene.selector().filter(|control| !control.has(AUTOBOOT));
    control.map(|control| finding(control, "there is no such file")).into_iter().collect()
}

fn place(scene: &Scene) -> Vec<Finding> {
    let elsewhere = scene.partitions.iter().flat_map(|partition| {
        let is_first = scene.selector().is_some_and(|first| first.entry.number == partition.entry.number);
        let is_one =
            |path: &&str| path.rsplit('/').next() == Some(AUTOBOOT) && !(is_first && *path == AUTOBOOT);
        let paths = partition.files().map(|(path, _)| path).filter(is_one);
        paths.map(|path| partition.at(path)).collect::<Vec<_>>()
    });
    elsewhere.map(|place| Finding::new(place, "it is not read here")).collect()
}

fn size(scene: &Scene) -> Vec<Finding> {
    let Some(control) = scene.selector() else { return Vec::new() };
    let Some(size) = control.size(AUTOBOOT) else { return Vec::new() };
    let mut findings = Vec::new();
    if size > SECTOR {
        findings.push(finding(control, format!("it has {size} bytes, of which {SECTOR} are read")));
    }
    if control.is_scattered(AUTOBOOT) {
        findings.push(finding(control, "it is in more than one piece"));
    }
    findings
}

fn content(scene: &Scene) -> Vec<Finding> {
    let Some((control, text)) = file(scene) else { return Vec::new() };
    let sector = &text[..text.len().min(AUTOBOOT_SIZE)];
    let mut findings: Vec<Finding> = autoboot::problems(sector)
        .into_iter()
        .map(|problem| match problem.line {
            0 => finding(control, problem.what),
            line => finding(control, format!("line {line}: {}", problem.what)),
        })
        .collect();
    if findings.is_empty() {
        findings.extend(wrong_partitions(scene, sector).into_iter().map(|what| finding(control, what)));
    }
    findings
}

/// Partitions that are named and cannot be started from.
fn wrong_partitions(scene: &Scene, text: &[u8]) -> Vec<String> {
    let [normal, trial] = [false, true].map(|tryboot| autoboot::evaluate(text, tryboot, true));
    let is_slot = |number: u32| {
        let named = scene.partitions.iter().find(|partition| partition.entry.number == number);
        let role = named.and_then(|partition| partition.row).map(|row| row.role);
        matches!(role, Some(Role::Boot(_)))
    };
    let mut wrong = Vec::new();
    for (section, partition) in [("all", normal.boot_partition), ("tryboot", trial.boot_partition)] {
        if let Some(number) = partition.filter(|number| !is_slot(*number)) {
            wrong.push(format!("under `[{section}]` it names partition {number}, which is no slot"));
        }
    }
    if normal.boot_partition == trial.boot_partition {
        wrong.push("a trial would start the same partition".to_owned());
    }
    if !trial.tryboot_a_b {
        wrong.push("without `tryboot_a_b=1` a trial reads tryboot.txt, which no slot has".to_owned());
    }
    wrong
}

fn foreign(scene: &Scene) -> Vec<Finding> {
    let Some((control, text)) = file(scene) else { return Vec::new() };
    let what = match Autoboot::decode(&text) {
        Err(AutobootError::Size(size)) if size < AUTOBOOT_SIZE => {
            format!("it has {size} bytes instead of {AUTOBOOT_SIZE}")
        }
        Err(AutobootError::Content) if content(scene).is_empty() => "it is worded otherwise".to_owned(),
        _ => return Vec::new(),
    };
    vec![finding(control, what)]
}
