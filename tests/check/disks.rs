//! What is no image at all, and tables that cannot be.

use std::fs;
use std::path::PathBuf;

use factory::check::{self, Options};
use factory::units::{Bytes, MIB};

use super::image::{Image, Recipe};
use super::support::{packages, tools};
use super::{broken, expect, expect_all};

#[test]
fn good_images_break_no_rule() {
    for recipe in [Recipe::generic(), Recipe::rpi()] {
        let image = recipe.build();
        assert_eq!(broken(&image), []);
    }
}

/// What the rule `image` says of a file of these bytes.
fn said(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let report = check::check(file.path(), Options::default(), &|_, _| {}).unwrap();
    assert!(!report.is_sound());
    let broken: Vec<_> = report.rules.iter().filter(|verdict| !verdict.findings.is_empty()).collect();
    assert_eq!(broken.iter().map(|verdict| verdict.rule.name).collect::<Vec<_>>(), ["image"]);
    broken[0].findings[0].what.clone()
}

#[test]
fn what_is_no_image_is_called_what_it_is() {
    let mut four_k = vec![0; 64 << 10];
    four_k[4096..4104].copy_from_slice(b"EFI PART");
    let good = Recipe::generic().build();
    let whole = good.table.disk;
    for (bytes, expected) in [
        (vec![], "it is empty".to_owned()),
        (vec![0; 1 << 20], "its first 8 KiB are zeros".to_owned()),
        (b"# A disk image\n".repeat(100), "it is a text".to_owned()),
        (packages::xz(b"an image"), "it is packed with xz; unpack it first".to_owned()),
        (four_k, "its table is for sectors of 4096 bytes, and this disk has 512".to_owned()),
        (good.get(0, 20 << 20), format!("it ends after 20 MiB of {whole}: it was cut short")),
        (
            good.get(good.offset(1), 40 << 20),
            "it is a single FAT file system; name the whole disk".to_owned(),
        ),
        (
            good.get(good.offset(4), 16 << 20),
            "it is a single ext4 file system; name the whole disk".to_owned(),
        ),
    ] {
        assert_eq!(said(&bytes), expected);
    }
    assert!(said(&[0xa5; 100_000]).contains("GPT"), "noise is told with what the table lacks");
}

#[test]
fn partitions_beyond_the_end_are_told_without_what_follows_from_it() {
    let image = Recipe::rpi().build();
    image.truncate(image.offset(4) + MIB);
    expect(&image, "partition-inside", "data: it ends at 137 MiB, and the disk at 122 MiB");
}

/// Rewrites the table with sfdisk.
fn sfdisk(image: &Image, change: impl Fn(&str) -> String) {
    let path = image.path.to_str().unwrap();
    let dumped = tools::print("sfdisk", ["-d", path]);
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(script.path(), dumped.lines().map(|line| change(line) + "\n").collect::<String>()).unwrap();
    let run = format!("sfdisk -q --force --no-reread --no-tell-kernel {path} < {}", script.path().display());
    tools::run("sh", ["-c", &run]);
}

#[test]
fn overlapping_partitions_are_told() {
    let image = Recipe::rpi().build();
    // Sectors of entry 3: it grows into Data.
    let longer = u32::try_from(Bytes::mib(41).sectors().0).unwrap();
    image.put(446 + 2 * 16 + 12, &longer.to_le_bytes());
    expect(&image, "partition-overlap", "data: it shares 1 MiB with boot-b");
}

#[test]
fn a_missing_partition_is_told_by_its_name() {
    let image = Recipe::generic().build();
    sfdisk(&image, |line| if line.contains("name=\"data\"") { String::new() } else { line.to_owned() });
    expect(&image, "partition-missing", "data: there is no such partition");
    let other = Recipe::generic().build();
    sfdisk(&other, |line| line.replace("name=\"", "name=\"other-"));
    expect(&other, "partition-missing", "the disk: it has no partitions of an A/B image");
}

