//! ELF files for AArch64, small and built by hand: the same as the unit tests use.

use factory::substrate::elf::header;

#[path = "../../src/substrate/elf/sample.rs"]
mod sample;

/// A program or library that needs nothing.
pub fn program() -> Vec<u8> {
    sample::Sample::default().encode()
}

/// A program that needs these libraries, and a loader.
pub fn dynamic(interpreter: &'static str, needed: &[&'static str]) -> Vec<u8> {
    let sample =
        sample::Sample { interpreter: Some(interpreter), needed: needed.to_vec(), ..Default::default() };
    sample.encode()
}

/// The same file, made for x86-64.
pub fn foreign(mut file: Vec<u8>) -> Vec<u8> {
    file[18..20].copy_from_slice(&62u16.to_le_bytes());
    file
}

/// A kernel module with the given `.modinfo`.
pub fn module(modinfo: &[u8]) -> Vec<u8> {
    sample::module(modinfo)
}
