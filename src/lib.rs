//! `factory` makes flashable, reproducible A/B disk images for ARM64 machines. The command line is in
//! the binary of the same name; this library is its inside, in layers that only look down.

pub mod archive;
pub mod board;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod configtxt;
pub mod digest;
pub mod disk;
pub mod dtb;
pub mod emulate;
pub mod fetch;
pub mod files;
pub mod firmware;
pub mod identity;
pub mod image;
pub mod ingredients;
pub mod inspect;
pub mod interrupt;
pub mod kernel;
pub mod lock;
pub mod manifest;
pub mod parallel;
pub mod plan;
pub mod progress;
pub mod slot;
pub mod source;
pub mod store;
pub mod substrate;
pub mod suggest;
pub mod tool;
pub mod track;
pub mod tree;
pub mod units;
pub mod videocore;
pub mod volume;
