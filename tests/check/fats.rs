//! FAT file systems that are bad in one way each.

use factory::units::Bytes;

use super::image::{Image, Recipe};
use super::support::tools;
use super::{broken, expect, expect_all};

/// A 16- or 32-bit number of a boot sector.
fn field(image: &Image, number: usize, at: u64, width: usize) -> u64 {
    let bytes = image.get(image.offset(number) + at, width);
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Where the copies of the FAT stand on the disk.
fn tables(image: &Image, number: usize) -> [u64; 2] {
    let first = image.offset(number) + 512 * field(image, number, 14, 2);
    [first, first + 512 * field(image, number, 36, 4)]
}

/// Sets an entry of a FAT32, in both copies.
fn set(image: &Image, number: usize, cluster: u64, value: u32) {
    for table in tables(image, number) {
        image.put(table + 4 * cluster, &value.to_le_bytes());
    }
}

/// The entry of the first file whose short name starts like this, in the root directory of FAT32.
fn entry(image: &Image, number: usize, name: &[u8]) -> u64 {
    let root = tables(image, number)[1] + 512 * field(image, number, 36, 4);
    let bytes = image.get(root, 4096);
    let at = bytes.chunks(32).position(|entry| entry.starts_with(name) && entry[11] != 0x0f).unwrap();
    root + 32 * at as u64
}

/// The first cluster of a file.
fn first(image: &Image, number: usize, name: &[u8]) -> u64 {
    let entry = image.get(entry(image, number, name), 32);
    u64::from(u16::from_le_bytes([entry[26], entry[27]])) | u64::from(entry[20]) << 16
}

/// Puts a file system that another program made in place of slot B, with the slot's files.
fn format_b(image: &Image, mib: u64, options: &[&str]) {
    let at = image.offset(3);
    let part = tempfile::NamedTempFile::new().unwrap();
    part.as_file().set_len(mib << 20).unwrap();
    let path = part.path().to_str().unwrap();
    tools::run("mkfs.vfat", options.iter().chain(&["--invariant", path]));
    image.put(at, &std::fs::read(path).unwrap());
}

#[test]
fn a_fat32_with_too_few_clusters_is_told() {
    let image = Recipe::rpi().sized("boot-b", Bytes::mib(32)).build();
    format_b(&image, 32, &["-F", "32"]);
    expect(
        &image,
        "fat-cluster-count",
        "boot-b: its boot sector is laid out as FAT32, but 64496 clusters make it FAT16",
    );
}

#[test]
fn a_fat_near_a_limit_is_told() {
    let image = Recipe::rpi().build();
    format_b(&image, 40, &["-F", "32"]);
    // Fewer sectors in all, so that 65,530 clusters of one sector are left.
    let data = field(&image, 3, 14, 2) + 2 * field(&image, 3, 36, 4);
    let sectors = u32::try_from(data + 65_530).unwrap().to_le_bytes();
    image.put(image.offset(3) + 32, &sectors).put(image.offset(3) + 6 * 512 + 32, &sectors);
    expect_all(
        &image,
        &[
            ("fat-near-limit", "boot-b: it has 65530 clusters, and 65525 is the limit"),
            ("fat-info", "free clusters"),
            ("slot-empty", "boot-b"),
        ],
    );
}

#[test]
fn a_fat_that_is_too_large_for_firmware_is_told() {
    let image = Recipe::rpi().sized("control", Bytes::mib(2048)).build();
    expect(&image, "fat-size", "control: it has 2 GiB");
}

#[test]
fn a_file_in_the_last_cluster_is_told() {
    let image = Recipe::rpi().build();
    let clusters = 512 * field(&image, 2, 36, 4) / 4;
    let data = field(&image, 2, 14, 2) + 2 * field(&image, 2, 36, 4);
    let last = (field(&image, 2, 32, 4) - data) / field(&image, 2, 13, 1) + 1;
    assert!(last < clusters);
    // The command line moves there.
    let old = first(&image, 2, b"CMDLINE");
    let place = entry(&image, 2, b"CMDLINE");
    image.put(place + 26, &(last as u16).to_le_bytes()).put(place + 20, &((last >> 16) as u16).to_le_bytes());
    set(&image, 2, last, 0x0fff_ffff);
    set(&image, 2, old, 0);
    let at = image.offset(2) + 512 * (data + (last - 2) * field(&image, 2, 13, 1));
    image.put(at, b"panic=10\n");
    expect(&image, "fat-last-cluster", "boot-a: cmdline.txt: it ends in the last cluster");
}

#[test]
fn a_fat_larger_than_its_partition_is_told() {
    let image = Recipe::rpi().build();
    let sectors = u32::try_from(field(&image, 3, 32, 4)).unwrap() + 64;
    let sectors = sectors.to_le_bytes();
    image.put(image.offset(3) + 32, &sectors).put(image.offset(3) + 6 * 512 + 32, &sectors);
    let said = broken(&image);
    assert!(
        said.iter().any(|(rule, text)| *rule == "fat-inside" && text.starts_with("boot-b: it has 40")),
        "{said:?}"
    );
    assert!(said.iter().all(|(rule, _)| ["fat-inside", "fat-info"].contains(rule)), "{said:?}");
}

#[test]
fn copies_that_differ_are_told() {
    let image = Recipe::rpi().build();
    image.put(tables(&image, 2)[1] + 4000, &[1]);
    expect(&image, "fat-copies", "boot-a: its tables differ from byte 4000 on");
}

#[test]
fn broken_chains_are_told() {
    for (cluster_of, value, text) in [
        (&b"KERNEL8"[..], 0x0fff_fff0, "its chain leaves the file system"),
        (b"KERNEL8", 0, "its chain leads to a free cluster"),
        (b"KERNEL8", 0x0fff_ffff, "it has 1300000 bytes, and clusters for"),
    ] {
        let image = Recipe::rpi().build();
        set(&image, 3, first(&image, 3, cluster_of), value);
        let said = broken(&image);
        let chains = said.iter().find(|(rule, _)| *rule == "fat-chains");
        assert!(chains.is_some_and(|(_, said)| said.contains(text)), "{text}: {said:?}");
        let others = ["fat-chains", "fat-info"];
        assert!(said.iter().all(|(rule, _)| others.contains(rule)), "nothing is said twice: {said:?}");
    }
}

#[test]
fn a_ring_and_a_cluster_of_two_files_are_told() {
    let image = Recipe::rpi().build();
    let kernel = first(&image, 3, b"KERNEL8");
    set(&image, 3, kernel + 1, u32::try_from(kernel).unwrap());
    let said = broken(&image);
    let is_told =
        |rule: &str, text: &str| said.iter().any(|(name, said)| *name == rule && said.contains(text));
    assert!(is_told("fat-chains", "kernel8.img: it shares clusters with another file"), "{said:?}");
}

#[test]
fn lost_clusters_are_told() {
    let image = Recipe::rpi().build();
    set(&image, 2, 9000, 0x0fff_ffff);
    expect_all(
        &image,
        &[("fat-lost", "boot-a: 1 clusters belong to no file"), ("fat-info", "boot-a: it counts")],
    );
}

#[test]
fn a_wrong_count_and_a_lost_copy_of_the_boot_sector_are_told() {
    let image = Recipe::rpi().build();
    image.put(image.offset(2) + 512 + 488, &7_u32.to_le_bytes());
    expect(&image, "fat-info", "boot-a: it counts 7 free clusters, and has ");
    let image = Recipe::rpi().build();
    image.put(image.offset(2) + 6 * 512 + 100, b"other");
    expect(&image, "fat-info", "boot-a: the copy of its boot sector differs");
}

#[test]
fn a_fat_that_is_still_mounted_is_told() {
    let image = Recipe::rpi().build();
    set(&image, 1, 1, 0x07ff_ffff);
    expect(&image, "fat-clean", "control: it was not unmounted");
}
