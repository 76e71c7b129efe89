//! What a kernel module says of itself: the `.modinfo` section of its ELF file.
//!
//! ```text
//!   ELF header ... section contents ... section headers
//!   e_shoff ------------------------------^  each 64 bytes: name, offset, size
//!   .modinfo = "depends=mbcache,jbd2\0alias=fs-ext4\0softdep=pre: crc32c\0..."
//! ```
//!
//! Layouts are those of the ELF-64 object file format; the keys are those of the kernel's
//! `include/linux/moduleparam.h` and `scripts/mod/modpost.c`.

use serde::{Deserialize, Serialize};

use super::name::canonical;
use crate::substrate::elf::header::{Header, field_u32, field_u64};

/// Bytes of a section header of a 64-bit ELF file.
const SECTION_HEADER: usize = 64;

/// What one module needs and answers to. Names have `_` where a file name may have `-`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modinfo {
    /// Modules that have to be loaded before, in the order the module gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<String>,
    /// Names that should be loaded before, where they exist. May be aliases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Names that should be loaded after, where they exist. May be aliases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Names and patterns that stand for this module, `_` for `-` as in names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// Why a file is not a kernel module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModinfoError {
    /// The file is not an ELF file for AArch64.
    #[error("it is not an ELF file for AArch64")]
    NotAarch64,
    /// Section headers or sections point outside of the file.
    #[error("its ELF sections lie outside of the file")]
    Damaged,
    /// The file has no `.modinfo` section.
    #[error("it has no `.modinfo` section")]
    Missing,
}

impl Modinfo {
    /// Reads the `.modinfo` of a whole, unpacked module.
    ///
    /// # Errors
    /// When `elf` is not an AArch64 ELF file, is damaged, or has no such section.
    pub fn decode(elf: &[u8]) -> Result<Self, ModinfoError> {
        let header = Header::decode(elf).filter(Header::is_aarch64).ok_or(ModinfoError::NotAarch64)?;
        let names = section(elf, &header, usize::from(header.section_names))?;
        let found = (0..usize::from(header.section_count)).find(|&index| {
            let name = section_header(elf, &header, index).map(|section| field_u32(section, 0) as usize);
            name.ok().and_then(|at| names.get(at..)).is_some_and(|name| name.starts_with(b".modinfo\0"))
        });
        let index = found.ok_or(ModinfoError::Missing)?;
        Ok(Self::parse(section(elf, &header, index)?))
    }

    /// Reads `key=value` records that end with a zero byte. Unknown keys and what is not UTF-8 are
    /// of no concern to loading and left out.
    pub fn parse(records: &[u8]) -> Self {
        let mut info = Modinfo::default();
        for record in records.split(|&byte| byte == 0) {
            let text = std::str::from_utf8(record).unwrap_or_default();
            match text.split_once('=') {
                Some(("depends", value)) => {
                    info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(canonical));
                }
                Some(("softdep", value)) => info.add_softdep(value),
                Some(("alias", value)) => info.aliases.push(canonical(value)),
                _ => {}
            }
        }
        info
    }

    /// Reads one `pre: a b post: c`; a module may have several.
    fn add_softdep(&mut self, value: &str) {
        let mut list = &mut self.before;
        for word in value.split_ascii_whitespace() {
            match word {
                "pre:" => list = &mut self.before,
                "post:" => list = &mut self.after,
                name => list.push(canonical(name)),
            }
        }
    }
}

fn section_header<'a>(elf: &'a [u8], header: &Header, index: usize) -> Result<&'a [u8], ModinfoError> {
    let at =
        usize::try_from(header.sections).ok().and_then(|start| start.checked_add(index * SECTION_HEADER));
    at.and_then(|at| elf.get(at..at.checked_add(SECTION_HEADER)?)).ok_or(ModinfoError::Damaged)
}

fn section<'a>(elf: &'a [u8], header: &Header, index: usize) -> Result<&'a [u8], ModinfoError> {
    let section = section_header(elf, header, index)?;
    let (start, size) = (field_u64(section, 24) as usize, field_u64(section, 32) as usize);
    start.checked_add(size).and_then(|end| elf.get(start..end)).ok_or(ModinfoError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::elf::sample;
    use proptest::prelude::*;

    #[test]
    fn every_softdep_line_counts() {
        let info =
            Modinfo::parse(b"softdep=pre: crc32c xxhash-64\0softdep=post: b pre: sha256\0license=GPL\0");
        assert_eq!(info.before, ["crc32c", "xxhash_64", "sha256"]);
        assert_eq!(info.after, ["b"]);
    }

    #[test]
    fn a_module_tells_what_it_needs_and_answers_to() {
        let module = sample::module(b"alias=fs-ext4\0depends=mbcache,jbd2,crc-16\0");
        let info = Modinfo::decode(&module).unwrap();
        assert_eq!(info.depends, ["mbcache", "jbd2", "crc_16"]);
        assert_eq!(info.aliases, ["fs_ext4"]);
    }

    #[test]
    fn what_is_not_a_module_is_refused() {
        assert_eq!(Modinfo::decode(b"#!/bin/sh\n"), Err(ModinfoError::NotAarch64));
        let mut cut = sample::module(b"depends=\0");
        cut.truncate(100);
        assert_eq!(Modinfo::decode(&cut), Err(ModinfoError::Damaged));
    }

    proptest! {
        #[test]
        fn damage_anywhere_never_panics(at in 0usize..400, byte: u8, cut in 0usize..600) {
            let mut module = sample::module(b"depends=a,b\0alias=x*\0");
            let len = module.len();
            module[at % len] = byte;
            module.truncate(cut);
            let _ = Modinfo::decode(&module);
        }
    }
}
