//! Whole directory trees, made once and then only looked at.
//!
//! ```text
//! <store>/trees/<key>.making/tree/      while it is made
//! <store>/trees/<key>/tree/             the tree
//! <store>/trees/<key>/facts.json        what its maker wants to know of it later; written last
//! ```
//!
//! Unlike files of the store, those of a tree are not looked at one by one when it is used again: there
//! are too many. Its user says whether it is sound.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Store, StoreError, metadata};
use crate::digest::Sha256;
use crate::files;

const TREE: &str = "tree";
const FACTS: &str = "facts.json";

impl Store {
    /// The tree that belongs to `key`, and what is known of it; when there is none, or it is not
    /// `sound`, `make` makes it in the directory that it is given. `key` must cover all that `make`
    /// depends on.
    ///
    /// # Errors
    /// Those of `make`, after which nothing is left, and of the store.
    pub fn tree<T: Serialize + DeserializeOwned, E: From<StoreError>>(
        &self,
        key: Sha256,
        is_sound: impl Fn(&Path, &T) -> bool,
        make: impl FnOnce(&Path) -> Result<T, E>,
    ) -> Result<(PathBuf, T), E> {
        let dir = self.dir.join("trees").join(key.to_string());
        if let Some(found) = read(&dir, &is_sound) {
            return Ok(found);
        }
        let _guard = self.lock(key)?;
        if let Some(found) = read(&dir, &is_sound) {
            return Ok(found);
        }
        let making = dir.with_extension("making");
        clear(&dir, &making)?;
        let tree = making.join(TREE);
        fs::create_dir_all(&tree).map_err(StoreError::on("making", &tree))?;
        let made = make(&tree).and_then(|facts| Ok(keep(&making, &dir, &facts).map(|()| facts)?));
        if made.is_err() {
            // The maker's error says more than one about the rest of its work would.
            let _ = fs::remove_dir_all(&making);
        }
        made.map(|facts| (dir.join(TREE), facts))
    }
}

/// Removes a tree that is not sound, and one whose maker was killed. A reader sees it whole or not.
fn clear(dir: &Path, making: &Path) -> Result<(), StoreError> {
    let remove = || match metadata(making)? {
        Some(_) => fs::remove_dir_all(making).map_err(StoreError::on("removing", making)),
        None => Ok(()),
    };
    remove()?;
    if metadata(dir)?.is_some() {
        tracing::warn!(path = %dir.display(), "a damaged tree of the store is made anew");
        fs::rename(dir, making).map_err(StoreError::on("moving away", dir))?;
    }
    remove()
}

fn keep(making: &Path, dir: &Path, facts: &impl Serialize) -> Result<(), StoreError> {
    let path = making.join(FACTS);
    let text = serde_json::to_vec_pretty(facts).map_err(std::io::Error::from);
    text.and_then(|text| files::replace(&path, &text)).map_err(StoreError::on("writing", &path))?;
    // Nobody looks at all files again, so a tree that has its name must have survived a power cut whole.
    let synced = File::open(making).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
    synced.map_err(StoreError::on("writing", making))?;
    fs::rename(making, dir).map_err(StoreError::on("naming", dir))
}

fn read<T: DeserializeOwned>(dir: &Path, is_sound: impl Fn(&Path, &T) -> bool) -> Option<(PathBuf, T)> {
    let facts = serde_json::from_slice(&fs::read(dir.join(FACTS)).ok()?).ok()?;
    let tree = dir.join(TREE);
    is_sound(&tree, &facts).then_some((tree, facts))
}
