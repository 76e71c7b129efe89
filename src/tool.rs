//! The one place that starts other programs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// A program of the host that some feature needs, and how to get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool<'a> {
    /// Name of the program, looked up in `PATH` unless it is a path.
    pub program: &'a str,
    /// The Debian package that ships it.
    pub package: &'a str,
}

/// Variables that a program finds in its environment, and no others.
pub type Environment = [(OsString, OsString)];

/// Why a program could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The program is not in `PATH`.
    #[error("`{program}` is not installed\n\nhint: on Debian, `apt-get install {package}`")]
    Missing {
        /// Name of the program.
        program: String,
        /// The Debian package that ships it.
        package: String,
    },
    /// The program that a person chose is not there, or not what it must be.
    #[error("`{program}` {reason}")]
    Unfit {
        /// Name or path of the program.
        program: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The program did not start.
    #[error("starting `{program}`")]
    Start {
        /// Name of the program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The program ended with an error.
    #[error("`{program}` ended with {status}: {stderr}")]
    Failed {
        /// Name of the program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard error, trimmed.
        stderr: String,
    },
}

/// Emulator of the generic track's machine.
pub const QEMU_AARCH64: Tool = Tool { program: "qemu-system-aarch64", package: "qemu-system-arm" };
/// Ties the life of a background program to ours.
pub const SETPRIV: Tool = Tool { program: "setpriv", package: "util-linux" };
/// Writer of squashfs, for projects that ask for it.
pub const MKSQUASHFS: Tool = Tool { program: "mksquashfs", package: "squashfs-tools" };
/// Reader of squashfs.
pub const UNSQUASHFS: Tool = Tool { program: "unsquashfs", package: "squashfs-tools" };
/// Runs a program as the root of a user namespace of its own.
pub const UNSHARE: Tool = Tool { program: "unshare", package: "util-linux" };
/// Runs a program on some of the processors.
pub const TASKSET: Tool = Tool { program: "taskset", package: "util-linux" };
/// Runs a program after it has set what programs inherit.
pub const SH: Tool = Tool { program: "sh", package: "dash" };
/// Tells how APT of this machine is configured.
pub const APT_CONFIG: Tool = Tool { program: "apt-config", package: "apt" };
/// Runs the Makefiles of kernels.
pub const MAKE: Tool = Tool { program: "make", package: "make" };
/// Applies patches to sources.
pub const PATCH: Tool = Tool { program: "patch", package: "patch" };
/// Compiler for the device.
pub const CROSS_GCC: Tool = Tool { program: "aarch64-linux-gnu-gcc", package: "gcc-aarch64-linux-gnu" };
/// Linker for the device.
pub const CROSS_LD: Tool = Tool { program: "aarch64-linux-gnu-ld", package: "binutils-aarch64-linux-gnu" };

impl Tool<'_> {
    /// Path of the program.
    ///
    /// # Errors
    /// [`ToolError::Missing`] when it is not in `PATH`.
    pub fn find(&self) -> Result<PathBuf, ToolError> {
        let missing = || ToolError::Missing { program: self.program.into(), package: self.package.into() };
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|dir| dir.join(self.program))
            .find(|candidate| candidate.is_file())
            .ok_or_else(missing)
    }

    /// Runs the program to its end, without standard input, and returns what it printed.
    ///
    /// # Errors
    /// When it is missing, does not start, or ends with an error.
    pub fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Result<Output, ToolError> {
        let mut command = Command::new(self.find()?);
        self.finish(command.args(arguments))
    }

    /// [`Self::run`] in an environment with `PATH` and nothing else of ours, in the words of locale
    /// `C`, so that what it makes does not depend on whoever runs it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_alone(&self, arguments: &[impl AsRef<OsStr>]) -> Result<Output, ToolError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        self.run_in(arguments, &[("PATH".into(), path), ("LC_ALL".into(), "C".into())])
    }

    /// [`Self::run`] in an environment of the caller's choice.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_in(
        &self,
        arguments: &[impl AsRef<OsStr>],
        environment: &Environment,
    ) -> Result<Output, ToolError> {
        let mut command = Command::new(self.find()?);
        command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        self.finish(&mut command)
    }

    fn finish(&self, command: &mut Command) -> Result<Output, ToolError> {
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|source| self.not_started(source))?;
        if output.status.success() {
            return Ok(output);
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ToolError::Failed { program: self.program.into(), status: output.status, stderr })
    }

    fn not_started(&self, source: io::Error) -> ToolError {
        ToolError::Start { program: self.program.into(), source }
    }

    /// Starts the program in the background with the given standard streams.
    ///
    /// It gets a process group of its own, so a Ctrl-C at the terminal reaches only us, who then
    /// end it in order. Where `setpriv` can do it, the kernel kills the program when the thread
    /// that started it is gone, so even a SIGKILL of ours leaves nothing behind.
    ///
    /// # Errors
    /// When it is missing or does not start.
    pub fn spawn(
        &self,
        arguments: &[impl AsRef<OsStr>],
        [stdin, stdout, stderr]: [Stdio; 3],
    ) -> Result<Child, ToolError> {
        let mut command = self.bound_command("KILL")?;
        self.start(command.args(arguments), [stdin, stdout, stderr])
    }

    /// [`Self::spawn`] in an environment of the caller's choice, for a program that ends its own
    /// children when it is told to: it gets a SIGTERM where others get a SIGKILL.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub fn spawn_in(
        &self,
        arguments: &[impl AsRef<OsStr>],
        environment: &Environment,
        streams: [Stdio; 3],
    ) -> Result<Child, ToolError> {
        let mut command = self.bound_command("TERM")?;
        command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        self.start(&mut command, streams)
    }

    fn start(&self, command: &mut Command, [stdin, stdout, stderr]: [Stdio; 3]) -> Result<Child, ToolError> {
        let command = command.stdin(stdin).stdout(stdout).stderr(stderr);
        command.process_group(0).spawn().map_err(|source| self.not_started(source))
    }

    /// The program behind `setpriv`, which becomes it under the same process id.
    fn bound_command(&self, signal: &str) -> Result<Command, ToolError> {
        let bound = ["--pdeathsig", signal, "--"];
        let program = self.find()?;
        // Not every `setpriv` knows the option: busybox has one that does not.
        if SETPRIV.run(&[&bound[..], &["true"]].concat()).is_err() {
            return Ok(Command::new(program));
        }
        let mut command = Command::new(SETPRIV.find()?);
        command.args(bound).arg(program);
        Ok(command)
    }
}
