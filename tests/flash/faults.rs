//! Real block devices that fail: loop devices over a file that fails as it is told.
//!
//! ```text
//!   factory --> /dev/loopN --> FUSE --> this test: errors, lost writes, a fake size --> file
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Instant;

use super::fuse::{Fault, Mount};
use super::interrupted::{Left, left};
use super::loops::{Loop, missing};
use super::{Desk, MIB, SIZE, flash, head, said, succeed, told};

/// Bytes of the device.
const ROOM: u64 = SIZE + 8 * MIB;

/// A device over a file that fails; each lies on the next, and ends before it.
struct Sick {
    device: Loop,
    mount: Mount,
}

impl Sick {
    /// A device whose good bytes are in the file `back`; none where the machine has none, which is said.
    fn new(desk: &Desk, back: &Path, fault: Fault) -> Option<Sick> {
        let path = desk.path("export");
        fs::write(&path, "").unwrap();
        let back = File::options().read(true).write(true).open(back).unwrap();
        let Some(mount) = Mount::new(&path, back, fault) else {
            missing("devices that fail", "FUSE for this user");
            return None;
        };
        let device = Loop::new(&mount.path, &[])?;
        Some(Sick { device, mount })
    }

    fn path(&self) -> &Path {
        &self.device.0
    }
}

/// Flashing must fail with a text, and leave a device in a state.
fn fails(image: &Path, device: &Path, state: &str, text: &str) -> Output {
    let output = flash(image, device).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(text), "{} has no `{text}`", said(&output));
    assert_eq!(told(&output)["state"], state, "{}", said(&output));
    output
}

/// The same command on the same bytes, when the fault is gone.
fn goes_on(desk: &Desk, image: &Path, back: &Path) {
    let healthy = Sick::new(desk, back, Fault::Nothing).unwrap();
    succeed(&mut flash(image, healthy.path()));
    drop(healthy);
    assert!(head(back, SIZE) == fs::read(image).unwrap());
}

#[test]
fn a_device_that_cannot_write_somewhere_is_dead_and_says_where() {
    let desk = Desk::new();
    let (image, back) = (desk.image(), desk.old("back", ROOM));
    // In the middle, in the first piece of the data, and in the last piece, which has the second table.
    for at in [21 * MIB, MIB + 4096, SIZE - 512] {
        desk.old("back", ROOM);
        let Some(sick) = Sick::new(&desk, &back, Fault::Writing(at)) else { return };
        let output = fails(&image, sick.path(), "not-bootable", "because: writing at ");
        assert!(said(&output).contains("os error 5"), "{}", said(&output));
        drop(sick);
        assert_eq!(left(&back, &fs::read(&image).unwrap()), Left::NotBootable, "at {at}");
    }
    goes_on(&desk, &image, &back);
}

#[test]
fn a_device_that_cannot_be_read_back_is_dead() {
    let desk = Desk::new();
    let (image, back) = (desk.image(), desk.old("back", ROOM));
    let Some(sick) = Sick::new(&desk, &back, Fault::Reading(21 * MIB)) else { return };
    fails(&image, sick.path(), "not-bootable", "because: reading back at ");
    drop(sick);
    assert_eq!(left(&back, &fs::read(&image).unwrap()), Left::NotBootable);
    goes_on(&desk, &image, &back);
}

#[test]
fn a_device_that_takes_everything_and_keeps_nothing_is_found_out() {
    let desk = Desk::new();
    let (image, back) = (desk.image(), desk.old("back", ROOM));
    let Some(sick) = Sick::new(&desk, &back, Fault::Forgets) else { return };
    fails(&image, sick.path(), "untouched", "it takes writes and keeps its old bytes");
    drop(sick);
    assert_eq!(left(&back, &fs::read(&image).unwrap()), Left::Untouched);
}

#[test]
fn a_block_that_is_never_changed_is_found_when_it_is_read_back() {
    let desk = Desk::new();
    let (image, back) = (desk.image(), desk.old("back", ROOM));
    let Some(sick) = Sick::new(&desk, &back, Fault::Stuck(22 * MIB)) else { return };
    fails(&image, sick.path(), "not-bootable", "it gave back other bytes at ");
    drop(sick);
    assert_eq!(left(&back, &fs::read(&image).unwrap()), Left::NotBootable);
    goes_on(&desk, &image, &back);
}

