//! The disk as a whole, and its partition table.

use super::scene::{Scene, Volume};
use super::{Finding, Rule, Scope, Severity};
use crate::image::layout::{Entry, Role, Scheme};
use crate::track::{self, Format};
use crate::units::{Bytes, SECTOR};
use crate::volume::{Opened, ext4, fat};

const GPT_MAGIC: &[u8] = b"EFI PART";

/// First bytes of files that hold an image in some other form, and what to do about them.
const WRAPPED: &[(&[u8], &str)] = &[
    (&[0x1f, 0x8b], "it is packed with gzip; unpack it first"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "it is packed with xz; unpack it first"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "it is packed with zstd; unpack it first"),
    (b"PK\x03\x04", "it is a zip archive; unpack it first"),
    (b"BZh", "it is packed with bzip2; unpack it first"),
    (b"QFI\xfb", "it is a qcow2 image; convert it with `qemu-img convert -O raw`"),
    (b"\x7fELF", "it is a program"),
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "image",
        severity: Severity::Error,
        scope: Scope::Any,
        title: "it is a disk with a partition table",
        why: "without a table there is nothing that firmware could start from",
        link: "UEFI specification 2.10, chapter 5",
        way_out: "name the image or the whole device, and write it again if it is one",
        check: image,
    },
    Rule {
        name: "partition-inside",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "all partitions lie on the disk",
        why: "what lies beyond the end cannot be read; often a download or a copy was cut short",
        link: "UEFI specification 2.10, chapter 5.2.1; raspberrypi/rpi-imager#414",
        way_out: "copy the image again, or take a larger card",
        check: inside,
    },
    Rule {
        name: "partition-overlap",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "no two partitions overlap",
        why: "what is written to one destroys the other, with Data the first time the system runs",
        link: "UEFI specification 2.10, chapter 5.2.1",
        way_out: "write the image again; a table that was changed by hand has to leave Data behind B",
        check: overlap,
    },
    Rule {
        name: "partition-missing",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "the partitions of an A/B image are there",
        why: "loader and system find their partitions by name or number, and a slot that is missing \
              cannot be updated or fallen back to",
        link: "raspberrypi/documentation, config_txt/autoboot.adoc",
        way_out: "write the image again, or check an image that this program made",
        check: missing,
    },
    Rule {
        name: "partition-type",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "the table says of every partition what it is",
        why: "firmware looks for its loader only on partitions of the type that it expects: the ESP's \
              in a GPT, and FAT's in an MBR",
        link: "UEFI specification 2.10, chapter 13.3; raspberrypi/firmware#1733",
        way_out: "set the type, with `sfdisk --part-type`",
        check: types,
    },
    Rule {
        name: "partition-order",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "partitions lie on the disk in the order of their numbers",
        why: "boot ROMs of Raspberry Pi 4 then start from another partition than autoboot.txt names",
        link: "raspberrypi/rpi-eeprom#705",
        way_out: "lay the partitions out in the order of their numbers",
        check: order,
    },
    Rule {
        name: "fat-first",
        severity: Severity::Error,
        scope: Scope::Rpi,
        title: "FAT partitions come before all others",
        why: "start4.elf counts wrongly when others lie between them, and reads the wrong partition",
        link: "raspberrypi/rpi-eeprom#668",
        way_out: "put all FAT partitions at the start of table and disk",
        check: fat_first,
    },
    Rule {
        name: "filesystem",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "partitions have the file systems that loader and system expect",
        why: "a loader reads FAT, or ext4 with GRUB, and the system mounts Data as ext4",
        link: "raspberrypi/documentation, config_txt/autoboot.adoc; UEFI specification 2.10, chapter 13.3",
        way_out: "write the partition again",
        check: filesystem,
    },
];

fn image(scene: &Scene) -> Vec<Finding> {
    match &scene.table {
        Ok(_) => Vec::new(),
        Err(error) => vec![Finding::new("the disk", not_an_image(scene, &error.to_string()))],
    }
}

/// What it is instead.
fn not_an_image(scene: &Scene, error: &str) -> String {
    let (head, size) = (&scene.head, scene.disk.size());
    let wrapped = WRAPPED.iter().find(|(magic, _)| head.starts_with(magic));
    if size == 0 {
        "it is empty".to_owned()
    } else if let Some((_, what)) = wrapped {
        (*what).to_owned()
    } else if let Some(whole) = size_by_gpt(head).filter(|whole| *whole > size) {
        format!("it ends after {} of {}: it was cut short", Bytes(size), Bytes(whole))
    } else if head.get(4096..4104) == Some(GPT_MAGIC) {
        "its table is for sectors of 4096 bytes, and this disk has 512".to_owned()
    } else if fat::is_fat(head) {
        "it is a single FAT file system; name the whole disk".to_owned()
    } else if ext4::is_there(scene.disk.region()) {
        "it is a single ext4 file system; name the whole disk".to_owned()
    } else if head.iter().all(|byte| *byte == 0) {
        format!("its first {} are zeros", Bytes(head.len() as u64))
    } else if std::str::from_utf8(&head[..head.len().min(512)]).is_ok_and(|text| !text.contains('\0')) {
        "it is a text".to_owned()
    } else {
        error.to_owned()
    }
}

