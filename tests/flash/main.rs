//! `factory flash` and `factory devices` on loop devices where the machine has them, and on files through the same
//! code everywhere: what is refused, what is written, and what an interruption leaves.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails where it stands"
)]

mod faults;
mod fuse;
mod interrupted;
mod loops;
mod network;
mod question;
mod seeded;
mod sources;
#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const MIB: u64 = 1 << 20;

/// Length of the image, in bytes.
const SIZE: u64 = 48 * MIB;

/// Images and targets, in a directory of a real disk: memory knows no `O_DIRECT`.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Desk(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An image with a GPT by sfdisk, 19 MiB of data at three places, and holes.
    fn image(&self) -> PathBuf {
        let path = self.path("disk.img");
        let file = File::create(&path).unwrap();
        file.set_len(SIZE).unwrap();
        let table = "label: gpt\nstart=2048,size=32768,name=boot\nstart=34816,size=50000,name=system\n";
        let table = format!("printf '{table}' | PATH=$PATH:/sbin:/usr/sbin sfdisk -q '{}'", path.display());
        succeed(Command::new("sh").args(["-c", &table]));
        for (at, len) in [(MIB, 10 * MIB + 512), (20 * MIB + 8192, 8 * MIB), (44 * MIB, MIB)] {
            file.write_all_at(&noise(at, len), at).unwrap();
        }
        path
    }

    /// A file of old bytes, with the mark of a table in its first sector.
    fn old(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        let mut bytes = vec![0xa5; size as usize];
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Bytes that do not repeat (the generator of Numerical Recipes).
fn noise(seed: u64, len: u64) -> Vec<u8> {
    let mut state = seed as u32 | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn factory(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn flash(image: &Path, target: &Path) -> Command {
    factory(&["flash", "--yes", image.to_str().unwrap(), target.to_str().unwrap()])
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The first bytes of a file or device.
fn head(path: &Path, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    File::open(path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_file_becomes_the_image_from_whatever_it_is_packed_with() {
    let desk = Desk::new();
    let image = desk.image();
    let bytes = fs::read(&image).unwrap();
    for program in ["", "zstd", "gzip", "xz"] {
        let target = desk.old(&format!("copy{program}.img"), SIZE + 3 * MIB + 5);
        let source = if program.is_empty() {
            image.clone()
        } else {
            let packed = desk.path(program);
            let fast = Command::new(program)
                .args(["-1", "-c"])
                .arg(&image)
                .stdout(File::create(&packed).unwrap())
                .status();
            assert!(fast.unwrap().success());
            packed
        };
        succeed(&mut flash(&source, &target));
        assert!(fs::read(&target).unwrap() == bytes, "through `{program}`");
    }
    // From standard input to a file that was not there.
    let target = desk.path("new.img");
    let mut command = flash(Path::new("-"), &target);
    let output = succeed(command.arg("--json").stdin(File::open(&image).unwrap()));
    assert!(fs::read(&target).unwrap() == bytes);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["size"], SIZE);
    assert_eq!(report["written"], report["verified"]);
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&target).unwrap());
    assert!(blocks * 512 < 24 * MIB, "{blocks} blocks are not holes");
}

#[test]
fn a_damaged_stream_never_becomes_bootable() {
    let desk = Desk::new();
    let packed = desk.path("disk.img.zst");
    succeed(Command::new("zstd").args(["-q", "-1"]).arg(desk.image()).arg("-o").arg(&packed));
    let whole = fs::read(&packed).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() - 9], &whole[..whole.len() / 3], &flipped[..]] {
        fs::write(&packed, damaged).unwrap();
        let target = desk.old("copy.img", SIZE);
        let output = flash(&packed, &target).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("the target is not bootable"), "{}", said(&output));
        assert!(head(&target, 512).iter().all(|byte| *byte == 0));
    }
}

/// What a machine is told of a failure.
fn told(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

#[test]
fn machines_are_told_what_failed_and_what_became_of_the_target() {
    let desk = Desk::new();
    let packed = desk.path("disk.img.zst");
    succeed(Command::new("zstd").args(["-q", "-1"]).arg(desk.image()).arg("-o").arg(&packed));
    let whole = fs::read(&packed).unwrap();
    fs::write(&packed, &whole[..whole.len() / 2]).unwrap();
    let target = desk.old("copy.img", SIZE);
    let output = flash(&packed, &target).arg("--json").output().unwrap();
    let failure = told(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        (&failure["state"], failure["error"].is_string()),
        (&"not-bootable".into(), true),
        "{failure}"
    );
    assert!(failure["causes"].as_array().unwrap().len() >= 2, "{failure}");
    // Refused, and told the way out: what people read says the same.
    fs::write(desk.path("notes.txt"), "milk, bread\n".repeat(1000)).unwrap();
    let output = flash(&desk.path("notes.txt"), &target).arg("--json").output().unwrap();
    let failure = told(&output);
    assert_eq!((output.status.code(), &failure["state"]), (Some(3), &"untouched".into()), "{failure}");
    assert!(failure["error"].as_str().unwrap().contains("has no partition table"), "{failure}");
    let hint = failure["hint"].as_str().unwrap();
    assert!(!hint.starts_with("hint") && said(&output).contains(&format!("\n\nhint: {hint}\n")), "{failure}");
    // Commands that write to no device have no state to tell.
    let output = factory(&["convert", "none.img", "--to", "zst", "--json"]).output().unwrap();
    let failure = told(&output);
    assert_eq!((output.status.code(), &failure["error"]), (Some(1), &"opening `none.img`".into()));
    assert!(failure.get("state").is_none() && failure["causes"].as_array().unwrap().len() == 1, "{failure}");
}
