//! Why there is no source to build from.

use std::io;
use std::path::{Path, PathBuf};

use crate::archive::deb::DebError;
use crate::archive::tar::TarError;
use crate::interrupt::Interrupted;
use crate::store::StoreError;
use crate::tool::ToolError;

/// Why something cannot be used as the source of a kernel.
#[derive(Debug, thiserror::Error)]
pub enum SourceTreeError {
    /// A file or directory cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("writing `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An archive is damaged, or has members that no tree takes.
    #[error("archive `{name}` cannot be used")]
    Tar {
        /// What the archive is called.
        name: String,
        /// What is the matter.
        source: TarError,
    },
    /// A package is damaged.
    #[error("package `{name}` is damaged")]
    Deb {
        /// What the package is called.
        name: String,
        /// What is the matter.
        source: DebError,
    },
    /// A package holds no source.
    #[error(
        "package `{name}` has no `usr/src/linux-source-*.tar.*`\n\nhint: Debian's packages that do are called \
         `linux-source-` and a version"
    )]
    NoSource {
        /// What the package is called.
        name: String,
    },
    /// A member cannot stand in a source tree.
    #[error("member `{member}` of `{name}` {what}")]
    Member {
        /// What the archive is called.
        name: String,
        /// Path of the member.
        member: String,
        /// What is wrong with it, as a verb and its object.
        what: String,
    },
    /// There is more than any kernel has.
    #[error("`{name}` holds more than {limit}, which no kernel's source does; in it are {found}")]
    TooMuch {
        /// What the archive is called.
        name: String,
        /// What it exceeds.
        limit: String,
        /// What stands at its top.
        found: String,
    },
    /// It is something else.
    #[error("`{name}` is not the source of a kernel for arm64: it has no {lacks}; in it are {found}")]
    NotKernel {
        /// What the archive is called, or where the directory is.
        name: String,
        /// The first file that a kernel has and this has not.
        lacks: &'static str,
        /// What stands at its top.
        found: String,
    },
    /// Somebody built inside a directory, after which a kernel's Makefile refuses to build elsewhere.
    #[error(
        "`{}` was built in: it has `{found}`, with which it cannot be built elsewhere\n\nhint: \
         `make -C {} ARCH=arm64 mrproper` cleans it; that removes its `.config` too", dir.display(), dir.display()
    )]
    NotClean {
        /// The directory.
        dir: PathBuf,
        /// What shows it.
        found: &'static str,
    },
    /// A link in a directory leads out of it, to something that its digest does not cover.
    #[error("`{}` leads out of the source tree\n\nhint: put a copy of what it leads to in its place", .0.display())]
    Outside(PathBuf),
    /// A patch is not what can be applied safely.
    #[error("patch `{}`, line {line}: {what}", patch.display())]
    BadPatch {
        /// The patch.
        patch: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A patch is for another source.
    #[error(
        "patch `{}` does not apply to {version}: {what}\n\nhint: it may be for another version, or be in \
         this one already", patch.display()
    )]
    DoesNotApply {
        /// The patch.
        patch: PathBuf,
        /// The kernel's version.
        version: String,
        /// File and hunk.
        what: String,
    },
    /// A program failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl SourceTreeError {
    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> SourceTreeError {
        let path = path.to_owned();
        move |source| SourceTreeError::Read { path, source }
    }

    pub(super) fn tar(name: &str) -> impl Fn(TarError) -> SourceTreeError {
        move |error| match error {
            TarError::Interrupted(interrupted) => interrupted.into(),
            source => SourceTreeError::Tar { name: name.to_owned(), source },
        }
    }

    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> SourceTreeError {
        let path = path.to_owned();
        move |source| SourceTreeError::Write { path, source }
    }
}
