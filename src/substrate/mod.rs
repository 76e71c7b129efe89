//! Everything after the kernel starts, the same on every track: the initramfs with its modules
//! and init stages, and the root file system.
//!
//! [`initramfs()`] and [`rootfs::assemble`] are the usual ways through it; each part can be used alone.

pub mod command;
pub mod content;
pub mod contents;
pub mod elf;
pub mod initramfs;
pub mod modules;
pub mod rootfs;
pub mod settings;
pub mod tarball;

use crate::image::extents::Extents;
use crate::tree::{FileTree, TreePath};
use contents::Programs;
use elf::{Allow, ElfError};
use initramfs::{Compression, InitramfsError};
use modules::{ClosureError, Index, IndexError, ModuleDir, Wanted};
use settings::{Settings, SettingsError};

/// What an initramfs shall be.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What the init stages are told.
    pub settings: Settings,
    /// Wanted kernel modules (see [`modules::parse_list`]).
    pub modules: Vec<Wanted>,
    /// How it is compressed.
    pub compression: Compression,
    /// The time of all files in it, in seconds since 1970.
    pub epoch: u32,
    /// Exceptions from the check of programs and libraries.
    pub allow: Allow,
}

/// What an initramfs is made from.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// The programs that init needs.
    pub programs: Programs,
    /// The modules of the kernel that will run.
    pub module_dir: &'a ModuleDir,
    /// Their index.
    pub index: &'a Index,
    /// Sources of modules, from the root on, which go with these as their licences ask for.
    pub sources: &'a FileTree,
    /// The project's files for the initramfs.
    pub payload: Option<&'a FileTree>,
}

/// Why an initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum SubstrateError {
    /// Wanted modules cannot be had.
    Closure(#[from] ClosureError),
    /// A module cannot be read.
    Module(#[from] IndexError),
    /// A setting cannot be passed on.
    Settings(#[from] SettingsError),
    /// A program cannot run on the device.
    Elf(#[from] ElfError),
    /// It cannot be packed.
    Initramfs(#[from] InitramfsError),
}

/// Makes an initramfs, packed.
///
/// # Errors
/// When wanted modules are unknown, a part cannot be read, or something could not run on the
/// device.
pub fn initramfs(spec: &Spec, parts: &Parts) -> Result<Extents, SubstrateError> {
    let selection = modules::select(parts.index, &spec.modules)?;
    let module_tree = modules::install(parts.module_dir, parts.index, &selection)?;
    let mut tree = contents::tree(&parts.programs, &module_tree, parts.payload, &spec.settings)?;
    tree.graft(&TreePath::root(), parts.sources);
    elf::check(&tree, &spec.allow)?;
    elf::check_static(&tree, contents::BOOTENV)?;
    Ok(initramfs::pack(&tree, spec.epoch, spec.compression)?)
}

/// The bytes of this program that end up in every initramfs, to be part of a build's identity.
pub fn device_files() -> Vec<u8> {
    let scripts = contents::SCRIPTS.iter().flat_map(|(path, text)| [*path, "\0", *text, "\0"]);
    scripts.chain([contents::MODULES]).collect::<String>().into_bytes()
}
