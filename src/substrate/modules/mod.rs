//! Kernel modules: what a kernel has, what the wanted ones need, and in which order they load.

pub mod closure;
pub mod index;
pub mod lists;
pub mod modinfo;
pub mod name;
mod trie;

pub use closure::{ClosureError, Wanted, closure, parse_list};
pub use index::{Index, IndexError, Module, ModuleDir};
