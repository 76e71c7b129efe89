//! ext4 file systems: the slots of the generic track, and Data.

use super::scene::{Partition, Scene, Volume};
use super::{Finding, Rule, Scope, Severity};
use crate::units::Bytes;
use crate::volume::ext4::{self, State};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "ext4-sound",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "ext4 file systems have sound superblocks, groups and directories",
        why: "GRUB finds no kernel in a slot, and the system no Data, or not all of it",
        link: "Linux, Documentation/filesystems/ext4",
        way_out: "write the slot again; repair Data with `e2fsck`",
        check: sound,
    },
    Rule {
        name: "ext4-size",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "ext4 file systems are no larger than their partitions",
        why: "Linux refuses to mount them, and what lies beyond the end is lost",
        link: "Linux, fs/ext4/super.c, \"bad geometry: block count exceeds size of device\"",
        way_out: "make the partition larger, or shrink the file system with `resize2fs`",
        check: size,
    },
    Rule {
        name: "ext4-state",
        severity: Severity::Warning,
        scope: Scope::Table,
        title: "ext4 file systems were unmounted, and the kernel found no errors in them",
        why: "GRUB reads past a journal that is not replayed, and errors grow",
        link: "Linux, Documentation/filesystems/ext4/super.rst, s_state",
        way_out: "on a device, unmount it before checking; else run `e2fsck`",
        check: state,
    },
];

fn sound(scene: &Scene) -> Vec<Finding> {
    let broken = scene.partitions.iter().filter_map(|partition| match &partition.volume {
        Volume::Broken("ext4", problem) => Some(Finding::new(partition.name(), problem)),
        _ => None,
    });
    broken.collect()
}

/// The file systems whose superblock can be read.
fn states(scene: &Scene) -> impl Iterator<Item = (&Partition, State)> {
    let whole = scene.partitions.iter().filter(|partition| partition.is_readable());
    whole.filter_map(|partition| match ext4::state(&partition.region) {
        Ok(state) => state.map(|state| (partition, state)),
        Err(error) => {
            scene.fail(&partition.name(), &error);
            None
        }
    })
}

fn size(scene: &Scene) -> Vec<Finding> {
    let larger = states(scene).filter(|(partition, state)| state.size > partition.region.size());
    let what = |state: State, partition: &Partition| {
        format!("it has {}, and the partition {}", Bytes(state.size), Bytes(partition.region.size()))
    };
    larger.map(|(partition, state)| Finding::new(partition.name(), what(state, partition))).collect()
}

fn state(scene: &Scene) -> Vec<Finding> {
    let bad = states(scene).filter_map(|(partition, state)| {
        let what = match (state.has_errors, state.is_clean) {
            (true, _) => "the kernel found errors in it",
            (false, false) => "it was not unmounted",
            (false, true) => return None,
        };
        Some(Finding::new(partition.name(), what))
    });
    bad.collect()
}
