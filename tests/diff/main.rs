//! Images that `factory image` has made, changed in one way each, and what `factory diff` says of them.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contents;
mod damage;
mod image;
mod inputs;
mod kinds;
mod packed;
mod patched;
mod repro;
#[path = "../support/mod.rs"]
mod support;