/// The size of the disk that a GPT was made for: its backup is in the last sector.
fn size_by_gpt(head: &[u8]) -> Option<u64> {
    let header = head.get(512..1024).filter(|header| header.starts_with(GPT_MAGIC))?;
    let backup = header[32..40].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    backup.checked_add(1)?.checked_mul(SECTOR)
}

fn inside(scene: &Scene) -> Vec<Finding> {
    let cut = scene.partitions.iter().filter(|partition| matches!(partition.volume, Volume::Cut));
    let disk = Bytes(scene.disk.size());
    let found = cut.map(|partition| {
        let end = end(&partition.entry).saturating_mul(SECTOR);
        Finding::new(partition.name(), format!("it ends at {}, and the disk at {disk}", Bytes(end)))
    });
    found.collect()
}

fn end(entry: &Entry) -> u64 {
    entry.start.0.saturating_add(entry.length.0)
}

fn overlap(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, one) in scene.partitions.iter().enumerate() {
        for other in &scene.partitions[at + 1..] {
            let start = one.entry.start.max(other.entry.start).0;
            let length = end(&one.entry).min(end(&other.entry)).saturating_sub(start);
            if length > 0 {
                let what = format!("it shares {} with {}", Bytes(length.saturating_mul(SECTOR)), one.name());
                findings.push(Finding::new(other.name(), what));
            }
        }
    }
    findings
}

fn missing(scene: &Scene) -> Vec<Finding> {
    let Some(scheme) = scene.scheme() else { return Vec::new() };
    let is_there = |role| scene.partitions.iter().any(|one| one.row.is_some_and(|row| row.role == role));
    let rows: Vec<_> = track::rows(scheme).collect();
    let missing: Vec<&str> = rows.iter().filter(|row| !is_there(row.role)).map(|row| row.name).collect();
    if !missing.is_empty() && missing.len() == rows.len() {
        return vec![Finding::new("the disk", "it has no partitions of an A/B image")];
    }
    missing.into_iter().map(|name| Finding::new(name, "there is no such partition")).collect()
}

fn types(scene: &Scene) -> Vec<Finding> {
    let wrong = scene.partitions.iter().filter_map(|partition| {
        let row = partition.row.filter(|row| row.kind != partition.entry.kind)?;
        let (found, right) = match scene.scheme()? {
            Scheme::Gpt => (partition.entry.kind.guid().to_string(), row.kind.guid().to_string()),
            Scheme::Mbr => (hex(partition.entry.kind.byte()), hex(row.kind.byte())),
        };
        Some(Finding::new(partition.name(), format!("its type is {found} instead of {right}")))
    });
    wrong.collect()
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}")
}

fn order(scene: &Scene) -> Vec<Finding> {
    let pairs = scene.partitions.iter().zip(scene.partitions.iter().skip(1));
    let wrong = pairs.filter(|(one, next)| next.entry.start < one.entry.start);
    wrong.map(|(one, next)| Finding::new(next.name(), format!("it lies before {}", one.name()))).collect()
}

fn fat_first(scene: &Scene) -> Vec<Finding> {
    let hidden = |number: u32| {
        let mut hidden = scene.partitions.iter().filter(|one| matches!(one.volume, Volume::Hidden));
        hidden.any(|one| one.entry.number == number)
    };
    let is_fat = |number: u32| scene.fats().any(|(one, _)| one.entry.number == number) || hidden(number);
    let mut by_place: Vec<_> = scene.partitions.iter().collect();
    by_place.sort_by_key(|partition| partition.entry.start);
    let first_other = by_place.iter().position(|partition| !is_fat(partition.entry.number));
    let Some(other) = first_other else { return Vec::new() };
    let late = by_place[other..].iter().filter(|partition| is_fat(partition.entry.number));
    let what = format!("it lies behind {}, which is not FAT", by_place[other].name());
    late.map(|partition| Finding::new(partition.name(), what.clone())).collect()
}

/// A slot without any file system is an empty one, which another rule reports.
fn filesystem(scene: &Scene) -> Vec<Finding> {
    let wrong = scene.partitions.iter().filter_map(|partition| {
        let role = partition.role()?;
        let wanted = match partition.row?.format {
            Format::Ext4 => "ext4",
            _ => "FAT",
        };
        let what = match &partition.volume {
            Volume::Unknown if !matches!(role, Role::Boot(_) | Role::System(_)) => {
                format!("it is not formatted as {wanted}")
            }
            Volume::Broken("FAT", problem) => format!("its FAT cannot be read: {problem}"),
            Volume::Sound(Opened::Ext4(_)) if wanted == "FAT" => "it is ext4 instead of FAT".to_owned(),
            Volume::Sound(Opened::Fat(_)) | Volume::Ambiguous(_) if wanted == "ext4" => {
                "it is FAT instead of ext4".to_owned()
            }
            _ => return None,
        };
        Some(Finding::new(partition.name(), what))
    });
    wrong.collect()
}
