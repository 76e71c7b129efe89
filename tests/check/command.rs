//! The command, and the images that are not delivered.

use std::process::Command;

use serde_json::Value;

use super::image::Recipe;
use super::support::machine::{GRUB, Machine};
use super::support::packages;

fn factory(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_factory")).args(arguments).output().unwrap()
}

#[test]
fn errors_are_told_with_reason_and_way_out_and_an_exit_code() {
    let image = Recipe::rpi().without("start4.elf").build();
    let output = factory(&["check", image.path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "error: firmware-missing\n  control: start4.elf, boot-a: start4.elf, boot-b: start4.elf: there is no such file",
        "\n  why: ",
        "raspberrypi/rpi-eeprom#705",
        "\n  way out: write the partition again\n",
        ": 1 error, 0 warnings; ",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn warnings_alone_are_no_failure() {
    let image = Recipe::rpi().build();
    image.put(image.offset(3), &[7; 512]);
    let output = factory(&["check", "--json", image.path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["errors"], &report["warnings"]), (&0.into(), &1.into()));
    let states: Vec<_> =
        report["rules"].as_array().unwrap().iter().map(|rule| rule["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "broken").count(), 1);
    for state in ["passed", "not-applicable"] {
        assert!(states.contains(&state), "{states:?}");
    }
}

#[test]
fn the_table_of_rules_can_be_read() {
    let output = factory(&["check", "--rules"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = factory::check::rules().filter(|rule| text.contains(rule.name) && text.contains(rule.link));
    assert_eq!(rows.count(), factory::check::rules().count());
    assert_eq!(factory(&["check"]).status.code(), Some(2), "without an image there is nothing to check");
}

#[test]
fn an_image_that_would_not_boot_is_not_delivered() {
    let mut machine = Machine::new();
    let good = std::fs::read(machine.image()).unwrap();
    let loader = packages::deb(&[(GRUB, b"something else")]);
    machine.archive.add("grub-efi-arm64-unsigned", "2.13-1", "", &loader);
    machine.archive.publish();
    machine.run(&["fetch", "--track", "generic", "--update"]);
    let output = machine.factory(&["image", "--track", "generic", "-o", "disk.img"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: the image would not boot, and was not kept\n"), "{text}");
    assert!(text.contains("esp: EFI/BOOT/BOOTAA64.EFI: it is no EFI program for arm64"), "{text}");
    assert!(std::fs::read(machine.project("disk.img")).unwrap() == good, "the old image is still there");
    let names = machine.snapshot().into_iter().map(|(path, _)| path.display().to_string());
    assert_eq!(names.filter(|name| name.ends_with(".part")).count(), 0, "the new one is gone");
}
