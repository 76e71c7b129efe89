//! Why a kernel is not built.

use std::io;
use std::path::{Path, PathBuf};

use super::make::MakeError;
use super::signing::SigningError;
use crate::interrupt::Interrupted;
use crate::ksource::SourceTreeError;
use crate::oot::OotError;
use crate::store::StoreError;
use crate::substrate::rootfs::dir::DirError;
use crate::substrate::tarball::TarballError;
use crate::tool::ToolError;
use crate::units::Bytes;

/// Why a kernel is not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source was worked on while it was built from.
    #[error("`{path}` changed while the kernel was built from it\n\nhint: build again, when nobody changes it", path = .0.display())]
    Changed(PathBuf),
    /// A source cannot be read again.
    #[error(transparent)]
    Tree(#[from] SourceTreeError),
    /// A device tree has no source.
    #[error(
        "the kernel's source has no device tree `{0}`\n\nhint: name it as it stands under `arch/arm64/boot/dts`, such as `broadcom/bcm2711-rpi-4-b.dtb`"
    )]
    NoDeviceTree(String),
    /// Two modules from outside have one name.
    #[error("two kernel modules from outside the tree are called `{0}`\n\nhint: rename the directory of one")]
    SameName(String),
    /// A module from outside, and a kernel without modules.
    #[error(
        "the kernel takes no modules, so `{0}` cannot be built for it\n\nhint: add `CONFIG_MODULES=y` to a fragment"
    )]
    NoModules(String),
    /// Modules cannot be signed as asked for.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The name of a directory is more than make bears.
    #[error("the kernel's Makefiles cannot work in `{path}`: they bear no spaces, colons or quotes in names of directories\n\nhint: set `FACTORY_STORE`, and put the source, where the path has none", path = .0.display())]
    Directory(PathBuf),
    /// The disk has not enough room.
    #[error("building this kernel needs about {needs} in `{path}`, where {left} are left\n\nhint: make room, or set `FACTORY_STORE` to a directory of a larger disk", path = path.display())]
    Space {
        /// The build tree.
        path: PathBuf,
        /// What the build will roughly take.
        needs: Bytes,
        /// What is there.
        left: Bytes,
    },
    /// The disk ran full.
    #[error("no space is left for the build tree `{path}` ({left})\n\nhint: make room and build again, which goes on where it stopped", path = path.display())]
    Full {
        /// The build tree.
        path: PathBuf,
        /// What is left.
        left: Bytes,
        /// What failed.
        source: Box<BuildError>,
    },
    /// Make did not take the configuration as it is.
    #[error(
        "the kernel's tools changed the configuration in line {line}: `{got}` instead of `{asked}`\n\nhint: configure the kernel again, with the compiler that builds it"
    )]
    Config {
        /// The first line that differs, from 1.
        line: usize,
        /// What it was.
        asked: String,
        /// What it is now.
        got: String,
    },
    /// A program is missing, or a short call of make failed.
    #[error("preparing the kernel's source")]
    Tool(#[from] ToolError),
    /// Make failed.
    #[error("building the kernel")]
    Make(#[source] MakeError),
    /// A module from outside cannot be built.
    #[error("building the kernel module `{name}`")]
    Module {
        /// The module.
        name: String,
        /// What make says.
        source: MakeError,
    },
    /// The kernel calls itself what no file can be called.
    #[error(
        "the kernel's release is `{0}`, which cannot be part of a file's name\n\nhint: set `CONFIG_LOCALVERSION` to letters, digits, `-`, `.`, `_` and `+`"
    )]
    Release(String),
    /// A file of the build tree cannot be used.
    #[error("{doing} `{path}`", path = path.display())]
    File {
        /// What was tried, as a participle.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The source of a module from outside cannot be written down.
    #[error(transparent)]
    Source(#[from] OotError),
    /// What make installed cannot be read.
    #[error(transparent)]
    Installed(#[from] DirError),
    /// A product cannot be written.
    #[error("packing what was built")]
    Pack(#[from] TarballError),
    /// What the store says of a kernel is damaged.
    #[error("reading what the store has of the kernel")]
    Info(#[source] io::Error),
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<MakeError> for BuildError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Interrupted(stop) => BuildError::Interrupted(stop),
            error => BuildError::Make(error),
        }
    }
}

impl BuildError {
    /// That make failed on the module `name` from outside.
    pub(super) fn of_module(name: &str, error: MakeError) -> BuildError {
        match error {
            MakeError::Interrupted(stop) => BuildError::Interrupted(stop),
            source => BuildError::Module { name: name.to_owned(), source },
        }
    }

    pub(super) fn on(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
        let path = path.to_owned();
        move |source| BuildError::File { doing, path, source }
    }
}
