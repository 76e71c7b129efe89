//! Archives from outside, read as hostile: `.deb`, `.tar`, and how they are packed.

pub mod compress;
pub mod tar;
