//! Bytes of an image are changed where no builder does it, by tools that know the formats.

use super::image::{DATA, ESP, MIB, Pair, SYSTEM_A, text};
use super::support::tools::run;

#[test]
fn a_time_of_one_inode_is_told() {
    let pair = Pair::new();
    pair.debugfs(SYSTEM_A, "set_inode_field /Image mtime 20200102030405");
    let said = pair.said();
    let line = said.strip_prefix("p2 system-a\n  ~ Image: mtime ").unwrap_or_else(|| panic!("{said}"));
    assert!(line.ends_with(" -> 2020-01-02 03:04:05\n"), "{said}");
}

#[test]
fn a_field_of_an_inode_that_is_no_property_of_the_file_is_named() {
    let pair = Pair::new();
    pair.debugfs(SYSTEM_A, "set_inode_field /Image generation 7");
    let said = pair.said();
    assert!(said.starts_with("p2 system-a\n  ~ inode "), "{said}");
    assert!(said.contains(" (`Image`), generation at byte "), "{said}");
    assert!(said.contains(": 00 00 00 00 ") && said.contains(" -> 07 00 00 00 "), "{said}");
    assert!(said.contains(" (`Image`), checksum at byte "), "{said}");
}

#[test]
fn a_field_of_the_superblock_is_told() {
    let pair = Pair::new();
    pair.debugfs(DATA, "set_super_value mkfs_time 20200102030405");
    let said = pair.said();
    assert!(said.starts_with("p4 data\n  ~ write time ") && said.contains(", creation time "), "{said}");
    assert!(said.ends_with(" -> 2020-01-02 03:04:05\n"), "{said}");
}

#[test]
fn labels_are_told() {
    let pair = Pair::new();
    pair.debugfs(DATA, "set_super_value volume_name other");
    let said = pair.said();
    assert!(
        said.starts_with("p4 data\n  ~ write time ") && said.ends_with(", label data -> other\n"),
        "{said}"
    );
    let pair = Pair::new();
    run("mlabel", ["-i", &format!("{}@@{ESP}", text(&pair.b())), "::OTHER"]);
    let said = pair.said();
    assert!(said.starts_with("p1 esp\n  ~ "), "{said}");
    assert!(said.contains("label in the root ") && said.contains(" -> OTHER"), "{said}");
}

#[test]
fn files_of_a_fat_are_told() {
    let pair = Pair::new();
    let fat = format!("{}@@{ESP}", text(&pair.b()));
    pair.machine.write("note.txt", "written later");
    run("mcopy", ["-i", &fat, text(&pair.machine.project("note.txt")), "::/EFI/note.txt"]);
    run("mattrib", ["-i", &fat, "+h", "::/EFI/BOOT/BOOTAA64.EFI"]);
    assert_eq!(
        pair.said(),
        "p1 esp\n  ~ EFI/BOOT/BOOTAA64.EFI: flags 0x20 -> 0x22\n  + EFI/note.txt (file, 13 B)\n"
    );
}

#[test]
fn what_lies_behind_the_end_of_a_file_is_told() {
    let pair = Pair::new();
    let esp = pair.get(ESP, 8 << 20);
    let loader = super::support::programs::program(2000);
    let at = esp.windows(2000).position(|window| window == loader).unwrap() as u64;
    pair.put(ESP + at + 2001, b"dust");
    assert_eq!(
        pair.said(),
        format!(
            "p1 esp\n  ~ bytes behind the end of `EFI/BOOT/BOOTAA64.EFI` at byte {}: 00 00 00 00 00 00 00 00 -> 64 75 73 74 00 00 00 00\n",
            at + 2001
        )
    );
}

#[test]
fn a_byte_between_partitions_is_told() {
    let pair = Pair::new();
    pair.put(40 * 512, b"x");
    let output = pair.diff(&[]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "a.img and b.img differ from byte 20480 on, in bytes of no partition\n\n\
         gap between the table and p1 esp\n  ~ bytes at byte 3072: 00 00 00 00 00 00 00 00 -> 78 00 00 00 00 00 00 00\n"
    );
}

#[test]
fn boot_code_and_attributes_of_partitions_are_told() {
    let pair = Pair::new();
    pair.put(3, b"boot");
    run("sgdisk", ["--attributes=2:set:2", text(&pair.b())]);
    assert_eq!(
        pair.said(),
        "disk\n  ~ boot code at byte 3: 00 00 00 00 00 00 00 00 -> 62 6f 6f 74 00 00 00 00\n  \
         ~ entry 2: attributes 0x0 -> 0x4\n"
    );
}

#[test]
fn a_second_table_that_differs_is_told() {
    let pair = Pair::new();
    let size = std::fs::metadata(pair.b()).unwrap().len();
    pair.put(size - 512, &[0; 512]);
    let said = pair.said();
    assert_eq!(said, "disk\n  ~ copies of the table 2 -> 1\n");
}

#[test]
fn a_hole_that_is_filled_with_zeros_makes_no_difference() {
    let pair = Pair::new();
    pair.put(60 * MIB, &[0; 8192]);
    assert_eq!(pair.diff(&[]).status.code(), Some(0));
}

#[test]
fn extended_attributes_and_owners_are_told() {
    let pair = Pair::new();
    pair.debugfs(SYSTEM_A, "ea_set /Image user.note hello");
    pair.machine.write("large", "x".repeat(300));
    pair.debugfs(
        SYSTEM_A,
        &format!("ea_set -f {} /Image security.large", text(&pair.machine.project("large"))),
    );
    pair.debugfs(SYSTEM_A, "set_inode_field /Image uid 70000");
    let said = pair.said();
    let expected = format!(
        "  ~ Image: owner 0:0 -> 70000:0, attribute security.large none -> {}..., attribute user.note none -> hello\n",
        "x".repeat(72)
    );
    assert!(said.contains(&expected), "{said}");
}
