//! Files that a Raspberry Pi's firmware reads, as small as they may be and still be what they are called.

use factory::dtb::Dtb;

/// The second stage of a Raspberry Pi 4, built on `day`, as in `Feb 11 2026`.
pub fn start4(day: &str) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(18, 0);
    file.extend(137_u16.to_le_bytes());
    file.resize(4096, 0);
    file.extend(format!("VC_BUILD_ID_TIME: {day}\0VC_BUILD_ID_VERSION: 0123456789abcdef (clean)\0").bytes());
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
