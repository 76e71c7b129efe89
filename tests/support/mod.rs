//! What several test programs need: an archive with a key of its own, a server that misbehaves,
//! packages made by hand, and a machine for the command line.

#![allow(dead_code, reason = "each test program needs another part of this")]

pub mod archive;
pub mod boot_files;
pub mod elf;
pub mod farm;
pub mod machine;
pub mod packages;
pub mod programs;
pub mod server;
pub mod tools;
