//! Calls of a kernel's Makefile.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Toolchain;
use crate::tool::{MAKE, ToolError};

/// A kernel's Makefile, with a directory that it builds in.
#[derive(Clone, Debug)]
pub struct Make {
    source: PathBuf,
    out: PathBuf,
    variables: Vec<OsString>,
}

impl Make {
    /// The Makefile of the kernel in the directory `source`, for what goes into the directory `out`.
    pub fn new(source: &Path, out: &Path, toolchain: &Toolchain) -> Self {
        Make { source: source.to_owned(), out: out.to_owned(), variables: toolchain.variables() }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut variable = OsString::from(format!("{name}="));
        variable.push(value);
        self.variables.push(variable);
        self
    }

    /// Where it builds.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Where the kernel's source is.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Runs short goals to their end, one after the other, without a word.
    ///
    /// # Errors
    /// When make or what it needs is missing, or a goal fails.
    pub fn run(&self, goals: &[&str]) -> Result<(), ToolError> {
        let mut arguments: Vec<OsString> = ["-s", "-C"].map(OsString::from).into();
        arguments.push(self.source.clone().into());
        let mut out = OsString::from("O=");
        out.push(&self.out);
        arguments.push(out);
        arguments.extend(self.variables.iter().cloned());
        arguments.extend(goals.iter().map(OsString::from));
        MAKE.run_alone(&arguments).map(drop)
    }
}
