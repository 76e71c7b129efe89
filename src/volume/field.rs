//! Fields of structures on disks, by name: what is told when one differs.

use uuid::Uuid;

/// A number, or a text, at a fixed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is.
    pub name: &'static str,
    /// Offset of its first byte.
    pub at: usize,
    /// Its bytes.
    pub len: usize,
    /// How it is shown.
    pub show: Show,
    /// Whether it follows from everything else: a count, a checksum, or something told by another name.
    pub is_derived: bool,
}

/// How bytes are shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// As a little-endian number.
    Number,
    /// As a little-endian number in hexadecimal digits.
    Hex,
    /// As the serial number of a FAT, in the way of `blkid`.
    Serial,
    /// As a UUID whose bytes stand as they are written.
    Uuid,
    /// As a UUID of a GPT, with little-endian numbers in front.
    Guid,
    /// As text that ends with the first zero.
    Text,
    /// As UTF-16 text that ends with the first zero.
    Wide,
    /// As seconds since 1970.
    Time,
    /// Not at all: it is long, and means nothing to people.
    Bytes,
}

impl Field {
    /// A field that stands for itself.
    pub const fn new(name: &'static str, at: usize, len: usize, show: Show) -> Self {
        Field { name, at, len, show, is_derived: false }
    }

    /// One that follows from others.
    pub const fn derived(name: &'static str, at: usize, len: usize, show: Show) -> Self {
        Field { name, at, len, show, is_derived: true }
    }

    /// Its bytes in a structure; none where that is too short.
    pub fn of<'a>(&self, structure: &'a [u8]) -> &'a [u8] {
        structure.get(self.at..self.at + self.len).unwrap_or_default()
    }

    /// Its value in a structure.
    pub fn value(&self, structure: &[u8]) -> String {
        let bytes = self.of(structure);
        let number = || bytes.iter().rev().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let uuid = <[u8; 16]>::try_from(bytes).unwrap_or_default();
        match self.show {
            Show::Number => number().to_string(),
            Show::Hex => format!("{:#x}", number()),
            Show::Serial => format!("{:04X}-{:04X}", number() >> 16, number() & 0xffff),
            Show::Uuid => Uuid::from_bytes(uuid).to_string(),
            Show::Guid => Uuid::from_bytes_le(uuid).to_string(),
            Show::Text => text(&String::from_utf8_lossy(bytes)),
            Show::Wide => {
                let units: Vec<u16> =
                    bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
                text(&String::from_utf16_lossy(&units))
            }
            Show::Time => super::time::of_seconds(number().cast_signed()),
            Show::Bytes => String::new(),
        }
    }
}

fn text(text: &str) -> String {
    text.split('\0').next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_what_they_are() {
        let bytes: Vec<u8> = (1..=16).collect();
        let value = |len, show| Field::new("x", 0, len, show).value(&bytes);
        assert_eq!(value(2, Show::Number), "513");
        assert_eq!(value(4, Show::Hex), "0x4030201");
        assert_eq!(value(4, Show::Serial), "0403-0201");
        assert_eq!(value(16, Show::Uuid), "01020304-0506-0708-090a-0b0c0d0e0f10");
        assert_eq!(value(16, Show::Guid), "04030201-0605-0807-090a-0b0c0d0e0f10");
        assert_eq!(Field::new("x", 0, 6, Show::Text).value(b"ab \0cd"), "ab");
        assert_eq!(Field::new("x", 0, 6, Show::Wide).value(b"a\0b\0\0\0"), "ab");
        assert_eq!(Field::new("x", 0, 4, Show::Time).value(&[0; 4]), "1970-01-01 00:00:00");
        assert_eq!(Field::new("x", 4, 4, Show::Number).value(&[0; 4]), "0");
    }
}
