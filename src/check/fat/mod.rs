//! FAT file systems: the only ones that firmware reads, each in its own way.

mod usage;

use super::scene::{Partition, Scene};
use super::{Finding, Rule, Scope, Severity};
use crate::image::layout::Role;
use crate::units::Bytes;
use crate::volume::fat::{Bits, Fat, Info};

pub(super) use usage::Usage;

/// Firmware has not started from FATs of this size.
const LARGEST: u64 = 2 << 30;
/// Distance from the limits between the kinds that the specification advises.
const DISTANCE: u64 = 16;
/// The limits between FAT12, FAT16 and FAT32, in clusters.
const LIMITS: [u64; 2] = [4085, 65_525];

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "fat-cluster-count",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "FATs are what their boot sectors say",
        why: "firmware goes by the number of clusters and reads FAT16 where others made FAT32",
        link: "raspberrypi/rpi-eeprom#818; FAT specification 1.03, \"FAT type determination\"",
        way_out: "format a FAT32 with at least 65,525 clusters: 64 MiB of 512 bytes each, or make it FAT16",
        check: cluster_count,
    },
    Rule {
        name: "fat-near-limit",
        severity: Severity::Warning,
        scope: Scope::Table,
        title: "FATs have 16 clusters more or less than the limits between their kinds",
        why: "programs disagree by a few about the limits, and so about what kind of FAT it is",
        link: "FAT specification 1.03, \"FAT type determination\", note",
        way_out: "make the file system a little larger or smaller",
        check: near_limit,
    },
    Rule {
        name: "fat-size",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "FATs that firmware reads are smaller than 2 GiB",
        why: "firmware of all Raspberry Pi boards has failed to start from large ones",
        link: "lf-edge/eve#6081; raspberrypi/rpi-imager#283",
        way_out: "make the partition smaller; large files belong on Data",
        check: size,
    },
    Rule {
        name: "fat-last-cluster",
        severity: Severity::Warning,
        scope: Scope::Rpi,
        title: "no file has the last cluster of its FAT",
        why: "EEPROMs before 2024-01-18 take it for one beyond the end, and do not read the file",
        link: "raspberrypi/rpi-eeprom#521",
        way_out: "make the file system a cluster larger",
        check: last_cluster,
    },
    Rule {
        name: "fat-inside",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "FATs are no larger than their partitions",
        why: "files are written into the partition behind, and Linux refuses to mount it",
        link: "FAT specification 1.03, chapter 3",
        way_out: "format the partition again",
        check: inside,
    },
    Rule {
        name: "fat-copies",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "the two tables of a FAT are the same",
        why: "programs differ in which they read, and the first repair takes the wrong one",
        link: "FAT specification 1.03, chapter 4",
        way_out: "repair it with `fsck.vfat`, or write the partition again",
        check: copies,
    },
    Rule {
        name: "fat-chains",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "every file has the clusters that it needs, and for itself",
        why: "firmware reads other bytes than were written, or stops in the middle of a file",
        link: "FAT specification 1.03, chapter 4",
        way_out: "write the partition again; `fsck.vfat` makes files of what is left",
        check: chains,
    },
    Rule {
        name: "fat-lost",
        severity: Severity::Warning,
        scope: Scope::Table,
        title: "every cluster in use belongs to a file",
        why: "a write was cut short, and the space is gone until it is repaired",
        link: "FAT specification 1.03, chapter 4",
        way_out: "repair it with `fsck.vfat`",
        check: lost,
    },
    Rule {
        name: "fat-info",
        severity: Severity::Warning,
        scope: Scope::Table,
        title: "a FAT32 counts its free clusters as they are, and repeats its boot sector",
        why: "a wrong count lets writers run out of space, and a lost boot sector cannot be restored",
        link: "FAT specification 1.03, \"FSInfo\"",
        way_out: "repair it with `fsck.vfat`",
        check: info,
    },
    Rule {
        name: "fat-clean",
        severity: Severity::Warning,
        scope: Scope::Table,
        title: "FATs were unmounted",
        why: "writes may be missing that the system believed done",
        link: "FAT specification 1.03, chapter 4, ClnShutBitMask",
        way_out: "on a device, unmount it before checking; else run `fsck.vfat`",
        check: clean,
    },
];

/// One finding for each FAT that `what` says something of.
fn each(scene: &Scene, what: impl Fn(&Partition, &Fat) -> Option<String>) -> Vec<Finding> {
    let found = scene
        .fats()
        .filter_map(|(partition, fat)| what(partition, fat).map(|what| Finding::new(partition.name(), what)));
    found.collect()
}

