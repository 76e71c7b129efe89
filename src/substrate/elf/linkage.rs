//! What a program or library asks of the dynamic loader (ELF-64 Object File Format, "Program
//! Loading and Dynamic Linking"). Only headers, the dynamic section and single strings are read.

use std::io;

use super::header::{Header, field_u32, field_u64};
use crate::image::extents::Extents;
use crate::substrate::content::Peek;

/// Bytes of a program header, and of an entry of the dynamic section.
const SEGMENT: usize = 56;
const ENTRY: usize = 16;
/// More than any real file has; what claims more is damaged.
const MAX_SEGMENTS: u16 = 1024;
const MAX_DYNAMIC: u64 = 64 << 10;
const MAX_STRING: u64 = 4096;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// What a file needs to be started or loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linkage {
    /// The dynamic loader, for a program that is not static.
    pub interpreter: Option<String>,
    /// Libraries by the names that the loader looks for.
    pub needed: Vec<String>,
    /// The name under which others need this library.
    pub soname: Option<String>,
    /// Directories to look in first, as written: may hold `$ORIGIN`.
    pub search: Vec<String>,
}

/// Why the linkage cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum LinkageError {
    /// Headers or strings point outside of the file, or are absurdly large.
    #[error("its program headers are damaged")]
    Damaged,
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

struct Segment {
    kind: u32,
    at: u64,
    address: u64,
    size: u64,
}

impl Linkage {
    /// Reads the linkage of a 64-bit little-endian file with the given header.
    ///
    /// # Errors
    /// When the file cannot be read, or its headers are damaged.
    pub fn read(header: &Header, file: &Extents, peek: &mut Peek) -> Result<Self, LinkageError> {
        let segments = segments(header, file, peek)?;
        let mut linkage = Linkage::default();
        if let Some(interp) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
            linkage.interpreter = Some(string(file, interp.at, peek)?);
        }
        let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
            return Ok(linkage);
        };
        let entries = entries(dynamic, file, peek)?;
        let Some((_, table)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else {
            return Ok(linkage);
        };
        let table = offset(&segments, *table).ok_or(LinkageError::Damaged)?;
        for (tag, value) in entries {
            let mut text = || string(file, table.saturating_add(value), peek);
            match tag {
                DT_NEEDED => linkage.needed.push(text()?),
                DT_SONAME => linkage.soname = Some(text()?),
                DT_RPATH | DT_RUNPATH => {
                    linkage
                        .search
                        .extend(text()?.split(':').filter(|dir| !dir.is_empty()).map(str::to_owned));
                }
                _ => {}
            }
        }
        Ok(linkage)
    }
}

fn segments(header: &Header, file: &Extents, peek: &mut Peek) -> Result<Vec<Segment>, LinkageError> {
    if header.program_count > MAX_SEGMENTS {
        return Err(LinkageError::Damaged);
    }
    let len = usize::from(header.program_count) * SEGMENT;
    let bytes = peek.read(file, header.programs, len)?.ok_or(LinkageError::Damaged)?;
    let decode = |segment: &[u8]| Segment {
        kind: field_u32(segment, 0),
        at: field_u64(segment, 8),
        address: field_u64(segment, 16),
        size: field_u64(segment, 32),
    };
    Ok(bytes.chunks_exact(SEGMENT).map(decode).collect())
}

fn entries(dynamic: &Segment, file: &Extents, peek: &mut Peek) -> Result<Vec<(u64, u64)>, LinkageError> {
    if dynamic.size > MAX_DYNAMIC {
        return Err(LinkageError::Damaged);
    }
    let bytes = peek.read(file, dynamic.at, dynamic.size as usize)?.ok_or(LinkageError::Damaged)?;
    let entries = bytes.chunks_exact(ENTRY).map(|entry| (field_u64(entry, 0), field_u64(entry, 8)));
    Ok(entries.take_while(|(tag, _)| *tag != 0).collect())
}

/// Where in the file the byte lies that is mapped at `address`.
fn offset(segments: &[Segment], address: u64) -> Option<u64> {
    let within = |segment: &&Segment| {
        segment.kind == PT_LOAD
            && address.checked_sub(segment.address).is_some_and(|skip| skip < segment.size)
    };
    let segment = segments.iter().find(within)?;
    segment.at.checked_add(address - segment.address)
}

/// The text at `at` up to its zero byte. What is not UTF-8 in it is shown as U+FFFD, and so never
/// found in a tree.
fn string(file: &Extents, at: u64, peek: &mut Peek) -> Result<String, LinkageError> {
    let len = file.size().saturating_sub(at).min(MAX_STRING) as usize;
    let bytes = peek.read(file, at, len)?.ok_or(LinkageError::Damaged)?;
    let end = bytes.iter().position(|&byte| byte == 0).ok_or(LinkageError::Damaged)?;
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::elf::sample::Sample;
    use proptest::prelude::*;

    fn sample() -> Sample {
        Sample {
            interpreter: Some("/lib/ld-linux-aarch64.so.1"),
            needed: vec!["libc.so.6", "libm.so.6"],
            runpath: Some("$ORIGIN/../lib:/opt/lib"),
            soname: Some("libx.so.1"),
        }
    }

    fn read(bytes: Vec<u8>) -> Result<Linkage, LinkageError> {
        let header = Header::decode(&bytes).ok_or(LinkageError::Damaged)?;
        Linkage::read(&header, &Extents::bytes(bytes), &mut Peek::default())
    }

    #[test]
    fn a_program_tells_its_loader_libraries_and_search_path() {
        let linkage = read(sample().encode()).unwrap();
        assert_eq!(linkage.interpreter.as_deref(), Some("/lib/ld-linux-aarch64.so.1"));
        assert_eq!(linkage.needed, ["libc.so.6", "libm.so.6"]);
        assert_eq!(linkage.search, ["$ORIGIN/../lib", "/opt/lib"]);
        assert_eq!(linkage.soname.as_deref(), Some("libx.so.1"));
    }

    #[test]
    fn a_file_that_claims_a_huge_dynamic_section_is_damaged() {
        let mut bytes = sample().encode();
        bytes[64 + 2 * 56 + 32 + 4] = 0xff;
        assert!(matches!(read(bytes), Err(LinkageError::Damaged)));
    }

    proptest! {
        #[test]
        fn damage_anywhere_never_panics(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6),
                                        cut in any::<Option<usize>>()) {
            let mut bytes = sample().encode();
            let len = bytes.len();
            for (at, byte) in changes {
                // Headers matter most; half of the changes go there.
                bytes[if at % 2 == 0 { at / 2 % 232 } else { at / 2 % len }] = byte;
            }
            bytes.truncate(cut.map_or(len, |cut| cut % (len + 1)));
            let _ = read(bytes);
        }
    }
}
