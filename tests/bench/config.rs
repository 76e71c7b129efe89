//! The configuration of a kernel: `factory kernel --config-only` against the kernel's own
//! `merge_config.sh` and `make olddefconfig` on the same defconfig and fragments, both in a directory
//! where nothing has been built. `FACTORY_TEST_LINUX` names the kernel's source.

use std::fs;
use std::path::Path;
use std::process::Command;

use factory::kconfig;

use super::{Contestant, race, report, run as run_program};

const GOALS: [(&str, f64); 1] = [("merge_config.sh", 1.5)];
const FRAGMENTS: [&str; 2] = ["container.fragment", "arm64-virt.fragment"];

pub(super) fn run(work: &Path, rounds: usize, is_smoke: bool) {
    let linux = std::env::var("FACTORY_TEST_LINUX").expect("FACTORY_TEST_LINUX names a kernel's source");
    let work = work.join("config");
    fs::create_dir_all(&work).unwrap();
    for name in FRAGMENTS {
        fs::write(work.join(name), kconfig::shipped(name).unwrap()).unwrap();
    }
    let (ours, theirs) = (work.join("ours"), work.join("theirs"));
    let contestants = [
        Contestant {
            name: "factory",
            clear: vec![ours.clone()],
            run: Box::new(|| run_program(&mut factory(&linux, &ours))),
        },
        Contestant {
            name: "merge_config.sh",
            clear: vec![theirs.clone()],
            run: Box::new(|| merge_config(&linux, &work, &theirs)),
        },
    ];
    report(&race(&contestants, rounds), "factory", &GOALS, is_smoke);
    let theirs = fs::read_to_string(theirs.join(".config")).unwrap();
    assert_eq!(fs::read_to_string(&ours).unwrap(), theirs, "the two made different configurations");
}

fn factory(linux: &str, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.args(["--quiet", "kernel", "--track", "generic", "--config-only", "--source", linux, "-o"]);
    command.arg(output);
    command
}

fn merge_config(linux: &str, work: &Path, out: &Path) {
    fs::create_dir_all(out).unwrap();
    let defconfig = format!("{linux}/arch/arm64/configs/defconfig");
    let mut merge = Command::new(format!("{linux}/scripts/kconfig/merge_config.sh"));
    merge.args(["-m", "-O"]).arg(out).arg(defconfig).args(FRAGMENTS.map(|name| work.join(name)));
    run_program(merge.current_dir(work));
    let mut make = Command::new("make");
    make.args([
        "-s",
        "-C",
        linux,
        "ARCH=arm64",
        "CROSS_COMPILE=aarch64-linux-gnu-",
        "RUSTC=no-rustc",
        "olddefconfig",
    ]);
    run_program(make.arg(format!("O={}", out.display())));
}
