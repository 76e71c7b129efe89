//! A tree as squashfs, written by `mksquashfs` from a tar stream: neither root nor a copy of the
//! files is needed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use tar::{Builder, EntryType, Header};

use crate::image::extents::Extents;
use crate::substrate::content::Stream;
use crate::tool::{MKSQUASHFS, ToolError, UNSHARE};
use crate::tree::{FileTree, Kind, Node, TreePath};

/// The middle of what the program offers; its own default is 15.
const ZSTD_LEVEL: u32 = 9;

/// Why a tree cannot be written as squashfs.
#[derive(Debug, thiserror::Error)]
pub enum SquashfsError {
    /// The program is missing or does not start.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// An entry cannot be passed on.
    #[error("passing `{path}` to `mksquashfs`")]
    Pass {
        /// The entry.
        path: TreePath,
        /// The reason.
        source: io::Error,
    },
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
    let sent = send(tree, io::BufWriter::with_capacity(256 << 10, input));
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

/// Writes the tree as pax archive. A hard link comes after its file, whatever their names.
fn send(tree: &FileTree, out: impl Write) -> Result<(), SquashfsError> {
    let mut builder = Builder::new(out);
    let is_link = |node: &Node| matches!(node.kind, Kind::HardLink(_));
    let files = tree.iter().skip(1).filter(|(_, node)| !is_link(node));
    for (path, node) in files.chain(tree.iter().filter(|(_, node)| is_link(node))) {
        append(&mut builder, path, node)
            .map_err(|source| SquashfsError::Pass { path: path.clone(), source })?;
    }
    let end = |source| SquashfsError::Pass { path: TreePath::root(), source };
    builder.into_inner().map_err(end)?.flush().map_err(end)
}

fn append(builder: &mut Builder<impl Write>, path: &TreePath, node: &Node) -> io::Result<()> {
    let xattrs: BTreeMap<String, &Vec<u8>> =
        node.meta.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), value)).collect();
    builder.append_pax_extensions(xattrs.iter().map(|(name, value)| (name.as_str(), value.as_slice())))?;
    let mut header = Header::new_gnu();
    header.set_mode(node.meta.mode.into());
    header.set_uid(node.meta.uid.into());
    header.set_gid(node.meta.gid.into());
    header.set_mtime(0);
    header.set_size(0);
    let (kind, target) = match &node.kind {
        Kind::Dir => (EntryType::Directory, None),
        Kind::File(content) => {
            header.set_size(content.size());
            return builder.append_data(
                &mut header,
                path.as_str(),
                Stream::new(content).take(content.size()),
            );
        }
        Kind::Symlink(target) => (EntryType::Symlink, Some(target.as_str())),
        Kind::HardLink(target) => (EntryType::Link, Some(target.as_str())),
        Kind::CharDevice { major, minor } => (device(&mut header, EntryType::Char, *major, *minor)?, None),
        Kind::BlockDevice { major, minor } => (device(&mut header, EntryType::Block, *major, *minor)?, None),
        Kind::Fifo => (EntryType::Fifo, None),
        Kind::Socket => return Err(io::Error::other("a socket has no place in an archive")),
    };
    header.set_entry_type(kind);
    match target {
        Some(target) => builder.append_link(&mut header, path.as_str(), target),
        None => builder.append_data(&mut header, path.as_str(), io::empty()),
    }
}

fn device(header: &mut Header, kind: EntryType, major: u32, minor: u32) -> io::Result<EntryType> {
    header.set_device_major(major)?;
    header.set_device_minor(minor)?;
    Ok(kind)
}