#[test]
fn a_device_that_has_less_room_than_it_says_is_found_out() {
    let desk = Desk::new();
    let (image, back) = (desk.image(), desk.old("back", ROOM));
    let Some(sick) = Sick::new(&desk, &back, Fault::Wraps(16 * MIB)) else { return };
    fails(&image, sick.path(), "not-bootable", "its capacity is a fake");
    drop(sick);
    assert_eq!(left(&back, &fs::read(&image).unwrap()), Left::NotBootable);
}

#[test]
fn a_device_that_goes_away_at_any_instant_is_old_or_dead_or_whole() {
    let desk = Desk::new();
    let (image, back) = (desk.image(), desk.old("back", ROOM));
    let bytes = fs::read(&image).unwrap();
    let Some(healthy) = Sick::new(&desk, &back, Fault::Nothing) else { return };
    let start = Instant::now();
    succeed(&mut flash(&image, healthy.path()));
    let whole = start.elapsed();
    drop(healthy);
    let mut seen = Vec::new();
    for instant in 1..8 {
        desk.old("back", ROOM);
        let sick = Sick::new(&desk, &back, Fault::Nothing).unwrap();
        let mut command = flash(&image, sick.path());
        let child = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        thread::sleep(whole * instant / 8);
        sick.mount.vanish();
        let output = child.wait_with_output().unwrap();
        drop(sick);
        let now = left(&back, &bytes);
        seen.push(now);
        if output.status.success() {
            assert_eq!(now, Left::Whole);
            continue;
        }
        let state = told(&output)["state"].as_str().unwrap().to_owned();
        let states = match now {
            // The first write may not have arrived.
            Left::Untouched => &["untouched", "not-bootable"][..],
            Left::NotBootable => &["not-bootable", "unproven"],
            Left::Whole => &["unproven"],
        };
        assert!(states.contains(&state.as_str()), "{now:?}, but {state}: {}", said(&output));
    }
    assert!(seen.contains(&Left::NotBootable), "it never went away in the middle: {seen:?}");
    goes_on(&desk, &image, &back);
}

#[test]
fn a_device_that_is_shorter_than_a_stream_is_dead_and_says_how_long_it_is() {
    let desk = Desk::new();
    let packed = desk.path("disk.img.zst");
    // Through a pipe, zstd does not know how much it will pack.
    let pack = format!("zstd -q -1 <'{}' >'{}'", desk.image().display(), packed.display());
    succeed(Command::new("sh").args(["-c", &pack]));
    let Some(small) = Loop::new(&desk.old("small", SIZE - MIB), &[]) else { return };
    let mut command = flash(Path::new("-"), &small.0);
    let output = command.arg("--json").stdin(fs::File::open(&packed).unwrap()).output().unwrap();
    let (code, state) = (output.status.code(), told(&output)["state"].clone());
    let is_refused = code == Some(3) && state == "untouched";
    let is_dead = code == Some(1) && state == "not-bootable";
    assert!(
        (is_refused || is_dead) && said(&output).contains("47 MiB"),
        "{code:?} {state}: {}",
        said(&output)
    );
    assert!(!is_dead || head(&small.0, 512).iter().all(|byte| *byte == 0));
}

/// A file system of 16 MiB in memory, which ends with this.
struct Tiny(PathBuf);

impl Tiny {
    fn new(desk: &Desk) -> Option<Tiny> {
        let path = desk.path("tiny");
        fs::create_dir(&path).unwrap();
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "none"]).arg(&path).output();
        if !output.is_ok_and(|output| output.status.success()) {
            missing("full file systems", "the right to mount");
            return None;
        }
        Some(Tiny(path))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_file_system_is_said_to_be_full_and_has_no_file_that_looks_whole() {
    let desk = Desk::new();
    let image = desk.image();
    let Some(tiny) = Tiny::new(&desk) else { return };
    let target = tiny.0.join("copy.img");
    fails(&image, &target, "not-bootable", "No space left on device");
    assert!(head(&target, 512).iter().all(|byte| *byte == 0));
    fs::remove_file(&target).unwrap();
    // A device over a file that cannot grow is one that stops taking bytes.
    let back = tiny.0.join("back");
    fs::File::create(&back).unwrap().set_len(ROOM).unwrap();
    let Some(device) = Loop::new(&back, &[]) else { return };
    fails(&image, &device.0, "not-bootable", "flashing `");
    assert!(head(&device.0, 512).iter().all(|byte| *byte == 0));
}
