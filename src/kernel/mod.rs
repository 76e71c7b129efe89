//! Kernels: the modules in their packages.

mod modules;

pub use modules::{KernelError, Modules, modules};
