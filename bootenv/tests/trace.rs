//! What reaches the disk, as the kernel is asked for it: strace watches, and every byte of the image is
//! compared.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootenv::flow::{Grub, Rpi};
use bootenv::medium::{Access, FileMedium, SECTOR};
use bootenv::{BootFlow, How, Running, Slot};
use support::{Board, grub_disk, pi_disk};

/// Whatever could change a file, by its name or by its descriptor; and what makes writes last. Some
/// architectures lack some of them.
const CALLS: &str = "trace=?open,?openat,?openat2,?creat,write,writev,pwrite64,pwritev,pwritev2,sendfile,\
    splice,copy_file_range,io_uring_setup,io_submit,mmap,ioctl,ftruncate,truncate,fallocate,?rename,?renameat,\
    ?renameat2,?unlink,unlinkat,?link,linkat,?symlink,symlinkat,?chmod,fchmod,?utime,?utimes,utimensat,\
    fsync,fdatasync,sync,syncfs,mount";

/// Names the image of a commit, which takes a system that runs.
const COMMITS: &str = "BOOTENV_TEST_COMMITS";

/// One call that has to do with the image.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// With its flags.
    Open(String),
    Write {
        offset: usize,
        length: usize,
    },
    Sync,
}

/// An image in a directory on a disk: memory has no `O_DIRECT`.
struct Traced {
    dir: tempfile::TempDir,
}

impl Traced {
    fn new(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::write(dir.path().join("disk.img"), bytes).unwrap();
        Traced { dir }
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("disk.img")
    }

    /// What the command asks the kernel for, and the sectors that differ afterwards.
    fn command(&self, words: &str) -> (Vec<Call>, Vec<usize>) {
        let mut command = strace(&self.dir.path().join("log"));
        command.arg(env!("CARGO_BIN_EXE_bootenv")).arg("--image").arg(self.image()).args(words.split(' '));
        self.watch(command)
    }

    /// The same for [`commits`].
    fn commit(&self) -> (Vec<Call>, Vec<usize>) {
        let mut command = strace(&self.dir.path().join("log"));
        command.arg(std::env::current_exe().unwrap()).args(["--ignored", "--exact", "commits"]);
        command.env(COMMITS, self.image());
        self.watch(command)
    }

