//! A directory of the host as a tree.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::{DirEntry, WalkDir};

use crate::image::extents::Extents;
use crate::interrupt;
use crate::tree::{FileTree, Kind, Meta, Node, PathError, TreePath};

/// Who owns the entries of a tree made from a directory, and whose times they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// `root:root` and the build's one time: the same whoever has checked the directory out, and
    /// when.
    #[default]
    Root,
    /// The owners and times that the entries have on the host.
    Kept,
}

/// Why a directory cannot become a tree.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// Something cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// Path on the host.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The path is not a directory.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A name cannot stand in a tree.
    #[error("a name in `{}` is not supported", dir.display())]
    Name {
        /// The directory that was asked for.
        dir: PathBuf,
        /// What is wrong with the name.
        source: PathError,
    },
    /// A link's target is not UTF-8.
    #[error("`{}` is a link whose target is not UTF-8", .0.display())]
    Target(PathBuf),
}

/// Reads names, modes, times, extended attributes and hard links below `dir`; contents are read
/// when they are written. Links are not followed, other file systems are.
///
/// # Errors
/// When `dir` is no directory, something in it cannot be read, or has a name that is not UTF-8.
pub fn read(dir: &Path, owner: Owner) -> Result<FileTree, DirError> {
    if !dir.metadata().map_err(|source| failed(dir, source))?.is_dir() {
        return Err(DirError::NotADirectory(dir.to_owned()));
    }
    let mut tree = FileTree::new();
    let mut links = BTreeMap::new();
    for entry in WalkDir::new(dir).sort_by_file_name() {
        interrupt::check().map_err(|stop| failed(dir, stop.into()))?;
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(dir).to_owned();
            failed(&path, error.into())
        })?;
        let name = entry.path().strip_prefix(dir).unwrap_or(Path::new("")).as_os_str().as_bytes();
        let at = TreePath::parse(name).map_err(|source| DirError::Name { dir: dir.to_owned(), source })?;
        let node = node(&entry, &at, owner, &mut links)?;
        tree.insert(at, node);
    }
    Ok(tree)
}

fn failed(path: &Path, source: io::Error) -> DirError {
    DirError::Read { path: path.to_owned(), source }
}

/// First paths of the files that have several, by device and inode.
type FirstNames = BTreeMap<(u64, u64), TreePath>;

fn node(entry: &DirEntry, at: &TreePath, owner: Owner, links: &mut FirstNames) -> Result<Node, DirError> {
    let path = entry.path();
    // The directory itself may be given as a link; below it, links stay links.
    let stat = if entry.depth() == 0 { path.metadata() } else { path.symlink_metadata() };
    let stat = stat.map_err(|source| failed(path, source))?;
    let (uid, gid, mtime) = match owner {
        Owner::Root => (0, 0, None),
        Owner::Kept => (stat.uid(), stat.gid(), Some(stat.mtime())),
    };
    let mode = (stat.mode() & 0o7777) as u16;
    let meta = Meta { mode, uid, gid, mtime, xattrs: xattrs(path)? };
    let kind = match kind(path, &stat)? {
        Kind::File(content) if stat.nlink() > 1 => match links.get(&(stat.dev(), stat.ino())) {
            Some(first) => Kind::HardLink(first.clone()),
            None => {
                links.insert((stat.dev(), stat.ino()), at.clone());
                Kind::File(content)
            }
        },
        kind => kind,
    };
    Ok(Node { meta, kind })
}

fn kind(path: &Path, stat: &Metadata) -> Result<Kind, DirError> {
    let (major, minor) = (rustix::fs::major(stat.rdev()), rustix::fs::minor(stat.rdev()));
    let file_type = stat.file_type();
    Ok(match () {
        () if file_type.is_dir() => Kind::Dir,
        () if file_type.is_symlink() => {
            let target = fs::read_link(path).map_err(|source| failed(path, source))?;
            Kind::Symlink(
                target.into_os_string().into_string().map_err(|_| DirError::Target(path.to_owned()))?,
            )
        }
        () if file_type.is_char_device() => Kind::CharDevice { major, minor },
        () if file_type.is_block_device() => Kind::BlockDevice { major, minor },
        () if file_type.is_fifo() => Kind::Fifo,
        () if file_type.is_socket() => Kind::Socket,
        () => Kind::File(Arc::new(Extents::file(path, 0, stat.len()))),
    })
}

/// Extended attributes that mean something on the device: what users and capabilities set, not
/// what the host's security modules and ACL caches keep there.
fn xattrs(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, DirError> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        Err(source) => return Err(failed(path, source)),
    };
    let kept = names.filter_map(|name| name.into_string().ok()).filter(|name| {
        name.starts_with("user.") || name == "security.capability" || name.starts_with("system.posix_acl_")
    });
    let mut xattrs = BTreeMap::new();
    for name in kept {
        if let Some(value) = xattr::get(path, &name).map_err(|source| failed(path, source))? {
            xattrs.insert(name, value);
        }
    }
    Ok(xattrs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn show(tree: &FileTree) -> Vec<String> {
        tree.iter()
            .map(|(path, node)| {
                format!("{path} {:o} {}:{} {:?}", node.meta.mode, node.meta.uid, node.meta.gid, node.kind)
            })
            .map(|line| line.split(" File(").next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn modes_links_and_hard_links_are_kept_and_all_belongs_to_root() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(at("bin")).unwrap();
        fs::set_permissions(at("bin"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::write(at("bin/run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(at("bin/run"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::hard_link(at("bin/run"), at("run2")).unwrap();
        symlink("bin/run", at("link")).unwrap();
        assert_eq!(
            show(&read(dir.path(), Owner::Root).unwrap()),
            [
                "/ 755 0:0 Dir",
                "/bin 1777 0:0 Dir",
                "/bin/run 4755 0:0",
                "/link 777 0:0 Symlink(\"bin/run\")",
                "/run2 4755 0:0 HardLink(TreePath(\"bin/run\"))",
            ]
        );
    }

    #[test]
    fn a_name_that_is_not_utf8_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "").unwrap();
        let DirError::Name { source, .. } = read(dir.path(), Owner::Root).unwrap_err() else { panic!() };
        assert_eq!(source.to_string(), "`caf\\xe9` is not UTF-8");
    }

    #[test]
    fn a_directory_that_is_missing_or_none_is_an_error() {
        let error = read(Path::new("/nonexistent/dir"), Owner::Root).unwrap_err();
        assert_eq!(error.to_string(), "reading `/nonexistent/dir`");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(read(file.path(), Owner::Root), Err(DirError::NotADirectory(_))));
    }
}
