//! Everything after the kernel starts, the same on every track: the initramfs with its modules
//! and init stages, and the root file system.

pub mod content;
pub mod contents;
pub mod elf;
pub mod initramfs;
pub mod modules;
pub mod rootfs;
pub mod settings;

/// The bytes of this program that end up in every initramfs, to be part of a build's identity.
pub fn device_files() -> Vec<u8> {
    let scripts = contents::SCRIPTS.iter().flat_map(|(path, text)| [*path, "\0", *text, "\0"]);
    scripts.chain([contents::MODULES]).collect::<String>().into_bytes()
}
