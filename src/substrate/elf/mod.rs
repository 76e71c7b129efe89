//! Checks that the programs and libraries of a tree can run on the device: made for AArch64,
//! their loader and their libraries in the tree.

pub mod check;
pub mod header;
pub mod linkage;
#[cfg(test)]
pub(crate) mod sample;

pub use check::{Allow, ElfError, check, check_static};
