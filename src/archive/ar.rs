//! Reads `ar`, the outer shell of a `.deb` (deb(5)).
//!
//! ```text
//! | "!<arch>\n" | header 60 | content | pad to 2 | header 60 | content | ...
//! header: 0 name[16]  16 mtime[12]  28 uid[6]  34 gid[6]  40 mode[8]  48 size[10]  58 "`\n"
//! ```

use std::io::{self, Read};

pub(crate) const MAGIC: &[u8; 8] = b"!<arch>\n";

/// The members of an archive one by one. Reading from it gives the content of the member that
/// [`next`](Self::next) returned last.
pub struct Members<R> {
    reader: R,
    /// Bytes of the current member that were not read yet.
    left: u64,
    padding: u64,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// The file behind it failed.
    #[error("reading the archive")]
    Read(#[source] io::Error),
    /// It does not start like one.
    #[error("it is no `ar` archive")]
    NotAr,
    /// It stops in the middle.
    #[error("the archive is cut off")]
    Truncated,
    /// A header makes no sense.
    #[error("the archive has a damaged header")]
    Header,
}

impl<R: Read> Members<R> {
    /// Reads the archive that starts where `reader` stands.
    ///
    /// # Errors
    /// When it does not start like one.
    pub fn new(mut reader: R) -> Result<Self, ArError> {
        let mut magic = [0; MAGIC.len()];
        read_exact(&mut reader, &mut magic).map_err(|error| match error {
            ArError::Truncated => ArError::NotAr,
            error => error,
        })?;
        if &magic == MAGIC { Ok(Members { reader, left: 0, padding: 0 }) } else { Err(ArError::NotAr) }
    }

    /// Name and length of the next member, or `None` at the end.
    ///
    /// # Errors
    /// When the archive is cut off or damaged.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend the content")]
    pub fn next(&mut self) -> Result<Option<(String, u64)>, ArError> {
        let skipped = self.left + self.padding;
        let found =
            io::copy(&mut (&mut self.reader).take(skipped), &mut io::sink()).map_err(ArError::Read)?;
        // Some writers leave the padding of the last member out.
        if found < self.left {
            return Err(ArError::Truncated);
        }
        let mut header = [0; 60];
        if self.reader.read(&mut header[..1]).map_err(ArError::Read)? == 0 {
            return Ok(None);
        }
        read_exact(&mut self.reader, &mut header[1..])?;
        let (name, size) = parse_header(&header).ok_or(ArError::Header)?;
        (self.left, self.padding) = (size, size % 2);
        Ok(Some((name, size)))
    }
}

fn parse_header(header: &[u8; 60]) -> Option<(String, u64)> {
    let text = |field: &[u8]| std::str::from_utf8(field).ok().map(|text| text.trim_end().to_owned());
    if &header[58..] != b"`\n" {
        return None;
    }
    let name = text(&header[..16])?;
    // GNU's `ar` ends names with a slash, dpkg does not.
    let name = name.strip_suffix('/').unwrap_or(&name).to_owned();
    Some((name, text(&header[48..58])?.parse().ok()?))
}

fn read_exact(reader: &mut impl Read, buffer: &mut [u8]) -> Result<(), ArError> {
    reader.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ArError::Truncated,
        _ => ArError::Read(error),
    })
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..room])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, ArError::Truncated));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            bytes.extend(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes(),
            );
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        bytes
    }

    fn all(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut members = Members::new(bytes).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some((name, _)) = members.next().map_err(|error| error.to_string())? {
            let mut content = Vec::new();
            members.read_to_end(&mut content).map_err(|error| error.to_string())?;
            found.push((name, content));
        }
        Ok(found)
    }

    #[test]
    fn members_are_read_in_order_and_may_be_left_out() {
        let bytes = archive(&[("debian-binary", b"2.0\n"), ("odd", b"abc"), ("last/", b"xy")]);
        let expected = [("debian-binary", &b"2.0\n"[..]), ("odd", b"abc"), ("last", b"xy")];
        let expected = expected.map(|(name, content)| (name.to_owned(), content.to_vec()));
        assert_eq!(all(&bytes).unwrap(), expected);
        let mut members = Members::new(&bytes[..]).unwrap();
        members.next().unwrap();
        members.next().unwrap();
        assert_eq!(members.next().unwrap(), Some(("last".to_owned(), 2)));
    }

    #[test]
    fn damage_is_refused() {
        let bytes = archive(&[("a", b"abc"), ("b", b"def")]);
        assert_eq!(all(b"").unwrap_err(), "it is no `ar` archive");
        assert_eq!(all(b"PK\x03\x04 and more").unwrap_err(), "it is no `ar` archive");
        for cut in [40, 69, 75, bytes.len() - 2] {
            assert_eq!(all(&bytes[..cut]).unwrap_err(), "the archive is cut off", "{cut}");
        }
        let mut damaged = bytes;
        damaged[8 + 48] = b'x';
        assert_eq!(all(&damaged).unwrap_err(), "the archive has a damaged header");
    }
}
