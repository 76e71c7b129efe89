//! Kernel modules that are not part of the kernel, built against a distribution's kernel headers.
//!
//! ```text
//!   header packages --> directory --+
//!   source ------------------------+--> make, without the last step --> a.o b.o, modules.order
//!                                   |                                        |  Module.symvers: who has
//!                                   +--> make modules <-- a.mod.c b.mod.c <--+  what they need
//!                                            |
//!                                        a.ko b.ko, kept in the store
//! ```
//!
//! Of the header packages, only text is used: their programs are for one machine and one C library,
//! and what they do for modules is done here. So packages of the device's architecture serve every
//! machine, and the same compiler makes the same bytes on all of them.

mod aliases;
mod headers;
mod linkage;
mod object;
mod source;
mod toolchain;
mod workshop;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Sha256;
use crate::store::{Store, StoreError, StoredFile};
use crate::tool::ToolError;
use crate::tree::{FileTree, TreePath};
pub use headers::part as headers_of;
pub use linkage::LinkageError;
use object::Object;
pub use source::{Source, SourceError};
pub use toolchain::Toolchain;

/// To be raised when the same inputs lead to another module.
const GENERATION: &str = "2";

/// How files of modules end.
const ENDING: &str = ".ko";

/// Why a module cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum OotError {
    /// A directory is no source of modules.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A program is missing, or failed.
    #[error("building the kernel modules of `{name}`")]
    Tool {
        /// Name of the source.
        name: String,
        /// What happened.
        source: ToolError,
    },
    /// The packages have no kernel headers, or only some.
    #[error(
        "the header packages have no `{0}`\n\nhint: name the package `linux-headers-...` that belongs to the kernel"
    )]
    NoHeaders(String),
    /// A module does not go with the kernel.
    #[error("module `{module}` cannot be used with kernel `{release}`")]
    Linkage {
        /// Name of the module.
        module: String,
        /// Release of the kernel.
        release: String,
        /// Why not.
        source: LinkageError,
    },
    /// There is nothing to be built.
    #[error("the Makefile of `{0}` makes no module\n\nhint: it has to say `obj-m := ...`")]
    NoModule(String),
    /// The compiler made something else than object files for the device.
    #[error("`{0}` is no object file for the device")]
    Object(PathBuf),
    /// A file of the build cannot be read or written.
    #[error("laying out `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OotError {
    fn on(path: &Path) -> impl FnOnce(io::Error) -> OotError {
        let path = path.to_owned();
        move |source| OotError::File { path, source }
    }
}

/// A module, built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltModule {
    /// Its name: that of the file, without `.ko`.
    pub name: String,
    /// The file, not packed and not signed.
    pub file: StoredFile,
}

/// Builds the modules of `source`, once for the same source, header packages and compiler, and keeps
/// them in the store. `tree` makes a tree of all files of the packages whose digests are `packages`.
/// They come in the order of their names, of which there is at least one.
///
/// # Errors
/// When the headers are not complete, or a module cannot be compiled for this kernel or does not go with
/// it; those of `tree`.
pub fn build<E: From<OotError> + From<StoreError>>(
    store: &Store,
    packages: &[Sha256],
    tree: impl FnOnce() -> Result<FileTree, E>,
    source: &Source,
    toolchain: &Toolchain,
) -> Result<Vec<BuiltModule>, E> {
    let kept = store.derived(key(packages, source, toolchain), |dir| {
        for (name, bytes) in workshop::build(&tree()?, source)? {
            dir.file(&format!("{name}{ENDING}"), |file| Ok::<(), E>(file.append(&bytes)?))?;
        }
        Ok::<(), E>(())
    })?;
    let module = |(file, stored): (&String, &StoredFile)| BuiltModule {
        name: file.trim_end_matches(ENDING).to_owned(),
        file: stored.clone(),
    };
    Ok(kept.files().iter().map(module).collect())
}

/// Covers all that the bytes of modules depend on.
fn key(packages: &[Sha256], source: &Source, toolchain: &Toolchain) -> Sha256 {
    let packages: Vec<String> = packages.iter().map(Sha256::to_string).collect();
    let text = format!("module\0{GENERATION}\0{packages:?}\0{}\0{toolchain}", source.digest());
    Sha256::of(text.as_bytes())
}

/// Writes a file, with the directories that it lies in.
fn write(path: &Path, text: &[u8]) -> Result<(), OotError> {
    make_parent(path)?;
    fs::write(path, text).map_err(OotError::on(path))
}

fn make_parent(path: &Path) -> Result<(), OotError> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(OotError::on(parent)))
}

/// The licence that a built module names, or `None` when it names none or `module` is none.
pub fn licence(module: &[u8]) -> Option<String> {
    let info = Object::info(module);
    let licences = info.iter().filter(|(key, _)| key == "license");
    let licences: Vec<&str> = licences.map(|(_, value)| value.as_str()).collect();
    (!licences.is_empty()).then(|| licences.join(", "))
}

/// Where packages keep what is compiled against.
fn sources() -> TreePath {
    TreePath::root().join("usr/src")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_compiler_kernel_or_source_is_another_module() {
        let compiler = |version| Toolchain::of(version, "GNU ld 2.40");
        let key = |packages: &[&str], source, version| {
            let packages: Vec<Sha256> = packages.iter().map(|name| Sha256::of(name.as_bytes())).collect();
            super::key(&packages, source, &compiler(version))
        };
        let source = Source::rpi_vcio();
        let usual = key(&["common", "arm64"], &source, "gcc 12.2.0");
        let mut other = source.clone();
        other.files.insert("Kbuild".to_owned(), b"obj-m := rpi-vcio.o\n".to_vec());
        assert_eq!(usual, key(&["common", "arm64"], &source, "gcc 12.2.0"));
        for changed in [
            key(&["common", "arm64"], &source, "gcc 14.2.0"),
            key(&["common", "other"], &source, "gcc 12.2.0"),
            key(&["common", "arm64"], &other, "gcc 12.2.0"),
        ] {
            assert_ne!(usual, changed);
        }
    }
}
