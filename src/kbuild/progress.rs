//! Make's output as progress: each line goes into the log, and each step moves the bar.
//!
//! | line | is |
//! |---|---|
//! | `  CC [M]  fs/ext4/super.o` | a step, and one that compiles |
//! | `  LD      vmlinux` | a step |
//! | `  HOSTCC  scripts/kallsyms` | a step; what it compiles is for this machine |
//! | `make[2]: Entering directory` ... | something else |

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar};

use super::make::Watch;
use crate::progress;

/// How often a person without a terminal hears that the build goes on.
const NOTE: Duration = Duration::from_secs(30);
/// Bytes of a line that are looked at. Longer ones are no steps, and must not fill the memory.
const LONGEST: usize = 4 << 10;

/// One thing that make does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step<'a> {
    /// What it does, such as `CC` or `CC [M]`.
    pub(super) kind: &'a str,
    /// To which file.
    pub(super) file: &'a str,
}

impl<'a> Step<'a> {
    /// Reads a line as kbuild prints it: two spaces, a word in capitals, perhaps `[M]`, a file.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let text = line.strip_prefix("  ")?;
        let word = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit()))?;
        let mark = text[word..].trim_start();
        let kind = if mark.starts_with("[M]") { text.len() - mark.len() + 3 } else { word };
        let file = text[kind..].strip_prefix(' ')?.trim();
        let is_step = word >= 2 && text.starts_with(|c: char| c.is_ascii_uppercase()) && !file.is_empty();
        is_step.then_some(Step { kind: &text[..kind], file })
    }

    /// Whether it compiles or assembles a file for the device.
    fn compiles(self) -> bool {
        matches!(self.kind.split(' ').next(), Some("CC" | "AS"))
    }
}

/// Follows one call of make.
#[derive(Debug)]
pub(super) struct Follower {
    log: File,
    bar: ProgressBar,
    label: String,
    /// What came after the last end of a line, or the beginning of that.
    line: Vec<u8>,
    steps: u64,
    compiled: u64,
    current: String,
    started: Instant,
    noted: Instant,
}

impl Follower {
    /// Begins a part of the log that starts with what is made.
    pub(super) fn new(watch: &Watch, goals: &[&str]) -> io::Result<Self> {
        let mut log = OpenOptions::new().create(true).append(true).open(&watch.log)?;
        writeln!(log, "# make {}", goals.join(" "))?;
        let (started, label) = (Instant::now(), watch.label.clone());
        Ok(Follower {
            log,
            bar: progress::steps(label.clone(), watch.expected),
            label,
            line: Vec::new(),
            steps: 0,
            compiled: 0,
            current: String::new(),
            started,
            noted: started,
        })
    }