#[test]
fn a_wrong_type_is_told() {
    let esp = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
    let image = Recipe::generic().build();
    sfdisk(&image, |line| line.replace(esp, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"));
    expect(&image, "partition-type", "esp: its type is ebd0a0a2");
    let image = Recipe::rpi().build();
    image.put(446 + 16 + 4, &[0x83]);
    expect(&image, "partition-type", "boot-a: its type is 83 instead of 0c");
}

/// Exchanges two entries of an MBR, so that their numbers are no longer in the order of the disk.
fn exchange(image: &Image, one: u64, other: u64) {
    let at = |number: u64| 446 + 16 * (number - 1);
    let (first, second) = (image.get(at(one), 16), image.get(at(other), 16));
    image.put(at(one), &second).put(at(other), &first);
}

#[test]
fn partitions_out_of_order_are_told() {
    let image = Recipe::rpi().build();
    exchange(&image, 2, 3);
    expect(&image, "partition-order", "boot-b: it lies before boot-a");
}

#[test]
fn a_fat_behind_another_file_system_is_told() {
    let image = Recipe::rpi().build();
    // Slot B's FAT behind Data: both move, and so do their entries.
    let (b, data) = (image.offset(3), image.offset(4));
    let (fat, ext4) = (image.get(b, 40 << 20), image.get(data, 16 << 20));
    image.put(b, &ext4).put(b + (16 << 20), &fat);
    let sector = |bytes: u64| u32::try_from(bytes / 512).unwrap().to_le_bytes();
    image.put(446 + 32 + 8, &sector(b + (16 << 20))).put(446 + 48 + 8, &sector(b));
    expect_all(
        &image,
        &[("fat-first", "boot-b: it lies behind data"), ("partition-order", "data: it lies before boot-b")],
    );
}

#[test]
fn partitions_with_other_file_systems_are_told() {
    let image = Recipe::rpi().build();
    image.put(image.offset(4), &vec![0; 4096]);
    expect(&image, "filesystem", "data: it is not formatted as ext4");
    let image = Recipe::generic().build();
    image.put(image.offset(4), &image.get(image.offset(1), 16 << 20));
    let said = broken(&image);
    assert!(said.contains(&("filesystem", "data: it is FAT instead of ext4".to_owned())), "{said:?}");
}

#[test]
fn damage_to_either_copy_of_a_gpt_is_told() {
    let image = Recipe::generic().build();
    image.put(512 + 60, &[0xff; 4]);
    expect(&image, "gpt-primary", "the checksum of its header is wrong");
    let image = Recipe::generic().build();
    image.put(1024 + 56, &[0x41]);
    expect(&image, "gpt-primary", "the checksum of its entries is wrong");
    let image = Recipe::generic().build();
    image.put(image.table.disk.0 - 512, &[0; 512]);
    expect(&image, "gpt-backup", "there is no GPT header");
    let image = Recipe::generic().build();
    image.put(446, &[0; 64]);
    expect(&image, "gpt-protective", "it has no protective MBR");
}

#[test]
fn a_directory_or_a_missing_file_is_an_error() {
    for (path, expected) in [("/", "`/` is not an image"), ("/nowhere/at-all", "opening `/nowhere/at-all`")] {
        let error = check::check(&PathBuf::from(path), Options::default(), &|_, _| {}).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn a_device_that_disappears_is_told() {
    for recipe in [Recipe::generic(), Recipe::rpi()] {
        let image = recipe.build();
        let vanish = |_: u64, _: u64| {
            image.truncate(0);
        };
        let report = check::check(&image.path, Options::default(), &vanish).unwrap();
        let readable = report.rules.iter().find(|verdict| verdict.rule.name == "readable").unwrap();
        let what: Vec<&str> = readable.findings.iter().map(|found| found.what.as_str()).collect();
        assert!(what.contains(&"the disk ended while it was read"), "{what:?}");
    }
}
