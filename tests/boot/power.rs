//! Power is lost inside GRUB's save: QEMU stops the machine at a write, and is killed.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootenv::Slot;
use bootenv::grub::GrubState;
use bootenv::grubenv::SIZE;
use bootenv::medium::SECTOR;
use serde_json::Value;

use super::grub::{Bench, Block, CONFIG, Case, HANDED_OVER};
use super::guest::Guest;
use super::{Image, Project};

/// A monitor of QEMU beside the one that `factory` has.
struct Monitor {
    path: PathBuf,
    lines: Option<BufReader<UnixStream>>,
}

impl Monitor {
    fn new(dir: &Path) -> Self {
        Monitor { path: dir.join("monitor"), lines: None }
    }

    /// QEMU's arguments for it.
    fn argument(&self) -> String {
        format!("unix:{},server=on,wait=off", self.path.display())
    }

    /// Whether the machine stands still since a write has failed.
    fn has_stopped(&mut self) -> bool {
        if self.lines.is_none() {
            let Ok(stream) = UnixStream::connect(&self.path) else { return false };
            let mut lines = BufReader::new(stream);
            // The greeting.
            lines.read_line(&mut String::new()).unwrap();
            self.lines = Some(lines);
            self.ask("qmp_capabilities");
        }
        self.ask("query-status")["status"] == "io-error"
    }

    fn ask(&mut self, command: &str) -> Value {
        let lines = self.lines.as_mut().unwrap();
        writeln!(lines.get_mut(), "{{\"execute\":\"{command}\"}}").unwrap();
        loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "QEMU has gone");
            let mut said: Value = serde_json::from_str(&line).unwrap();
            // Events come in between.
            if !said["return"].is_null() {
                return said["return"].take();
            }
        }
    }
}

/// A start in which the write number `number`, from 0, finds the disk full, at which QEMU stops the
/// machine, and the power is cut. True when it came so far; else a kernel was started before.
pub(super) fn cut(image: &Image, dir: &Path, number: usize) -> bool {
    let rules = dir.join("rules");
    let mut text = String::new();
    for state in 1..=number {
        text += &format!(
            "[set-state]\nevent = \"write_aio\"\nstate = \"{state}\"\nnew_state = \"{}\"\n",
            state + 1
        );
    }
    text += &format!("[inject-error]\nevent = \"write_aio\"\nstate = \"{}\"\nerrno = \"28\"\n", number + 1);
    fs::write(&rules, text).unwrap();
    let mut monitor = Monitor::new(dir);
    let disk = format!("drive.disk.file=blkdebug:{}:{}", rules.display(), image.path.display());
    let mut guest = Guest::start_with(image, &["-set", &disk, "-qmp", &monitor.argument()]);
    let stopped = loop {
        if monitor.has_stopped() {
            break true;
        }
        if guest.unread().contains(HANDED_OVER) {
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    guest.cut_power();
    stopped
}

/// Which of the blocks' sectors, counted through both, differ.
fn changed(before: &[Block; 2], after: &[Block; 2]) -> Vec<usize> {
    let [before, after] = [before, after].map(|blocks| blocks.concat());
    let sectors = before.chunks(SECTOR).zip(after.chunks(SECTOR)).enumerate();
    sectors.filter(|(_, (before, after))| before != after).map(|(index, _)| index).collect()
}

/// Cuts the power at every write up to a kernel's start, and has what is left judged. Returns how many
/// writes there are, and how many different disks the cuts leave.
fn every_cut(whole: &Image, loads: [bool; 2], blocks: &[Block; 2]) -> (usize, usize) {
    let bench = Bench::new(whole, loads);
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for number in 0..10 {
        bench.put(blocks);
        if !cut(&bench.image, dir.path(), number) {
            return (number, seen.len());
        }
        let left = bench.blocks();
        let changes = changed(blocks, &left);
        assert!(changes.len() <= 1, "sectors {changes:?} were changed by saves");
        if !seen.contains(&left) {
            bench.judge(&Case { name: format!("cut at write {number}"), blocks: left.clone(), loads });
            seen.push(left);
        }
    }
    panic!("so many writes are no saves");
}

#[test]
fn power_that_is_lost_inside_grubs_save_leaves_the_old_state_or_the_new() {
    let project = Project::new(&[("factory.toml", CONFIG)]);
    let image = project.image();
    let armed = GrubState { tries: 3, good: vec![Slot::A], ..GrubState::initial() };
    let [armed, settled] = [armed.encode().to_vec(), armed.settled().encode().to_vec()];
    let whole = [armed.clone(), settled];
    assert_eq!(every_cut(&image, [true; 2], &whole), (2, 2), "a save is both sectors of a block");
    assert_eq!(every_cut(&image, [true, false], &whole), (4, 3), "counted, found bad, and given up");
    // A trial in the spare is none of ours, but would be counted there.
    assert_eq!(every_cut(&image, [true; 2], &[vec![0; SIZE], armed]), (2, 2));
}
