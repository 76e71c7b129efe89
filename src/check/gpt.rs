//! What a GPT has besides its partitions: checksums, a second copy, and a protective MBR.

use super::scene::Scene;
use super::{Finding, Rule, Scope, Severity};
use crate::image::gpt::Copies;

/// Type of the one partition of a protective MBR, and where its entry says so.
const PROTECTIVE: u8 = 0xee;
const ENTRIES: std::ops::Range<usize> = 446..510;
const ENTRY: usize = 16;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "gpt-primary",
        severity: Severity::Error,
        scope: Scope::Generic,
        title: "the first copy of the GPT is sound",
        why: "GRUB reads no other, and finds no slot",
        link: "UEFI specification 2.10, chapter 5.3.2; GRUB, partmap/gpt.c",
        way_out: "restore it from the backup, with `sgdisk --load-backup` or gdisk's `b`",
        check: primary,
    },
    Rule {
        name: "gpt-backup",
        severity: Severity::Warning,
        scope: Scope::Generic,
        title: "the second copy of the GPT is sound, and says the same as the first",
        why: "nothing is left when the first is damaged; and the image is not as it was made",
        link: "UEFI specification 2.10, chapter 5.3.2",
        way_out: "write the image again, or repair it with `sgdisk --verify` and gdisk's `d`",
        check: backup,
    },
    Rule {
        name: "gpt-protective",
        severity: Severity::Error,
        scope: Scope::Generic,
        title: "the first sector is a protective MBR",
        why: "firmware and GRUB look for a GPT only behind one",
        link: "UEFI specification 2.10, chapter 5.2.3",
        way_out: "write it, with gdisk's `n` in its expert menu",
        check: protective,
    },
];

fn copies(scene: &Scene) -> Option<Copies> {
    scene.table.as_ref().ok().and_then(|table| table.copies)
}

fn primary(scene: &Scene) -> Vec<Finding> {
    match copies(scene) {
        Some(Copies::BackupOnly(damage)) => vec![Finding::new("the table", damage.to_string())],
        _ => Vec::new(),
    }
}

fn backup(scene: &Scene) -> Vec<Finding> {
    match copies(scene) {
        Some(Copies::PrimaryOnly(damage)) => vec![Finding::new("the second table", damage.to_string())],
        Some(Copies::Differ) => vec![Finding::new("the second table", "it differs from the first")],
        _ => Vec::new(),
    }
}

fn protective(scene: &Scene) -> Vec<Finding> {
    let entries = scene.head.get(ENTRIES).unwrap_or_default();
    let is_marked = scene.head.get(510..512) == Some(&[0x55, 0xaa]);
    let is_there = entries.chunks_exact(ENTRY).any(|entry| entry[4] == PROTECTIVE);
    if is_marked && is_there {
        Vec::new()
    } else {
        vec![Finding::new("the disk", "it has no protective MBR")]
    }
}
