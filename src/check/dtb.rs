//! Device trees and overlays of the Raspberry Pi.

use std::collections::BTreeMap;

use super::scene::{Partition, Scene};
use super::{Finding, Rule, Scope, Severity, kernel, systems};
use crate::board::{self, Board};
use crate::dtb::{Dtb, DtbError, LARGEST};

/// Node that only device trees of the vendor's kernels have: parameters for `dtparam`.
const VENDOR_NODE: &str = "/__overrides__";
const SUFFIX: &str = ".dtb";

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "dtb-missing",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "every partition that is started from has a device tree for some board",
        why: "the firmware finds none for its board: a Raspberry Pi 5 passes the partition over, and on \
              others the kernel stops before its first word",
        link: "raspberrypi/documentation, config_txt/boot.adoc; raspberrypi/firmware#1660",
        way_out: "put the kernel's device trees there, under the names that the firmware looks for",
        check: missing,
    },
    Rule {
        name: "dtb-variant",
        severity: Severity::Warning,
        scope: Scope::Rpi,
        title: "boards have device trees for all their variants",
        why: "newer steppings do not start with the device tree of older ones",
        link: "raspberrypi/firmware#2018; siderolabs/talos#12748",
        way_out: "take a kernel that has them, or do not promise the variant",
        check: variant,
    },
    Rule {
        name: "dtb-damaged",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "device trees are whole",
        why: "the firmware drops a device tree that it cannot read, and the kernel stops without a word",
        link: "Devicetree specification 0.4, chapter 5",
        way_out: "write the partition again",
        check: damaged,
    },
    Rule {
        name: "dtb-board",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "device trees are for the boards in their names",
        why: "a Raspberry Pi 5 refuses a device tree for another, and others drive hardware that is not there",
        link: "raspberrypi/firmware#1660",
        way_out: "take the device tree of the board",
        check: other_board,
    },
    Rule {
        name: "dtb-family",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "kernel and device trees are of the same family: mainline's or the vendor's",
        why: "drivers do not find what they need in the other family's trees; Ethernet and USB are lost",
        link: "siderolabs/sbc-raspberrypi#71",
        way_out: "take the device trees out of the kernel's own package",
        check: family,
    },
    Rule {
        name: "overlay",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "the overlays of config.txt are there and fit the device trees",
        why: "the firmware leaves out what it cannot apply, and says so only in its log",
        link: "raspberrypi/documentation, computers/configuration/device-tree.adoc",
        way_out: "put the overlay there, or take one that is made for this kernel",
        check: overlay,
    },
];

fn missing(scene: &Scene) -> Vec<Finding> {
    let without = systems::all(scene).filter(|system| system.boards().is_empty());
    without
        .map(|system| Finding::new(system.name(), "it has no device tree that any board looks for"))
        .collect()
}

fn variant(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for system in systems::all(scene) {
        for board in system.boards() {
            let without = board.dtb.iter().filter(|dtb| !dtb.asks.iter().any(|name| system.has(name)));
            findings.extend(without.map(|dtb| {
                let variant = dtb.variant.as_deref().unwrap_or("without a name");
                let what = format!("there is none for {}, variant {variant}", board.title);
                Finding::new(system.at(&dtb.asks[0]), what)
            }));
        }
    }
    findings
}

/// The device trees at the top of a system, and what came of reading them.
fn trees<'a>(
    scene: &'a Scene,
    system: &'a Partition,
) -> impl Iterator<Item = (&'a str, Result<Dtb, DtbError>)> {
    let named = system.files().filter(|(path, _)| path.ends_with(SUFFIX) && !path.contains('/'));
    named.filter_map(|(path, size)| {
        if size > LARGEST as u64 {
            return Some((path, Err(DtbError::TooLarge(size as usize))));
        }
        let bytes = scene.read(system, path, LARGEST as u32)?;
        Some((path, Dtb::decode(&bytes)))
    })
}

fn damaged(scene: &Scene) -> Vec<Finding> {
    let broken = systems::all(scene).flat_map(|system| {
        let errors = trees(scene, system).filter_map(|(path, tree)| Some((path, tree.err()?)));
        errors.map(|(path, error)| Finding::new(system.at(path), error.to_string()))
    });
    broken.collect()
}

fn other_board(scene: &Scene) -> Vec<Finding> {
    let wrong = systems::all(scene).flat_map(|system| {
        trees(scene, system).filter_map(|(path, tree)| {
            let (board, compatible) = (named(path)?, tree.ok()?.compatible());
            let is_for = |word: &str| compatible.iter().any(|have| have == word);
            let is_right = is_for(&board.compatible) && is_for(&board.chip.compatible());
            let what =
                format!("it is compatible with {}, and not with {}", compatible.join(", "), board.compatible);
            (!is_right).then(|| Finding::new(system.at(path), what))
        })
    });
    wrong.collect()
}

/// The board that a file's name says it is for.
fn named(path: &str) -> Option<&'static Board> {
    let asks = |board: &&Board| board.dtb.iter().any(|dtb| dtb.asks.iter().any(|name| name == path));
    board::all().iter().find(asks)
}

fn family(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for system in systems::all(scene) {
        let kernels = kernel::all(scene)
            .filter(|(at, _, kernel)| at.entry.number == system.entry.number && kernel.release.is_some());
        for (_, path, kernel) in kernels {
            let is_other = |tree: &Dtb| tree.has_node(VENDOR_NODE) != kernel.is_vendors;
            let others = trees(scene, system).filter(|(_, tree)| tree.as_ref().is_ok_and(is_other));
            let (theirs, ours) =
                if kernel.is_vendors { ("mainline", "the vendor's") } else { ("the vendor's", "mainline") };
            let what = format!("it is {theirs}, and the kernel `{path}` {ours}");
            findings.extend(others.map(|(tree, _)| Finding::new(system.at(tree), what.clone())));
        }
    }
    findings
}

fn overlay(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for system in systems::all(scene) {
        let trees: BTreeMap<&str, Dtb> =
            trees(scene, system).filter_map(|(path, tree)| Some((path, tree.ok()?))).collect();
        for (board, settings) in system.settings(scene) {
            for overlay in settings.overlays() {
                let path = format!("{}{}{}", settings.overlay_prefix(), overlay.name, ".dtbo");
                let bases =
                    board.dtb.iter().flat_map(|dtb| &dtb.asks).filter_map(|name| trees.get(name.as_str()));
                let problem = overlay_problem(scene, system, &path, bases);
                findings.extend(problem.map(|what| Finding::new(system.at(&path), what)));
            }
        }
    }
    findings
}

fn overlay_problem<'a>(
    scene: &Scene,
    system: &Partition,
    path: &str,
    bases: impl Iterator<Item = &'a Dtb>,
) -> Option<String> {
    if !system.has(path) {
        return Some("there is no such file, which config.txt asks for".to_owned());
    }
    let overlay = match Dtb::decode(&scene.read(system, path, LARGEST as u32)?) {
        Ok(overlay) if overlay.is_overlay() => overlay,
        Ok(_) => return Some("it is no overlay".to_owned()),
        Err(error) => return Some(error.to_string()),
    };
    let needed = overlay.needed_symbols();
    let mut lacking = bases.filter_map(|base| needed.iter().find(|label| base.symbol(label).is_none()));
    lacking.next().map(|label| format!("it needs `{label}`, which the device tree has not"))
}
