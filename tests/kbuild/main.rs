//! Calls of a kernel's makefile, on a toy that takes moments: progress, errors, interrupts, caches and
//! farms.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod driver;
mod ends;
mod launchers;
#[path = "../support/mod.rs"]
mod support;
mod twice;
