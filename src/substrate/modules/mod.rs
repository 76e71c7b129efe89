//! Kernel modules: what a kernel has, what the wanted ones need, and in which order they load.

pub mod closure;
pub mod index;
pub mod install;
pub mod lists;
pub mod modinfo;
pub mod name;
mod trie;

pub use closure::{ClosureError, Selection, Wanted, closure, parse_list, select};
pub use index::{Index, IndexError, Module, ModuleDir};
pub use install::install;
