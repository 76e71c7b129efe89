//! Kernels: the modules in their packages, and kernels that are built here.

pub mod build;
mod modules;

pub use modules::{KernelError, Modules, modules};
