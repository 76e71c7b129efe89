//! The command and the library on files that are no sound images, and on what is no file.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bootenv::device::Device;
use bootenv::medium::{Access, FileMedium, Medium as _, SECTOR};
use proptest::collection::vec;
use proptest::prelude::*;

use super::damage::{damaged, in_place};
use super::support::{grub_disk, pi_disk, tool};
use super::{Verdict, judge};

const COMMANDS: [&str; 10] = [
    "status",
    "--json status",
    "history",
    "stage other",
    "try b",
    "commit",
    "rollback",
    "repair",
    "rauc get-primary",
    "rauc set-state b bad",
];

/// Codes of the README's table that promise that nothing was written.
fn is_untouched(code: i32) -> bool {
    matches!(code, 10..=25 | 30..=44 | 53)
}

/// All commands on one image, one after the other.
fn run(image: &Path, bytes: &[u8]) -> Verdict {
    fs::write(image, bytes).unwrap();
    for words in COMMANDS {
        let before = fs::read(image).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootenv"));
        let output = command.arg("--image").arg(image).args(words.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        prop_assert!(
            code.is_some_and(|code| code == 0 || (10..=99).contains(&code)),
            "{words}: {code:?} {said}"
        );
        let asks = ["status", "history", "get"].iter().any(|word| words.contains(word));
        if asks || code.is_some_and(is_untouched) {
            prop_assert!(fs::read(image).unwrap() == before, "`{words}` wrote and said {code:?}: {said}");
        }
        prop_assert_eq!(code == Some(0), said.is_empty(), "{}: {}", words, said);
    }
    Ok(())
}

#[test]
fn the_command_refuses_garbage_by_a_code_and_leaves_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("disk.img");
    let disks = [grub_disk().0, pi_disk().0];
    // Tables, FATs and directories are where damage matters.
    let places = [0..1536, 20_480..24_576];
    let cases = (any::<bool>(), any::<bool>(), vec(in_place(), 1..6), prop::option::of(0..140_000_usize));
    judge(40, &cases, |(is_pi, late, damage, length)| {
        let mut bytes = disks[usize::from(is_pi)].clone();
        let place = places[usize::from(late)].clone();
        let spoilt = damaged(&bytes[place.clone()], &damage);
        bytes[place].copy_from_slice(&spoilt);
        bytes.truncate(length.unwrap_or(bytes.len()));
        run(&image, &bytes)
    });
    let garbage = vec(any::<u8>(), 0..4096);
    judge(10, &garbage, |garbage| run(&image, &garbage));
}

/// Things that are no image, by name.
fn odd(dir: &Path) -> Vec<PathBuf> {
    let path = |name: &str| dir.join(name);
    for length in [0, 1, 511, 512, 513, 4096] {
        fs::write(path(&format!("{length} bytes")), vec![0xa5; length]).unwrap();
    }
    fs::create_dir(path("directory")).unwrap();
    tool("mkfifo", &[path("pipe").to_str().unwrap()]);
    drop(UnixListener::bind(path("socket")).unwrap());
    symlink("nowhere", path("dangling")).unwrap();
    symlink("circle", path("circle")).unwrap();
    // A table without a file system, on a disk without an end.
    let huge = File::create(path("huge")).unwrap();
    huge.set_len(8 << 40).unwrap();
    huge.write_all_at(&grub_disk().0[..20_480], 0).unwrap();
    let mut all: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.extend(
        ["/dev/null", "/dev/zero", "/dev/tty", "/proc/self/mem", "/proc/version", "/"].map(PathBuf::from),
    );
    all
}

#[test]
fn what_is_no_image_is_refused_at_once_and_not_touched() {
    // On a disk, since memory holds no file of any length.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for path in odd(dir.path()) {
        let before = fs::metadata(&path).map(|metadata| (metadata.len(), metadata.modified().unwrap())).ok();
        let started = Instant::now();
        for access in [Access::Look, Access::Read, Access::Write] {
            assert!(Device::image(&path, access).is_err(), "{} is taken", path.display());
            if let Ok(mut medium) = FileMedium::open(&path, access) {
                let sectors = medium.sectors();
                assert!(medium.read(sectors).is_err() && medium.read(u64::MAX).is_err());
                assert!(medium.write(sectors, &[0; SECTOR]).is_err());
            }
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{} holds the caller up", path.display());
        let is_ours = path.starts_with(dir.path());
        let after = fs::metadata(&path).map(|metadata| (metadata.len(), metadata.modified().unwrap())).ok();
        assert!(!is_ours || before == after, "{} was changed", path.display());
    }
}
