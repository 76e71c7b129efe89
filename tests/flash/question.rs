//! The question, on a terminal: `script` of util-linux gives one to a program whose input is a pipe.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Desk, SIZE};

/// Flashes on a terminal, and answers.
fn answered(image: &Path, target: &Path, answer: &str) -> Output {
    let mut child = Command::new("script")
        .args(["-qec", r#""$FACTORY" flash "$IMAGE" "$TARGET""#, "/dev/null"])
        .env("FACTORY", env!("CARGO_BIN_EXE_factory"))
        .env("IMAGE", image)
        .env("TARGET", target)
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("script: {error}"));
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn only_yes_goes_on() {
    let desk = Desk::new();
    let image = desk.image();
    for answer in ["no\n", "y\n", "YES\n", "yes please\n", "\n", ""] {
        let target = desk.old("copy.img", SIZE);
        let before = fs::read(&target).unwrap();
        let output = answered(&image, &target, answer);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{answer:?}: {said}");
        assert!(
            said.contains("type `yes` to go on:") && said.contains("is not overwritten"),
            "{answer:?}: {said}"
        );
        assert!(fs::read(&target).unwrap() == before, "{answer:?}");
    }
    let target = desk.old("copy.img", SIZE);
    let output = answered(&image, &target, "yes\n");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("copy.img"), "{said}");
    assert!(fs::read(&target).unwrap() == fs::read(&image).unwrap());
}
