//! For every rule an image that is bad in exactly that way, made of a small good one.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod command;
mod damage;
mod disks;
mod fats;
mod generic;
mod image;
mod parts;
mod pi;
mod slots;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use factory::check::{self, Options, State};

/// Names of the rules that the image breaks, each with what is said.
fn broken(image: &image::Image) -> Vec<(&'static str, String)> {
    let report = check::check(&image.path, Options::default(), &|_, _| {}).unwrap();
    let broken = report.rules.iter().filter(|verdict| verdict.state == State::Broken);
    let said = broken.map(|verdict| {
        let lines =
            verdict.findings.iter().map(|found| format!("{}: {}", found.places.join(", "), found.what));
        (verdict.rule.name, lines.collect::<Vec<_>>().join("\n"))
    });
    said.collect()
}

/// The image breaks this rule and no other, and a finding says this.
#[track_caller]
fn expect(image: &image::Image, rule: &'static str, text: &str) {
    expect_all(image, &[(rule, text)]);
}

/// The image breaks these rules and no others.
#[track_caller]
fn expect_all(image: &image::Image, expected: &[(&'static str, &str)]) {
    let broken = broken(image);
    let names = |rules: Vec<&'static str>| rules.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(
        names(broken.iter().map(|(rule, _)| *rule).collect()),
        names(expected.iter().map(|(rule, _)| *rule).collect()),
        "{broken:#?}"
    );
    for (rule, text) in expected {
        let (_, said) = broken.iter().find(|(name, _)| name == rule).unwrap();
        assert!(said.contains(text), "`{text}` is not in:\n{said}");
    }
}

#[test]
fn every_rule_has_a_test() {
    let tests: String = ["disks", "fats", "generic", "pi", "slots"]
        .map(|name| std::fs::read_to_string(format!("tests/check/{name}.rs")).unwrap())
        .concat();
    let without = check::rules().filter(|rule| !tests.contains(&format!("\"{}\"", rule.name)));
    assert_eq!(without.map(|rule| rule.name).collect::<Vec<_>>(), [""; 0]);
}
