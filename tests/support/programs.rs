//! Programs that loaders start, as small as they can be.

/// An EFI program for arm64 of `size` bytes.
pub fn program(size: usize) -> Vec<u8> {
    let mut bytes = vec![0x90; size];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[60..64].copy_from_slice(&64_u32.to_le_bytes());
    bytes[64..70].copy_from_slice(b"PE\0\0\x64\xaa");
    bytes
}

/// A kernel that is an arm64 Image and an EFI program; its banner is not in its first window.
pub fn kernel(release: &str) -> Vec<u8> {
    let mut bytes = program(1_300_000);
    bytes[56..60].copy_from_slice(b"ARM\x64");
    let banner = format!("\0Linux version {release} (builder@host) #1 SMP\0");
    // Across the end of the window that is searched at once.
    let at = (1 << 20) + 512 - 20;
    bytes[at..at + banner.len()].copy_from_slice(banner.as_bytes());
    bytes
}
