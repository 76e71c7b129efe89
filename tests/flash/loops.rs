//! Loop devices: real ones, with the kernel's own opinion of who may write them.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Desk, MIB, SIZE, factory, flash, head, said, succeed};

/// What is not checked here; an error where that was asked for. A test that passes says nothing, so `.ci/test`
/// asks the same beforehand.
pub(super) fn missing(what: &str, lack: &str) {
    let text = format!("NOT CHECKED: {what}, as this machine has not {lack}");
    assert!(std::env::var("FACTORY_TEST_DEVICES").as_deref() != Ok("required"), "{text}");
    eprintln!("{text}");
}

/// A loop device, which ends with this.
pub(super) struct Loop(pub(super) PathBuf);

impl Loop {
    /// One over a file; none where the machine has none, which is said.
    pub(super) fn new(file: &Path, options: &[&str]) -> Option<Loop> {
        let mut command = Command::new("losetup");
        command.env("PATH", format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap()));
        let output = command.args(["-f", "--show"]).args(options).arg(file).output();
        match output {
            Ok(output) if output.status.success() => {
                Some(Loop(String::from_utf8(output.stdout).unwrap().trim().into()))
            }
            reason => {
                missing("devices", &format!("loop devices: {reason:?}"));
                None
            }
        }
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let path = format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap());
        let _ = Command::new("losetup").env("PATH", path).arg("-d").arg(&self.0).status();
    }
}

/// Must be refused with this first line, and stay as it is.
fn refused(device: &Path, arguments: &[&str], expected: &str) {
    let before = head(device, 4096);
    let output = factory(&[&["flash", "--yes"], arguments].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_eq!(said(&output).lines().next().unwrap(), expected);
    assert!(head(device, 4096) == before);
}

#[test]
fn a_device_becomes_the_image_and_is_listed_with_what_is_on_it() {
    let desk = Desk::new();
    let image = desk.image();
    let Some(device) = Loop::new(&desk.old("back", SIZE + 8 * MIB), &[]) else { return };
    succeed(&mut flash(&image, &device.0));
    assert!(head(&device.0, SIZE) == fs::read(&image).unwrap());
    let all = head(&device.0, SIZE + 8 * MIB);
    assert!(all[(SIZE + 7 * MIB) as usize..].iter().all(|byte| *byte == 0), "an old second table is there");
    let output = succeed(&mut factory(&["devices", "--json"]));
    let devices: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let own = devices.as_array().unwrap().iter().find(|row| row["path"] == device.name()).unwrap();
    assert_eq!(own["size"], SIZE + 8 * MIB);
    assert_eq!(own["contents"]["table"], "gpt");
    assert_eq!(own["contents"]["partitions"][1]["name"], "system");
}

#[test]
fn a_device_that_is_mounted_held_read_only_or_too_small_is_refused() {
    let desk = Desk::new();
    let image = desk.image();
    let image = image.to_str().unwrap();
    let Some(device) = Loop::new(&desk.old("back", SIZE), &[]) else { return };
    let name = device.name();
    let holder = File::options().read(true).write(true).custom_flags(HOLD).open(name).unwrap();
    refused(&device.0, &[image, name], &format!("error: `{name}` is in use: something else holds it"));
    drop(holder);
    let path = format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap());
    succeed(Command::new("mkfs.ext4").env("PATH", &path).args(["-q", "-F", name]));
    let at = desk.path("mounted");
    fs::create_dir(&at).unwrap();
    succeed(Command::new("mount").arg(name).arg(&at));
    let short = name.trim_start_matches("/dev/");
    let expected = format!("error: `{name}` is in use: `{short}` is mounted at `{}`", at.display());
    let output = factory(&["flash", "--yes", image, name]).output().unwrap();
    succeed(Command::new("umount").arg(&at));
    assert_eq!((output.status.code(), said(&output).lines().next().unwrap()), (Some(3), expected.as_str()));
    let small = Loop::new(&desk.old("small", SIZE - MIB), &[]).unwrap();
    let has = format!("has 47 MiB ({} bytes), but the image needs 48 MiB ({SIZE} bytes)", SIZE - MIB);
    refused(&small.0, &[image, small.name()], &format!("error: `{}` {has}", small.name()));
    let locked = Loop::new(&desk.old("locked", SIZE), &["-r"]).unwrap();
    refused(&locked.0, &[image, locked.name()], &format!("error: `{}` is read-only", locked.name()));
    let large = Loop::new(&desk.old("large", SIZE), &["-b", "4096"]).unwrap();
    let expected =
        format!("error: `{}` has sectors of 4096 bytes, but the image is made for 512", large.name());
    refused(&large.0, &[image, large.name()], &expected);
}

/// `O_EXCL`, which for a device means that nobody else may have it (asm-generic/fcntl.h).
const HOLD: i32 = 0o200;
