//! The store: files from outside under their digests, and what was made of them once.
//!
//! ```text
//! <store>/blobs/<sha256>            a file, whole and verified
//! <store>/blobs/<sha256>.verified   how the file looked when it was verified (see stamp.rs)
//! <store>/blobs/<sha256>.part       a download that was cut off
//! <store>/derived/<key>/            files made from blobs, with manifest.json
//! <store>/trees/<key>/              directory trees made from blobs (see trees.rs)
//! <store>/known/<digest>            digests of large files and of trees outside (see known.rs)
//! <store>/build/<name>/             where builds work that go on from what earlier ones left
//! <store>/locks/<digest>            held while one of these is made, or a workplace used
//! <store>/corrupt/<sha256>          what was found damaged, for whoever wants to know why
//! ```
//!
//! Blobs and derived directories get their names by renaming, complete. So readers need no lock,
//! and two builds can share a store. A file that still looks as it did when it was verified is
//! not hashed again; all others are, before they are handed out.

mod blob;
mod derived;
mod known;
mod stamp;
mod trees;
mod workplace;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::digest::Sha256;
use crate::interrupt::{self, Interrupted};
pub use blob::Partial;
pub use derived::{Derived, DerivedDir, Output, StoredFile};
pub use known::DirNote;
pub use workplace::Workplace;

/// How often the lock of another build is tried.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// A directory of blobs and derived files. Cheap to clone, safe to share.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// Why the store cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nowhere to put it.
    #[error("there is no directory for the store\n\nhint: set `FACTORY_STORE`, or `HOME`")]
    NoHome,
    /// A file or directory of it cannot be used.
    #[error("{doing} `{path}`")]
    File {
        /// What was tried, as a participle.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl StoreError {
    fn on(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::File { doing, path, source }
    }
}

/// The right to make one blob or derived directory, or to use one workplace, until it is dropped.
struct Guard {
    _file: File,
}

impl Store {
    /// Where the user's store is: `$FACTORY_STORE`, else `$XDG_CACHE_HOME/factory`, else
    /// `$HOME/.cache/factory`.
    ///
    /// # Errors
    /// [`StoreError::NoHome`] when none of these is set.
    pub fn default_dir() -> Result<PathBuf, StoreError> {
        let dir = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let under = |name, rest| dir(name).map(|home: PathBuf| home.join(rest));
        dir("FACTORY_STORE")
            .or_else(|| under("XDG_CACHE_HOME", "factory"))
            .or_else(|| under("HOME", ".cache/factory"))
            .ok_or(StoreError::NoHome)
    }

    /// Opens the store in `dir`, and makes it when there is none.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        // Programs that work somewhere else are told of paths in it.
        let dir = &std::path::absolute(dir).map_err(StoreError::on("finding", dir))?;
        let store = Store { dir: dir.clone() };
        for name in ["blobs", "derived", "trees", "known", "locks", "corrupt"] {
            let path = dir.join(name);
            fs::create_dir_all(&path).map_err(StoreError::on("making", &path))?;
        }
        Ok(store)
    }

    /// Waits until nobody else makes what `digest` names.
    fn lock(&self, digest: Sha256) -> Result<Guard, StoreError> {
        let path = self.dir.join("locks").join(digest.to_string());
        let file = File::create(&path).map_err(StoreError::on("opening", &path))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Guard { _file: file }),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    interrupt::check()?;
                    std::thread::sleep(LOCK_POLL);
                }
                Err(error) => return Err(StoreError::on("locking", &path)(error.into())),
            }
        }
    }

    /// Moves a damaged file or directory out of the way.
    fn set_aside(&self, path: &Path) -> Result<(), StoreError> {
        let name = path.file_name().unwrap_or_default();
        let aside = self.dir.join("corrupt").join(name);
        tracing::warn!(path = %path.display(), "a damaged file of the store is made anew");
        let removed = if aside.is_dir() { fs::remove_dir_all(&aside) } else { remove_if_there(&aside) };
        match removed.and_then(|()| fs::rename(path, &aside)) {
            // Another build was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved.map_err(StoreError::on("moving away", path)),
        }
    }
}

/// The metadata of `path`, or `None` when nothing is there.
fn metadata(path: &Path) -> Result<Option<fs::Metadata>, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::on("reading", path)(error)),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
