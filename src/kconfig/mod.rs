//! Kernel configuration as text: fragments, what they ask for together, and whether a `.config` has it.
//!
//! ```text
//!   container.fragment --+
//!   arm64-virt.fragment -+- merge --> Requests -- apply(base) --> .config for `make olddefconfig`
//!   the project's own ---+                |
//!                                         +------ broken(final .config) --> what was not granted
//! ```
//! Merging has the meaning of the kernel's `scripts/kconfig/merge_config.sh -m`: the last one wins, and
//! nothing is known of Kconfig files. But that script passes over what it cannot read, and the kernel's
//! own tools drop what they cannot grant, both without a word; here both are errors.

mod broken;
mod config;
mod file;
mod fragment;
mod line;
mod merge;
mod problem;
mod profile;
mod shipped;
mod value;
mod vendors;

pub use broken::{Broken, broken};
pub use config::Config;
pub use file::{FragmentFile, NotShipped};
pub use fragment::{Fragment, Setting};
pub use merge::{Request, Requests, merge};
pub use problem::{Fault, Problem, Problems};
pub use profile::{Least, Missing, Need, Profile, missing, profile, profiles};
pub use shipped::{SHIPPED, shipped};
pub use value::{Malformed, Value};
pub use vendors::is_vendors;

/// What every symbol is called with in a `.config`.
pub const PREFIX: &str = "CONFIG_";
