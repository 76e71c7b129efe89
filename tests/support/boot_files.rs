//! Files that boot loaders read, as small as they may be and still be what they are called.

use factory::dtb::Dtb;

/// Release of the machine's kernel.
pub const RELEASE: &str = "9.9-arm64";

/// An arm64 kernel with EFI stub: magic words and version (Linux, `arch/arm64/kernel/head.S`).
pub fn kernel() -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[..2].copy_from_slice(b"MZ");
    image[0x10..0x18].copy_from_slice(&4096_u64.to_le_bytes());
    image[0x38..0x3c].copy_from_slice(b"ARMd");
    image[0x3c..0x40].copy_from_slice(&0x40_u32.to_le_bytes());
    image[0x40..0x44].copy_from_slice(b"PE\0\0");
    image[0x44..0x46].copy_from_slice(&0xaa64_u16.to_le_bytes());
    let version = format!("Linux version {RELEASE} (builder@example) (gcc) #1 SMP\n");
    image[1024..1024 + version.len()].copy_from_slice(version.as_bytes());
    image
}

/// The second stage of a Raspberry Pi 4, built on `day`, as in `Feb 11 2026`.
pub fn start4(day: &str) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(18, 0);
    file.extend(137_u16.to_le_bytes());
    file.resize(64, 0);
    file.extend(format!("VC_BUILD_ID_TIME: {day}\0VC_BUILD_ID_VERSION: 0123456789 (clean)\0").bytes());
    file
}

/// A device tree of a mainline kernel for a board and its chip.
pub fn device_tree(board: &str, chip: &str) -> Vec<u8> {
    let mut tree = Dtb::new();
    tree.set("/", "compatible", format!("{board}\0{chip}\0").as_bytes());
    tree.set("/", "model", b"a board\0");
    for label in ["firmware", "spi", "rp1_gpio"] {
        tree.set("/__symbols__", label, b"/somewhere\0");
    }
    tree.encode()
}

/// An overlay that needs the label `spi`.
pub fn overlay() -> Vec<u8> {
    let mut overlay = Dtb::new();
    overlay.set("/fragment@0/__overlay__", "status", b"okay\0");
    overlay.set("/__fixups__", "spi", b"/fragment@0:target:0\0");
    overlay.encode()
}
