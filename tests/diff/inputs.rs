//! One input of the image is changed.

use super::image::{PROJECT, Pair, base, without_ids};
use super::support::packages::Member;

/// What every change of an input changes: the build id, and what follows from it.
const IDS: &str = "\
disk
  ~ id ID -> ID

p1 esp
  ~ id ID -> ID, serial ID -> ID

p2 system-a
  ~ id ID -> ID

p3 system-b
  ~ id ID -> ID

p2 system-a and p3 system-b
  ~ uuid ID -> ID, hash seed ID -> ID
";

const DATA_IDS: &str = "
p4 data
  ~ id ID -> ID, uuid ID -> ID, hash seed ID -> ID
";

/// The lines about files, when all else is as it has to be.
#[track_caller]
fn files(pair: &Pair) -> Vec<String> {
    let said = without_ids(&pair.said());
    let rest = said.strip_prefix(IDS).unwrap_or_else(|| panic!("{said}"));
    let files = rest.strip_suffix(DATA_IDS).unwrap_or_else(|| panic!("{said}"));
    // Where an id begins to be another one, and how long packed bytes are, is not for us to say.
    let places = regex::Regex::new("(size .*, )?content from byte [0-9]+ on").unwrap();
    let line = |line: &str| match line.contains(" / ") {
        true => line.to_owned(),
        false => places.replace(line, "content").into_owned(),
    };
    files.lines().map(line).collect()
}

const ROOTFS: &str = "  ~ rootfs.ext4: content, uuid ID -> ID, hash seed ID -> ID";
const INITRAMFS: &str = "  ~ initramfs.img: content";
const CONFIG: &str = "  ~ initramfs.img / etc/factory/config: content ID -> ID";

#[test]
fn the_same_inputs_are_identical() {
    let pair = Pair::changed(|_| ());
    let output = pair.diff(&[]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a.img and b.img are identical\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_changed_payload_is_told_by_file() {
    let pair = Pair::changed(|machine| {
        machine.write("payload/etc/app.conf", "answer = 43, or so\n");
        machine.write("payload/opt/new/a", "1");
        machine.write("payload/opt/new/b", "12");
    });
    assert_eq!(
        files(&pair),
        [
            INITRAMFS,
            CONFIG,
            "  ~ initramfs.img / payload/etc/app.conf: size 12 B -> 19 B, content ID -> ID",
            "  + initramfs.img / payload/opt (directory, 0755), with 3 in it",
            ROOTFS,
            "  ~ slot.json: content",
        ]
    );
}

#[test]
fn a_changed_mode_is_told() {
    let pair = Pair::changed(|machine| {
        let secret = vec![Member::file("etc/secret", "x").mode(0o600).owner(3, 4)];
        machine.write("base.tar.xz", base(secret));
    });
    assert_eq!(
        files(&pair),
        [
            INITRAMFS,
            CONFIG,
            ROOTFS,
            "  + rootfs.ext4 / etc/secret (file, 1 B, 0600)",
            "  ~ slot.json: content",
        ]
    );
}

#[test]
fn a_changed_version_is_told_where_it_is_written() {
    let pair = Pair::changed(|machine| {
        machine.write("factory.toml", PROJECT.replace("version = \"1\"", "version = \"2\""))
    });
    assert_eq!(files(&pair), [INITRAMFS, CONFIG, ROOTFS, "  ~ slot.json: content"]);
}

#[test]
fn packages_are_told_by_name_and_version() {
    let status = |text: &str| base(vec![Member::file("var/lib/dpkg/status", text)]);
    let machine = super::image::machine_with(
        PROJECT,
        &status(
            "Package: a\nArchitecture: arm64\nStatus: install ok unpacked\nVersion: 1.0-1\n\nPackage: b\nVersion: 2\n",
        ),
    );
    let pair = Pair::of(machine);
    pair.machine.write(
        "base.tar.xz",
        status("Package: a\nArchitecture: arm64\nStatus: install ok installed\nVersion: 1.0-2\n\nPackage: c\nVersion: 3\n"),
    );
    std::fs::rename(pair.machine.image(), pair.b()).unwrap();
    let lines = files(&pair);
    let packages: Vec<&String> = lines.iter().filter(|line| line.contains(" / package ")).collect();
    assert_eq!(
        packages,
        [
            "  ~ rootfs.ext4 / var/lib/dpkg/status / package a:arm64: version 1.0-1 -> 1.0-2, state install ok unpacked -> install ok installed",
            "  - rootfs.ext4 / var/lib/dpkg/status / package b (version 2)",
            "  + rootfs.ext4 / var/lib/dpkg/status / package c (version 3)",
        ]
    );
}

#[test]
fn the_kernel_command_line_is_a_file_of_the_slot() {
    let pair = Pair::changed(|machine| {
        machine.write("factory.toml", format!("{PROJECT}\n[kernel]\ncmdline = \"quiet\"\n"));
    });
    let lines = files(&pair);
    assert!(lines.contains(&"  ~ slot.env: content".to_owned()), "{lines:#?}");
}