    fn watch(&self, mut command: Command) -> (Vec<Call>, Vec<usize>) {
        let before = fs::read(self.image()).unwrap();
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("`strace` does not start ({error}); run .ci/setup --tests"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
        let after = fs::read(self.image()).unwrap();
        assert_eq!(before.len(), after.len());
        let sectors = before.chunks(SECTOR).zip(after.chunks(SECTOR)).enumerate();
        let changed =
            sectors.filter(|(_, (before, after))| before != after).map(|(sector, _)| sector).collect();
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap();
        (calls(&log, &self.image()), changed)
    }
}

fn strace(log: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-s", "0", "-e", CALLS, "-e", "signal=none", "-o"]).arg(log);
    command
}

/// The calls of a log that have to do with a file.
fn calls(log: &str, image: &Path) -> Vec<Call> {
    let image = image.to_str().unwrap();
    log.lines().filter(|line| line.contains(image)).map(call).collect()
}

/// `PID NAME(ARGUMENT, ...) = RESULT`, with descriptors as `3</path>`.
fn call(line: &str) -> Call {
    let (head, result) = line.rsplit_once(" = ").unwrap();
    assert!(!result.starts_with('-'), "{line}");
    let (name, arguments) = head.split_once('(').unwrap();
    let arguments: Vec<&str> = arguments.trim_end_matches(')').split(", ").collect();
    match name.split_whitespace().last().unwrap() {
        "open" | "openat" => {
            Call::Open((*arguments.iter().find(|word| word.starts_with("O_")).unwrap()).to_owned())
        }
        "pwrite64" => {
            let [.., length, offset] = arguments[..] else { panic!("{line}") };
            assert_eq!(length, result, "{line}");
            Call::Write { offset: offset.parse().unwrap(), length: length.parse().unwrap() }
        }
        "fdatasync" => Call::Sync,
        _ => panic!("the image is touched by `{line}`"),
    }
}

/// Opened once, past the page cache and for writes that last, and these sectors written, one by one.
fn flip(calls: &[Call], sectors: &[u64]) {
    let (open, rest) = calls.split_first().unwrap();
    let Call::Open(flags) = open else { panic!("{calls:?}") };
    let flags: Vec<&str> = flags.split('|').collect();
    let durable = flags.contains(&"O_DSYNC") || flags.contains(&"O_SYNC");
    assert!(durable && flags.contains(&"O_RDWR") && flags.contains(&"O_DIRECT"), "{flags:?}");
    assert!(["O_CREAT", "O_TRUNC"].iter().all(|flag| !flags.contains(flag)), "{flags:?}");
    let write =
        |sector: &u64| [Call::Write { offset: *sector as usize * SECTOR, length: SECTOR }, Call::Sync];
    assert_eq!(rest, sectors.iter().flat_map(write).collect::<Vec<_>>());
}

fn sectors(places: &[u64]) -> Vec<usize> {
    places.iter().map(|sector| *sector as usize).collect()
}

#[test]
fn a_flip_is_one_write_of_one_sector_and_changes_no_other_byte() {
    let (bytes, layout) = grub_disk();
    let traced = Traced::new(&bytes);
    let [block, spare] = layout.files[..] else { panic!("{layout:?}") };
    for (words, places) in [
        ("stage other", &[block, spare][..]),
        ("try other", &[block]),
        ("rollback", &[block]),
        // Nothing is left to be done.
        ("rollback", &[]),
        ("try b --tries 9", &[block]),
        ("stage other", &[block]),
    ] {
        let (calls, changed) = traced.command(words);
        flip(&calls, places);
        assert_eq!(changed, sectors(places), "{words}");
    }
    fs::write(traced.image(), {
        let mut torn = fs::read(traced.image()).unwrap();
        torn[block as usize * SECTOR..][..SECTOR].fill(0);
        torn
    })
    .unwrap();
    let (calls, changed) = traced.command("repair");
    flip(&calls, &[block]);
    assert_eq!(changed, sectors(&[block]));
}

#[test]
fn whoever_only_asks_opens_the_image_for_reading() {
    for bytes in [grub_disk().0, pi_disk().0] {
        let traced = Traced::new(&bytes);
        for words in ["status", "--json status", "rauc get-primary", "rauc get-state a"] {
            let (calls, changed) = traced.command(words);
            let [Call::Open(flags)] = &calls[..] else { panic!("{words}: {calls:?}") };
            assert!(flags.contains("O_RDONLY"), "{flags}");
            assert_eq!(changed, []);
        }
    }
}

#[test]
fn a_commit_writes_each_copy_once() {
    let (bytes, layout) = grub_disk();
    let traced = Traced::new(&bytes);
    traced.command("stage b");
    traced.command("try b");
    let (calls, changed) = traced.commit();
    flip(&calls, &layout.files);
    assert_eq!(changed, sectors(&layout.files));
    let (bytes, layout) = pi_disk();
    let (calls, changed) = Traced::new(&bytes).commit();
    flip(&calls, &layout.files);
    assert_eq!(changed, sectors(&layout.files));
}

#[test]
#[ignore = "it is what `a_commit_writes_each_copy_once` traces"]
fn commits() {
    let Some(image) = std::env::var_os(COMMITS) else { return };
    let running = Running::in_slot(Slot::B, How::Trial);
    let mut medium = FileMedium::open(Path::new(&image), Access::Write).unwrap();
    match Grub::open(&mut medium, running) {
        Ok(mut flow) => flow.commit().unwrap(),
        Err(_) => Rpi::open(&mut medium, Board::default(), running).unwrap().commit().unwrap(),
    }
}
