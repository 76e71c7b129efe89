//! `factory boot --explain`.

use std::process::{Command, Output};

use crate::disk::{AUTOBOOT, Card, Part};

fn explain(card: &Card, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.arg("boot").arg(card.path()).arg("--explain").args(arguments).output().unwrap()
}

fn card() -> Card {
    Card::mbr(&[Part::pi4().with("autoboot.txt", AUTOBOOT), Part::pi4(), Part::pi4()])
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_text_names_rules_and_ends_with_what_boots() {
    let output = text(&explain(&card(), &["--tryboot"]));
    assert!(output.starts_with("Raspberry Pi 4 Model B\na model of the firmware"), "{output}");
    assert!(output.contains("[documented: tryboot]") && output.contains("boots partition 3, as a trial"));
    let table = text(&explain(&card(), &["--rules"]));
    assert!(table.contains("from rpi-eeprom#705"), "{table}");
}

#[test]
fn json_has_the_sources_of_the_rules() {
    let output = text(&explain(&card(), &["--json", "--reboot-partition", "3"]));
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&value["boots"]["partition"], &value["board"]), (&3.into(), &"rpi4".into()));
    let steps = value["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["source"].is_string() && step["kind"].is_string()));
}

#[test]
fn a_board_that_nothing_is_started_on_is_a_failure() {
    let output = explain(&card(), &["--board", "rpi5:d0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("boots nothing: "));
}

#[test]
fn boards_that_are_not_known_are_refused_with_near_names() {
    let said = |board: &str| String::from_utf8(explain(&card(), &["--board", board]).stderr).unwrap();
    assert!(said("rpi44").contains("hint: did you mean `rpi4`"), "{}", said("rpi44"));
    assert!(said("toaster").contains("hint: the boards are rpi4, "), "{}", said("toaster"));
    assert!(said("rpi5:e9").contains("has no variant `e9`"));
}
