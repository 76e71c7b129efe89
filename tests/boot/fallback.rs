//! Whatever is broken, something starts, and nothing is counted out that was committed.

use std::fs;

use super::{NEVER_WELL, Project, SICK, marker};

const UP: &str = "^factory: up ";

#[test]
fn a_slot_without_kernel_hands_over_to_the_other() {
    let project = Project::new(&[]);
    let image = project.image();
    image.debugfs(2, "rm /Image");
    let report = image.boot(UP);
    assert_eq!(marker(&report)["slot"], "b");
    assert_eq!(report["boots"].as_array().unwrap().len(), 2, "the second slot is booted by a fresh GRUB");
    let state = image.grubenv();
    assert!(state.contains("boot_default=A"), "the hand-over condemned the committed slot: {state}");
}

#[test]
fn a_kernel_cut_in_half_hands_over_to_the_other_slot() {
    let project = Project::new(&[]);
    let image = project.image();
    image.debugfs(2, "set_inode_field /Image size 20000000");
    let report = image.boot(UP);
    assert_eq!(marker(&report)["slot"], "b");
}

#[test]
fn a_trial_that_never_commits_ends_after_its_tries() {
    let config = format!("[substrate]\npayload = \"payload\"\n\n{NEVER_WELL}");
    let project = Project::new(&[("factory.toml", &config), SICK]);
    let image = project.image();
    image.set_grubenv(&["boot_counter=3"]);
    let slots: Vec<String> =
        (0..5).map(|_| marker(&image.boot(UP))["slot"].as_str().unwrap().to_owned()).collect();
    assert_eq!(slots, ["b", "b", "b", "a", "a"]);
    let state = image.grubenv();
    assert!(state.contains("boot_counter=0") && state.contains("boot_default=A"), "{state}");
}

#[test]
fn garbage_in_both_copies_of_the_state_still_starts() {
    let project = Project::new(&[]);
    let image = project.image();
    let garbage = project.path("garbage");
    fs::write(&garbage, [0xa5; 1024]).unwrap();
    image.write_esp(&garbage, "EFI/factory/grubenv");
    let spare = image.copy("spare.img");
    image.write_esp(&garbage, "EFI/factory/grubenv.spare");
    assert_eq!(marker(&spare.boot(UP))["slot"], "a");
    assert_eq!(marker(&image.boot(UP))["slot"], "a");
}

#[test]
fn a_torn_state_is_read_from_the_spare() {
    let project = Project::new(&[]);
    let image = project.image();
    let (torn, spare) = (project.path("torn"), project.path("spare"));
    image.read_esp("EFI/factory/grubenv", &spare);
    let mut bytes = fs::read(&spare).unwrap();
    super::tool("grub-editenv", &[spare.to_str().unwrap(), "set", "boot_default=B"]);
    image.write_esp(&spare, "EFI/factory/grubenv.spare");
    bytes[..8].fill(0);
    fs::write(&torn, &bytes).unwrap();
    image.write_esp(&torn, "EFI/factory/grubenv");
    assert_eq!(marker(&image.boot(UP))["slot"], "b");
}
