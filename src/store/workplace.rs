//! Directories that outlive builds: what one build leaves there saves the next one work.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Guard, Store, StoreError};
use crate::digest::Sha256;

/// A directory to work in, which nobody else uses until it is dropped. What is in it stays, and
/// nobody but its user knows whether that is of any use.
pub struct Workplace {
    dir: PathBuf,
    _guard: Guard,
}

impl Store {
    /// The workplace called `name` (one component), made when there is none. Waits while another build
    /// uses it.
    ///
    /// # Errors
    /// When it cannot be made, or the user asked to stop.
    pub fn workplace(&self, name: &str) -> Result<Workplace, StoreError> {
        debug_assert!(!name.contains('/'));
        let guard = self.lock(Sha256::of(format!("workplace\0{name}").as_bytes()))?;
        let dir = self.dir.join("build").join(name);
        fs::create_dir_all(&dir).map_err(StoreError::on("making", &dir))?;
        let dir = dir.canonicalize().map_err(StoreError::on("reading", &dir))?;
        Ok(Workplace { dir, _guard: guard })
    }
}

impl Workplace {
    /// Where it is: an absolute path without links.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes all that is in it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clear(&self) -> Result<(), StoreError> {
        fs::remove_dir_all(&self.dir).map_err(StoreError::on("emptying", &self.dir))?;
        fs::create_dir(&self.dir).map_err(StoreError::on("making", &self.dir))
    }
}
