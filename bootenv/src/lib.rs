//! The A/B boot state of factory images: slots, the files that boot loaders read, what they may
//! hold, and how they are changed so that a power cut never leaves a machine without a system.
//!
//! ```text
//!   device    the running machine, or an image, with its journal (`std`)
//!    |
//!   flow      what an agent asks for: try, commit, roll back, repair
//!    | plan, checked                | one sector at a time, read back
//!   machine   pure transitions     control, bootsector   in place
//!    | states                       | where it lies
//!   grub, rpi   formats            locate    partition table, FAT (read only)
//!                                   |
//!                                  medium    sectors of a disk, an image or memory
//! ```
//!
//! This crate owns the whole contract between a boot loader, the update agent on the device and
//! the builder that writes the first state. It knows nothing of the builder. Without the feature
//! `std` it needs an allocator, and brings no media of its own but memory.

#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

pub mod bootsector;
pub mod calendar;
pub mod control;
mod crc32;
#[cfg(feature = "std")]
pub mod device;
pub mod envblk;
pub mod error;
pub mod flow;
pub mod grub;
pub mod grubenv;
pub mod journal;
pub mod locate;
pub mod machine;
pub mod medium;
pub mod rpi;
pub mod slot;

pub use error::Error;
pub use flow::{BootFlow, State};
pub use machine::{Booted, How, Operation, Refusal, Running, Trial};
pub use slot::Slot;

/// The README's example is a test.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;
