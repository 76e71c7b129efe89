//! A kernel from a package: its image, and its modules with the index of what they need.

use std::io;

use crate::digest::Sha256;
use crate::image::extents::Extents;
use crate::store::{Store, StoreError};
use crate::substrate::modules::{Index, IndexError, ModuleDir};
use crate::tree::{FileTree, Kind};

/// What the stored index is called, and the version of how it is made.
const INDEX: &str = "modules-index-1.json";

/// A kernel, ready to be put into a slot.
#[derive(Debug)]
pub struct Kernel {
    /// The image that the loader starts.
    pub image: Extents,
    /// The modules as packaged.
    pub modules: ModuleDir,
    /// What they need and answer to.
    pub index: Index,
}

/// Why a package is no kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// There is not exactly one image.
    #[error("package `{package}` has {found} files `{pattern}`, where a kernel has one")]
    Image {
        /// The package.
        package: String,
        /// Where the image was looked for.
        pattern: String,
        /// How many there are.
        found: usize,
    },
    /// The modules cannot be listed.
    #[error(transparent)]
    Modules(#[from] IndexError),
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index cannot be kept.
    #[error("keeping the index of kernel modules")]
    Keep(#[source] io::Error),
}

/// Takes the kernel out of an unpacked package. The index of its modules is made once for each
/// package, which is known by its digest, and kept in the store.
///
/// # Errors
/// When the package has no kernel or several, or a module is damaged.
pub fn from_package(
    store: &Store,
    package: &str,
    digest: Sha256,
    tree: &FileTree,
    image: &str,
) -> Result<Kernel, KernelError> {
    let image = find_image(package, tree, image)?;
    let modules = ModuleDir::find(tree)?;
    let key = Sha256::of(format!("{INDEX} {digest}").as_bytes());
    let mut made = None;
    let kept = store.derived(key, |dir| {
        let bar = crate::progress::spinner(format!("reading the modules of kernel {}", modules.release));
        let index = Index::build(&modules)?;
        bar.finish_and_clear();
        dir.file(INDEX, |file| {
            serde_json::to_writer(file, &index).map_err(|error| KernelError::Keep(error.into()))
        })?;
        made = Some(index);
        Ok::<(), KernelError>(())
    })?;
    let index = match (made, kept.get(INDEX)) {
        (Some(index), _) => index,
        (None, Some(file)) => {
            let text = std::fs::read(&file.path).map_err(KernelError::Keep)?;
            serde_json::from_slice(&text).map_err(|error| KernelError::Keep(error.into()))?
        }
        (None, None) => return Err(KernelError::Keep(io::ErrorKind::NotFound.into())),
    };
    Ok(Kernel { image, modules, index })
}

/// The one file that matches a pattern with a single `*`.
fn find_image(package: &str, tree: &FileTree, pattern: &str) -> Result<Extents, KernelError> {
    let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
    let mut images = tree.iter().filter_map(|(path, node)| match &node.kind {
        Kind::File(content) if path.as_str().starts_with(start) && path.as_str().ends_with(end) => {
            Some(content)
        }
        _ => None,
    });
    match (images.next(), images.count()) {
        (Some(image), 0) => Ok(Extents::clone(image)),
        (first, more) => Err(KernelError::Image {
            package: package.to_owned(),
            pattern: pattern.to_owned(),
            found: usize::from(first.is_some()) + more,
        }),
    }
}
