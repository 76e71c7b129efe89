//! Archives from outside, read as hostile: `.deb`, `.tar`, and how they are packed.

pub mod ar;
pub mod compress;
pub mod cpio;
pub mod deb;
pub mod tar;
