//! Files and directories of the project, pinned as they are now.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::Digest as _;

use super::FetchError;
use crate::digest::Sha256;
use crate::lock::{Location, Pin};
use crate::source::PathKind;
use crate::store::Store;
use crate::tree::TreePath;

/// Pins what is at `path` for the role `wanted`.
///
/// The digest of a directory is over rows of type, mode, path, and content, sorted by path; see
/// [`row`]. Owners and times do not count, as a project's repository does not keep them.
pub(super) fn pin(store: &Store, wanted: &str, path: &Path, kind: PathKind) -> Result<Pin, FetchError> {
    let read = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FetchError::NoPath(path.to_owned()),
        _ => FetchError::Read { path: path.to_owned(), source },
    };
    let metadata = fs::metadata(path).map_err(read)?;
    let (size, sha256) = match kind {
        PathKind::Directory if metadata.is_dir() => dir_digest(store, path)?,
        PathKind::File if metadata.is_file() => store.digest_of(path).map_err(read)?,
        PathKind::Directory => return Err(FetchError::WrongKind { path: path.to_owned(), is: "directory" }),
        PathKind::File => return Err(FetchError::WrongKind { path: path.to_owned(), is: "regular file" }),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Pin {
        wanted: wanted.to_owned(),
        name: name.clone(),
        version: None,
        location: Location::Path { path: name },
        size,
        sha256,
    })
}

fn dir_digest(store: &Store, root: &Path) -> Result<(u64, Sha256), FetchError> {
    let mut hash = sha2::Sha256::default();
    let mut total = 0;
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            FetchError::Read { path, source: error.into() }
        })?;
        let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let name = TreePath::parse(name.as_os_str().as_bytes())
            .map_err(|source| FetchError::Name { dir: root.to_owned(), source })?;
        let read = |source| FetchError::Read { path: entry.path().to_owned(), source };
        let metadata = entry.path().symlink_metadata().map_err(read)?;
        let (size, row) = row(store, entry.path(), &metadata, &name).map_err(read)?;
        total += size;
        hash.update(row);
    }
    Ok((total, Sha256::finish(hash)))
}

/// `dir 755 etc` / `link 777 bin` + NUL + target / `file 644 etc/hosts` + NUL + digest, then a NUL.
fn row(store: &Store, path: &Path, metadata: &Metadata, name: &TreePath) -> io::Result<(u64, Vec<u8>)> {
    let mode = metadata.permissions().mode() & 0o7777;
    let row = |kind: &str, content: &[u8]| {
        let mut row = format!("{kind} {mode:o} {}\0", name.as_str()).into_bytes();
        row.extend(content);
        row.push(0);
        row
    };
    if metadata.is_dir() {
        Ok((0, row("dir", b"")))
    } else if metadata.is_symlink() {
        Ok((0, row("link", fs::read_link(path)?.as_os_str().as_bytes())))
    } else if metadata.is_file() {
        let (size, digest) = store.digest_of(path)?;
        Ok((size, row("file", &digest.0)))
    } else {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is no file, directory or symbolic link"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn pinned(path: &Path) -> Result<Pin, FetchError> {
        let home = tempfile::tempdir().unwrap();
        pin(&Store::open(home.path()).unwrap(), "x", path, PathKind::Directory)
    }

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/hosts"), b"localhost").unwrap();
        symlink("etc/hosts", dir.path().join("hosts")).unwrap();
        dir
    }

    #[test]
    fn a_directory_hashes_to_the_same_wherever_and_whenever_it_is() {
        let (one, two) = (pinned(tree().path()).unwrap(), pinned(tree().path()).unwrap());
        assert_eq!((one.sha256, one.size), (two.sha256, 9));
    }

    #[test]
    fn every_change_in_a_directory_changes_its_digest() {
        let dir = tree();
        let at = |name: &str| dir.path().join(name);
        let mut seen = vec![pinned(dir.path()).unwrap().sha256];
        let mut must_differ = |what: &str| {
            let digest = pinned(dir.path()).unwrap().sha256;
            assert!(!seen.contains(&digest), "{what}");
            seen.push(digest);
        };
        fs::write(at("etc/hosts"), b"localhosT").unwrap();
        must_differ("content");
        fs::set_permissions(at("etc/hosts"), fs::Permissions::from_mode(0o600)).unwrap();
        must_differ("mode");
        fs::rename(at("etc/hosts"), at("etc/host")).unwrap();
        must_differ("name");
        fs::remove_file(at("hosts")).unwrap();
        symlink("etc/host", at("hosts")).unwrap();
        must_differ("target");
        fs::create_dir(at("var")).unwrap();
        must_differ("directory");
    }

    #[test]
    fn a_socket_is_refused() {
        let dir = tree();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let error = pinned(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("reading `{}/socket`", dir.path().display()));
    }
}
