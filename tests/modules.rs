//! The C code of our kernel modules, by the kernel's own judge of style: `FACTORY_TEST_LINUX` is the
//! directory of a kernel's source. Needs `perl`.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::process::Command;

#[test]
fn checkpatch_has_nothing_to_say() {
    let linux = std::env::var("FACTORY_TEST_LINUX").expect("FACTORY_TEST_LINUX names a kernel's source");
    let files = walkdir::WalkDir::new("modules").into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.path().extension().is_some_and(|it| it == "c"));
    let files: Vec<_> = files.map(walkdir::DirEntry::into_path).collect();
    assert!(!files.is_empty());
    let mut judge = Command::new("perl");
    judge.arg(Path::new(&linux).join("scripts/checkpatch.pl"));
    let output = judge.args(["--no-tree", "--strict", "-f"]).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let clean = said.matches("total: 0 errors, 0 warnings, 0 checks").count();
    assert_eq!(clean, files.len(), "{said}");
}
