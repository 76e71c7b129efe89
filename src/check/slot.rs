//! Slots: whether they hold what their lists say.

use super::scene::{Partition, Scene, Volume};
use super::{Finding, Rule, Scope, Severity, autoboot};
use crate::slot::{LAYOUT_GENERATION, SLOT_FILE, SlotFile};
use crate::units::Bytes;

/// The rule that needs all files to be read.
pub(super) const DIGESTS: &str = "slot-digests";

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "slot-empty",
        severity: Severity::Warning,
        scope: Scope::Table,
        title: "both slots hold a system",
        why: "there is nothing to fall back to, and a loader that walks on finds nothing",
        link: "raspberrypi/rpi-eeprom#738",
        way_out: "install an update into it, or write the image again",
        check: empty,
    },
    Rule {
        name: "slot-hidden",
        severity: Severity::Note,
        scope: Scope::Rpi,
        title: "no slot is hidden from the boot ROM",
        why: "one that is being written or failed its trial starts with zeroes, so that the boot ROM \
              does not walk on to it",
        link: "raspberrypi/documentation, raspberry-pi/eeprom-bootloader.adoc, PARTITION_WALK",
        way_out: "nothing, unless the image is new; the next update shows it again",
        check: hidden,
    },
    Rule {
        name: "slot-committed",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "the committed slot is not hidden from the boot ROM",
        why: "the board walks on, to the other slot or to the kernel of the partition that is read first",
        link: "raspberrypi/documentation, raspberry-pi/eeprom-bootloader.adoc, PARTITION_WALK",
        way_out: "copy sector 6 of the partition to its first, if it is there, or write the slot again",
        check: committed,
    },
    Rule {
        name: "slot-list",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "every slot has a list of its files that can be read",
        why: "nobody can tell whether the slot is whole, and the agent does not take it for one",
        link: "bootenv/README.md",
        way_out: "write the slot again",
        check: list,
    },
    Rule {
        name: "slot-generation",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "slots were made for this layout of the disk",
        why: "a system of another generation looks for partitions that are not there",
        link: "lf-edge/eve#5973",
        way_out: "install a system that was made for this layout",
        check: generation,
    },
    Rule {
        name: "slot-files",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "all listed files are there, in their sizes",
        why: "an update was cut short, and the slot may still start and fail later",
        link: "bootenv/README.md",
        way_out: "write the slot again",
        check: files,
    },
    Rule {
        name: "slot-unlisted",
        severity: Severity::Warning,
        scope: Scope::Table,
        title: "slots hold nothing but what is listed",
        why: "nobody vouches for what a loader may read there, and an update does not remove it",
        link: "raspberrypi/rpi-eeprom#499",
        way_out: "remove it, or write the slot again",
        check: unlisted,
    },
    Rule {
        name: DIGESTS,
        severity: Severity::Error,
        scope: Scope::Table,
        title: "the files are those that were built",
        why: "a medium that returns other bytes than were written starts a broken system, or none",
        link: "raspberrypi/rpi-imager#414",
        way_out: "write the slot again; if it happens twice, take another medium",
        check: digests,
    },
    Rule {
        name: "slots-differ",
        severity: Severity::Note,
        scope: Scope::Table,
        title: "both slots hold the same system",
        why: "after an update they do not; on a new image they should",
        link: "bootenv/README.md",
        way_out: "nothing, unless the image is new",
        check: differ,
    },
];

fn empty(scene: &Scene) -> Vec<Finding> {
    let slots = scene.partitions.iter().filter(|partition| partition.is_slot());
    let is_empty = |slot: &&Partition| match slot.volume {
        Volume::Unknown => true,
        Volume::Sound(_) => slot.files().next().is_none(),
        _ => false,
    };
    slots.filter(is_empty).map(|slot| Finding::new(slot.name(), "it holds no system")).collect()
}

/// The slots that are hidden, with whether they are the committed one.
fn hiding(scene: &Scene) -> impl Iterator<Item = (&Partition, bool)> {
    let committed = autoboot::committed(scene);
    let hidden = scene.partitions.iter().filter(|partition| matches!(partition.volume, Volume::Hidden));
    hidden.map(move |slot| (slot, committed == Some(slot.entry.number)))
}

fn hidden(scene: &Scene) -> Vec<Finding> {
    let what = "it is hidden: it was not written to its end, or failed its trial";
    let others = hiding(scene).filter(|(_, is_committed)| !is_committed);
    others.map(|(slot, _)| Finding::new(slot.name(), what)).collect()
}

fn committed(scene: &Scene) -> Vec<Finding> {
    let what = "its first sector is empty, and autoboot.txt names it under `[all]`";
    let committed = hiding(scene).filter(|(_, is_committed)| *is_committed);
    committed.map(|(slot, _)| Finding::new(slot.name(), what)).collect()
}

fn list(scene: &Scene) -> Vec<Finding> {
    let broken = scene.slots().filter_map(|slot| scene.list(slot).err().map(|problem| (slot, problem)));
    broken.map(|(slot, problem)| Finding::new(slot.at(SLOT_FILE), problem)).collect()
}

fn generation(scene: &Scene) -> Vec<Finding> {
    let other = scene.slots().filter_map(|slot| {
        let layout = scene.list(slot).ok()?.layout;
        let what = format!("it was made for layout {layout}, and this is {LAYOUT_GENERATION}");
        (layout != LAYOUT_GENERATION).then(|| Finding::new(slot.name(), what))
    });
    other.collect()
}

/// Every listed file, with its slot.
fn listed(scene: &Scene) -> impl Iterator<Item = (&Partition, &SlotFile)> {
    scene.slots().flat_map(|slot| {
        let files = scene.list(slot).map_or(&[][..], |list| &list.files);
        files.iter().map(move |file| (slot, file))
    })
}

fn files(scene: &Scene) -> Vec<Finding> {
    let wrong = listed(scene).filter_map(|(slot, file)| {
        let what = match slot.size(&file.path) {
            None => "it is missing".to_owned(),
            Some(size) if size != file.size => format!("it has {size} bytes instead of {}", file.size),
            Some(_) => return None,
        };
        Some(Finding::new(slot.at(&file.path), what))
    });
    wrong.collect()
}

fn unlisted(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for slot in scene.slots() {
        let Ok(list) = scene.list(slot) else { continue };
        let is_known = |path: &str| {
            path.eq_ignore_ascii_case(SLOT_FILE)
                || list.files.iter().any(|file| file.path.eq_ignore_ascii_case(path))
        };
        let strays = slot.files().filter(|(path, _)| !is_known(path));
        findings.extend(strays.map(|(path, size)| {
            Finding::new(slot.at(path), format!("it is not listed, and has {}", Bytes(size)))
        }));
    }
    findings
}

fn digests(scene: &Scene) -> Vec<Finding> {
    let wrong = listed(scene).filter_map(|(slot, file)| {
        let found = scene.contents.digests.get(&(slot.entry.number, file.path.clone()))?;
        let what = format!("its sha256 is {found} instead of {}", file.sha256);
        (*found != file.sha256).then(|| Finding::new(slot.at(&file.path), what))
    });
    wrong.collect()
}

fn differ(scene: &Scene) -> Vec<Finding> {
    let lists: Vec<_> = scene.slots().filter_map(|slot| Some((slot, scene.list(slot).ok()?))).collect();
    let [(_, one), (slot, other)] = &lists[..] else { return Vec::new() };
    if one == other {
        return Vec::new();
    }
    let what =
        format!("it holds {} {}, and the other slot {} {}", other.name, other.version, one.name, one.version);
    vec![Finding::new(slot.name(), what)]
}
