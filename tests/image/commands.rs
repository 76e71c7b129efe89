//! What machines read on standard output, and that nothing else is there.

use std::fs;
use std::process::Output;

use serde_json::Value;

use super::support::elf;
use super::support::machine::{KERNEL, Machine};

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn image_tells_people_on_standard_error_and_machines_the_manifest() {
    let machine = Machine::new();
    let output = machine.run(&["image", "--track", "generic"]);
    assert!(output.stdout.is_empty());
    let told = said(&output);
    assert!(told.starts_with("made `factory-generic.img` in "), "{told}");
    assert!(told.ends_with("next: factory boot factory-generic.img\n"), "{told}");
    let output = machine.run(&["image", "--track", "generic", "--json"]);
    let written = fs::read(machine.project("factory-generic.img.manifest.json")).unwrap();
    assert_eq!(output.stdout, written);
    let manifest = json(&output);
    for field in
        ["format", "name", "version", "track", "build", "epoch", "image", "partitions", "slot", "sources"]
    {
        assert!(!manifest[field].is_null(), "{field}");
    }
    assert_eq!(said(&machine.run(&["image", "--track", "generic", "--quiet"])), "");
}

#[test]
fn fetch_prints_the_pins_that_it_locks() {
    let machine = Machine::new();
    let output = machine.run(&["fetch", "--track", "generic"]);
    assert!(output.stdout.is_empty());
    assert_eq!(said(&output), "3 parts are in the store, pinned in `factory.lock`\n");
    let pins = json(&machine.run(&["fetch", "--track", "generic", "--json"]));
    let names: Vec<&str> =
        pins["pin"].as_array().unwrap().iter().map(|pin| pin["name"].as_str().unwrap()).collect();
    assert_eq!(names, [KERNEL, "busybox-static", "grub-efi-arm64-unsigned"]);
    let lock: toml::Table = fs::read_to_string(machine.project("factory.lock")).unwrap().parse().unwrap();
    let locked = serde_json::to_value(&lock["track"]["generic"]).unwrap();
    assert_eq!(pins, locked);
}

#[test]
fn plan_prints_every_decision_and_touches_nothing() {
    let machine = Machine::with("[image]\nname = \"kiosk\"\ntrack = \"generic\"\n");
    let before = machine.snapshot();
    let plan = json(&machine.run(&["plan", "--json"]));
    assert!(machine.snapshot() == before && !machine.path("store").exists());
    assert_eq!((&plan["name"], &plan["track"]), (&"kiosk".into(), &"generic".into()));
    assert!(plan["pins"].is_null(), "nothing is locked yet");
    machine.run(&["fetch"]);
    let plan = json(&machine.run(&["plan", "--json"]));
    assert_eq!(plan["pins"]["pin"][0]["name"], KERNEL);
    let told = String::from_utf8(machine.run(&["plan"]).stdout).unwrap();
    assert!(told.contains(&format!("pinned {KERNEL} 9.9-1")), "{told}");
}

#[test]
fn inspect_finds_what_image_has_made() {
    let machine = Machine::with("[image]\nname = \"kiosk\"\nversion = \"7\"\n");
    let image = machine.image();
    let manifest: Value =
        serde_json::from_slice(&fs::read(format!("{}.manifest.json", image.display())).unwrap()).unwrap();
    let found = json(&machine.run(&["inspect", "--json", "disk.img"]));
    assert_eq!(found["size"], manifest["image"]["size"]);
    assert_eq!(found["table"]["id"], manifest["image"]["disk"]);
    assert_eq!(found["problems"], Value::Array(Vec::new()));
    for (found, made) in
        found["partitions"].as_array().unwrap().iter().zip(manifest["partitions"].as_array().unwrap())
    {
        for (theirs, ours) in [("name", "name"), ("start", "start"), ("size", "size"), ("partuuid", "id")] {
            assert_eq!(found[theirs], made[ours], "{theirs}");
        }
    }
    for slot in found["slots"].as_array().unwrap() {
        assert_eq!((&slot["name"], &slot["version"]), (&"kiosk".into(), &"7".into()));
        assert_eq!(slot["build"], manifest["build"]);
        assert_eq!(slot["problems"], Value::Array(Vec::new()));
    }
    assert_eq!(found["slots"].as_array().unwrap().len(), 2);
    assert_eq!(found["boot"]["next"], "a");
}

#[test]
fn a_project_is_started_planned_and_built() {
    let machine = Machine::new();
    machine.run(&["init", "shop"]);
    machine.run(&["plan", "--track", "generic", "-C", "shop"]);
    machine.run(&["image", "--track", "generic", "-C", "shop"]);
    for name in ["factory.toml", "factory.lock", "factory-generic.img", "factory-generic.img.manifest.json"] {
        assert!(machine.project("shop").join(name).is_file(), "{name}");
    }
    assert_eq!(fs::read_dir(machine.project("shop")).unwrap().count(), 4);
}

#[test]
fn a_build_with_all_in_the_store_asks_nobody() {
    let machine = Machine::with("[substrate]\npayload = \"payload\"\n");
    machine.write("payload/run", elf::program());
    machine.image();
    let asked = machine.server().asked("").len();
    machine.image();
    assert_eq!(machine.server().asked("").len(), asked);
}
