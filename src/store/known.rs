//! Digests of large files and of directories outside the store, so that what has not changed is not
//! hashed again at every build.
//!
//! `<store>/known/<digest of the path>` holds how the file looked and what it hashed to. Two changes
//! within one tick of the clock look alike, so a note counts only when it was written some time
//! after the file last changed (the problem that git calls racy). Hashing a directory takes longer than
//! that; what counts there is when its note was begun.

use std::fs::{self, Metadata};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::stamp::{self, Stamp};
use super::{Store, StoreError};
use crate::digest::Sha256;
use crate::files;

/// Smaller files are hashed faster than looked up.
const WORTHWHILE: u64 = 1 << 20;
/// How much older than its note a file must be, in seconds.
const SETTLED: i64 = 2;

/// What is known of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    stamp: Stamp,
    device: u64,
    sha256: Sha256,
}

impl Store {
    /// Length in bytes and digest of the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn digest_of(&self, path: &Path) -> io::Result<(u64, Sha256)> {
        let metadata = fs::metadata(path)?;
        let size = metadata.len();
        if size < WORTHWHILE {
            return Ok((size, stamp::digest(path)?));
        }
        let note = self.note_path(&path.canonicalize()?);
        if let Some(sha256) = recall(&note, &metadata) {
            return Ok((size, sha256));
        }
        let sha256 = stamp::digest(path)?;
        let known = Note { stamp: Stamp::of(&metadata), device: metadata.dev(), sha256 };
        // A note that cannot be kept costs time at the next build and nothing else.
        let _ = files::replace(&note, &serde_json::to_vec(&known)?);
        Ok((size, sha256))
    }

    /// The note on the directory at `path`, to be opened before it is looked at.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_on(&self, path: &Path) -> Result<DirNote, StoreError> {
        let path = self.note_path(path);
        let begun = files::beside(&path).and_then(|new| Ok((new.as_file().metadata()?.mtime(), new)));
        let (begun, new) = begun.map_err(StoreError::on("writing", &path))?;
        Ok(DirNote { path, begun, new })
    }

    fn note_path(&self, path: &Path) -> PathBuf {
        self.dir.join("known").join(Sha256::of(path.as_os_str().as_bytes()).to_string())
    }
}

/// What is known of a directory.
#[derive(Debug)]
pub struct DirNote {
    path: PathBuf,
    /// When the directory was not yet looked at, by the clock that files get their times from.
    begun: i64,
    new: NamedTempFile,
}

/// What a note says of a directory.
#[derive(Debug, Serialize, Deserialize)]
struct KnownDir {
    looks: Sha256,
    begun: i64,
    sha256: Sha256,
}

impl DirNote {
    /// The digest that was kept for the directory when it looked like `looks`; its newest change was at
    /// `newest`, in seconds since 1970.
    pub fn recall(&self, looks: Sha256, newest: i64) -> Option<Sha256> {
        let known: KnownDir = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        (known.looks == looks && known.begun >= newest.saturating_add(SETTLED)).then_some(known.sha256)
    }

    /// Keeps what the directory hashed to.
    pub fn keep(mut self, looks: Sha256, sha256: Sha256) {
        let known = serde_json::to_vec(&KnownDir { looks, begun: self.begun, sha256 });
        let written = known.map_err(io::Error::from).and_then(|text| self.new.write_all(&text));
        // A note that cannot be kept costs time at the next build and nothing else.
        let _ = written.and_then(|()| Ok(self.new.persist(&self.path)?));
    }
}

/// The digest in a note, if the file still looks as it did, and had settled.
fn recall(note: &Path, file: &Metadata) -> Option<Sha256> {
    let written = fs::metadata(note).ok()?.mtime();
    let known: Note = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    let is_same = known.stamp == Stamp::of(file) && known.device == file.dev();
    (is_same && written >= file.ctime() + SETTLED).then_some(known.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_hashed_again_even_when_it_changes_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let file = dir.path().join("layer.tar");
        for byte in 0..3 {
            let content = vec![byte; WORTHWHILE as usize];
            fs::write(&file, &content).unwrap();
            assert_eq!(store.digest_of(&file).unwrap(), (WORTHWHILE, Sha256::of(&content)));
        }
    }

    #[test]
    fn a_settled_file_is_not_hashed_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let file = dir.path().join("layer.tar");
        fs::write(&file, vec![1; WORTHWHILE as usize]).unwrap();
        store.digest_of(&file).unwrap();
        let note = store.note_path(&file.canonicalize().unwrap());
        let planted = Sha256::of(b"what the note says");
        let mut known: Note = serde_json::from_slice(&fs::read(&note).unwrap()).unwrap();
        known.sha256 = planted;
        fs::write(&note, serde_json::to_vec(&known).unwrap()).unwrap();
        assert_ne!(store.digest_of(&file).unwrap().1, planted, "the file had not settled");
        fs::write(&note, serde_json::to_vec(&known).unwrap()).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
        fs::File::open(&note).unwrap().set_modified(later).unwrap();
        assert_eq!(store.digest_of(&file).unwrap().1, planted);
    }

    #[test]
    fn a_note_on_a_directory_counts_only_when_all_had_settled_before_it_was_begun() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (looks, other, id) = (Sha256::of(b"looks"), Sha256::of(b"other"), Sha256::of(b"id"));
        let note = store.note_on(dir.path()).unwrap();
        let begun = note.begun;
        assert_eq!(note.recall(looks, 0), None);
        note.keep(looks, id);
        let note = store.note_on(dir.path()).unwrap();
        assert_eq!(note.recall(looks, begun - SETTLED), Some(id));
        assert_eq!(note.recall(looks, begun - SETTLED + 1), None);
        assert_eq!(note.recall(other, 0), None);
    }
}
