//! The device's command in an image: the one that `.ci/bootenv` has built, and a project's own.

use std::fs;
use std::path::PathBuf;

use factory::digest::Sha256;
use serde_json::Value;

use super::disk::{Disk, text};
use super::support::elf;
use super::support::machine::Machine;
use super::support::tools::{print, run};

/// What the command may take, on disk.
const LIMIT: u64 = 1 << 20;

/// What `cpio` makes of `bin/bootenv` in the initramfs of an image.
fn cpio(disk: &Disk, options: &str) -> Vec<u8> {
    let initramfs = disk.dump("system-a", "initramfs.img");
    let script = format!("zstd -dc \"$0\" | cpio --quiet {options} bin/bootenv");
    run("sh", ["-c", &script, text(&initramfs)]).stdout
}

fn content(disk: &Disk) -> Vec<u8> {
    cpio(disk, "-i --to-stdout")
}

/// The command of an image as a file of its own.
fn program(disk: &Disk) -> PathBuf {
    let path = disk.scratch("bootenv");
    fs::write(&path, content(disk)).unwrap();
    run("chmod", ["755", text(&path)]);
    path
}

#[test]
fn it_goes_along_and_the_build_id_depends_on_its_bytes() {
    let machine = Machine::new();
    let disk = Disk::of(&machine);
    assert!(cpio(&disk, "-tv").starts_with(b"-rwxr-xr-x "));
    let shipped = content(&disk);
    let sources = disk.manifest["sources"].as_array().unwrap();
    let source = sources.iter().find(|source| source["wanted"] == "bootenv").unwrap();
    assert_eq!(source["sha256"], Sha256::of(&shipped).to_string());
    assert_eq!(source["size"], shipped.len());

    let machine = Machine::with("[substrate]\nbootenv = \"own\"\n");
    let mut builds = vec![disk.manifest["build"].clone()];
    for more in [0, 1] {
        let own = [elf::program(), vec![0; more]].concat();
        machine.write("own", &own);
        let disk = Disk::of(&machine);
        assert!(content(&disk) == own, "another one is in the image");
        assert!(!builds.contains(&disk.manifest["build"]), "other bytes, and the same id");
        builds.push(disk.manifest["build"].clone());
    }
}

#[test]
fn it_is_small_and_needs_nothing_beside_it() {
    let machine = Machine::new();
    let disk = Disk::of(&machine);
    let program = program(&disk);
    let size = fs::metadata(&program).unwrap().len();
    assert!(size < LIMIT, "{size} bytes");
    let headers = print("readelf", ["-lW", text(&program)]);
    assert!(headers.contains("LOAD") && !headers.contains("INTERP"), "{headers}");
    let all = fs::read(&program).unwrap();
    let here = env!("CARGO_MANIFEST_DIR").as_bytes();
    assert!(!all.windows(here.len()).any(|part| part == here), "the place of the build is in it");
}

#[test]
fn what_it_does_to_an_image_is_what_factory_reads() {
    let machine = Machine::new();
    let disk = Disk::of(&machine);
    let program = program(&disk);
    let bootenv = |arguments: &[&str]| {
        let all = [&[text(&program), "--image", text(&disk.path)], arguments].concat();
        String::from_utf8(run("qemu-aarch64-static", all).stdout).unwrap()
    };
    let next = || {
        let status: Value = serde_json::from_str(&bootenv(&["--json", "status"])).unwrap();
        let output = machine.run(&["inspect", "--json", text(&disk.path)]);
        let inspected: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(status["next"], inspected["boot"]["next"]);
        status["next"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(), "a");
    bootenv(&["try", "b"]);
    assert_eq!(next(), "b");
    bootenv(&["rollback"]);
    assert_eq!(next(), "a");

    let pi = machine.image_of("rpi");
    let said = run("qemu-aarch64-static", [text(&program), "--image", text(&pi), "status"]).stdout;
    assert!(String::from_utf8(said).unwrap().contains("committed  a\n"));
}
