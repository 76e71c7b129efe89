//! `factory repro`: projects that make the same image twice, and one that does not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use factory::digest::Sha256;
use serde_json::Value;

use super::image::{PROJECT, base, machine, machine_with, text};
use super::support::machine::Machine;
use super::support::packages::Member;

/// Names in the machine's directories, without what a build leaves.
fn names(machine: &Machine) -> Vec<String> {
    let dirs = ["", "project", "tmp"].map(|name| machine.path(name));
    let entries = dirs.iter().flat_map(|dir| fs::read_dir(dir).unwrap());
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().path().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.ends_with("factory.lock") && !name.ends_with("store"));
    names.sort();
    names
}

#[test]
fn a_project_reproduces_and_nothing_is_left() {
    let machine = machine();
    let before = names(&machine);
    let output = machine.run(&["repro", "--track", "generic"]);
    assert_eq!(names(&machine), before);
    let said = String::from_utf8(output.stdout).unwrap();
    for condition in
        ["umask", "user", "time zone", "locale", "home", "order of directories", "times of files"]
    {
        assert!(said.contains(&format!("\n  {condition:<26} ")), "{condition}: {said}");
    }
    assert!(said.contains("\nnot varied\n") && said.contains("\n  clock "), "{said}");
    let digest = Sha256::of(&fs::read(machine.image()).unwrap());
    assert!(said.ends_with(&format!("\nidentical, sha256 {digest}\n")), "{said}");
}

/// A machine whose `mksquashfs` writes another time when it is told of a time zone.
fn leaky() -> Machine {
    let project = format!("{PROJECT}\n[rootfs]\nformat = \"squashfs\"\n");
    let machine = machine_with(&project, &base(vec![Member::file("etc/a", "a")]));
    let program = machine.path("bin/mksquashfs");
    fs::create_dir(machine.path("bin")).unwrap();
    let script =
        "#!/bin/sh\n[ -z \"$TZ\" ] || set -- \"$@\" -mkfs-time 1000000000\nexec /usr/bin/mksquashfs \"$@\"\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    machine
}

#[test]
fn a_tool_that_looks_at_the_time_zone_is_found_out() {
    let machine = leaky();
    let path = format!("{}:{}", text(&machine.path("bin")), std::env::var("PATH").unwrap());
    let before = names(&machine);
    let mut command = machine.factory(&["repro", "--track", "generic", "--json"]);
    let output = command.env("PATH", &path).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(&machine), before);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["identical"], &found["sha256"]), (&false.into(), &Value::Null));
    let differences = found["difference"]["differences"].as_array().unwrap();
    let time = differences.iter().find(|one| one["field"] == "creation time").unwrap();
    assert_eq!(time["place"], "p2 system-a and p3 system-b / rootfs.squashfs");
    assert_eq!(time["to"], "2001-09-09 01:46:40");
    assert_eq!(found["difference"]["first"]["place"], "p2 system-a");
}

#[test]
fn images_that_differ_are_kept_when_that_is_asked_for() {
    let machine = leaky();
    let path = format!("{}:{}", text(&machine.path("bin")), std::env::var("PATH").unwrap());
    let mut command = machine.factory(&["repro", "--track", "generic", "--keep"]);
    let output = command.env("PATH", &path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("  ~ rootfs.squashfs: content from byte 8 on, creation time "), "{said}");
    for name in ["factory-generic.first.img", "factory-generic.second.img"] {
        assert!(machine.project(name).is_file(), "{said}");
        assert!(said.contains(&format!("{name}`\n")), "{said}");
    }
}

#[test]
fn a_project_that_cannot_be_built_is_no_difference() {
    let machine = machine();
    machine.write("base.tar.xz", "no archive");
    let before = names(&machine);
    let output = machine.factory(&["repro", "--track", "generic"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: the project cannot be built once\n  because: "), "{said}");
    assert!(output.stdout.is_empty());
    assert_eq!(names(&machine), before);
}
