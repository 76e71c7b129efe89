//! The compiler that modules are built with.

use std::fmt;

use crate::tool::{self, Tool, ToolError};

/// What make is told of it. A compiler for the machine itself has the same name, where that is one
/// of 64-bit ARM. Names and times of who builds do not go into modules.
pub(super) const VARIABLES: [&str; 3] =
    ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "CC=aarch64-linux-gnu-gcc"];

/// Compiler and linker for the device, with all that there must be beside them.
///
/// It is shown as what both call themselves, with their packages' versions: whoever has the same
/// builds the same modules, so this text belongs into the identity of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    compiler: String,
    linker: String,
}

impl Toolchain {
    /// Asks the machine what it has.
    ///
    /// # Errors
    /// [`ToolError::Missing`] for the first program that is not there.
    pub fn find() -> Result<Self, ToolError> {
        let (compiler, linker) = (version(&tool::CROSS_GCC)?, version(&tool::CROSS_LD)?);
        tool::MAKE.find()?;
        Ok(Toolchain { compiler, linker })
    }

    #[cfg(test)]
    pub(super) fn of(compiler: &str, linker: &str) -> Self {
        Toolchain { compiler: compiler.to_owned(), linker: linker.to_owned() }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.compiler, self.linker)
    }
}

/// The first line of what a program says of itself, with the version of its package.
fn version(tool: &Tool) -> Result<String, ToolError> {
    let output = tool.run_alone(&["--version"])?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A machine without programs is this test, started anew without a `PATH` to any.
    #[test]
    fn a_missing_compiler_is_named_with_its_package() {
        const BARE: &str = "FACTORY_TEST_BARE";
        if std::env::var_os(BARE).is_some() {
            println!("found {:?}", Toolchain::find().map_err(|error| error.to_string()));
            return;
        }
        let this = "oot::toolchain::tests::a_missing_compiler_is_named_with_its_package";
        let mut bare = Command::new(std::env::current_exe().unwrap());
        bare.args(["--exact", this, "--nocapture"]).env(BARE, "1").env("PATH", "/nowhere");
        let said = String::from_utf8(bare.output().unwrap().stdout).unwrap();
        let expected = "found Err(\"`aarch64-linux-gnu-gcc` is not installed\\n\\nhint: on Debian, `apt-get install \
                        gcc-aarch64-linux-gnu`\")";
        assert!(said.contains(expected), "{said}");
    }
}
