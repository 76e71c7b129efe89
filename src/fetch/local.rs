//! Files and directories of the project, pinned as they are now.

use std::fs;
use std::io;
use std::path::Path;

use sha2::Digest as _;

use super::{FetchError, Part};
use crate::digest::Sha256;
use crate::lock::{Location, Pin};
use crate::source::PathKind;
use crate::store::{Store, StoreError};
use crate::substrate::rootfs::dir::{self, Owner};
use crate::tree::Kind;

/// Pins what is at `path` for the role `wanted`.
///
/// The digest of a directory is over what a tree takes from it: type, mode, path, content and
/// extended attributes of every entry. Owners and times do not count, as they do not in the tree.
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

/// Puts a file that is a part of this program into the store, for the role `wanted`.
pub(super) fn keep(store: &Store, wanted: &str, bytes: &[u8]) -> Result<Part, StoreError> {
    let sha256 = Sha256::of(bytes);
    let path = store.put_as(sha256, bytes)?;
    let pin = Pin {
        wanted: wanted.to_owned(),
        name: wanted.to_owned(),
        version: None,
        location: Location::Path { path: wanted.to_owned() },
        size: bytes.len() as u64,
        sha256,
    };
    Ok(Part { pin, path })
}

fn dir_digest(store: &Store, root: &Path) -> Result<(u64, Sha256), FetchError> {
    let mut hash = sha2::Sha256::default();
    let mut total = 0;
    for (path, node) in dir::read(root, Owner::Root)?.iter().skip(1) {
        let file = root.join(path.as_str());
        let read = |source| FetchError::Read { path: file.clone(), source };
        let (kind, content) = match &node.kind {
            Kind::Dir => ("dir", Vec::new()),
            Kind::File(_) => {
                let (size, digest) = store.digest_of(&file).map_err(read)?;
                total += size;
                ("file", digest.0.to_vec())
            }
            Kind::Symlink(target) => ("link", target.clone().into_bytes()),
            Kind::HardLink(first) => ("name of", first.as_str().as_bytes().to_vec()),
            // It is of a program that runs on this machine.
            Kind::Socket => return Err(read(io::Error::new(io::ErrorKind::Unsupported, "it is a socket"))),
            other => ("special", format!("{other:?}").into_bytes()),
        };
        let mode = format!("{:o}", node.meta.mode);
        let fields = [kind.as_bytes(), mode.as_bytes(), path.as_str().as_bytes(), &content];
        let xattrs = node.meta.xattrs.iter().flat_map(|(name, value)| [name.as_bytes(), value]);
        for field in fields.into_iter().chain(xattrs) {
            hash.update((field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        // No field is that long.
        hash.update(u64::MAX.to_le_bytes());
    }
    Ok((total, Sha256::finish(hash)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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
    fn a_second_name_of_a_file_is_no_copy() {
        let (linked, copied) = (tree(), tree());
        fs::hard_link(linked.path().join("etc/hosts"), linked.path().join("etc/same")).unwrap();
        fs::write(copied.path().join("etc/same"), b"localhost").unwrap();
        assert_ne!(pinned(linked.path()).unwrap().sha256, pinned(copied.path()).unwrap().sha256);
    }

    #[test]
    fn a_socket_is_refused() {
        let dir = tree();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let error = pinned(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("reading `{}/socket`", dir.path().display()));
    }
}
