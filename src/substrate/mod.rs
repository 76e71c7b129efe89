//! Everything after the kernel starts, the same on every track: the initramfs with its modules
//! and init stages, and the root file system.
//!
//! Each part can be used alone; [`assemble`] is the usual way through them.

pub mod content;
pub mod contents;
pub mod elf;
pub mod initramfs;
pub mod modules;
pub mod rootfs;
pub mod settings;

use std::sync::Arc;
use std::thread;

use crate::image::extents::Extents;
use crate::tree::FileTree;
use elf::{Allow, ElfError};
use initramfs::{Compression, InitramfsError};
use modules::{ClosureError, Index, IndexError, ModuleDir, Wanted};
use rootfs::{Layer, Options, RootfsError};
use settings::{Settings, SettingsError};

/// What the substrate of an image shall be.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What the init stages are told. Its `rootfs_init` decides whether there is a root file
    /// system.
    pub settings: Settings,
    /// Wanted kernel modules (see [`modules::parse_list`]).
    pub modules: Vec<Wanted>,
    /// How the initramfs is compressed.
    pub compression: Compression,
    /// The time of all files of the initramfs, in seconds since 1970.
    pub epoch: u32,
    /// Exceptions from the check of programs and libraries.
    pub allow: Allow,
}

/// What the substrate is made from.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// A static busybox for AArch64.
    pub busybox: Arc<Extents>,
    /// The modules of the kernel that will run.
    pub module_dir: &'a ModuleDir,
    /// Their index.
    pub index: &'a Index,
    /// The project's files for the initramfs.
    pub payload: Option<&'a FileTree>,
    /// Layers of the root file system, in order.
    pub layers: &'a [Layer],
}

/// The finished substrate.
#[derive(Clone, Debug)]
pub struct Substrate {
    /// The initramfs, compressed.
    pub initramfs: Extents,
    /// The root file system, for whichever format it goes into.
    pub rootfs: Option<FileTree>,
}

/// Why a substrate cannot be made.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum SubstrateError {
    /// Wanted modules cannot be had.
    Closure(#[from] ClosureError),
    /// A module cannot be read.
    Module(#[from] IndexError),
    /// A setting cannot be passed on.
    Settings(#[from] SettingsError),
    /// A program of the initramfs cannot run on the device.
    Elf(#[from] ElfError),
    /// The initramfs cannot be packed.
    Initramfs(#[from] InitramfsError),
    /// The root file system cannot be made.
    Rootfs(#[from] RootfsError),
}

/// Makes initramfs and root file system.
///
/// # Errors
/// When wanted modules are unknown, a part cannot be read, or something could not run on the
/// device.
pub fn assemble(spec: &Spec, parts: &Parts) -> Result<Substrate, SubstrateError> {
    let selection = modules::select(parts.index, &spec.modules)?;
    let module_tree = modules::install(parts.module_dir, parts.index, &selection)?;
    let tree = contents::tree(parts.busybox.clone(), &module_tree, parts.payload, &spec.settings)?;
    elf::check(&tree, &spec.allow)?;
    let options = |init: &String| Options { init: init.clone(), allow: spec.allow.clone() };
    let rootfs =
        || spec.settings.rootfs_init.as_ref().map(|init| rootfs::assemble(parts.layers, &options(init)));
    // Packing keeps one processor busy, reading the layers another.
    let (initramfs, rootfs) = thread::scope(|scope| {
        let packing = scope.spawn(|| initramfs::pack(&tree, spec.epoch, spec.compression));
        let rootfs = rootfs();
        (packing.join().expect("the packer does not panic"), rootfs)
    });
    Ok(Substrate { initramfs: initramfs?, rootfs: rootfs.transpose()? })
}

/// The bytes of this program that end up in every initramfs, to be part of a build's identity.
pub fn device_files() -> Vec<u8> {
    let scripts = contents::SCRIPTS.iter().flat_map(|(path, text)| [*path, "\0", *text, "\0"]);
    scripts.chain([contents::MODULES]).collect::<String>().into_bytes()
}
