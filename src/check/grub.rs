//! What UEFI firmware and GRUB read before a slot is chosen.

use bootenv::grub::{CMDLINE, DIRECTORY, GRUBENV, GRUBENV_SPARE, GrubState, SLOT_ENV};
use bootenv::grubenv::GrubEnv;

use super::kernel;
use super::scene::Scene;
use super::{Finding, Rule, Scope, Severity};
use crate::track::generic::LOADER;

/// Largest block that is looked at, in bytes; one of a wrong size shall be called that.
const LARGEST_BLOCK: u32 = 64 << 10;
/// Largest loader, in bytes. GRUB has 3 MiB at most.
const LARGEST_LOADER: u32 = 64 << 20;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "grub-loader",
        severity: Severity::Error,
        scope: Scope::Generic,
        title: "the ESP has a loader for arm64 where firmware looks for it",
        why: "firmware without a boot entry starts nothing else",
        link: "UEFI specification 2.10, chapter 3.5.1.1",
        way_out: "write the ESP again",
        check: loader,
    },
    Rule {
        name: "grub-script",
        severity: Severity::Error,
        scope: Scope::Generic,
        title: "the ESP has GRUB's script",
        why: "GRUB waits at its prompt for somebody to type",
        link: "GRUB manual, chapter 6",
        way_out: "write the ESP again",
        check: script,
    },
    Rule {
        name: "grubenv",
        severity: Severity::Error,
        scope: Scope::Generic,
        title: "both copies of GRUB's state are whole",
        why: "GRUB can neither read nor write a damaged block: trials are not counted, and with both \
              gone it takes slot A whatever was committed",
        link: "balena-os/meta-balena#3922; GRUB, grub-core/lib/envblk.c",
        way_out: "let the agent repair it, or write it again with `grub-editenv`",
        check: grubenv,
    },
    Rule {
        name: "slot-env",
        severity: Severity::Error,
        scope: Scope::Generic,
        title: "every slot has its kernel command line",
        why: "GRUB starts the kernel without the slot's own options, such as its console",
        link: "GRUB manual, chapter 15.4, load_env",
        way_out: "write the slot again",
        check: slot_env,
    },
];

fn loader(scene: &Scene) -> Vec<Finding> {
    let Some(esp) = scene.selector() else { return Vec::new() };
    if !esp.has(LOADER) {
        return vec![Finding::new(esp.at(LOADER), "there is no such file")];
    }
    let Some(bytes) = scene.read(esp, LOADER, LARGEST_LOADER) else { return Vec::new() };
    if kernel::is_program(&bytes) {
        return Vec::new();
    }
    vec![Finding::new(esp.at(LOADER), "it is no EFI program for arm64")]
}

fn script(scene: &Scene) -> Vec<Finding> {
    let script = format!("{DIRECTORY}/grub.cfg");
    let esp = scene.selector().filter(|esp| !esp.has(&script));
    esp.map(|esp| Finding::new(esp.at(&script), "there is no such file")).into_iter().collect()
}

fn grubenv(scene: &Scene) -> Vec<Finding> {
    let Some(esp) = scene.selector() else { return Vec::new() };
    let problem = |file: &str| {
        if !esp.has(file) {
            return Some("there is no such file".to_owned());
        }
        let block = scene.read(esp, file, LARGEST_BLOCK)?;
        GrubState::decode(&block).err().map(|error| error.to_string())
    };
    let files = [GRUBENV, GRUBENV_SPARE].into_iter();
    files.filter_map(|file| problem(file).map(|what| Finding::new(esp.at(file), what))).collect()
}

fn slot_env(scene: &Scene) -> Vec<Finding> {
    let problem = |slot: &super::scene::Partition| {
        if !slot.has(SLOT_ENV) {
            return Some("there is no such file".to_owned());
        }
        let block = scene.read(slot, SLOT_ENV, LARGEST_BLOCK)?;
        match GrubEnv::decode(&block) {
            Err(error) => Some(error.to_string()),
            Ok(env) if env.get(CMDLINE).is_none() => Some(format!("it does not set `{CMDLINE}`")),
            Ok(_) => None,
        }
    };
    scene.slots().filter_map(|slot| problem(slot).map(|what| Finding::new(slot.at(SLOT_ENV), what))).collect()
}
