//! The house rules that a machine can check.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a production file may have before its tests.
const LONGEST_FILE: usize = 600;

/// Layers from the bottom up: a module may use those of its own row and of the rows before it.
const LAYERS: &[&[&str]] = &[
    &["units", "interrupt", "parallel", "progress", "suggest", "digest", "files", "tool"],
    &["tree", "image"],
    &[
        "archive",
        "board",
        "configtxt",
        "dtb",
        "formats",
        "identity",
        "kconfig",
        "kexplain",
        "slot",
        "videocore",
        "volume",
    ],
    &["source", "firmware", "lock", "store", "substrate", "oot", "kbuild", "ksource"],
    &["config", "plan", "seed", "track"],
    &["configure", "fetch", "kernel", "disk", "manifest", "emulate", "flash", "inspect", "check", "diff"],
    &["addons", "ingredients", "repro"],
    &["cli", "cmd"],
];

/// Rooms of facts: a text that only the files under some paths may contain.
const ROOMS: &[(&str, &[&str])] = &[
    ("Command::new(", &["src/tool.rs"]),
    ("println!", &["src/progress.rs", "src/cmd/", "src/main.rs", "bootenv/src/bin/"]),
    ("SystemTime::now", &["src/fetch/host.rs", "bootenv/src/device/log.rs"]),
    ("rand::", &[]),
    ("unsafe ", &["bootenv/src/device/sys.rs", "bootenv/capi/src/ffi.rs"]),
    ("boot_default", &["bootenv/"]),
    ("\"autoboot.txt\"", &["bootenv/"]),
    ("\"start4.elf\"", &["bootenv/"]),
    ("\"fixup4.dat\"", &["bootenv/"]),
    ("\"system-a\"", &["src/track/"]),
    ("dbg!(", &[]),
    ("allow(dead_code)", &[]),
    ("todo!(", &[]),
    ("unimplemented!(", &[]),
];

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut dirs: Vec<PathBuf> = ["src", "bootenv/src", "bootenv/capi/src"].map(PathBuf::from).into();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 20, "the sources were not found");
    files
}

/// What comes before the unit tests of a file.
fn production(text: &str) -> &str {
    text.split("\n#[cfg(test)]\n").next().unwrap()
}

/// Lines of code, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    production(text).lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    for (path, text) in sources() {
        let lines = production(&text).lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines before its tests", path.display());
    }
}

#[test]
fn facts_stay_in_their_rooms() {
    for (path, text) in sources() {
        if path.ends_with("tests.rs") {
            continue;
        }
        for (fact, rooms) in ROOMS {
            let outside = !rooms.iter().any(|room| path.starts_with(room) || path == Path::new(room));
            let found = code(&text).any(|line| line.contains(fact));
            assert!(!(outside && found), "{} contains `{fact}`, which belongs in {rooms:?}", path.display());
        }
    }
}

#[test]
fn imports_point_down() {
    let layer_of = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    for (path, text) in sources() {
        let Ok(inside) = path.strip_prefix("src") else { continue };
        let name = inside.components().next().unwrap().as_os_str().to_string_lossy();
        let module = name.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let own = layer_of(module).unwrap_or_else(|| panic!("`{module}` has no layer in tests/tidy.rs"));
        for line in code(&text) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let allowed = layer_of(&used).is_none_or(|layer| layer <= own);
                assert!(allowed, "{}: `{module}` must not use `{used}`: {line}", path.display());
            }
        }
    }
}

#[test]
fn the_boot_crate_does_not_know_the_builder() {
    let manifest = fs::read_to_string("bootenv/Cargo.toml").unwrap();
    assert!(!manifest.contains("factory ="));
    for (path, text) in sources() {
        if path.starts_with("bootenv") {
            assert!(!text.contains("factory::"), "{} uses the builder", path.display());
        }
    }
}

#[test]
fn tracks_do_not_know_each_other_and_the_substrate_knows_none() {
    let tracks: Vec<String> = fs::read_dir("src/track")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    for (path, text) in sources() {
        for track in &tracks {
            let own = path.starts_with("src/track") && path.file_stem().unwrap() != track.as_str();
            if own && !path.ends_with("mod.rs") || path.starts_with("src/substrate") {
                let named = code(&text).any(|line| {
                    line.contains(&format!("track::{track}")) || line.contains(&format!("\"{track}\""))
                });
                assert!(!named, "{} names the track `{track}`", path.display());
            }
        }
    }
}
