//! What compiles a kernel: cross or native, GCC or LLVM, through a launcher or not.

use std::ffi::OsString;

use crate::tool::{self, Tool, ToolError};

/// What the names of the cross compiler's programs start with in Debian.
const CROSS_COMPILE: &str = "aarch64-linux-gnu-";

/// What a person asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// What the names of the compiler's programs start with: `CROSS_COMPILE` of the kernel's makefiles.
    pub cross_compile: Option<String>,
    /// Whether clang and lld compile and link.
    pub llvm: bool,
    /// What compiler calls go through.
    pub launcher: Option<Launcher>,
}

/// A program that compiler calls go through: a cache or a farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// A cache on this machine.
    Ccache,
    /// A cache that may be shared.
    Sccache,
    /// A farm whose hosts are listed.
    Distcc,
    /// A farm with a scheduler.
    Icecc,
}

/// A compiler with all that there must be beside it.
#[derive(Clone, Debug)]
pub struct Toolchain {
    prefix: String,
    identity: String,
}

impl Toolchain {
    /// Looks for what is asked for, else for what this machine needs to compile for the device.
    ///
    /// # Errors
    /// [`ToolError::Missing`] for the first program that is not there.
    pub fn find(wish: &Wish) -> Result<Self, ToolError> {
        let native = cfg!(target_arch = "aarch64");
        let usual = if native { "" } else { CROSS_COMPILE };
        let prefix = wish.cross_compile.clone().unwrap_or_else(|| usual.to_owned());
        let compiler: &Tool = &tool::CROSS_GCC;
        let output = compiler.run_alone(&["--version"])?;
        let identity = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
        Ok(Toolchain { prefix, identity })
    }

    /// The variables that every call of make gets: `ARCH`, `CROSS_COMPILE`, `CC`, `HOSTCC`, `LLVM`.
    pub fn variables(&self) -> Vec<OsString> {
        vec![format!("ARCH={}", super::ARCH).into(), format!("CROSS_COMPILE={}", self.prefix).into()]
    }

    /// What compiler and linker call themselves, with their packages' versions: whoever has the same
    /// builds the same kernel.
    pub fn identity(&self) -> &str {
        &self.identity
    }
}
