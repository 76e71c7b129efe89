//! The default image for the Raspberry Pi: made, against a copy; and checked, against a digest.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Command;

use factory::files;

use super::{Contestant, MEMORY_GOAL, copy, peak_memory_of, race, report, run as run_program};

const IMAGE_GOALS: [(&str, f64); 1] = [("cp", 1.3)];
const CHECK_GOALS: [(&str, f64); 1] = [("sha256sum", 1.0)];

pub(super) fn run(work: &Path, rounds: usize, is_smoke: bool) {
    let project = work.join("pi");
    fs::create_dir_all(&project).unwrap();
    let (image, dense) = (work.join("pi.img"), work.join("dense"));
    let make = || run_program(&mut build(&project, &image));
    make();
    println!("image for the Raspberry Pi: {} MB that are not holes", fill(&image, &dense) / 1_000_000);
    let contestants =
        [Contestant { name: "factory", clear: vec![image.clone()], run: Box::new(make) }, copy(work, &image)];
    report(&race(&contestants, rounds), "factory", &IMAGE_GOALS, is_smoke);
    let contestants = [
        Contestant { name: "check", clear: vec![], run: Box::new(|| run_program(&mut check(&image))) },
        Contestant {
            name: "sha256sum",
            clear: vec![],
            run: Box::new(|| run_program(Command::new("sha256sum").arg(&dense))),
        },
    ];
    report(&race(&contestants, rounds), "check", &CHECK_GOALS, is_smoke);
    for (what, command) in [("image", build(&project, &image)), ("check", check(&image))] {
        let peak = peak_memory_of(&command);
        println!("peak memory of {what}: {peak} MiB (goal: at most {MEMORY_GOAL})");
        assert!(peak <= MEMORY_GOAL, "too much memory");
    }
}

fn build(project: &Path, image: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.args(["--quiet", "image", "--track", "rpi", "-C"]).arg(project).arg("-o").arg(image);
    command
}

fn check(image: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.arg("check").arg(image);
    command
}

/// Writes what is not a hole in `image` to a file without holes. Returns its length.
fn fill(image: &Path, dense: &Path) -> u64 {
    let mut from = File::open(image).unwrap();
    let mut to = File::create(dense).unwrap();
    let size = from.metadata().unwrap().len();
    let ranges: Vec<(u64, u64)> = files::data(&from, size).collect::<Result<_, _>>().unwrap();
    let mut length = 0;
    for (start, end) in ranges {
        from.seek(SeekFrom::Start(start)).unwrap();
        length += io::copy(&mut (&from).take(end - start), &mut to).unwrap();
    }
    length
}
