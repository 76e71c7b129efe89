//! Builds that do not come to their end.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::driver::{Room, told, wait_for};

#[test]
fn an_interrupted_build_leaves_no_process_and_nothing_half_made_and_is_gone_on_with() {
    let room = Room::new();
    let (mut child, out) = room.run("out", "Image slow").start();
    wait_for("a step", || out.join("slow.o").exists());
    wait_for("the image", || out.join("arch/arm64/boot/Image").exists());
    assert!(!room.busy().is_empty());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    child.wait().unwrap();
    assert_eq!(told(&out), "error: interrupted");
    assert_eq!(room.busy(), [""; 0]);
    assert!(!out.join("slow.o").exists() && out.join("vmlinux").exists());
    fs::write(out.join("quick"), "").unwrap();
    assert_eq!(room.run("out", "Image slow").told(), "done: 1 steps, 1 compiled");
}

/// What was begun may be finished, as nobody is left to end it; nothing else is begun.
#[test]
fn a_build_ends_when_who_started_it_is_killed() {
    let room = Room::new();
    let (mut child, out) = room.run("out", "many").start();
    wait_for("a step", || out.join("many/0.o").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the last process to end", || room.busy().is_empty());
    let made = fs::read_dir(out.join("many")).unwrap().count();
    assert!(made < 10, "{made} were made");
}

#[test]
fn a_compiler_that_is_killed_and_a_full_disk_get_hints_of_their_own() {
    let room = Room::new();
    let told = room.run("out", "killed").told();
    assert!(told.starts_with("error: `make killed` failed at `CC killed`\n"), "{told}");
    assert!(
        told.contains("\n\nhint: a program was killed, as the system does when memory runs out"),
        "{told}"
    );
    let told = room.run("out", "full").told();
    assert!(told.contains("No space left on device\n"), "{told}");
    assert!(told.contains("\n\nhint: the disk is full"), "{told}");
}
