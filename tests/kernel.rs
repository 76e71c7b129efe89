//! `factory kernel` on a real kernel's configuration: `FACTORY_TEST_LINUX` is the directory of its source,
//! of which nothing is needed but what configures it.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn factory(dir: &Path, arguments: &[&str]) -> Output {
    let linux = std::env::var("FACTORY_TEST_LINUX").expect("FACTORY_TEST_LINUX names a kernel's source");
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.arg("kernel").args(arguments).args(["--source", &linux]).current_dir(dir);
    command.output().unwrap()
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn the_fragments_of_both_tracks_hold_on_a_mainline_kernel() {
    let dir = tempfile::tempdir().unwrap();
    for track in ["generic", "rpi"] {
        let arguments = ["--track", track, "--config-only", "--profile", "kubernetes", "-o", "config"];
        let output = factory(dir.path(), &arguments);
        assert!(output.status.success(), "{track}: {}", said(&output));
        let config = fs::read_to_string(dir.path().join("config")).unwrap();
        assert!(config.contains("\nCONFIG_OVERLAY_FS=y\n"), "{track}");
    }
}

#[test]
fn what_is_not_granted_is_told_with_its_place_and_reason_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "CONFIG_MEMCG_SWAP=y\nCONFIG_LOG_BUF_SHIFT=99\nCONFIG_CRC32=m\nCONFIG_XEN=y\n\
                 # CONFIG_HYPERVISOR_GUEST is not set\nCONFIG_BRIDGE_EBT_T_FILTER=m\n";
    fs::write(dir.path().join("my.fragment"), lines).unwrap();
    let arguments = ["--track", "generic", "--config-only", "--fragment", "my.fragment", "-o", "config"];
    let output = factory(dir.path(), &[&arguments[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(!dir.path().join("config").exists());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let denied = report["denied"].as_array().unwrap();
    let symbols: Vec<&str> = denied.iter().map(|one| one["symbol"].as_str().unwrap()).collect();
    for (symbol, line) in [("MEMCG_SWAP", 1), ("LOG_BUF_SHIFT", 2), ("CRC32", 3)] {
        let found = denied.iter().find(|one| one["symbol"] == symbol);
        let found = found.unwrap_or_else(|| panic!("{symbol} is not among {symbols:?}"));
        assert_eq!((&found["fragment"], &found["line"]), (&"my.fragment".into(), &line.into()));
        assert!(!found["reasons"].as_array().unwrap().is_empty(), "{found}");
    }
    for words in [
        "MEMCG_SWAP: asked for y in my.fragment:1, got n\n",
        "LOG_BUF_SHIFT: asked for 99",
        "in the range 12 to 25 (init/Kconfig:",
    ] {
        assert!(said(&output).contains(words), "no `{words}` in:\n{}", said(&output));
    }
}

#[test]
fn fragments_that_disagree_and_trees_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("my.fragment"), "# CONFIG_NET is not set\n").unwrap();
    let output = factory(dir.path(), &["--track", "rpi", "--config-only", "--fragment", "my.fragment"]);
    let expected = "error: my.fragment:1: `NET` is `n` here, but `y` in container.fragment:";
    assert!(said(&output).starts_with(expected), "{}", said(&output));
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    let output =
        command.args(["kernel", "--track", "rpi", "--config-only", "--source"]).arg(dir.path()).output();
    let output = output.unwrap();
    assert!(said(&output).contains("is not the source of a kernel"), "{}", said(&output));
}

#[test]
fn an_option_is_explained_from_the_source_alone() {
    let dir = tempfile::tempdir().unwrap();
    let output = factory(dir.path(), &["--track", "rpi", "--explain", "BRIDGE"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.contains("net/bridge/Kconfig") && text.contains("depends on"), "{text}{}", said(&output));
    let output = factory(dir.path(), &["--track", "rpi", "--explain", "NO_SUCH_OPTION"]);
    assert_eq!(output.status.code(), Some(1));
}
