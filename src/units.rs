//! Sizes with their unit in the type, and the text forms that people write.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

/// Bytes in one logical sector. Both tracks address media in 512-byte sectors;
/// 4Kn media are not supported.
pub const SECTOR: u64 = 512;

/// One mebibyte, the alignment of every partition.
pub const MIB: u64 = 1 << 20;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Bytes(pub u64);

/// A number of 512-byte sectors, or the address of one (LBA).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sectors(pub u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a size; write a whole number and KiB, MiB, GiB or TiB, as in \"512 MiB\"")]
pub struct SizeError {
    /// The text as it was given.
    pub text: String,
}

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Bytes {
    /// `count` mebibytes.
    pub const fn mib(count: u64) -> Self {
        Bytes(count * MIB)
    }

    /// The next multiple of `step` that is not smaller, or `u64::MAX` when there is none.
    pub const fn round_up(self, step: u64) -> Self {
        Bytes(match self.0.checked_next_multiple_of(step) {
            Some(bytes) => bytes,
            None => u64::MAX,
        })
    }

    /// The sectors that hold this many bytes.
    pub const fn sectors(self) -> Sectors {
        Sectors(self.0.div_ceil(SECTOR))
    }
}

impl Sectors {
    /// The same length, or the same address, in bytes.
    pub const fn bytes(self) -> Bytes {
        Bytes(self.0 * SECTOR)
    }
}

impl FromStr for Bytes {
    type Err = SizeError;

    /// Reads `512 MiB`, `4GiB` or `1024 B`; a bare number has no unit and is refused.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let wrong = || SizeError { text: text.to_owned() };
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (count, unit) = (&text[..split], text[split..].trim_start());
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let count: u64 = count.parse().map_err(|_| wrong())?;
        count.checked_mul(*scale).map(Bytes).ok_or_else(wrong)
    }
}

impl fmt::Display for Bytes {
    /// The largest unit that leaves at least one, with one decimal unless it is whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = UNITS.iter().find(|(_, scale)| self.0 >= *scale).unwrap_or(&UNITS[4]);
        if self.0.is_multiple_of(*scale) {
            write!(f, "{} {unit}", self.0 / scale)
        } else {
            write!(f, "{:.1} {unit}", self.0 as f64 / *scale as f64)
        }
    }
}

macro_rules! arithmetic {
    ($($unit:ty),*) => {$(
        impl Add for $unit {
            type Output = Self;
            fn add(self, other: Self) -> Self { Self(self.0 + other.0) }
        }
        impl Sub for $unit {
            type Output = Self;
            fn sub(self, other: Self) -> Self { Self(self.0 - other.0) }
        }
        impl Sum for $unit {
            fn sum<I: Iterator<Item = Self>>(parts: I) -> Self { Self(parts.map(|part| part.0).sum()) }
        }
    )*};
}
arithmetic!(Bytes, Sectors);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_or_without_a_space() {
        assert_eq!("512 MiB".parse(), Ok(Bytes::mib(512)));
        assert_eq!("4GiB".parse(), Ok(Bytes(4 << 30)));
        assert_eq!("0 B".parse(), Ok(Bytes(0)));
    }

    #[test]
    fn a_size_without_a_known_unit_is_refused() {
        for text in ["", "512", "MiB", "1.5 GiB", "512 MB", "-1 MiB", "99999999999 TiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_leaves_one() {
        assert_eq!(Bytes::mib(512).to_string(), "512 MiB");
        assert_eq!(Bytes(1536 * MIB).to_string(), "1.5 GiB");
        assert_eq!(Bytes(0).to_string(), "0 B");
    }
}
