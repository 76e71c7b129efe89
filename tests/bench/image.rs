//! `factory image` against genimage and `cp`, interleaved in one run: `cargo bench --bench image`.
//!
//! Both makers get the same arm64 root file system as a tar for both system slots, the same files
//! for the ESP, and an empty 4 GiB data partition. genimage needs the tar unpacked, so its time
//! includes that. `cp` copies the finished image. Then the default image for the Raspberry Pi against
//! `cp`, and `factory check` of it against `sha256sum` of the bytes that are not holes; and `factory convert`
//! against `zstd -T0` and `qemu-img convert`, and an image made and packed at once. Ratios are what counts: seconds depend on the
//! machine and on what else it does. With `--smoke`, one small round: does the benchmark still run?

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails where it stands")]

mod config;
mod formats;
mod genimage;
mod material;
mod pi;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Rounds of a full run; the median of each contestant counts.
const ROUNDS: usize = 7;

/// What a full run must reach: `factory image` against genimage, and against `cp`.
const GOALS: [(&str, f64); 2] = [("genimage", 0.35), ("cp", 1.3)];
/// Most memory that `factory image` may take, in MiB.
const MEMORY_GOAL: u64 = 64;

/// One contestant: a name, what is cleared before each round, and what is timed.
struct Contestant<'a> {
    name: &'static str,
    clear: Vec<PathBuf>,
    run: Box<dyn Fn() + 'a>,
}

fn main() {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let material = material::Material::prepare(work.path(), is_smoke);
    println!("material: {}", material.summary());

    let image = work.path().join("factory.img");
    let project = material.project("factory", 1);
    make(&project, &image);
    let contestants = [
        Contestant { name: "factory", clear: vec![image.clone()], run: Box::new(|| make(&project, &image)) },
        genimage::contestant(work.path(), &material),
        copy(work.path(), &image),
    ];
    let rounds = if is_smoke { 1 } else { ROUNDS };
    let medians = race(&contestants, rounds);
    report(&medians, "factory", &GOALS, is_smoke);
    formats::together(work.path(), &material, &project, rounds, is_smoke);
    memory(work.path(), &material, is_smoke);
    pi::run(work.path(), rounds, is_smoke);
    config::run(work.path(), rounds, is_smoke);
    formats::run(work.path(), &material.tar, rounds, is_smoke);
}

fn copy<'a>(work: &Path, image: &'a Path) -> Contestant<'a> {
    let copied = work.join("copy.img");
    let clear = vec![copied.clone()];
    // The image is made anew in every round, just before.
    let run = Box::new(move || run(Command::new("cp").arg("--sparse=always").args([image, &copied])));
    Contestant { name: "cp", clear, run }
}

/// Runs all contestants in turn, so that they share what the machine does otherwise.
fn race(contestants: &[Contestant<'_>], rounds: usize) -> Vec<(&'static str, f64)> {
    let mut times = vec![Vec::new(); contestants.len()];
    for _ in 0..rounds {
        for (contestant, times) in contestants.iter().zip(&mut times) {
            contestant.clear.iter().for_each(|path| remove(path));
            let start = Instant::now();
            (contestant.run)();
            times.push(start.elapsed().as_secs_f64());
        }
    }
    for (contestant, times) in contestants.iter().zip(&times) {
        println!("{:<9} {times:.2?} s", contestant.name);
    }
    contestants.iter().zip(times).map(|(contestant, times)| (contestant.name, median(times))).collect()
}

fn report(medians: &[(&str, f64)], own: &str, goals: &[(&str, f64)], is_smoke: bool) {
    let time = |name: &str| medians.iter().find(|(known, _)| *known == name).unwrap().1;
    println!("medians   {medians:.2?} s");
    for (peer, goal) in goals {
        let ratio = time(own) / time(peer);
        let verdict = if ratio <= *goal { "reached" } else { "missed" };
        let verdict = if is_smoke { "not judged in a smoke run" } else { verdict };
        println!("{own} / {peer}: {ratio:.2} (goal: at most {goal}, {verdict})");
    }
}

/// Peak memory for the image, and for one with four times as much in it.
fn memory(work: &Path, material: &material::Material, is_smoke: bool) {
    let peaks: Vec<u64> = [1, if is_smoke { 2 } else { 4 }]
        .into_iter()
        .map(|times| {
            let project = material.project(&format!("memory-{times}"), times);
            let image = work.join("memory.img");
            make(&project, &image);
            let peak = peak_memory(&project, &image);
            println!("peak memory with {times} times the files: {peak} MiB (goal: at most {MEMORY_GOAL})");
            remove(&image);
            peak
        })
        .collect();
    assert!(peaks.iter().all(|peak| *peak <= MEMORY_GOAL), "too much memory: {peaks:?} MiB");
}

fn make(project: &Path, image: &Path) {
    run(factory(project, image));
}

fn factory<'a>(project: &Path, image: &Path) -> &'a mut Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.args(["--quiet", "image", "--track", "generic", "-C"]).arg(project).arg("-o").arg(image);
    Box::leak(Box::new(command))
}

/// Largest resident set in MiB, as GNU time reports it.
fn peak_memory(project: &Path, image: &Path) -> u64 {
    peak_memory_of(factory(project, image))
}

fn peak_memory_of(command: &Command) -> u64 {
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%M", env!("CARGO_BIN_EXE_factory")])
        .args(command.get_args())
        .output()
        .expect("GNU time is installed by .ci/setup --tests");
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    said.trim().lines().last().unwrap().parse::<u64>().unwrap() / 1024
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{said}");
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
