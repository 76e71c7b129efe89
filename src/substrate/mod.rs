//! Everything after the kernel starts, the same on every track: the initramfs with its modules
//! and init stages, and the root file system.

pub mod content;
pub mod contents;
pub mod elf;
pub mod initramfs;
pub mod modules;
pub mod rootfs;
pub mod settings;
