//! Kernel modules that are not part of the kernel, built against a distribution's kernel headers.
//!
//! ```text
//!   header packages --> directory --+
//!   source of the module -----------+--> make rpi-vcio.o --> nm: what it needs and has
//!                                   |                             |  Module.symvers: who has that
//!                                   +--> make modules <-- rpi-vcio.mod.c: `struct module`, depends
//!                                            |
//!                                        rpi-vcio.ko, kept in the store
//! ```
//!
//! Of the header packages, only text is used: their programs are for one machine and one C library,
//! and what they do for a module that exports nothing is little. So packages of the device's
//! architecture serve every machine, and the same compiler makes the same bytes on all of them.

mod headers;
mod linkage;
mod source;
mod toolchain;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Sha256;
use crate::progress;
use crate::store::{Store, StoreError, StoredFile};
use crate::tool::{self, ToolError};
use crate::tree::{FileTree, TreePath};
use headers::Headers;
pub use headers::part as headers_of;
use linkage::Object;
pub use source::{Source, SourceError};
pub use toolchain::Toolchain;

/// To be raised when the same inputs lead to another module.
const GENERATION: &str = "1";

/// Why a module cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum OotError {
    /// A directory is no source of modules.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A program is missing, or failed.
    #[error("building the kernel module `{module}`")]
    Tool {
        /// Name of the module.
        module: String,
        /// What happened.
        source: ToolError,
    },
    /// The packages have no kernel headers, or only some.
    #[error(
        "the header packages have no `{0}`\n\nhint: name the package `linux-headers-...` that belongs to the kernel"
    )]
    NoHeaders(String),
    /// The kernel lacks something that the module calls.
    #[error("kernel `{release}` has no `{symbol}`, which module `{module}` needs")]
    Symbol {
        /// Release of the kernel.
        release: String,
        /// Name of the module.
        module: String,
        /// The function or variable.
        symbol: String,
    },
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

/// Builds a module, once for the same source, header packages and compiler, and keeps it in the
/// store. `tree` makes a tree of all files of the packages whose digests are `packages`.
///
/// # Errors
/// When the headers are not complete, or the module cannot be compiled for this kernel; those of
/// `tree`.
pub fn build<E: From<OotError> + From<StoreError>>(
    store: &Store,
    packages: &[Sha256],
    tree: impl FnOnce() -> Result<FileTree, E>,
    source: &Source,
    toolchain: &Toolchain,
) -> Result<StoredFile, E> {
    let name = format!("{}.ko", source.name);
    let kept = store.derived(key(packages, source, toolchain), |dir| {
        let bytes = compile(&tree()?, source)?;
        dir.file(&name, |file| Ok::<(), E>(file.append(&bytes)?))
    })?;
    let missing = || OotError::on(Path::new(&name))(io::ErrorKind::NotFound.into()).into();
    kept.get(&name).cloned().ok_or_else(missing)
}

/// Covers all that the bytes of a module depend on.
fn key(packages: &[Sha256], source: &Source, toolchain: &Toolchain) -> Sha256 {
    let packages: Vec<String> = packages.iter().map(Sha256::to_string).collect();
    let text = format!("module\0{GENERATION}\0{packages:?}\0{}\0{toolchain}", source.digest());
    Sha256::of(text.as_bytes())
}

fn compile(tree: &FileTree, source: &Source) -> Result<Vec<u8>, OotError> {
    let scratch = tempfile::tempdir().map_err(OotError::on(&std::env::temp_dir()))?;
    let bar = progress::spinner(format!("building the kernel module {}", source.name));
    let workshop = Workshop::open(tree, source, scratch.path())?;
    let object = workshop.object()?;
    let exports = workshop.headers.exports()?;
    let text = linkage::text(&object, &exports).map_err(|symbol| OotError::Symbol {
        release: workshop.headers.release.clone(),
        module: source.name.clone(),
        symbol,
    })?;
    let module = workshop.link(&text);
    bar.finish_and_clear();
    module
}

/// A directory with headers and source.
struct Workshop<'a> {
    source: &'a Source,
    headers: Headers,
    /// Where the source lies.
    dir: PathBuf,
}

impl<'a> Workshop<'a> {
    fn open(tree: &FileTree, source: &'a Source, scratch: &Path) -> Result<Self, OotError> {
        let headers = Headers::lay_out(tree, &scratch.join("headers"))?;
        let dir = scratch.join("module");
        source.write_to(&dir)?;
        Ok(Workshop { source, headers, dir })
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", self.source.name))
    }

    /// Compiles the source, to see what it needs.
    fn object(&self) -> Result<Object, OotError> {
        self.make(&format!("{}.o", self.source.name))?;
        let symbols = tool::CROSS_NM.run(&["--format=posix".into(), self.file("o").into_os_string()]);
        Ok(Object::parse(&String::from_utf8_lossy(&symbols.map_err(|error| self.failed(error))?.stdout)))
    }

    /// Links the module with what `text` says of it.
    fn link(&self, text: &str) -> Result<Vec<u8>, OotError> {
        write(&self.file("mod.c"), text.as_bytes())?;
        self.make("modules")?;
        let module = self.file("ko");
        fs::read(&module).map_err(OotError::on(&module))
    }

    fn make(&self, target: &str) -> Result<(), OotError> {
        let variable = |name: &str, value: &Path| {
            let mut text = OsString::from(format!("{name}="));
            text.push(value);
            text
        };
        let mut arguments: Vec<OsString> = ["-s", "-C"].map(OsString::from).into();
        arguments.push(self.headers.common.clone().into());
        arguments.extend(toolchain::VARIABLES.map(OsString::from));
        arguments.push(variable("O", &self.headers.dir));
        arguments.push(variable("M", &self.dir));
        arguments.push(target.into());
        tool::MAKE.run_alone(&arguments).map(drop).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: ToolError) -> OotError {
        OotError::Tool { module: self.source.name.clone(), source }
    }
}

/// Writes a file, with the directories that it lies in.
fn write(path: &Path, text: &[u8]) -> Result<(), OotError> {
    make_parent(path)?;
    fs::write(path, text).map_err(OotError::on(path))
}

fn make_parent(path: &Path) -> Result<(), OotError> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(OotError::on(parent)))
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
