//! The header is what the sources say, and its errors are the crate's.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const DIR: &str = env!("CARGO_MANIFEST_DIR");
const HEADER: &str = "include/bootenv.h";

fn generated() -> String {
    let dir = Path::new(DIR);
    let config = cbindgen::Config::from_file(dir.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in ["codes", "types", "handle", "ffi"] {
        builder = builder.with_src(dir.join(format!("src/{source}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_what_the_sources_say() {
    let (path, text) = (Path::new(DIR).join(HEADER), generated());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = text.lines().zip(committed.lines()).find(|(new, old)| new != old);
    assert!(
        text == committed,
        "`{HEADER}` is not what the sources say, from {differs:?} on\n\n\
         hint: `BLESS=1 cargo test -p bootenv-capi --test header` writes it anew"
    );
}

/// Numbers and meanings of the enum in the header.
fn in_header() -> BTreeMap<u32, String> {
    let text = generated();
    let (_, text) = text.split_once("enum bootenv_error {").unwrap();
    let (text, _) = text.split_once('}').unwrap();
    let mut meaning = "";
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("// ") {
            meaning = text;
        } else if let Some((_, number)) = line.trim_end_matches(',').split_once(" = ") {
            found.insert(number.parse().unwrap(), meaning.to_owned());
        }
    }
    found
}

#[test]
fn errors_are_those_of_the_crate_and_of_its_readme() {
    let header = in_header();
    let ours = header.iter().filter(|(number, _)| **number >= 10);
    let readme = include_str!("../../README.md").lines().filter_map(|line| {
        let (number, meaning) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        Some((number.parse().ok()?, meaning.to_owned()))
    });
    let readme: BTreeMap<u32, String> = readme.collect();
    assert_eq!(ours.map(|(number, meaning)| (*number, meaning.clone())).collect::<BTreeMap<_, _>>(), readme);

    let source = include_str!("../../src/error.rs").lines();
    let crates: Vec<u32> =
        source.filter_map(|line| line.split_once("=> ")?.1.strip_suffix(',')?.parse().ok()).collect();
    let mut sorted = crates.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), crates.len(), "a number has two meanings");
    assert_eq!(sorted, readme.keys().copied().collect::<Vec<_>>());
}
