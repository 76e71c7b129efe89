//! How GRUB itself reads and changes an environment block, right or wrong.
//!
//! [`crate::grubenv`] takes only blocks that we would write. A block that lost power half-way may be
//! refused there and still be read by GRUB, so whoever judges what a machine boots asks this module.
//! It does what `grub-core/lib/envblk.c` does, and is compared with `grub-editenv` in the tests.

use alloc::vec::Vec;

use crate::grubenv::HEADER;

/// Names and values as GRUB finds them, the last of a name counts; nothing when the header is another.
pub fn variables(block: &[u8]) -> Option<Vec<(&[u8], Vec<u8>)>> {
    let mut rest = block.strip_prefix(HEADER.as_bytes())?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        if rest[0] != b'#' {
            // A name reaches to the next `=`, over line breaks too.
            let Some(equals) = rest.iter().position(|byte| *byte == b'=') else { break };
            let value = &rest[equals + 1..];
            let length = value_length(value);
            if length >= value.len() {
                break;
            }
            found.push((&rest[..equals], unescaped(&value[..length])));
            rest = &value[length..];
        }
        rest = next_line(rest);
    }
    Some(found)
}

/// Changes or appends one variable as `save_env` does. False, and nothing changed, when GRUB would
/// say "environment block too small" or find no block.
#[must_use]
pub fn set(block: &mut [u8], name: &str, value: &str) -> bool {
    let Some(space) = fill_start(block) else { return false };
    let mut new = Vec::with_capacity(name.len() + value.len() + 2);
    let (start, old) = match place(block, name, space) {
        Place::Value(start, length) => (start, length),
        Place::Missing => {
            new.extend(name.bytes().chain([b'=']));
            (space, 0)
        }
        Place::Broken => return false,
    };
    for byte in value.bytes() {
        if matches!(byte, b'\\' | b'\n') {
            new.push(b'\\');
        }
        new.push(byte);
    }
    if start == space {
        new.push(b'\n');
    }
    let end = space + new.len() - old;
    if end > block.len() {
        return false;
    }
    block.copy_within(start + old..space, start + new.len());
    block[start..start + new.len()].copy_from_slice(&new);
    if end < space {
        block[end..space].fill(b'#');
    }
    true
}

/// Where the fill begins: behind the line break of the last variable.
fn fill_start(block: &[u8]) -> Option<usize> {
    block.strip_prefix(HEADER.as_bytes())?;
    let last = block.iter().rposition(|byte| *byte != b'#')?;
    (block[last] == b'\n' && last + 1 < block.len()).then_some(last + 1)
}

/// Where a variable stands.
enum Place {
    /// Start and length of its value.
    Value(usize, usize),
    Missing,
    /// Its value has no end.
    Broken,
}

fn place(block: &[u8], name: &str, space: usize) -> Place {
    let mut at = HEADER.len();
    while at < space {
        let line = &block[at..];
        if let Some(value) = line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
            let length = value_length(value);
            let start = at + name.len() + 1;
            return if length < value.len() { Place::Value(start, length) } else { Place::Broken };
        }
        at = block.len() - next_line(line).len();
    }
    Place::Missing
}

/// Bytes up to the line break that ends a value; a backslash takes the next byte along.
fn value_length(value: &[u8]) -> usize {
    let mut at = 0;
    while at < value.len() && value[at] != b'\n' {
        at += if value[at] == b'\\' { 2 } else { 1 };
    }
    at
}

fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte };
        plain.push(*byte);
    }
    plain
}

/// What comes after a line, which reaches over a line break behind a backslash.
fn next_line(bytes: &[u8]) -> &[u8] {
    bytes.get(value_length(bytes) + 1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grubenv::{GrubEnv, SIZE};
    use proptest::prelude::*;

    fn block(pairs: &[(&str, &str)]) -> [u8; SIZE] {
        let mut env = GrubEnv::new();
        for (name, value) in pairs {
            env.set(name, value).unwrap();
        }
        env.encode().unwrap()
    }

    #[test]
    fn a_value_is_changed_in_place_whatever_its_length() {
        for value in ["", "1", "12", "none", "a\\b"] {
            let mut bytes = block(&[("a", "12"), ("b", "x")]);
            assert!(set(&mut bytes, "a", value));
            assert_eq!(bytes, block(&[("a", value), ("b", "x")]), "{value:?}");
        }
    }

    #[test]
    fn a_missing_variable_is_appended() {
        let mut bytes = block(&[("a", "1")]);
        assert!(set(&mut bytes, "b", "none"));
        assert_eq!(bytes, block(&[("a", "1"), ("b", "none")]));
    }

    #[test]
    fn a_block_without_fill_cannot_be_saved() {
        let mut bytes = block(&[("a", "1")]);
        bytes[SIZE - 1] = 0;
        let before = bytes;
        assert!(!set(&mut bytes, "a", "2"));
        assert_eq!(bytes, before);
        assert!(variables(&bytes).is_some(), "it is still read");
    }

    proptest! {
        #[test]
        fn grub_reads_what_we_read(pairs in prop::collection::vec(("[a-z_]{1,8}", "[ -~]{0,12}"), 0..12)) {
            let mut env = GrubEnv::new();
            for (name, value) in &pairs {
                env.set(name, value).unwrap();
            }
            let bytes = env.encode().unwrap();
            let ours: Vec<(&[u8], Vec<u8>)> =
                env.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes().to_vec())).collect();
            prop_assert_eq!(variables(&bytes).unwrap(), ours);
        }

        #[test]
        fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..80), headed: bool) {
            if headed {
                bytes.splice(0..0, HEADER.bytes());
            }
            let _ = variables(&bytes);
            let before = bytes.clone();
            if !set(&mut bytes, "a", "123") {
                prop_assert_eq!(bytes, before);
            }
        }
    }
}
