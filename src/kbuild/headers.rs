//! Kernel headers for modules from outside the tree, as the kernel's own packages have them.
//!
//! ```text
//!   source/{Makefile,scripts,include,arch/arm64}  --+
//!   out/{scripts,include/generated,Module.symvers} --+--scripts/package/install-extmod-build--> directory
//! ```
//! The programs in `scripts` are those of the machine that builds: made for the device they would need
//! its C library.

use std::path::Path;

use super::Make;
use crate::tool::ToolError;

/// What collects them, in kernels since 6.3.
const SCRIPT: &str = "scripts/package/install-extmod-build";

/// Whether the kernel in the directory `source` can collect them.
pub(super) fn are_collected_by(source: &Path) -> bool {
    source.join(SCRIPT).is_file()
}

/// Collects them in the directory `to`, which must not be there.
pub(super) fn collect(make: Make, to: &Path) -> Result<(), ToolError> {
    // The script makes the programs anew for the device where `CC` is another than `HOSTCC`.
    let command = format!("CC=\"$(HOSTCC)\" sh \"$(srctree)/{SCRIPT}\" {}", to.display());
    make.with("KBUILD_RUN_COMMAND", command).run(&["run-command"])
}

/// Whether a file of that path belongs into them. Listings of the compiler show where things lay on the
/// machine that built.
pub(super) fn is_wanted(path: &str) -> bool {
    !path.ends_with(".s")
}
