//! Files from outside, by digest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use super::stamp::{self, Stamp};
use super::{Store, StoreError, metadata, remove_if_there};
use crate::digest::Sha256;

impl Store {
    /// The file with `digest`, verified; `None` when the store has none. A damaged one is moved
    /// away.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn blob(&self, digest: Sha256) -> Result<Option<PathBuf>, StoreError> {
        let path = self.blob_path(digest);
        if metadata(&path)?.is_none() {
            return Ok(None);
        }
        if self.is_stamped(&path)? {
            return Ok(Some(path));
        }
        let found = stamp::digest(&path).map_err(StoreError::on("reading", &path))?;
        if found != digest {
            self.set_aside(&path)?;
            return Ok(None);
        }
        self.put_stamp(&path)?;
        Ok(Some(path))
    }

    /// The file with `digest`; when there is none, `fetch` fills it. Whoever else needs it at
    /// the same time waits for the first.
    ///
    /// # Errors
    /// Those of `fetch`, and of the store. What `fetch` has written by then stays for the next
    /// one to go on with.
    pub fn blob_or<E: From<StoreError>>(
        &self,
        digest: Sha256,
        fetch: impl FnOnce(&mut Partial) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.blob(digest)? {
            return Ok(path);
        }
        let _guard = self.lock(digest)?;
        if let Some(path) = self.blob(digest)? {
            return Ok(path);
        }
        let mut partial = Partial::open(self.blob_path(digest).with_extension("part"))?;
        if let Err(error) = fetch(&mut partial) {
            partial.remove_if_empty()?;
            return Err(error);
        }
        Ok(self.adopt(digest, partial)?)
    }

    /// Keeps `bytes` and returns their digest.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Sha256, StoreError> {
        let digest = Sha256::of(bytes);
        self.put_as(digest, bytes)?;
        Ok(digest)
    }

    /// Keeps `bytes`, which have this `digest`, and returns where.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put_as(&self, digest: Sha256, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        self.blob_or(digest, |partial| {
            partial.restart()?;
            partial.append(bytes)
        })
    }

    /// Gives a complete download its name.
    fn adopt(&self, digest: Sha256, partial: Partial) -> Result<PathBuf, StoreError> {
        debug_assert_eq!(partial.digest(), digest, "`fetch` returned before the file was right");
        let path = self.blob_path(digest);
        // After a power cut a file may have its name and not its content: sync it before.
        partial.file.sync_data().map_err(StoreError::on("writing", &partial.path))?;
        fs::rename(&partial.path, &path).map_err(StoreError::on("naming", &path))?;
        self.put_stamp(&path)?;
        Ok(path)
    }

    fn blob_path(&self, digest: Sha256) -> PathBuf {
        self.dir.join("blobs").join(digest.to_string())
    }

    fn is_stamped(&self, path: &Path) -> Result<bool, StoreError> {
        let Some(now) = metadata(path)? else { return Ok(false) };
        let stamp = fs::read(path.with_extension("verified")).ok();
        let stamp = stamp.and_then(|text| serde_json::from_slice::<Stamp>(&text).ok());
        Ok(stamp == Some(Stamp::of(&now)))
    }

    fn put_stamp(&self, path: &Path) -> Result<(), StoreError> {
        let on = StoreError::on("reading", path);
        let stamp = fs::metadata(path).map(|metadata| Stamp::of(&metadata)).map_err(on)?;
        let text = serde_json::to_vec(&stamp).expect("numbers can be written as JSON");
        let verified = path.with_extension("verified");
        // A stamp that is cut off is no stamp, so it may be written in place.
        fs::write(&verified, text).map_err(StoreError::on("writing", &verified))
    }
}

/// A blob on its way into the store. What an earlier try left is hashed and gone on with.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    hash: sha2::Sha256,
    length: u64,
}

impl Partial {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = opened.map_err(StoreError::on("opening", &path))?;
        let mut hash = sha2::Sha256::default();
        let length = stamp::add_to(&mut hash, &file).map_err(StoreError::on("reading", &path))?;
        Ok(Partial { file, path, hash, length })
    }

    fn remove_if_empty(&self) -> Result<(), StoreError> {
        let removed = if self.length == 0 { remove_if_there(&self.path) } else { Ok(()) };
        removed.map_err(StoreError::on("removing", &self.path))
    }

    /// How many bytes are there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Digest of what is there.
    pub fn digest(&self) -> Sha256 {
        Sha256::finish(self.hash.clone())
    }

    /// Adds `bytes` at the end.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(StoreError::on("writing", &self.path))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Drops what is there.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(StoreError::on("writing", &self.path))?;
        self.hash = sha2::Sha256::default();
        self.length = 0;
        Ok(())
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        io::Error::other(error)
    }
}
