//! Images for the Raspberry Pi in QEMU: the model of the firmware, a real kernel, and an SD card
//! that is written. A payload counts the boots on Data and does what the count says.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use bootenv::Slot;
use bootenv::rpi::{AUTOBOOT, AUTOBOOT_SIZE, Autoboot, START};
use serde_json::Value;

use super::{Image, NEVER_WELL, PATIENCE, Project, SICK, console, log_file, marker, tool};

/// No shell, since its prompt stands in the way of lines; a panic that resets soon; and memory
/// that Linux leaves alone, with all of `/dev/mem`, so that a script can talk to the firmware.
const CONFIG: &str = r#"
[kernel]
cmdline = "mem=448M iomem=relaxed panic=1"

[substrate]
payload = "payload"
shell = false
"#;

/// The request to set the tryboot flag is laid out behind Linux' memory, and its address written
/// to the mailbox of the firmware, channel 8 (raspberrypi/firmware wiki, "Mailbox property
/// interface").
const PAYLOAD: &str = r#"#!/bin/sh
boots=$(($(cat /data/boots 2>/dev/null || echo 0) + 1))
echo $boots >/data/boots
sync

arm_tryboot() {
	at=$((0x1c100000))
	#        size state tag        room length flag end
	for word in 28   0     0x00038064 4    4      1    0; do
		devmem $at 32 $word
		at=$((at + 4))
	done
	devmem 0x3f00b8a0 32 $((0x1c100000 | 8))
}

bootloader=/proc/device-tree/chosen/bootloader
said() { hexdump -v -e '1/1 "%02x"' "$bootloader/$1"; }
echo "pi: boot $boots slot=$(cat /run/factory/slot) partition=$(said partition) tryboot=$(said tryboot) rsts=$(said rsts)"
case $boots in
1) arm_tryboot && reboot ;;
2) reboot ;;
3) echo c >/proc/sysrq-trigger ;;
5) reboot ;;
esac
"#;

fn project() -> Project {
    let config = format!("{CONFIG}\n{NEVER_WELL}");
    Project::new(&[("factory.toml", &config), ("payload/run", PAYLOAD), SICK])
}

/// What the model chose and init found, boot by boot.
pub(super) fn boots(report: &Value) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let boots = report["boots"].as_array().unwrap().iter();
    boots
        .map(|boot| [&boot["model"]["slot"], &boot["model"]["tryboot"], &boot["marker"]["slot"]].map(text))
        .collect()
}

/// Replaces the one sector of `autoboot.txt`, as an update agent does.
fn commit(image: &Image, from: Slot, to: Slot) {
    let disk = File::options().read(true).write(true).open(&image.path).unwrap();
    let (start, end) = (image.start(1), image.start(2));
    let mut control = vec![0; usize::try_from(end - start).unwrap()];
    disk.read_exact_at(&mut control, start).unwrap();
    let [old, new] = [from, to].map(|default| Autoboot { default }.encode());
    let sectors: Vec<usize> =
        (0..control.len()).step_by(AUTOBOOT_SIZE).filter(|at| control[*at..].starts_with(&old)).collect();
    assert_eq!(sectors.len(), 1, "autoboot.txt is one sector");
    disk.write_all_at(&new, start + sectors[0] as u64).unwrap();
}

/// Removes a file from a FAT.
fn remove(image: &Image, partition: usize, name: &str) {
    tool("mdel", &["-i", &format!("{}@@{}", image.str(), image.start(partition)), &format!("::{name}")]);
}

#[test]
fn slots_are_committed_tried_and_left_and_data_lasts() {
    let project = project();
    let image = project.image_of("rpi");
    let length = fs::metadata(&image.path).unwrap().len();

    // A asks the firmware for a try; B is left by the next reset; A panics, and starts again.
    let report = image.boot("^pi: boot 4 .*");
    let a = ["a", "false", "a"].map(String::from);
    let tried = ["b", "true", "b"].map(String::from);
    assert_eq!(boots(&report), [a.clone(), tried, a.clone(), a.clone()]);
    let console = console(&report);
    for line in [
        "pi: boot 1 slot=a partition=00000002 tryboot=00000000 rsts=00001000",
        "pi: boot 2 slot=b partition=00000003 tryboot=00000001 rsts=00000020",
        "pi: boot 3 slot=a partition=00000002 tryboot=00000000 rsts=00000020",
        "Kernel panic - not syncing",
    ] {
        assert!(console.contains(line), "no `{line}` in {}", report["log"]);
    }
    assert_eq!(fs::metadata(&image.path).unwrap().len(), length, "the image has another length now");

    // B is committed, and A tried once from outside.
    commit(&image, Slot::A, Slot::B);
    let report = image.run(&["--persist", "--tryboot", "--until", "^pi: boot 6 "]);
    let (tried, b) = (["a", "true", "a"].map(String::from), ["b", "false", "b"].map(String::from));
    assert_eq!(boots(&report), [tried, b]);

    // The fallback starts when nobody can say which slot is committed.
    remove(&image, 1, AUTOBOOT);
    let report = image.boot("^pi: boot 7 slot=fallback partition=00000001 ");
    assert_eq!(boots(&report), [["fallback", "false", "fallback"]]);
}

#[test]
fn a_slot_without_its_firmware_is_walked_past_and_what_is_not_kept_is_thrown_away() {
    let project = Project::new(&[]);
    let image = project.image_of("rpi");
    let before = fs::read(&image.path).unwrap();
    let report = image.run(&["--until", "^factory: up "]);
    assert_eq!(marker(&report)["track"], "rpi");
    assert_eq!(boots(&report), [["a", "false", "a"]]);
    assert!(fs::read(&image.path).unwrap() == before, "the image has changed");

    remove(&image, 2, START);
    let report = image.run(&["--until", "^factory: up "]);
    assert_eq!(boots(&report), [["b", "false", "b"]]);
}

/// `.ci/test` names the directory of a QEMU that is new enough where the installed one is not.
#[test]
fn the_machine_of_raspberry_pi_4_starts_where_qemu_has_it() {
    let image = Project::new(&[]);
    let image = image.image_of("rpi");
    let newer = std::env::var("FACTORY_TEST_QEMU").unwrap_or("/usr/bin".to_owned());
    let path = format!("{newer}:{}", std::env::var("PATH").unwrap());
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).env("PATH", &path).output().unwrap()
    };
    let log = log_file(&image.path);
    let output = run(
        env!("CARGO_BIN_EXE_factory"),
        &[
            &["boot", image.str(), "--machine", "raspi4b", "--until", "^factory: up ", "--json"][..],
            &["--timeout", PATIENCE, "--log", log.to_str().unwrap()],
        ]
        .concat(),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    let machines = run("qemu-system-aarch64", &["-machine", "help"]);
    if String::from_utf8_lossy(&machines.stdout).contains("raspi4b ") {
        assert!(output.status.success(), "{said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(boots(&report), [["a", "false", "a"]]);
        assert_eq!(report["boots"][0]["model"]["dtb"], "bcm2711-rpi-4-b.dtb");
    } else {
        assert!(said.starts_with("error: this QEMU has no machine `raspi4b`\n"), "{said}");
    }
}
