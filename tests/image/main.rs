//! Whole images, made by the command line from a small archive: judged by the tools that everybody
//! else uses, made twice, and interrupted.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bootenv;
mod commands;
mod contents;
mod disk;
mod formats;
mod interrupt;
mod pi;
mod repro;
mod rootfs;
#[path = "../support/mod.rs"]
mod support;