/// The FATs that can be read, with what their clusters belong to.
fn used(scene: &Scene) -> impl Iterator<Item = (&Partition, &Fat, &Usage)> {
    scene.fats().filter_map(|(partition, fat)| Some((partition, fat, partition.usage.as_ref()?)))
}

fn name(bits: Bits) -> &'static str {
    match bits {
        Bits::Twelve => "FAT12",
        Bits::Sixteen => "FAT16",
        Bits::ThirtyTwo => "FAT32",
    }
}

fn cluster_count(scene: &Scene) -> Vec<Finding> {
    each(scene, |_, fat| {
        let geometry = fat.geometry();
        let said = if geometry.is_wide { "FAT32" } else { "FAT12 or FAT16" };
        let (is, clusters) = (name(fat.bits()), geometry.clusters);
        fat.is_ambiguous()
            .then(|| format!("its boot sector is laid out as {said}, but {clusters} clusters make it {is}"))
    })
}

fn near_limit(scene: &Scene) -> Vec<Finding> {
    each(scene, |_, fat| {
        let clusters = fat.geometry().clusters;
        let limit = LIMITS.into_iter().find(|limit| clusters.abs_diff(*limit) < DISTANCE)?;
        (!fat.is_ambiguous())
            .then(|| format!("it has {clusters} clusters, and {limit} is the limit to the next kind"))
    })
}

fn size(scene: &Scene) -> Vec<Finding> {
    each(scene, |partition, _| {
        let size = partition.region.size();
        let is_read = partition.role().is_some_and(|role| role != Role::Data);
        (is_read && size >= LARGEST).then(|| format!("it has {}", Bytes(size)))
    })
}

fn last_cluster(scene: &Scene) -> Vec<Finding> {
    let files = used(scene).flat_map(|(partition, _, usage)| {
        usage.last.iter().map(|path| partition.at(path.trim_start_matches('/')))
    });
    files.map(|place| Finding::new(place, "it ends in the last cluster")).collect()
}

fn inside(scene: &Scene) -> Vec<Finding> {
    each(scene, |partition, fat| {
        let (size, room) = (fat.geometry().size, partition.region.size());
        (size > room).then(|| format!("it has {}, and the partition {}", Bytes(size), Bytes(room)))
    })
}

fn copies(scene: &Scene) -> Vec<Finding> {
    each(scene, |partition, fat| match fat.tables_differ() {
        Ok(at) => at.map(|at| format!("its tables differ from byte {at} on")),
        Err(error) => {
            scene.fail(&partition.name(), &error);
            None
        }
    })
}

fn chains(scene: &Scene) -> Vec<Finding> {
    let found = used(scene).flat_map(|(partition, _, usage)| {
        let problems = usage.problems.iter();
        problems.map(|(path, what)| Finding::new(partition.at(path.trim_start_matches('/')), what))
    });
    found.collect()
}

fn lost(scene: &Scene) -> Vec<Finding> {
    // Where chains are broken, what follows is lost as well.
    let lost = used(scene).filter(|(_, _, usage)| usage.lost > 0 && usage.problems.is_empty());
    let what = |usage: &Usage| format!("{} clusters belong to no file", usage.lost);
    lost.map(|(partition, _, usage)| Finding::new(partition.name(), what(usage))).collect()
}

fn info(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (partition, fat, usage) in used(scene) {
        match fat.is_boot_repeated().and_then(|repeated| Ok((repeated, fat.info()?))) {
            Ok((repeated, info)) => {
                let copy = (!repeated).then(|| "the copy of its boot sector differs".to_owned());
                let count = info.and_then(|info| miscounted(info, u64::from(fat.clusters()) - usage.taken));
                let what = copy.into_iter().chain(count);
                findings.extend(what.map(|what| Finding::new(partition.name(), what)));
            }
            Err(error) => scene.fail(&partition.name(), &error),
        }
    }
    findings
}

fn miscounted(info: Info, free: u64) -> Option<String> {
    if !info.is_signed {
        return Some("its FSInfo sector is damaged".to_owned());
    }
    let is_right = info.free == Info::UNKNOWN || u64::from(info.free) == free;
    (!is_right).then(|| format!("it counts {} free clusters, and has {free}", info.free))
}

fn clean(scene: &Scene) -> Vec<Finding> {
    each(scene, |_, fat| {
        let is_dirty = !fat.is_ambiguous() && !fat.is_clean();
        is_dirty.then(|| "it was not unmounted".to_owned())
    })
}

impl Partition {
    /// Whether a file of a FAT is in more than one piece.
    pub(super) fn is_scattered(&self, path: &str) -> bool {
        self.usage.as_ref().is_some_and(|usage| usage.pieces.contains(&path.to_ascii_lowercase()))
    }
}
