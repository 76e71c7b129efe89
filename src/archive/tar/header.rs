//! The 512-byte header in front of every member (POSIX.1-1988 ustar, with GNU's additions).
//!
//! ```text
//!   0 name[100]  100 mode[8]  108 uid[8]  116 gid[8]  124 size[12]  136 mtime[12]
//! 148 checksum[8]  156 type[1]  157 link[100]  257 magic[6]  263 version[2]
//! 265 uname[32]  297 gname[32]  329 major[8]  337 minor[8]  345 prefix[155]  500 zeros[12]
//! ```

use std::ops::Range;

/// Bytes in a header; contents are padded with zeros to a multiple of it.
pub const BLOCK: u64 = 512;

const NAME: Range<usize> = 0..100;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..263;
const PREFIX: Range<usize> = 345..500;

/// A header with a sound checksum.
pub(super) struct Header<'a>(&'a [u8; BLOCK as usize]);

/// A number in a header.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Mode,
    Uid,
    Gid,
    Size,
    Mtime,
    Major,
    Minor,
}

impl Field {
    const fn range(self) -> Range<usize> {
        match self {
            Field::Mode => 100..108,
            Field::Uid => 108..116,
            Field::Gid => 116..124,
            Field::Size => 124..136,
            Field::Mtime => 136..148,
            Field::Major => 329..337,
            Field::Minor => 337..345,
        }
    }

    /// What the field is called in an error.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Field::Mode => "mode",
            Field::Uid => "owner",
            Field::Gid => "group",
            Field::Size => "size",
            Field::Mtime => "time",
            Field::Major | Field::Minor => "device number",
        }
    }
}

impl<'a> Header<'a> {
    /// The header in `block`, or `None` when its checksum is wrong.
    pub(super) fn decode(block: &'a [u8; BLOCK as usize]) -> Option<Self> {
        // The checksum is taken with its own field as spaces.
        let sum = |range: Range<usize>| block[range].iter().map(|byte| i64::from(*byte)).sum::<i64>();
        let expected = sum(0..CHECKSUM.start) + sum(CHECKSUM.end..block.len()) + 8 * i64::from(b' ');
        (parse_number(&block[CHECKSUM]) == Some(expected)).then_some(Header(block))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[TYPE]
    }

    /// The name as far as the header holds it.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = until_nul(&self.0[NAME]);
        let prefix = until_nul(&self.0[PREFIX]);
        // GNU's own format keeps times where ustar keeps the prefix.
        if &self.0[MAGIC] == b"ustar\0" && !prefix.is_empty() {
            return [prefix, name].join(&b'/');
        }
        name.to_vec()
    }

    pub(super) fn link(&self) -> Vec<u8> {
        until_nul(&self.0[LINK]).to_vec()
    }

    /// The number in `field`, or `None` when there is none.
    pub(super) fn number(&self, field: Field) -> Option<i64> {
        parse_number(&self.0[field.range()])
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between spaces and NULs; or, with the top bit set, big-endian binary.
/// An empty field is 0, as writers leave unused ones.
fn parse_number(field: &[u8]) -> Option<i64> {
    match field[0] {
        0x80 | 0xff => parse_binary(field),
        _ => {
            let text = std::str::from_utf8(field).ok()?;
            let digits = text.trim_matches([' ', '\0']);
            if digits.is_empty() { Some(0) } else { octal(digits) }
        }
    }
}

fn octal(digits: &str) -> Option<i64> {
    digits.bytes().try_fold(0_i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// GNU's base-256: the first byte is only the sign (0x80 or 0xff).
fn parse_binary(field: &[u8]) -> Option<i64> {
    let start: i128 = if field[0] == 0xff { -1 } else { 0 };
    let value = field[1..].iter().fold(start, |sum, byte| (sum << 8) | i128::from(*byte));
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(parse_number(b"0000644\0"), Some(0o644));
        assert_eq!(parse_number(b"   644 \0"), Some(0o644));
        assert_eq!(parse_number(&[0; 8]), Some(0));
        assert_eq!(parse_number(&[0x80, 0, 0, 0, 0, 1, 0, 0]), Some(0x10000));
        assert_eq!(parse_number(&[0xff; 12]), Some(-1));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for field in [&b"0000648\0"[..], b"-1      ", b"12 34  \0", &[0x81, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(parse_number(field), None, "{field:?}");
        }
        assert_eq!(parse_number(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), None, "over 63 bits");
    }
}
