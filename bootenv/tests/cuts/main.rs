//! Power is lost at every instant of every operation, with every torn sector and every write that was
//! not flushed lost or late; the machine then boots what it should, and can be repaired.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod grub;
mod rpi;
#[path = "../support/mod.rs"]
mod support;
