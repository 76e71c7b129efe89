//! The default project starts, from whichever slot is committed.

use super::{Project, console, marker};

#[test]
fn the_default_project_starts_from_slot_a() {
    let image = Project::new(&[]);
    let image = image.image();
    let report = image.run(&["--until", "^factory: up "]);
    let marker = marker(&report);
    assert_eq!(marker["track"], "generic");
    assert_eq!(marker["slot"], "a");
    assert_eq!(marker["version"], "0.1.0");
    let stages: Vec<&str> = report["boots"][0]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["firmware", "loader", "kernel", "init", "up"]);
}

#[test]
fn a_committed_slot_b_starts() {
    let project = Project::new(&[]);
    let image = project.image();
    image.set_grubenv(&["boot_default=B"]);
    let report = image.run(&["--until", "^factory: up "]);
    assert_eq!(marker(&report)["slot"], "b");
}

#[test]
fn firmware_with_secure_boot_starts_the_signed_chain_and_refuses_the_other() {
    let signed = Project::new(&[("factory.toml", "[generic]\nsecure_boot = true\n")]);
    let report = signed.image().run(&["--secure-boot", "--until", "^factory: up "]);
    assert_eq!(marker(&report)["slot"], "a");
    assert!(console(&report).contains("UEFI Secure Boot is enabled"));

    let unsigned = Project::new(&[]);
    let report = unsigned.image().run(&["--secure-boot", "--until", "Access Denied|^factory: up "]);
    assert!(report["ended"]["line"].as_str().unwrap().contains("Access Denied"), "{report}");
}
