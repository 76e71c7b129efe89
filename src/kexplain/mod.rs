//! Why an option of the kernel did not get the value that was asked for, from the Kconfig files.
//!
//! ```text
//!   Kconfig files --lines--> lines --token--> tokens --expr--> expressions
//!                  (macros: known variables only)         \--build--> Tree --explain--> Reasons
//! ```
//! The kernel's own `olddefconfig` drops what it cannot have without a word. The language is that of
//! the kernel's `Documentation/kbuild/kconfig-language.rst` and `kconfig-macro-language.rst`; where
//! they are silent, `scripts/kconfig` of 6.12 is followed. Nothing is run: what only a compiler or a
//! shell could answer is not known, and reckoned with as such.

mod about;
mod build;
mod eval;
mod explain;
mod expr;
mod lines;
mod macros;
mod read;
mod reason;
#[cfg(test)]
mod tests;
mod token;
mod tree;

pub use about::{About, Pull};
pub use read::TreeError;
pub use reason::{Because, Reason, Source, Why};
pub use tree::{Kind, Place, Tree};
