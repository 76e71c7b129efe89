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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        self.write_manifest(&temporary.join(MANIFEST), &making.made)?;
        fs::rename(&temporary, &dir).map_err(StoreError::on("naming", &dir))?;
        Ok(Derived::of(&dir, &making.made))
    }

    /// The directory at `dir`, unless something in it is not as it was made.
    fn read_derived(&self, dir: &Path) -> Result<Option<Derived>, StoreError> {
        let Ok(text) = fs::read(dir.join(MANIFEST)) else { return Ok(None) };
        let Ok(made) = serde_json::from_slice::<BTreeMap<String, Made>>(&text) else { return Ok(None) };
        let mut now = BTreeMap::new();
        for (name, file) in &made {
            let Some(file) = file.verified(&dir.join(name))? else { return Ok(None) };
            now.insert(name.clone(), file);
        }
        if now != made {
            // The files are sound, only moved or copied: they need not be read the next time.
            self.write_manifest(&dir.join(MANIFEST), &now)?;
        }
        Ok(Some(Derived::of(dir, &made)))
    }

    fn write_manifest(&self, path: &Path, made: &BTreeMap<String, Made>) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(made).expect("names and numbers can be JSON");
        let written = tempfile::NamedTempFile::new_in(&self.dir).and_then(|mut file| {
            file.write_all(&text)?;
            file.persist(path).map_err(io::Error::from)
        });
        written.map(drop).map_err(StoreError::on("writing", path))
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
    /// The row with the file's stamp of now, if the file at `path` still has the content that it
    /// was made with.
    fn verified(&self, path: &Path) -> Result<Option<Made>, StoreError> {
        let Some(metadata) = metadata(path)? else { return Ok(None) };
        let stamp = Stamp::of(&metadata);
        if stamp == self.stamp {
            return Ok(Some(self.clone()));
        }
        let is_sound = metadata.len() == self.size
            && stamp::digest(path).map_err(StoreError::on("reading", path))? == self.sha256;
        Ok(is_sound.then(|| Made { stamp, ..self.clone() }))
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
        fill: impl FnOnce(&mut Output) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert!(!name.contains('/') && name != MANIFEST);
        let mut output = Output::create(self.dir.join(name))?;
        fill(&mut output)?;
        self.made.insert(name.to_owned(), output.finish()?);
        Ok(())
    }
}

/// A derived file while it is written.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: BufWriter<File>,
    hash: sha2::Sha256,
}

impl Output {
    fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = File::create(&path).map_err(StoreError::on("making", &path))?;
        Ok(Output { path, file: BufWriter::with_capacity(256 << 10, file), hash: sha2::Sha256::default() })
    }

    /// Adds `bytes` at the end.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(StoreError::on("writing", &self.path))
    }

    fn finish(self) -> Result<Made, StoreError> {
        let finished = self.file.into_inner().map_err(io::IntoInnerError::into_error);
        let metadata = finished.and_then(|file| file.metadata());
        let metadata = metadata.map_err(StoreError::on("writing", &self.path))?;
        Ok(Made { size: metadata.len(), sha256: Sha256::finish(self.hash), stamp: Stamp::of(&metadata) })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
