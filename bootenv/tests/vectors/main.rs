//! The cases in `vectors/`, which are for every implementation, hold for this one. GRUB's are run in
//! `script.rs`, beside GRUB's own script.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "../support/mod.rs"]
mod support;

mod disk;
mod journal;
mod locate;
mod rpi;
