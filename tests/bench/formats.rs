//! `factory convert` of a sparse image against the tools of each format, on the same file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::material::Material;
use super::{Contestant, factory, genimage, peak_memory_of, race, report, run as run_program};

/// Length of the image, and what of it is not a hole.
const SIZE: u64 = 6 << 30;
const MAPPED: u64 = 600 << 20;
/// How many runs that is in.
const RUNS: u64 = 6;
/// Where the first one begins: what begins as a tar does is no image.
const FIRST: u64 = 1 << 20;
/// Most memory that packing may take, in MiB.
const MEMORY_GOAL: u64 = 96;

/// A format, where it is written, and the same of another maker; the goal, and how that one is called.
type Row<'a> = (&'static str, PathBuf, &'static str, &'a Path, f64, &'a dyn Fn() -> Command);

/// `factory image` that packs what it makes, against genimage and then zstd.
pub(super) fn together(work: &Path, material: &Material, project: &Path, rounds: usize, is_smoke: bool) {
    let image = work.join("together.img");
    let unpacked = genimage::contestant(work, material);
    let disk = genimage::output(work);
    let packed = disk.with_extension("img.zst");
    let contestants = [
        Contestant {
            name: "together",
            clear: vec![image.clone(), image.with_extension("img.zst")],
            run: Box::new(|| run_program(factory(project, &image).args(["--format", "zst"]))),
        },
        Contestant {
            name: "genimage, zstd -T0",
            clear: unpacked.clear,
            run: Box::new(|| {
                (unpacked.run)();
                run_program(Command::new("zstd").args(["-q", "-T0"]).arg(&disk).arg("-o").arg(&packed));
            }),
        },
    ];
    report(&race(&contestants, rounds), "together", &[("genimage, zstd -T0", 0.6)], is_smoke);
}

/// `tar` is what the image is filled with.
pub(super) fn run(work: &Path, tar: &Path, rounds: usize, is_smoke: bool) {
    let image = work.join("sparse.img");
    fill(&image, tar, if is_smoke { MAPPED / 20 } else { MAPPED });
    let zstd = |to: &Path| {
        let mut command = Command::new("zstd");
        command.args(["-q", "-f", "-T0"]).arg(&image).arg("-o").arg(to);
        command
    };
    let qemu_img = |to: &Path| {
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-f", "raw", "-O", "qcow2"]).args([&image, to]);
        command
    };
    let (packed, clusters) = (work.join("theirs.zst"), work.join("theirs.qcow2"));
    let ours = |suffix: &str| work.join(format!("sparse.{suffix}"));
    let rows: [Row<'_>; 2] = [
        ("zst", ours("img.zst"), "zstd -T0", &packed, 0.6, &|| zstd(&packed)),
        ("qcow2", ours("qcow2"), "qemu-img", &clusters, 1.0, &|| qemu_img(&clusters)),
    ];
    for (format, own, peer, other, goal, theirs) in rows {
        let contestants = [
            Contestant {
                name: format,
                clear: vec![own],
                run: Box::new(|| run_program(&mut convert(&image, format))),
            },
            Contestant {
                name: peer,
                clear: vec![other.to_owned()],
                run: Box::new(|| run_program(&mut theirs())),
            },
        ];
        report(&race(&contestants, rounds), format, &[(peer, goal)], is_smoke);
    }
    let size = |path: &Path| path.metadata().unwrap().len() / 1_000_000;
    println!("zst: {} MB, and {} MB by zstd", size(&ours("img.zst")), size(&packed));
    for format in ["zst", "gz", "qcow2", "qcow2-zstd", "vdi", "vmdk", "gce", "bmap"] {
        let peak = peak_memory_of(&convert(&image, format));
        println!("peak memory of {format}: {peak} MiB (goal: at most {MEMORY_GOAL})");
        assert!(peak <= MEMORY_GOAL, "too much memory");
    }
}

fn convert(image: &Path, format: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.args(["--quiet", "convert", "--to", format]).arg(image);
    command
}

/// Makes the image: `mapped` bytes of the tar, which is begun again when it ends.
fn fill(image: &Path, tar: &Path, mapped: u64) {
    let to = File::create(image).unwrap();
    to.set_len(SIZE).unwrap();
    let mut from = File::open(tar).unwrap();
    let mut buffer = vec![0; 1 << 20];
    for run in 0..RUNS {
        let mut done = 0;
        while done < mapped / RUNS {
            let count = from.read(&mut buffer).unwrap();
            to.write_all_at(&buffer[..count], FIRST + run * (SIZE / RUNS) + done).unwrap();
            done += count as u64;
            if count == 0 {
                from.seek(SeekFrom::Start(0)).unwrap();
            }
        }
    }
}
