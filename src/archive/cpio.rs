//! Initramfs: archives of the kernel's own format, packed.
//!
//! ```text
//!   packed: | entry: header (110 bytes of hexadecimal text), name, content | ... | TRAILER!!! |
//! ```
//! Several archives may follow each other, with zeros in between (Linux,
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

pub use cpio::newc;

use super::compress::{Limited, Packing, Unpacked};
use crate::files::fill;

/// Most bytes that an initramfs may unpack to.
const LARGEST: u64 = 1 << 30;
/// Most archives in one file.
const MOST_ARCHIVES: usize = 16;
/// Longest name: the kernel's limit of a path (`PATH_MAX`).
const LONGEST_NAME: usize = 4096;
/// Bytes of the header, and where it says how long the name is.
const HEADER: usize = 110;
const NAME_LENGTH: std::ops::Range<usize> = 94..102;

/// Whether a file that is not packed begins with an archive (6 bytes are enough).
pub fn is_archive(head: &[u8]) -> bool {
    matches!(head.get(..6), Some(b"070701" | b"070702"))
}

/// Calls `each` with every entry of all archives and its content, as the kernel reads them: each packed
/// by itself, and whole.
///
/// # Errors
/// When they are damaged, unpack to too much, or `each` says so.
pub fn read(
    packed: &mut impl BufRead,
    mut each: impl FnMut(&newc::Entry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    for count in 0..MOST_ARCHIVES {
        if !skip_zeros(packed)? {
            return if count == 0 { Err(wrong("it is empty")) } else { Ok(()) };
        }
        if Packing::detect(packed.fill_buf()?) == Packing::Plain {
            while entry(packed, &mut each)? {}
            continue;
        }
        let unpacked = Limited::new(Unpacked::first(packed.by_ref())?, LARGEST);
        let mut unpacked = BufReader::with_capacity(64 << 10, unpacked);
        while skip_zeros(&mut unpacked)? {
            while entry(&mut unpacked, &mut each)? {}
        }
    }
    Err(wrong("it has more archives than anybody makes"))
}

/// Passes over the zeros that pad an archive. False at the end.
fn skip_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let is_over = zeros < bytes.len();
        reader.consume(zeros);
        if is_over {
            return Ok(true);
        }
    }
}

/// Tells of one entry. False when it was the last of its archive.
fn entry(
    reader: &mut impl BufRead,
    each: &mut impl FnMut(&newc::Entry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<bool> {
    let mut header = [0; HEADER];
    if fill(reader, &mut header)? < HEADER {
        return Err(wrong("it ends without a trailer"));
    }
    let length = std::str::from_utf8(&header[NAME_LENGTH]).ok();
    let length = length.and_then(|text| usize::from_str_radix(text, 16).ok());
    if length.is_none_or(|length| length > LONGEST_NAME) {
        return Err(wrong("it has an entry that makes no sense"));
    }
    let mut entry = newc::Reader::new((&header[..]).chain(reader.by_ref())).map_err(as_damage)?;
    if entry.entry().is_trailer() {
        // Nothing needs to follow the trailer, not even its padding.
        return Ok(false);
    }
    let about = entry.entry().clone();
    each(&about, &mut entry).map_err(as_damage)?;
    entry.finish().map_err(as_damage).map(|_| true)
}

/// The name of an entry, from the root.
pub fn name(entry: &newc::Entry) -> &str {
    match entry.name().trim_start_matches("./").trim_start_matches('/') {
        "." => "",
        name => name,
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// An archive that ends within an entry says no more than that.
fn as_damage(error: io::Error) -> io::Error {
    let is_plain_end = error.kind() == ErrorKind::UnexpectedEof
        && error.get_ref().is_none_or(|inner| inner.to_string().starts_with("failed"));
    if is_plain_end { wrong("it ends within an entry") } else { error }
}
