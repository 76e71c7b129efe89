//! The modules of a kernel package, with the index of what they need.

use std::io;

use crate::digest::Sha256;
use crate::progress;
use crate::store::{Store, StoreError};
use crate::substrate::modules::{Index, IndexError, ModuleDir};
use crate::tree::FileTree;

/// What the stored index is called; to be renamed when it changes.
const INDEX: &str = "modules-index-1.json";

/// The modules of one kernel.
#[derive(Debug)]
pub struct Modules {
    /// The files as packaged.
    pub files: ModuleDir,
    /// What they need and answer to.
    pub index: Index,
}

/// Why a package has no usable modules.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The modules cannot be listed.
    #[error(transparent)]
    Modules(#[from] IndexError),
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index cannot be kept, or read again.
    #[error("keeping the index of kernel modules")]
    Keep(#[source] io::Error),
}

/// Finds the modules of a kernel, whose unpacked packages make one `tree`. Their index is made once
/// for the same packages, which are known by their digests, and kept in the store.
///
/// # Errors
/// When the packages have no modules, or one is damaged.
pub fn modules(store: &Store, packages: &[Sha256], tree: &FileTree) -> Result<Modules, KernelError> {
    let files = ModuleDir::find(tree)?;
    let packages: String = packages.iter().map(|package| format!(" {package}")).collect();
    let key = Sha256::of(format!("{INDEX}{packages}").as_bytes());
    let kept = store.derived(key, |dir| {
        let bar = progress::spinner(format!("reading the modules of kernel {}", files.release));
        let index = Index::build(&files)?;
        bar.finish_and_clear();
        let text = serde_json::to_vec(&index).map_err(|error| KernelError::Keep(error.into()))?;
        dir.file(INDEX, |file| Ok::<(), KernelError>(file.append(&text)?))
    })?;
    let file = kept.get(INDEX).ok_or_else(|| KernelError::Keep(io::ErrorKind::NotFound.into()))?;
    let text = std::fs::read(&file.path).map_err(KernelError::Keep)?;
    let index = serde_json::from_slice(&text).map_err(|error| KernelError::Keep(error.into()))?;
    Ok(Modules { files, index })
}
