//! Builds kernels with their own Makefiles.
//!
//! ```text
//!   SourceTree + .config + Toolchain --make--> build tree --products--> kernel.tar, headers.tar (store)
//! ```
//! What is built depends on these three, on patches, on modules from outside the tree and on the key that
//! signs modules; not on who builds, where, when, with how many jobs, or through which launcher.

mod build;
mod error;
pub mod estimate;
pub mod failure;
mod headers;
pub mod host;
pub mod launcher;
pub mod make;
mod products;
mod progress;
mod recipe;
mod shop;
pub mod signing;
pub mod toolchain;

pub use build::{Built, build};
pub use error::BuildError;
pub use launcher::{Launcher, LauncherStats};
pub use make::{Make, MakeError, Tally, Watch};
pub use recipe::Recipe;
pub use toolchain::{Toolchain, Wish, WishError};

/// Architecture of all kernels here, as the kernel's makefiles call it.
pub const ARCH: &str = "arm64";
