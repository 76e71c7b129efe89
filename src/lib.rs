//! `factory` makes flashable, reproducible A/B disk images for the Raspberry Pi and for generic
//! ARM64 machines. The command line is in the binary of the same name; this library is its
//! inside, in layers that only look down.

pub mod archive;
pub mod digest;
pub mod fetch;
pub mod image;
pub mod interrupt;
pub mod lock;
pub mod progress;
pub mod source;
pub mod store;
pub mod substrate;
pub mod tool;
pub mod tree;
pub mod units;
