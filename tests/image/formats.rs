//! The image in other formats, made with it and from it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::machine::Machine;
use super::support::tools;

/// The names in the project that start with `disk` or a dot.
fn files(machine: &Machine) -> Vec<String> {
    let names = fs::read_dir(machine.project(".")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with("disk") || name.starts_with('.')).collect();
    names.sort();
    names
}

fn compare(a: &Path, b: &Path) {
    tools::run("cmp", [a, b]);
}

#[test]
fn an_image_is_made_in_several_formats_at_once() {
    let machine = Machine::new();
    let formats = ["--format", "sha256", "--format", "zst", "--format", "raw", "--format", "bmap"];
    machine.run(&[&["image", "--track", "generic", "-o", "disk.img"][..], &formats].concat());
    let all = ["disk.img", "disk.img.bmap", "disk.img.manifest.json", "disk.img.sha256", "disk.img.zst"];
    assert_eq!(files(&machine), all);
    let sums = machine.project("disk.img.sha256");
    let said = tools::print(
        "env",
        ["-C", sums.parent().unwrap().to_str().unwrap(), "sha256sum", "-c", "disk.img.sha256"],
    );
    assert_eq!(said, "disk.img: OK\ndisk.img.zst: OK\ndisk.img.bmap: OK\n");
    let (image, copy) = (machine.project("disk.img"), machine.path("copy.img"));
    let map = machine.project("disk.img.bmap");
    tools::run(
        "bmaptool",
        ["copy".as_ref(), "--bmap".as_ref(), map.as_path(), &machine.project("disk.img.zst"), &copy],
    );
    compare(&image, &copy);
}

