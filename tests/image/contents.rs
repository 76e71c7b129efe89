//! What a slot says that it holds, and what it holds.

use std::collections::BTreeMap;
use std::fs;

use factory::digest::Sha256;
use serde_json::Value;

use super::disk::{Disk, text};
use super::support::elf;
use super::support::machine::{Machine, RELEASE};
use super::support::programs;
use super::support::tools::print;

/// A project with everything that ends up in a slot.
fn project(more: &str) -> Machine {
    let file = format!(
        "[image]\nname = \"kiosk\"\nversion = \"1.4.0\"\n\n[substrate]\npayload = \"payload\"\n{more}"
    );
    let machine = Machine::with(&file);
    machine.write("payload/bin/app", elf::program());
    machine.write("payload/etc/app.conf", "answer = 42\n");
    machine
}

#[test]
fn slot_json_and_the_manifest_tell_size_and_digest_of_every_file() {
    let machine = project("");
    let disk = Disk::of(&machine);
    for slot in ["system-a", "system-b"] {
        let said: Value = serde_json::from_slice(&fs::read(disk.dump(slot, "slot.json")).unwrap()).unwrap();
        assert_eq!(said, disk.manifest["slot"]);
        assert_eq!((&said["name"], &said["version"]), (&"kiosk".into(), &"1.4.0".into()));
        assert_eq!(said["build"], disk.manifest["build"]);
        let mut names = vec![".", "..", "lost+found", "slot.json"];
        for file in said["files"].as_array().unwrap() {
            let name = file["path"].as_str().unwrap();
            let content = fs::read(disk.dump(slot, name)).unwrap();
            assert_eq!(file["size"], content.len(), "{name}");
            assert_eq!(file["sha256"], Sha256::of(&content).to_string(), "{name}");
            names.push(name);
        }
        let list = print("debugfs", ["-R", "ls -p /", &disk.ext4(slot)]);
        let mut there: Vec<&str> = list.lines().filter_map(|row| row.split('/').nth(5)).collect();
        names.sort_unstable();
        there.sort_unstable();
        assert_eq!(there, names, "no file is left out");
    }
    assert!(fs::read(disk.dump("system-a", "Image")).unwrap() == programs::kernel(RELEASE), "another kernel");
}

#[test]
fn the_manifest_names_every_source_with_version_and_digest() {
    let machine = project("");
    let disk = Disk::of(&machine);
    let sources = disk.manifest["sources"].as_array().unwrap();
    let named: BTreeMap<&str, &Value> =
        sources.iter().map(|source| (source["wanted"].as_str().unwrap(), source)).collect();
    assert_eq!(
        named.keys().copied().collect::<Vec<_>>(),
        ["bootenv", "busybox", "grub", "kernel", "payload"]
    );
    let pool = super::support::archive::Archive::pool_path("busybox-static", "1:1.37-1");
    let package = machine.server().get(&pool);
    assert_eq!(named["busybox"]["version"], "1:1.37-1");
    assert_eq!(named["busybox"]["size"], package.len());
    assert_eq!(named["busybox"]["sha256"], Sha256::of(&package).to_string());
    assert_eq!(named["payload"]["path"], "payload");
}

/// Names in the initramfs of a project that packs it with `compression`, by cpio.
fn listed(compression: &str, unpack: &str) -> Vec<String> {
    let machine = project(&format!("compression = \"{compression}\"\n"));
    let disk = Disk::of(&machine);
    let initramfs = disk.dump("system-a", "initramfs.img");
    let script = format!("{unpack} -dc \"$0\" | cpio --list --quiet");
    let names = print("sh", ["-c", &script, text(&initramfs)]);
    names.lines().map(str::to_owned).collect()
}

#[test]
fn cpio_lists_the_initramfs_however_it_is_packed() {
    let names = listed("zstd", "zstd");
    assert_eq!(names, listed("gzip", "gzip"));
    for name in [
        "bin/busybox",
        "bin/bootenv",
        "init",
        "lib/modules/9.9-arm64/kernel/overlay.ko",
        "lib/modules/9.9-arm64/kernel/fat.ko",
        "payload/bin/app",
        "payload/etc/app.conf",
    ] {
        assert!(names.iter().any(|there| there == name), "no `{name}` in {names:?}");
    }
}