    /// Takes the next piece of make's output, which may begin and end within a line.
    pub(super) fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.log.write_all(piece)?;
        let mut lines = piece.split(|byte| *byte == b'\n');
        // What follows the last end of a line is not whole yet; `split` yields at least one part.
        let rest = lines.next_back().unwrap_or_default();
        for part in lines {
            self.keep(part);
            self.line();
        }
        self.keep(rest);
        self.idle();
        Ok(())
    }

    /// Says now and then, where there is no bar, how far it is.
    pub(super) fn idle(&mut self) {
        if self.bar.is_hidden() && self.noted.elapsed() >= NOTE {
            self.noted = Instant::now();
            progress::note(&self.state());
        }
    }

    /// Ends the log; returns how many steps there were, and how many of them compiled.
    pub(super) fn finish(mut self) -> io::Result<(u64, u64)> {
        self.line();
        self.log.flush()?;
        Ok((self.steps, self.compiled))
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LONGEST - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let Some(step) = Step::parse(&text) else { return };
        self.steps += 1;
        self.compiled += u64::from(step.compiles());
        self.current = format!("{} {}", step.kind, step.file);
        if self.bar.length().is_some_and(|length| length < self.steps) {
            // More than was thought: how many there will be is not known any more.
            self.bar.unset_length();
        }
        self.bar.set_position(self.steps);
        self.bar.set_message(self.current.clone());
    }

    /// `kernel: 345 of 2150 steps in 2 minutes, about 10 minutes left: CC fs/ext4/super.o`
    fn state(&self) -> String {
        let Follower { label, steps, current, .. } = self;
        let took = self.started.elapsed();
        let of = self.bar.length().map(|length| format!(" of {length}")).unwrap_or_default();
        let left = self.bar.length().and_then(|length| progress::left(*steps, length, took));
        let left = left.map(|left| format!(", about {} left", HumanDuration(left))).unwrap_or_default();
        format!("{label}: {steps}{of} steps in {}{left}: {current}", HumanDuration(took))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_are_told_from_other_lines() {
        let step = |line| Step::parse(line).map(|step| (step.kind, step.file, step.compiles()));
        assert_eq!(step("  CC      init/main.o"), Some(("CC", "init/main.o", true)));
        assert_eq!(step("  CC [M]  fs/ext4/super.o"), Some(("CC [M]", "fs/ext4/super.o", true)));
        assert_eq!(
            step("  AS      arch/arm64/kernel/head.o"),
            Some(("AS", "arch/arm64/kernel/head.o", true))
        );
        assert_eq!(step("  HOSTCC  scripts/kallsyms"), Some(("HOSTCC", "scripts/kallsyms", false)));
        assert_eq!(step("  LD      vmlinux"), Some(("LD", "vmlinux", false)));
        assert_eq!(step("  CHKSHA1 include/x.h"), Some(("CHKSHA1", "include/x.h", false)));
        for line in
            ["", "  ", "CC x.o", "  CC", "  A b", "  Cc x.o", "    5 | int x", "  12 | int x", "  CC(x)"]
        {
            assert_eq!(step(line), None, "{line}");
        }
    }

    fn counted(pieces: &[&[u8]]) -> (u64, u64, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let watch = Watch { jobs: 1, label: String::new(), log: log.clone(), expected: Some(1) };
        let mut follower = Follower::new(&watch, &["Image"]).unwrap();
        pieces.iter().for_each(|piece| follower.take(piece).unwrap());
        let (steps, compiled) = follower.finish().unwrap();
        (steps, compiled, std::fs::read(log).unwrap())
    }

    proptest! {
        #[test]
        fn lines_count_wherever_the_pieces_end(text in "(  CC      a.o\n|  LD [M]  b\n|x\n|é){0,9}", size in 1..9_usize) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let (steps, compiled, log) = counted(&pieces);
            prop_assert_eq!((steps, compiled), {
                let found: Vec<Step<'_>> = text.lines().filter_map(Step::parse).collect();
                (found.len() as u64, found.iter().filter(|step| step.compiles()).count() as u64)
            });
            prop_assert_eq!(log, format!("# make Image\n{text}").into_bytes());
        }
    }

    #[test]
    fn without_a_terminal_a_line_tells_how_far_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let watch =
            Watch { jobs: 1, label: "toy".to_owned(), log: dir.path().join("log"), expected: Some(4) };
        let mut follower = Follower::new(&watch, &["Image"]).unwrap();
        follower.started -= Duration::from_secs(10);
        follower.take(b"  CC      a.o\n").unwrap();
        assert_eq!(follower.state(), "toy: 1 of 4 steps in 10 seconds, about 30 seconds left: CC a.o");
        follower.take(b"  LD      b\n  LD      c\n  LD      d\n  LD      e\n").unwrap();
        assert_eq!(follower.state(), "toy: 5 steps in 10 seconds: LD e");
    }

    #[test]
    fn an_endless_line_is_logged_but_not_kept() {
        let piece = vec![b'x'; 3 << 20];
        let (steps, _, log) = counted(&[b"  CC      a.o\n  CC ", &piece, b"\n  CC      b.o"]);
        assert_eq!(
            (steps, log.len()),
            (3, "# make Image\n  CC      a.o\n  CC \n  CC      b.o".len() + piece.len())
        );
    }
}