#[test]
fn without_raw_among_the_formats_the_raw_image_is_not_kept() {
    let machine = Machine::new();
    let image = machine.image();
    fs::rename(&image, machine.path("expected.img")).unwrap();
    let output = machine.run(&["image", "--track", "generic", "-o", "disk.img", "--format", "qcow2"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("made `disk.qcow2`, ") && !said.contains("`disk.img`"), "{said}");
    assert_eq!(files(&machine), ["disk.img.manifest.json", "disk.qcow2"]);
    tools::run(
        "qemu-img",
        ["compare".as_ref(), machine.project("disk.qcow2").as_path(), &machine.path("expected.img")],
    );
}

#[test]
fn an_image_in_clusters_is_read_and_packed_without_a_copy_in_between() {
    let machine = Machine::new();
    fs::rename(machine.image(), machine.project("disk.img")).unwrap();
    machine.run(&["convert", "disk.img", "--to", "qcow2-zstd", "--to", "sha256"]);
    let kept = fs::read_to_string(machine.project("disk.img.sha256")).unwrap();
    assert!(kept.ends_with("  disk.zstd.qcow2\n"), "{kept}");
    fs::create_dir(machine.project("out")).unwrap();
    machine.run(&["convert", "disk.zstd.qcow2", "--to", "zst", "-o", "out"]);
    assert_eq!(fs::read_dir(machine.project("out")).unwrap().count(), 1);
    machine.run(&["convert", "out/disk.img.zst", "--to", "raw", "-o", "out"]);
    compare(&machine.project("disk.img"), &machine.project("out/disk.img"));
}

#[test]
fn a_packed_image_is_unpacked_and_packed_again() {
    let machine = Machine::new();
    fs::rename(machine.image(), machine.path("expected.img")).unwrap();
    fs::create_dir(machine.project("out")).unwrap();
    fs::rename(machine.path("expected.img"), machine.project("disk.img")).unwrap();
    machine.run(&["convert", "disk.img", "--to", "xz", "-o", "out"]);
    let arguments =
        ["convert", "out/disk.img.xz", "--to", "raw", "--to", "gz", "--to", "sha256", "--json", "-o", "out"];
    let made: Value = serde_json::from_slice(&machine.run(&arguments).stdout).unwrap();
    let size = fs::metadata(machine.project("disk.img")).unwrap().len();
    assert_eq!(made[2], json!({"format": "raw", "file": "out/disk.img", "size": size}));
    compare(&machine.project("disk.img"), &machine.project("out/disk.img"));
    let out = machine.project("out");
    let said = tools::print("env", ["-C", out.to_str().unwrap(), "sha256sum", "-c", "disk.img.sha256"]);
    assert_eq!(said, "disk.img: OK\ndisk.img.gz: OK\n");
    assert_eq!(fs::read_dir(out).unwrap().count(), 4);
}

/// Imager's schema, by hand: raspberrypi/rpi-imager, `doc/json-schema/os-list-schema.json` and
/// `doc/schema-notes.md`.
fn fits_the_schema(entry: &Value) {
    for key in ["name", "description", "icon", "url", "extract_sha256", "release_date", "init_format"] {
        assert!(entry[key].is_string(), "{key}: {entry}");
    }
    for key in ["extract_size", "image_download_size"] {
        assert!(entry[key].is_u64(), "{key}: {entry}");
    }
    let date = entry["release_date"].as_str().unwrap();
    let is_digit = |(at, letter): (usize, char)| {
        if [4, 7].contains(&at) { letter == '-' } else { letter.is_ascii_digit() }
    };
    assert!(date.len() == 10 && date.char_indices().all(is_digit), "{date}");
    assert!(
        ["none", "systemd", "cloudinit", "cloudinit-rpi"].contains(&entry["init_format"].as_str().unwrap())
    );
    let devices = entry["devices"].as_array().unwrap();
    assert!(!devices.is_empty() && devices.iter().all(Value::is_string), "{entry}");
}

fn sha256(path: &Path) -> String {
    tools::print("sha256sum", [path]).split(' ').next().unwrap().to_owned()
}

#[test]
fn raspberry_pi_imager_gets_an_entry_that_is_true() {
    let machine = Machine::with("[image]\nname = \"kiosk\"\nversion = \"1.4.0\"\n");
    let formats = ["--format", "raw", "--format", "os-list", "--format", "zst", "--format", "xz"];
    let base = ["--url-base", "https://example.org/images/"];
    machine.run(&[&["image", "--track", "rpi", "-o", "disk.img"][..], &formats, &base].concat());
    let text = fs::read(machine.project("disk.os_list.json")).unwrap();
    let list: Value = serde_json::from_slice(&text).unwrap();
    let [entry] = list["os_list"].as_array().unwrap().as_slice() else { panic!("{list}") };
    fits_the_schema(entry);
    let (image, packed) = (machine.project("disk.img"), machine.project("disk.img.xz"));
    let manifest: Value =
        serde_json::from_slice(&fs::read(machine.project("disk.img.manifest.json")).unwrap()).unwrap();
    let day = tools::print("date", ["-u", "-d", &format!("@{}", manifest["epoch"]), "+%F"]);
    assert_eq!(entry["name"], "kiosk 1.4.0");
    assert_eq!(entry["url"], "https://example.org/images/disk.img.xz");
    assert_eq!(entry["extract_size"], fs::metadata(&image).unwrap().len());
    assert_eq!(entry["extract_sha256"], sha256(&image));
    assert_eq!(entry["image_download_size"], fs::metadata(&packed).unwrap().len());
    assert_eq!(entry["image_download_sha256"], sha256(&packed));
    assert_eq!(entry["release_date"], day.trim());
    assert_eq!(entry["devices"], json!(["pi5-64bit", "pi4-64bit"]));
    assert_eq!(entry["init_format"], "none");
    // The same entry is made from the image later on, and of the image when nothing is packed.
    machine.run(&[
        "convert",
        "disk.img",
        "--to",
        "os-list",
        "--to",
        "xz",
        "--url-base",
        "https://example.org/images",
    ]);
    assert_eq!(fs::read(machine.project("disk.os_list.json")).unwrap(), text);
    for packed in ["disk.img.zst", "disk.img.xz"] {
        machine.run(&["convert", packed, "--to", "os-list"]);
        let list: Value =
            serde_json::from_slice(&fs::read(machine.project("disk.os_list.json")).unwrap()).unwrap();
        assert_eq!(list["os_list"][0]["extract_sha256"], entry["extract_sha256"], "{packed}");
        assert_eq!(list["os_list"][0]["devices"], entry["devices"], "{packed}");
    }
    machine.run(&["convert", "disk.img", "--to", "os-list"]);
    let list: Value =
        serde_json::from_slice(&fs::read(machine.project("disk.os_list.json")).unwrap()).unwrap();
    let entry = &list["os_list"][0];
    assert_eq!(
        (&entry["url"], &entry["image_download_sha256"]),
        (&json!("disk.img"), &entry["extract_sha256"])
    );
}
