//! Files as small as they can be, and still what their names say.

use bootenv::Slot;
use factory::archive::compress::Packing;
use factory::dtb::Dtb;
use factory::image::extents::Extents;
use factory::substrate::initramfs::{self, Compression};
use factory::tree::FileTree;

pub use super::support::boot_files::start4 as start;
pub use super::support::machine::RELEASE;
pub use super::support::programs::{kernel, program};

/// A kernel of the vendor's family.
pub fn vendor_kernel() -> Vec<u8> {
    let mut bytes = kernel("9.9-v8");
    bytes[2000..2010].copy_from_slice(b"bcm2708_fb");
    bytes
}

/// An initramfs with an init of this mode, and a module of this release.
pub fn initramfs_of(mode: u16, release: &str) -> Vec<u8> {
    let mut tree = FileTree::new();
    tree.file("init", mode, Extents::bytes(*b"#!/bin/sh\n"));
    tree.file(&format!("lib/modules/{release}/ext4.ko"), 0o644, Extents::bytes(*b"a module"));
    packed(&tree)
}

/// One with init stages, but without what they ask; a file that is not executable is none.
pub fn initramfs_without_command() -> Vec<u8> {
    let mut tree = FileTree::new();
    tree.file("init", 0o755, Extents::bytes(*b"#!/bin/sh\n"));
    tree.file("lib/factory/stages/40-slot", 0o755, Extents::bytes(*b"eval \"$(bootenv find)\"\n"));
    tree.file("bin/bootenv", 0o644, Extents::bytes(*b"a program"));
    packed(&tree)
}

fn packed(tree: &FileTree) -> Vec<u8> {
    content(&initramfs::pack(tree, 0, Compression::Zstd).unwrap())
}

pub fn initramfs() -> Vec<u8> {
    initramfs_of(0o755, RELEASE)
}

/// What `extents` hold.
pub fn content(extents: &Extents) -> Vec<u8> {
    let mut bytes = vec![0; extents.size() as usize];
    extents.read_at(0, &mut bytes).unwrap();
    bytes
}

pub fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Xz => super::support::packages::xz(bytes),
        Packing::Zstd => super::support::packages::zstd(bytes),
        Packing::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut out, bytes).unwrap();
            out.finish().unwrap()
        }
        Packing::Plain => bytes.to_vec(),
    }
}

pub fn fixup() -> Vec<u8> {
    (0..3000_u32).map(|at| at as u8 | 1).collect()
}

/// A device tree for a board.
pub fn dtb(board: &str, chip: &str) -> Dtb {
    let mut tree = Dtb::new();
    tree.set("/", "compatible", format!("{board}\0{chip}\0").as_bytes());
    tree.set("/__symbols__", "i2c1", b"/soc/i2c\0");
    tree
}

/// An overlay that needs a label of its base.
pub fn overlay(label: &str) -> Dtb {
    let mut tree = Dtb::new();
    tree.set("/fragment@0", "target", &[0xff; 4]);
    tree.set("/fragment@0/__overlay__", "status", b"okay\0");
    tree.set("/__fixups__", label, b"/fragment@0:target:0\0");
    tree
}

/// Both slots, to be looped over.
pub const SLOTS: [Slot; 2] = Slot::ALL;
