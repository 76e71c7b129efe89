//! Frames that are nothing but zeros, told without unpacking them.
//!
//! ```text
//!   | magic | descriptor | window, length of content | header, 0 | header, 0 | ... | header, 0 |
//!   |   4   |     1      |  0 to 9, by descriptor    |    3 + 1  |                 |  the last  |
//! ```
//! Source: RFC 8878, 3.1.1.

use crate::formats::zst::{BLOCK, FRAME_MAGIC};

/// Blocks that repeat one byte (3.1.1.2.2).
const RLE: u32 = 1;
/// Parts of the descriptor (3.1.1.1.1): the content is one segment, so that no window is named; what no frame has
/// that is taken here, which are a reserved bit, a digest, and a dictionary.
const SINGLE_SEGMENT: u8 = 1 << 5;
const OTHERS: u8 = 0b0000_1111;

/// How many zeros a frame unpacks to; `None` when it holds something else, or that cannot be told.
pub(super) fn count(frame: &[u8]) -> Option<u64> {
    let (&descriptor, rest) = frame.strip_prefix(&FRAME_MAGIC)?.split_first()?;
    if descriptor & OTHERS != 0 {
        return None;
    }
    let is_single = descriptor & SINGLE_SEGMENT != 0;
    let length = match descriptor >> 6 {
        0 => usize::from(is_single),
        power => 1 << power,
    };
    let mut rest = rest.get(usize::from(!is_single) + length..)?;
    let mut count = 0;
    loop {
        let (&[a, b, c, byte], after) = rest.split_first_chunk::<4>()?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let size = u64::from(header >> 3);
        if header >> 1 & 3 != RLE || byte != 0 || size > BLOCK {
            return None;
        }
        count += size;
        rest = after;
        if header & 1 == 1 {
            return rest.is_empty().then_some(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::pieces::Packer as _;
    use crate::formats::zst::Zstd;

    fn zeros(len: u64) -> Vec<u8> {
        Zstd::new().unwrap().pack_zeros(len).unwrap()
    }

    #[test]
    fn own_frames_of_zeros_are_known() {
        for len in [1, 4096, BLOCK, BLOCK + 1, 64 << 20] {
            assert_eq!(count(&zeros(len)), Some(len));
        }
    }

    #[test]
    fn other_frames_are_not() {
        let whole = zeros(3 * BLOCK);
        for cut in 0..whole.len() {
            assert_eq!(count(&whole[..cut]), None, "cut at {cut}");
        }
        let mut other = whole.clone();
        *other.last_mut().unwrap() = 1;
        assert_eq!(count(&other), None, "another byte is repeated");
        assert_eq!(count(&[&whole[..], &whole].concat()), None, "two frames");
        assert_eq!(count(&Zstd::new().unwrap().pack(&[0; 100_000]).unwrap()), None, "with a digest");
    }

    proptest! {
        #[test]
        fn what_is_told_is_what_zstd_unpacks(len in 1..300_000_u64, at in 0..30_usize, byte: u8) {
            let mut frame = zeros(len);
            let at = at % frame.len();
            frame[at] = byte;
            if let (Some(count), Ok(bytes)) = (count(&frame), zstd::bulk::decompress(&frame, 4 << 20)) {
                prop_assert_eq!(count, bytes.len() as u64);
                prop_assert!(crate::files::is_zero(&bytes));
            }
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = count(&[&FRAME_MAGIC[..], &bytes].concat());
        }
    }
}
