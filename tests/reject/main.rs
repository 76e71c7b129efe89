//! Bad input, one a test: the full text that a person reads, and proof that nothing half-written
//! is left.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archive;
mod convert;
mod flash;
mod kernel;
mod layers;
mod network;
mod output;
mod packages;
mod programs;
mod project;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use support::machine::Machine;

/// How tests make an image.
const IMAGE: [&str; 5] = ["image", "--track", "generic", "-o", "disk.img"];

/// Making an image must fail with exactly this text, and leave everything as it was: the image of
/// an earlier day, the lock, and no temporary files.
fn refused(machine: &Machine, expected: &str) {
    machine.write("disk.img", "the image of yesterday");
    refuses(machine, machine.factory(&IMAGE), 1, expected);
}

/// The same, for what is found out when all parts are there: they are locked already.
fn refused_once_fetched(machine: &Machine, expected: &str) {
    machine.run(&["fetch", "--track", "generic"]);
    refused(machine, expected);
}

/// A command must end with this code and exactly this text, and leave everything as it was.
fn refuses(machine: &Machine, mut command: Command, code: i32, expected: &str) {
    let before = machine.snapshot();
    let output = command.output().unwrap();
    let said = machine.without_places(&String::from_utf8_lossy(&output.stderr));
    assert!(said == expected, "this is said:\n{said}\ninstead of this:\n{expected}");
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty(), "errors are not for machines to read");
    let after = machine.snapshot();
    let names = |files: &[(std::path::PathBuf, Vec<u8>)]| {
        files
            .iter()
            .map(|(path, content)| format!("{} {}\n", path.display(), content.len()))
            .collect::<String>()
    };
    assert!(before == after, "before:\n{}after:\n{}", names(&before), names(&after));
}
