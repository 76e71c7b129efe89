//! Everything that reads bytes of others reads bytes that are almost right: valid ones are damaged where
//! it matters, and sealed again. Nothing panics, hangs, or writes where it should not.
//!
//! A run is bounded by a number of cases; `BOOTENV_FUZZ=100` makes it a hundred times as long.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod command;
mod damage;
mod disks;
#[path = "../support/mod.rs"]
mod support;
mod texts;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

type Verdict = Result<(), TestCaseError>;

/// Judges as many cases as asked for, times what the environment says.
fn judge<S: proptest::strategy::Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Verdict) {
    let times = std::env::var("BOOTENV_FUZZ").map_or(1, |times| times.parse().unwrap());
    let config = Config {
        cases: cases * times,
        failure_persistence: None,
        max_shrink_iters: 10_000,
        ..Config::default()
    };
    TestRunner::new(config).run(strategy, test).unwrap_or_else(|failure| panic!("{failure}"));
}
