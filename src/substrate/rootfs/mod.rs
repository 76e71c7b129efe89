//! The root file system, from layers.

pub mod dir;
pub mod dpkg;
mod merge;
pub mod squashfs;
pub mod tar;

use std::path::PathBuf;

use crate::substrate::elf::{self, Allow, ElfError};
use crate::tree::{FileTree, Kind, ResolveError};
use dir::{DirError, Owner};
use dpkg::{Package, PackageError};
pub use merge::MergeError;
use merge::{Directories, Merge};
use tar::TarLayerError;

/// One step on the way to a root file system.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A tar archive that is not compressed.
    Tar {
        /// Where it is.
        path: PathBuf,
        /// What it is called in errors.
        name: String,
    },
    /// A directory of the host. Directories that are there already keep their metadata: that of a
    /// checkout is an accident.
    Dir {
        /// The directory.
        path: PathBuf,
        /// Who owns its entries on the device.
        owner: Owner,
    },
    /// Debian packages, unpacked but not configured.
    Packages(Vec<Package>),
}

/// What is asked of a finished root file system.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the first program, absolute.
    pub init: String,
    /// Path of the program that judges a trial, absolute, if there is one.
    pub check: Option<String>,
    /// Exceptions from the check of programs and libraries.
    pub allow: Allow,
}

impl Default for Options {
    fn default() -> Self {
        Options { init: "/sbin/init".into(), check: None, allow: Allow::default() }
    }
}

/// Why layers do not make a root file system.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// An archive cannot be used.
    #[error(transparent)]
    Tar(#[from] TarLayerError),
    /// A directory cannot be read.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// An entry of a directory has no place in the tree.
    #[error("directory `{}` cannot be put into the root file system", path.display())]
    Place {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the entry.
        source: MergeError,
    },
    /// Packages cannot be unpacked.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A program or library cannot run on the device.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// There is no program to start.
    #[error(
        "the root file system has no `{init}` that can be started\n\n\
         hint: add a package that ships one, such as `systemd-sysv` or `busybox`, or set `rootfs.init`"
    )]
    NoInit {
        /// Path of the first program.
        init: String,
        /// Where the path leads, when it leads nowhere.
        source: Option<ResolveError>,
    },
    /// There is no program to judge a trial.
    #[error(
        "the root file system has no `{check}` that can be started, so no trial would ever be committed\n\n\
         hint: add it with a layer, or correct `health.check`"
    )]
    NoCheck {
        /// Path of the program.
        check: String,
        /// Where the path leads, when it leads nowhere.
        source: Option<ResolveError>,
    },
}

/// Puts layers over each other, later ones over earlier ones.
///
/// # Errors
/// When a layer cannot be read or placed.
pub fn assemble(layers: &[Layer]) -> Result<FileTree, RootfsError> {
    let mut merge = Merge::default();
    for layer in layers {
        merge.next_layer();
        match layer {
            Layer::Tar { path, name } => drop(tar::add(&mut merge, path, name)?),
            Layer::Packages(packages) => dpkg::add(&mut merge, packages)?,
            Layer::Dir { path, owner } => add_dir(&mut merge, path, *owner)?,
        }
    }
    Ok(merge.finish())
}

/// Checks that a root file system can run.
///
/// # Errors
/// When a program is for another architecture or lacks a library, or one that is to be started is missing.
pub fn check(tree: &FileTree, options: &Options) -> Result<(), RootfsError> {
    let Options { init, check, allow } = options;
    has_program(tree, init).map_err(|source| RootfsError::NoInit { init: init.clone(), source })?;
    if let Some(check) = check {
        has_program(tree, check).map_err(|source| RootfsError::NoCheck { check: check.clone(), source })?;
    }
    Ok(elf::check(tree, allow)?)
}

fn add_dir(merge: &mut Merge, path: &std::path::Path, owner: Owner) -> Result<(), RootfsError> {
    // The directory itself stands for the root, which has its metadata from elsewhere.
    for (at, node) in dir::read(path, owner)?.iter().skip(1) {
        merge
            .put(at, node.clone(), Directories::Earlier)
            .map_err(|source| RootfsError::Place { path: path.to_owned(), source })?;
    }
    Ok(())
}

/// That a path leads to a program; else where it leads, when it leads nowhere.
pub(super) fn has_program(tree: &FileTree, path: &str) -> Result<(), Option<ResolveError>> {
    let place = tree.resolve(path).map_err(Some)?;
    let can_start = |node: &&crate::tree::Node| {
        matches!(node.kind, Kind::File(_) | Kind::HardLink(_)) && node.meta.mode & 0o111 != 0
    };
    tree.get(&place).filter(can_start).map(drop).ok_or(None)
}
