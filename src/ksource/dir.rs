//! A directory as a source: hashed whole, but only when something in it changed.
//!
//! ```text
//! walk ─> looks of all files ── as noted in the store ─> id          (a fraction of a second)
//!                     └─ otherwise ─> contents hashed ─> id, noted   (seconds)
//! ```

use std::fs::{self, DirEntry, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use sha2::Digest as _;

use super::{FIRST_EPOCH, SourceTree, SourceTreeError, makefile};
use crate::digest::Sha256;
use crate::interrupt;
use crate::parallel;
use crate::progress;
use crate::store::Store;

/// To be raised when the id of the same content changes.
const GENERATION: &str = "1";

/// What a tree holds that is no part of it: what git knows.
const LEFT_OUT: &str = ".git";

/// The source in the directory `path`, as it is. Its id covers names, contents, targets of links, and
/// who may execute a file; neither times nor what git keeps.
///
/// # Errors
/// When it is not the source of a kernel, was built in, or cannot be read; or when a link leads out of
/// it, to something that could change without its id.
pub fn of_dir(store: &Store, path: &Path) -> Result<SourceTree, SourceTreeError> {
    let path = path.canonicalize().map_err(SourceTreeError::reading(path))?;
    let version = makefile::version(&path, &path.to_string_lossy())?;
    if let Some(found) = makefile::trace_of_build(&path) {
        return Err(SourceTreeError::NotClean { dir: path, found });
    }
    let note = store.note_on(&path)?;
    let found = walk(&path)?;
    let newest = found.iter().map(|found| found.metadata.ctime()).max().unwrap_or(0);
    let looks = looks(&found);
    let id = match note.recall(looks, newest) {
        Some(id) => id,
        None => {
            let id = content(&path, &found)?;
            note.keep(looks, id);
            id
        }
    };
    Ok(SourceTree { path, id, version, epoch: FIRST_EPOCH, is_users: true })
}

/// Whether a file in the directory `path` changed after `since` and does not look so. Make goes by the
/// time that a file says it was written (`mtime`), which whoever unpacks or copies files may set back.
///
/// # Errors
/// When the directory cannot be read.
pub fn hides_changes(path: &Path, since: SystemTime) -> Result<bool, SourceTreeError> {
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
    let hides = |file: &Metadata| {
        (file.ctime(), file.ctime_nsec()) >= since && (file.mtime(), file.mtime_nsec()) < since
    };
    Ok(walk(path)?.iter().any(|found| hides(&found.metadata)))
}

/// Something other than a directory.
struct Found {
    /// From the top of the tree.
    path: PathBuf,
    kind: FileType,
    metadata: Metadata,
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// All below `root` but directories, sorted by path.
fn walk(root: &Path) -> Result<Vec<Found>, SourceTreeError> {
    let mut all = Vec::new();
    let mut level = vec![PathBuf::new()];
    while !level.is_empty() {
        interrupt::check()?;
        let read = parallel::map(&level, workers(), |(): &mut (), dir| {
            list(root, dir).map_err(SourceTreeError::reading(&root.join(dir)))
        })?;
        level.clear();
        for (found, dirs) in read {
            all.extend(found);
            level.extend(dirs);
        }
    }
    all.sort_by(|one, other| one.path.as_os_str().cmp(other.path.as_os_str()));
    Ok(all)
}

/// What is in one directory: other things, and directories.
fn list(root: &Path, dir: &Path) -> io::Result<(Vec<Found>, Vec<PathBuf>)> {
    let (mut all, mut dirs) = (Vec::new(), Vec::new());
    let is_top = dir.as_os_str().is_empty();
    for entry in fs::read_dir(root.join(dir))? {
        let entry: DirEntry = entry?;
        if is_top && entry.file_name() == LEFT_OUT {
            continue;
        }
        let (path, kind) = (dir.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            dirs.push(path);
        } else {
            all.push(Found { path, kind, metadata: entry.metadata()? });
        }
    }
    Ok((all, dirs))
}

/// Stands for how all files look. The system sets the time of a file's last change (`ctime`), so nobody
/// changes a file without changing this.
fn looks(found: &[Found]) -> Sha256 {
    let mut hash = sha2::Sha256::default();
    for Found { path, metadata, .. } in found {
        put(&mut hash, path.as_os_str().as_bytes());
        hash.update(metadata.mode().to_le_bytes());
        for number in [metadata.dev(), metadata.ino(), metadata.size()] {
            hash.update(number.to_le_bytes());
        }
        let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        for time in times {
            hash.update(time.to_le_bytes());
        }
    }
    Sha256::finish(hash)
}

/// The digest over names and contents.
fn content(root: &Path, found: &[Found]) -> Result<Sha256, SourceTreeError> {
    let total = found.iter().map(|found| found.metadata.len()).sum();
    let bar = progress::bytes("reading the kernel's source", total);
    let digests = parallel::map(found, workers(), |buffer: &mut Vec<u8>, found| {
        interrupt::check()?;
        let digest = found.digest(root, buffer);
        bar.inc(found.metadata.len());
        digest
    })?;
    let mut hash = sha2::Sha256::new_with_prefix(format!("kernel directory\0{GENERATION}\0"));
    for (found, (kind, digest)) in found.iter().zip(digests) {
        put(&mut hash, found.path.as_os_str().as_bytes());
        put(&mut hash, kind.as_bytes());
        hash.update(digest.0);
    }
    Ok(Sha256::finish(hash))
}

/// Adds `bytes` so that they cannot run into the next ones.
fn put(hash: &mut sha2::Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

impl Found {
    fn digest(&self, root: &Path, buffer: &mut Vec<u8>) -> Result<(&'static str, Sha256), SourceTreeError> {
        let path = root.join(&self.path);
        if self.kind.is_symlink() {
            let target = fs::read_link(&path).map_err(SourceTreeError::reading(&path))?;
            // One that leads nowhere has no content that could change.
            if path.canonicalize().is_ok_and(|real| !real.starts_with(root)) {
                return Err(SourceTreeError::Outside(path));
            }
            return Ok(("link", Sha256::of(target.as_os_str().as_bytes())));
        }
        if !self.kind.is_file() {
            return Ok(("special", Sha256::of(b"")));
        }
        let kind = if self.metadata.mode() & 0o111 == 0 { "file" } else { "program" };
        Ok((kind, digest(&path, buffer).map_err(SourceTreeError::reading(&path))?))
    }
}

fn digest(path: &Path, buffer: &mut Vec<u8>) -> io::Result<Sha256> {
    buffer.resize(256 << 10, 0);
    let (mut file, mut hash) = (fs::File::open(path)?, sha2::Sha256::default());
    loop {
        let count = file.read(buffer)?;
        if count == 0 {
            return Ok(Sha256::finish(hash));
        }
        hash.update(&buffer[..count]);
    }
}
