//! The modules of a kernel package, with the index of what they need.

use std::io;

use crate::digest::Sha256;
use crate::image::extents::Extents;
use crate::progress;
use crate::store::{Store, StoreError};
use crate::substrate::modules::modinfo::Modinfo;
use crate::substrate::modules::{Index, IndexError, Module, ModuleDir, name};
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

impl Modules {
    /// Adds a module that is not the kernel's own, not packed, where such modules lie.
    ///
    /// # Errors
    /// When `bytes` are no module for the device, or for another kernel, which would not load them.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), KernelError> {
        let path = format!("updates/{name}.ko");
        let damaged = |source| IndexError::NoModule { path: path.clone(), source };
        let info = Modinfo::decode(&bytes).map_err(damaged)?;
        let release = &self.files.release;
        if memchr::memmem::find(&bytes, format!("\0vermagic={release} ").as_bytes()).is_none() {
            return Err(KernelError::OtherKernel { module: name.to_owned(), release: release.clone() });
        }
        self.files.insert(&path, Extents::bytes(bytes));
        self.index.modules.insert(name::canonical(name), Module { path, order: usize::MAX, info });
        Ok(())
    }
}

/// Why a package has no usable modules.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The modules cannot be listed.
    #[error(transparent)]
    Modules(#[from] IndexError),
    /// A module does not belong to the kernel.
    #[error(
        "module `{module}` is not for kernel `{release}`\n\nhint: `factory fetch --update` takes kernel and headers of the same version, where the archive has both"
    )]
    OtherKernel {
        /// Name of the module.
        module: String,
        /// The kernel's release.
        release: String,
    },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::elf::sample;

    #[test]
    fn a_module_is_added_to_the_kernel_that_it_was_built_for_and_to_no_other() {
        let mut tree = FileTree::new();
        let own = Extents::bytes(sample::module(b"name=a\0"));
        tree.file("usr/lib/modules/7.3.4-arm64/kernel/a.ko", 0o644, own);
        let files = ModuleDir::find(&tree).unwrap();
        let index = Index::build(&files).unwrap();
        let mut modules = Modules { files, index };
        let addon = |release: &str| {
            sample::module(format!("license=GPL\0depends=a\0vermagic={release} SMP\0").as_bytes())
        };
        let error = modules.add("b-c", addon("7.3.4-arm64-16k")).unwrap_err();
        assert!(matches!(error, KernelError::OtherKernel { module, .. } if module == "b-c"));
        let ours = addon("7.3.4-arm64");
        modules.add("b-c", ours.clone()).unwrap();
        assert_eq!(modules.index.modules["b_c"].info.depends, ["a"]);
        assert_eq!(modules.files.read(&modules.index.modules["b_c"]).unwrap(), ours);
    }
}
