//! C programs are compiled against the header and linked with the library, and run.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bootenv::{How, Slot};
use support::{GenericMachine, grub_disk};

const DIR: &str = env!("CARGO_MANIFEST_DIR");
/// What the static library needs of the C library (`rustc --print native-static-libs`).
const NATIVE: [&str; 7] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"];

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("`{program}` does not start ({error}); run .ci/setup --tests"))
}

fn succeeds(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {:?}\n{said}", output.status.code());
    String::from_utf8(output.stdout).unwrap()
}

/// Where cargo has built the library for this test.
fn library(name: &str) -> String {
    let here = std::env::current_exe().unwrap();
    here.with_file_name(name).to_str().unwrap().to_owned()
}

/// Compiles a program of this package and links the static library.
fn compile(dir: &Path, compiler: &str, standard: &str, source: &str) -> String {
    let program = dir.join(format!("{compiler}-{}", source.replace('/', "-")));
    let (program, archive) = (program.to_str().unwrap().to_owned(), library("libbootenv_c.a"));
    let include = format!("-I{DIR}/include");
    let source = format!("{DIR}/{source}");
    let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-g"];
    let start = [standard, &include, "-o", &program, &source, &archive];
    succeeds(compiler, &[&start[..], &strict[..], &NATIVE[..]].concat());
    program
}

/// Runs a program under valgrind, which has the last word on memory that is lost or not ours.
fn watched(program: &str, arguments: &[&str]) -> Output {
    let valgrind = ["-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite,indirect"];
    run("valgrind", &[&valgrind[..], &[program], arguments].concat())
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code(), out, err)
}

fn image(dir: &Path) -> PathBuf {
    let path = dir.join("disk.img");
    fs::write(&path, grub_disk().0).unwrap();
    path
}

#[test]
fn the_example_updates_a_machine_and_commits_what_came_up() {
    let dir = tempfile::tempdir().unwrap();
    let flip = compile(dir.path(), "gcc", "-std=c99", "example/flip.c");
    let machine = GenericMachine::new();
    let root = machine.root().to_str().unwrap();
    let [system, target] = ["system", "target"].map(|name| dir.path().join(name).display().to_string());
    fs::write(&system, vec![7; 200_000]).unwrap();
    fs::write(&target, vec![0; 300_000]).unwrap();

    let check = || text(&watched(&flip, &["-m", root, "check"]));
    let said = |line: &str| (Some(0), format!("{line}\n"), String::new());
    assert_eq!(check(), said("slot a runs, slot a is committed"));
    let updated = text(&watched(&flip, &["-m", root, "update", &system, &target]));
    assert_eq!(updated, said("slot b is tried at the next start"));
    assert_eq!(fs::read(&target).unwrap()[199_999..=200_000], [7, 0]);
    machine.restart();
    assert_eq!(check(), said("slot b is committed"));
    machine.restart();
    assert_eq!(check(), said("slot b runs, slot b is committed"));
    machine.started(Slot::A, How::Trial);
    assert_eq!(check(), said("slot a is committed"));

    let missing = format!("{target}.missing");
    let (code, out, said) = text(&watched(&flip, &["-m", root, "update", &system, &missing]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.starts_with("flip: copying: "), "{said}");
    let (code, _, said) = text(&run(&flip, &["check"]));
    assert_eq!(code, Some(60), "this machine is none of ours: {said}");
    assert_eq!(run(&flip, &["fly"]).status.code(), Some(64));
}

/// As the README says that it is installed.
#[test]
fn the_shared_library_is_found_under_the_name_that_it_is_installed_with() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(library("libbootenv_c.so"), dir.path().join("libbootenv.so.0")).unwrap();
    std::os::unix::fs::symlink("libbootenv.so.0", dir.path().join("libbootenv.so")).unwrap();
    let [place, flip] = ["", "flip"].map(|name| dir.path().join(name).display().to_string());
    let (include, source) = (format!("-I{DIR}/include"), format!("{DIR}/example/flip.c"));
    succeeds("gcc", &["-std=c99", &include, &source, &format!("-L{place}"), "-lbootenv", "-o", &flip]);
    let machine = GenericMachine::new();
    let path = format!("LD_LIBRARY_PATH={place}");
    let said = succeeds("env", &[&path, &flip, "-m", machine.root().to_str().unwrap(), "check"]);
    assert_eq!(said, "slot a runs, slot a is committed\n");
}

#[test]
fn what_c_gets_wrong_is_refused_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    for (compiler, standard) in [("gcc", "-std=c99"), ("g++", "-std=c++11")] {
        let program = compile(dir.path(), compiler, standard, "tests/refused.c");
        let (image, machine) = (image(dir.path()), GenericMachine::new());
        let output = watched(&program, &[image.to_str().unwrap(), machine.root().to_str().unwrap()]);
        assert_eq!(text(&output), (Some(0), String::new(), String::new()), "{compiler}");
        assert_eq!(fs::read(image).unwrap(), grub_disk().0, "what is refused changes nothing");
    }
}

/// Names that a library gives to those who link it.
fn exported(arguments: &[&str]) -> Vec<String> {
    let listed = succeeds("nm", arguments);
    let names = listed.lines().filter_map(|line| line.split_whitespace().last());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with("bootenv_")).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn the_shared_library_has_what_the_header_declares_and_nothing_else() {
    let header = fs::read_to_string(format!("{DIR}/include/bootenv.h")).unwrap();
    let declared = header.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    let declared = declared.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
    let mut declared: Vec<String> = declared.map(str::to_owned).collect();
    declared.sort();
    assert!(declared.len() > 10);
    let shared = library("libbootenv_c.so");
    let all = succeeds("nm", &["-D", "--defined-only", &shared]);
    assert_eq!(exported(&["-D", "--defined-only", &shared]), declared);
    assert_eq!(all.lines().count(), declared.len(), "{all}");
    assert!(succeeds("objdump", &["-p", &shared]).contains("libbootenv.so.0"));
}
