//! A tree as squashfs, written by `mksquashfs` from a tar stream: neither root nor a copy of the
//! files is needed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::image::extents::Extents;
use crate::substrate::tarball::{self, TarballError};
use crate::tool::{MKSQUASHFS, ToolError, UNSHARE};
use crate::tree::{FileTree, TreePath};

/// The middle of what the program offers; its own default is 15.
const ZSTD_LEVEL: u32 = 9;

/// Why a tree cannot be written as squashfs.
#[derive(Debug, thiserror::Error)]
pub enum SquashfsError {
    /// The program is missing or does not start.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The tree cannot be passed on.
    #[error("passing the tree to `mksquashfs`")]
    Pass(#[from] TarballError),
    /// The program ended with an error.
    #[error("`mksquashfs` could not write `{path}`: {stderr}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the program wrote to its standard error.
        stderr: String,
    },
    /// The result cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Writes `tree` to the file `out`, zstd-compressed, with all times set to `epoch` (seconds since
/// 1970) and the root directory owned by root. The same tree gives the same bytes, whoever builds.
///
/// # Errors
/// When `mksquashfs` is missing or fails, or a content cannot be read.
pub fn write(tree: &FileTree, epoch: u32, out: &Path) -> Result<Extents, SquashfsError> {
    let mut child = start(&arguments(tree, epoch, out))?;
    let input = child.stdin.take().expect("standard input is a pipe");
    // `-all-time` sets the times.
    let sent = tarball::write(tree, 0, io::BufWriter::with_capacity(256 << 10, input));
    let failed = |stderr| SquashfsError::Failed { path: out.to_owned(), stderr };
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    sent?;
    let size = out.metadata().map_err(|source| SquashfsError::Read { path: out.to_owned(), source })?.len();
    Ok(Extents::file(out, 0, size))
}

/// Starts `mksquashfs` as root, be it that of a namespace: what it reads as an archive gets a root
/// directory that belongs to whoever runs it.
fn start(arguments: &[OsString]) -> Result<Child, ToolError> {
    let streams = [Stdio::piped(), Stdio::null(), Stdio::piped()];
    if rustix::process::geteuid().is_root() {
        return MKSQUASHFS.spawn(arguments, streams);
    }
    let program = MKSQUASHFS.find()?.into_os_string();
    let front = ["--map-root-user".into(), "--".into(), program];
    UNSHARE.spawn(&[&front, arguments].concat(), streams)
}

fn arguments(tree: &FileTree, epoch: u32, out: &Path) -> Vec<OsString> {
    let root = tree.get(&TreePath::root()).map_or(0o755, |node| node.meta.mode);
    let settings = [
        ("-comp", "zstd".to_owned()),
        ("-Xcompression-level", ZSTD_LEVEL.to_string()),
        ("-mkfs-time", epoch.to_string()),
        ("-all-time", epoch.to_string()),
        ("-root-mode", format!("{root:o}")),
    ];
    let mut arguments: Vec<OsString> = vec!["-".into(), out.into()];
    arguments.extend(["-tar", "-noappend", "-quiet", "-no-progress"].map(OsString::from));
    arguments.extend(settings.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
    arguments
}
