//! Builds kernels with their own Makefiles.
//!
//! ```text
//!   SourceTree + .config + Toolchain --make--> build tree --products--> kernel.tar, headers.tar (store)
//! ```
//! What is built depends on these three, on patches, on modules from outside the tree and on the key that
//! signs modules; not on who builds, where, when, with how many jobs, or through which launcher.

pub mod make;
pub mod toolchain;

pub use make::Make;
pub use toolchain::{Launcher, Toolchain, Wish};

/// Architecture of all kernels here, as the kernel's makefiles call it.
pub const ARCH: &str = "arm64";
