//! GRUB's script and the transition function are the same machine: the script is run, over every
//! state, with GRUB's own code for environment blocks.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "support/vectors.rs"]
mod vectors;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bootenv::grub::GrubState;
use bootenv::machine::grub::{Copies, Copy, Step, World, start};
use bootenv::{Slot, envblk};
use proptest::prelude::*;
use vectors::{Vector, machine};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tracks/generic/grub.cfg");
const STAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stage.sh");

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    output.unwrap_or_else(|error| panic!("`{program}` does not start ({error}); run .ci/setup --tests"))
}

/// Runs the script in a directory with these blocks, and compares the blocks it leaves as well.
fn script(dir: &Path, copies: &Copies, world: World) -> String {
    let mut expected = copies.clone();
    for step in start(copies, world) {
        if let Step::Save(copy, state) = step {
            expected.put(copy, Some(state));
        }
    }
    let blocks = [("grubenv", Copy::Primary), ("grubenv.spare", Copy::Spare)];
    for (name, copy) in blocks {
        let bytes = copies.get(copy).map_or([0; 1024], GrubState::encode);
        fs::write(dir.join(name), bytes).unwrap();
    }
    let mut loads = String::from(if world.a_loads { "a" } else { "" });
    loads.push_str(if world.b_loads { "b" } else { "" });
    let saves = if world.saves { "yes" } else { "no" };
    let output = run("bash", &[STAGE, SCRIPT, dir.to_str().unwrap(), &loads, saves]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, copy) in blocks {
        let left = GrubState::as_grub_reads(&fs::read(dir.join(name)).unwrap());
        assert_eq!(left.as_ref(), expected.get(copy), "{name} after {copies:?} in {world:?}");
    }
    let said = String::from_utf8(output.stdout).unwrap();
    said.trim_end().replace('\n', "; ").replace("grubenv.spare", "spare").replace("grubenv", "primary")
}

fn worlds() -> impl Iterator<Item = World> {
    (0..8).map(|bits| World { a_loads: bits & 1 == 0, b_loads: bits & 2 == 0, saves: bits & 4 == 0 })
}

/// States of the one default; the script is the same for the other but for the letters.
fn states(default: Slot) -> Vec<GrubState> {
    let mut all = Vec::new();
    for tries in [0, 1, 2, 9] {
        for good in [vec![], vec![Slot::A], vec![Slot::B], Slot::ALL.to_vec()] {
            for failed in [None, Some(Slot::A), Some(Slot::B)] {
                all.push(GrubState { default, tries, good: good.clone(), failed });
            }
        }
    }
    all
}

#[test]
fn the_script_does_what_the_transition_function_says() {
    let spare = |default| GrubState { default, ..GrubState::initial() };
    let mut cases = vec![Copies { primary: None, spare: None }];
    for state in Slot::ALL.into_iter().flat_map(states) {
        cases.push(Copies { primary: Some(state.clone()), spare: Some(spare(state.default.other())) });
        if state.tries == 0 {
            cases.push(Copies { primary: None, spare: Some(state) });
        }
    }
    let cases: Vec<(Copies, World)> =
        cases.iter().flat_map(|copies| worlds().map(|world| (copies.clone(), world))).collect();
    std::thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(4)) {
            scope.spawn(move || {
                let dir = tempfile::tempdir().unwrap();
                for (copies, world) in part {
                    assert_eq!(
                        script(dir.path(), copies, *world),
                        machine(copies, *world),
                        "{copies:?} {world:?}"
                    );
                }
            });
        }
    });
    println!("{} cases", cases.len());
}

#[test]
fn the_vectors_hold_for_the_function_and_for_the_script() {
    let dir = tempfile::tempdir().unwrap();
    let rows = vectors::all();
    for Vector { row, copies, world, steps } in &rows {
        assert_eq!(machine(copies, *world), *steps, "{row}");
        assert_eq!(script(dir.path(), copies, *world), *steps, "{row}");
    }
    assert!(rows.len() > 20);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// `grub-editenv` is built from the same `envblk.c` as GRUB.
    #[test]
    fn blocks_are_changed_as_grub_changes_them(
        old in prop::collection::vec(("[a-c]{1,2}", "[a-z \\\\=]{0,6}"), 0..5),
        name in "[a-c]{1,2}",
        value in "[a-z \\\\=]{0,6}",
        torn in prop::option::of((25_usize..90, r"[a-z=#\n\\]{1,3}")),
    ) {
        let mut env = bootenv::grubenv::GrubEnv::new();
        for (name, value) in [("x", "1")].into_iter().chain(old.iter().map(|(n, v)| (n.as_str(), v.as_str()))) {
            env.set(name, value).unwrap();
        }
        let mut ours = env.encode().unwrap();
        if let Some((at, bytes)) = torn {
            ours[at..at + bytes.len()].copy_from_slice(bytes.as_bytes());
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), ours).unwrap();
        let path = file.path().to_str().unwrap();
        let theirs = run("grub-editenv", &[path, "set", &format!("{name}={value}")]).status.success();
        prop_assert_eq!(envblk::set(&mut ours, &name, &value), theirs);
        let left = fs::read(path).unwrap();
        prop_assert_eq!(left.escape_ascii().to_string(), ours.escape_ascii().to_string());
        let listed = run("grub-editenv", &[path, "list"]).stdout;
        let read: Vec<u8> = envblk::variables(&ours).unwrap().into_iter()
            .flat_map(|(name, value)| [name, b"=", &value[..], b"\n"].concat())
            .collect();
        prop_assert_eq!(String::from_utf8_lossy(&listed), String::from_utf8_lossy(&read));
    }
}
