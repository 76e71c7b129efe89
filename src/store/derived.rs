//! Files made from blobs once: extracted members, unpacked archives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::stamp::{self, Stamp};
use super::{Store, StoreError, metadata};
use crate::digest::Sha256;

const MANIFEST: &str = "manifest.json";

/// A directory of derived files.
#[derive(Clone, Debug)]
pub struct Derived {
    files: BTreeMap<String, StoredFile>,
}

/// A file of the store. Whoever copies it can check the digest on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Where it is.
    pub path: PathBuf,
    /// Length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// A derived directory while it is made.
#[derive(Debug)]
pub struct DerivedDir {
    dir: PathBuf,
    made: BTreeMap<String, Made>,
}

/// One row of a manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Made {
    size: u64,
    sha256: Sha256,
    stamp: Stamp,
}

impl Derived {
    /// The file called `name`, if the maker made it.
    pub fn get(&self, name: &str) -> Option<&StoredFile> {
        self.files.get(name)
    }

    /// All files by name.
    pub fn files(&self) -> &BTreeMap<String, StoredFile> {
        &self.files
    }
}

impl Store {
    /// The files that belong to `key`; when there are none, or they are damaged, `make` makes
    /// them. `key` must cover all that `make` depends on.
    ///
    /// # Errors
    /// Those of `make`, after which nothing is left, and of the store.
    pub fn derived<E: From<StoreError>>(
        &self,
        key: Sha256,
        make: impl FnOnce(&mut DerivedDir) -> Result<(), E>,
    ) -> Result<Derived, E> {
        let dir = self.dir.join("derived").join(key.to_string());
        if let Some(derived) = self.read_derived(&dir)? {
            return Ok(derived);
        }
        let _guard = self.lock(key)?;
        if let Some(derived) = self.read_derived(&dir)? {
            return Ok(derived);
        }
        if metadata(&dir)?.is_some() {
            self.set_aside(&dir)?;
        }
        let temporary = dir.with_extension("making");
        let mut making = DerivedDir::create(temporary.clone())?;
        if let Err(error) = make(&mut making) {
            // The maker's error says more than one about the rest of its work would.
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        Ok(making.finish(&dir)?)
    }

    /// The directory at `dir`, unless something in it is not as it was made.
    fn read_derived(&self, dir: &Path) -> Result<Option<Derived>, StoreError> {
        let Ok(text) = fs::read(dir.join(MANIFEST)) else { return Ok(None) };
        let Ok(made) = serde_json::from_slice::<BTreeMap<String, Made>>(&text) else { return Ok(None) };
        for (name, file) in &made {
            if !file.is_sound(&dir.join(name))? {
                return Ok(None);
            }
        }
        Ok(Some(Derived::of(dir, &made)))
    }
}

impl Derived {
    fn of(dir: &Path, made: &BTreeMap<String, Made>) -> Self {
        let file = |(name, made): (&String, &Made)| {
            let file = StoredFile { path: dir.join(name), size: made.size, sha256: made.sha256 };
            (name.clone(), file)
        };
        Derived { files: made.iter().map(file).collect() }
    }
}

impl Made {
    /// Whether the file at `path` still has the content that it was made with.
    fn is_sound(&self, path: &Path) -> Result<bool, StoreError> {
        let Some(now) = metadata(path)? else { return Ok(false) };
        if Stamp::of(&now) == self.stamp {
            return Ok(true);
        }
        let same_size = now.len() == self.size;
        Ok(same_size && stamp::digest(path).map_err(StoreError::on("reading", path))? == self.sha256)
    }
}

impl DerivedDir {
    fn create(dir: PathBuf) -> Result<Self, StoreError> {
        // Whoever was making it before does not hold the lock any more.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).map_err(StoreError::on("making", &dir))?;
        Ok(DerivedDir { dir, made: BTreeMap::new() })
    }

    /// Makes the file `name` (one component) of what `fill` writes.
    ///
    /// # Errors
    /// Those of `fill`, and of the store.
    pub fn file<E: From<StoreError>>(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert!(!name.contains('/') && name != MANIFEST);
        let path = self.dir.join(name);
        let file = File::create(&path).map_err(StoreError::on("making", &path))?;
        let mut hashing = Hashing { file: BufWriter::with_capacity(256 << 10, file), hash: <_>::default() };
        fill(&mut hashing)?;
        let made = hashing.finish().map_err(StoreError::on("writing", &path))?;
        self.made.insert(name.to_owned(), made);
        Ok(())
    }

    fn finish(self, dir: &Path) -> Result<Derived, StoreError> {
        let manifest = self.dir.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&self.made).expect("names and numbers can be JSON");
        fs::write(&manifest, text).map_err(StoreError::on("writing", &manifest))?;
        fs::rename(&self.dir, dir).map_err(StoreError::on("naming", dir))?;
        Ok(Derived::of(dir, &self.made))
    }
}

/// A file that hashes what is written to it.
struct Hashing {
    file: BufWriter<File>,
    hash: sha2::Sha256,
}

impl Hashing {
    fn finish(self) -> io::Result<Made> {
        let file = self.file.into_inner()?;
        let metadata = file.metadata()?;
        Ok(Made { size: metadata.len(), sha256: Sha256::finish(self.hash), stamp: Stamp::of(&metadata) })
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
