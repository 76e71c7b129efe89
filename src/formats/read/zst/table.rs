//! The seek table that may end a zstd file.
//!
//! ```text
//!   all frames | magic, length | packed, unpacked[, digest] for each frame | how many | flags | magic |
//!              |     4 + 4     |          4 + 4[ + 4]                      |    4     |   1   |   4   |
//!              ^ as long as all packed lengths together                    ^ from here it is read backwards
//! ```

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

use crate::formats::zst::{SEEKABLE_MAGIC, SKIPPABLE_MAGIC};

/// The longest table that is read, in bytes: of 256 GiB in frames of 2 MiB.
const LONGEST: u64 = 1 << 20;
/// Bytes in front of the entries, and behind them.
const HEADER: u64 = 8;
const FOOTER: u64 = 9;
/// Flags: each entry has a digest, and those that must not be set.
const HAS_DIGESTS: u8 = 1 << 7;
const RESERVED: u8 = 0b0111_1100;

/// How long a frame is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) packed: u32,
    pub(super) unpacked: u32,
}

/// The lengths of all frames in a file of `size` bytes, `None` when no table ends it, or one that is too long.
///
/// # Errors
/// When the file cannot be read, or is not as long as its table says.
pub(super) fn read(file: &File, size: u64) -> io::Result<Option<Vec<Lengths>>> {
    let Some(at) = size.checked_sub(HEADER + FOOTER) else { return Ok(None) };
    let mut footer = [0; FOOTER as usize];
    file.read_exact_at(&mut footer, at + HEADER)?;
    let Some((count, width)) = shape(footer) else { return Ok(None) };
    let len = count * width;
    let Some(start) = at.checked_sub(len).filter(|_| len <= LONGEST) else { return Ok(None) };
    let mut table = vec![0; (HEADER + len) as usize];
    file.read_exact_at(&mut table, start)?;
    let header = [SKIPPABLE_MAGIC, ((len + FOOTER) as u32).to_le_bytes()].concat();
    let Some(entries) = table.strip_prefix(&header[..]) else { return Ok(None) };
    let lengths: Vec<_> = entries.chunks_exact(width as usize).map(decode).collect();
    let said: u64 = lengths.iter().map(|frame| u64::from(frame.packed)).sum();
    if said == start {
        return Ok(Some(lengths));
    }
    let text = format!("its zstd data has {start} bytes, but its seek table speaks of {said}");
    Err(io::Error::new(ErrorKind::InvalidData, text))
}

/// How many entries there are, and the bytes in one.
fn shape(footer: [u8; FOOTER as usize]) -> Option<(u64, u64)> {
    let [a, b, c, d, flags, magic @ ..] = footer;
    let width = if flags & HAS_DIGESTS == 0 { 8 } else { 12 };
    let is_known = magic == SEEKABLE_MAGIC && flags & RESERVED == 0;
    is_known.then(|| (u32::from_le_bytes([a, b, c, d]).into(), width))
}

fn decode(entry: &[u8]) -> Lengths {
    let number = |at: usize| entry[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    Lengths { packed: number(0), unpacked: number(4) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn read_bytes(bytes: &[u8]) -> io::Result<Option<Vec<Lengths>>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        read(&file, bytes.len() as u64)
    }

    /// A file of so many bytes, and a table of `lengths` behind it.
    fn file(data: usize, lengths: &[(u32, u32)], flags: u8) -> Vec<u8> {
        let digest = if flags & HAS_DIGESTS == 0 { &[][..] } else { &[7; 4] };
        let entry = |(packed, unpacked): &(u32, u32)| {
            [&packed.to_le_bytes()[..], &unpacked.to_le_bytes(), digest].concat()
        };
        let entries: Vec<u8> = lengths.iter().flat_map(entry).collect();
        let len = (entries.len() as u64 + FOOTER) as u32;
        let count = (lengths.len() as u32).to_le_bytes();
        [
            &vec![1; data][..],
            &SKIPPABLE_MAGIC,
            &len.to_le_bytes(),
            &entries,
            &count,
            &[flags],
            &SEEKABLE_MAGIC,
        ]
        .concat()
    }

    #[test]
    fn a_table_is_read_with_and_without_digests() {
        let expected = [Lengths { packed: 30, unpacked: 100 }, Lengths { packed: 12, unpacked: 0 }];
        for flags in [0, HAS_DIGESTS, HAS_DIGESTS | 3] {
            let read = read_bytes(&file(42, &[(30, 100), (12, 0)], flags)).unwrap();
            assert_eq!(read.unwrap(), expected, "{flags}");
        }
        assert_eq!(read_bytes(&file(0, &[], 0)).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_file_of_another_length_than_its_table_says_is_damaged() {
        let error = read_bytes(&file(41, &[(30, 100), (12, 5)], 0)).unwrap_err().to_string();
        assert_eq!(error, "its zstd data has 41 bytes, but its seek table speaks of 42");
    }

    #[test]
    fn what_only_looks_like_a_table_is_none() {
        let whole = file(42, &[(30, 100), (12, 5)], 0);
        assert_eq!(read_bytes(&whole[..whole.len() - 1]).unwrap(), None);
        assert_eq!(read_bytes(&whole[whole.len() - 12..]).unwrap(), None);
        assert_eq!(read_bytes(&file(42, &[(42, 1)], 4)).unwrap(), None, "a flag of the future");
        let mut other = whole.clone();
        other[42] ^= 1;
        assert_eq!(read_bytes(&other).unwrap(), None, "not in a skippable frame");
        let many = vec![(1, 1); (LONGEST / 8) as usize + 1];
        assert_eq!(read_bytes(&file(many.len(), &many, 0)).unwrap(), None, "too long");
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..80), count in 0..5_u8) {
            let _ = read_bytes(&bytes);
            bytes.extend([count, 0, 0, 0, 0].into_iter().chain(SEEKABLE_MAGIC));
            let _ = read_bytes(&bytes);
        }
    }
}
