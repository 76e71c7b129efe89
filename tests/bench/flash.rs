//! `factory flash`, which reads back all that it wrote, against `bmaptool copy`, which reads nothing back:
//! `cargo bench --bench flash`.
//!
//! A sparse image of 6 GiB with 600 MiB in it, interleaved in one run: to a file, to a loop device where the
//! machine has one, and from `.zst`, by `zstd` and by `factory convert`. bmaptool is given its block map each time;
//! in one more race both use it. With `--smoke`, one small round.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails where it stands")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const MIB: u64 = 1 << 20;
const ROUNDS: usize = 3;
/// Most memory that a flash may take, in MiB.
const MEMORY_GOAL: u64 = 32;

/// What is written to, from what, and the most of bmaptool's time that it may take.
struct Race<'a> {
    name: &'static str,
    image: &'a Path,
    target: &'a Path,
    goal: f64,
}

fn main() {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (raw, packed) = (work.path().join("disk.img"), work.path().join("disk.img.zst"));
    let (size, pieces) = if is_smoke { (64 * MIB, 4) } else { (6 << 30, 60) };
    image(&raw, size, pieces);
    run(Command::new("zstd").args(["-q", "-T0", "-3"]).arg(&raw).arg("-o").arg(&packed));
    let own = work.path().join("own").join("disk.img.zst");
    fs::create_dir(own.parent().unwrap()).unwrap();
    let factory = || Command::new(env!("CARGO_BIN_EXE_factory"));
    run(factory().args(["--quiet", "convert", "--to", "zst", "-o"]).arg(own.parent().unwrap()).arg(&raw));
    // Not where it would be found.
    let bmap = work.path().join("map");
    run(Command::new("bmaptool").arg("create").arg("-o").arg(&bmap).arg(&raw));
    let mapped = work.path().join("mapped.img");
    fs::hard_link(&raw, &mapped).unwrap();
    fs::copy(&bmap, work.path().join("mapped.img.bmap")).unwrap();
    let copy = work.path().join("copy.img");
    let mut races = vec![
        Race { name: "to a file", image: &raw, target: &copy, goal: 0.5 },
        Race { name: "by a block map to a file", image: &mapped, target: &copy, goal: 0.5 },
        Race { name: "from .zst to a file", image: &packed, target: &copy, goal: 0.4 },
        Race { name: "from our .zst to a file", image: &own, target: &copy, goal: 0.4 },
    ];
    let back = work.path().join("back.img");
    File::create(&back).unwrap().set_len(size).unwrap();
    let output = Command::new("losetup").args(["-f", "--show"]).arg(&back).output();
    let device = output.ok().filter(|output| output.status.success());
    let device = device.map(|output| String::from_utf8(output.stdout).unwrap().trim().to_owned());
    match &device {
        Some(device) => {
            races.push(Race { name: "to a loop device", image: &raw, target: Path::new(device), goal: 1.0 });
        }
        None => println!("NOT MEASURED: a loop device, as this machine has none"),
    }
    for race in &races {
        race.run(&bmap, if is_smoke { 1 } else { ROUNDS }, is_smoke);
    }
    if let Some(device) = device {
        run(Command::new("losetup").args(["-d", &device]));
    }
    for image in [&raw, &mapped, &packed, &own] {
        memory(image, &copy, is_smoke);
    }
}

/// A GPT of sfdisk's, and so many runs of 10 MiB that do not compress to nothing, far apart.
fn image(path: &Path, size: u64, pieces: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    let script = format!("printf 'label: gpt\\nstart=2048\\n' | sfdisk -q '{}'", path.display());
    run(Command::new("sh").args(["-c", &script]));
    let mut state = 1_u32;
    for piece in 0..pieces {
        let bytes: Vec<u8> = (0..10 * MIB)
            .map(|index| {
                // As code and text do, about half of it compresses.
                state = if index & 64 == 0 {
                    state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
                } else {
                    7
                };
                (state >> 24) as u8 ^ index as u8
            })
            .collect();
        file.write_all_at(&bytes, MIB + piece * ((size - 4 * MIB) / pieces)).unwrap();
    }
    file.sync_all().unwrap();
}

impl Race<'_> {
    fn run(&self, bmap: &Path, rounds: usize, is_smoke: bool) {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (index, times) in times.iter_mut().enumerate() {
                if self.target.starts_with("/dev") {
                    run(Command::new("blkdiscard").arg("-z").arg(self.target));
                } else if self.target.exists() {
                    fs::remove_file(self.target).unwrap();
                }
                run(&mut Command::new("sync"));
                let start = Instant::now();
                if index == 0 {
                    run(&mut self.ours())
                } else {
                    run(&mut self.theirs(bmap))
                }
                times.push(start.elapsed().as_secs_f64());
            }
        }
        println!("{}: factory {:.2?} s, bmaptool {:.2?} s", self.name, times[0], times[1]);
        let [ours, theirs] = times.map(median);
        let verdict = match ours / theirs <= self.goal {
            _ if is_smoke => "not judged in a smoke run",
            true => "reached",
            false => "missed",
        };
        println!(
            "factory / bmaptool {}: {:.2} (goal: at most {}, {verdict})",
            self.name,
            ours / theirs,
            self.goal
        );
    }

    fn ours(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
        command.args(["--quiet", "flash", "--yes"]).arg(self.image).arg(self.target);
        command
    }

    fn theirs(&self, bmap: &Path) -> Command {
        let mut command = Command::new("bmaptool");
        command.args(["--quiet", "copy", "--bmap"]).arg(bmap).arg(self.image).arg(self.target);
        command
    }
}

/// Largest resident set, as GNU time reports it. Builds for tests are larger themselves.
fn memory(image: &Path, target: &Path, is_smoke: bool) {
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%M", env!("CARGO_BIN_EXE_factory"), "--quiet", "flash", "--yes"])
        .args([image, target])
        .output()
        .expect("GNU time is installed by .ci/setup --tests");
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let peak = said.trim().lines().last().unwrap().parse::<u64>().unwrap() / 1024;
    println!(
        "peak memory for {}: {peak} MiB (goal: at most {MEMORY_GOAL})",
        image.strip_prefix(target.parent().unwrap()).unwrap().display()
    );
    assert!(is_smoke || peak <= MEMORY_GOAL, "too much memory");
}

fn run(command: &mut Command) {
    let path = format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap());
    let output = command.env("PATH", path).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
