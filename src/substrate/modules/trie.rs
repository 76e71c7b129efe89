//! The binary lists that kmod's `modprobe` reads: a prefix tree of names, each with values.
//!
//! ```text
//!   0  magic b0 07 f4 57     4  version 2.1     8  root: offset and flags     12  nodes ...
//!
//!   node:  [prefix, NUL]  [first char, last char, offset and flags of each child between]
//!          [count, then each value: priority, text, NUL]
//! ```
//!
//! Numbers are big-endian; the top bits of an offset tell which parts its node has. A child stands
//! for one more character. (kmod, `libkmod/libkmod-index.c`.)

use std::collections::BTreeMap;

const MAGIC: u32 = 0xb007_f457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// Names with their values; of several values, the one with the lowest number comes first.
pub(super) type Entries = BTreeMap<String, Vec<(u32, String)>>;

/// A name, as far as the tree does not say it already, and its values.
type Leaf<'a> = (&'a [u8], &'a [(u32, String)]);

/// Encodes the tree. Names that are not ASCII have no place in it and are left out.
pub(super) fn encode(entries: &Entries) -> Vec<u8> {
    let entries: Vec<Leaf> = entries
        .iter()
        .filter(|(name, _)| name.is_ascii())
        .map(|(name, values)| (name.as_bytes(), values.as_slice()))
        .collect();
    let mut out = [MAGIC, VERSION, 0].map(u32::to_be_bytes).concat();
    // The root stands for nothing, even if all names start alike.
    let root = node(&entries, b"", &mut out);
    out[8..12].copy_from_slice(&root.to_be_bytes());
    out
}

/// What all of `entries`, which are sorted, start with.
fn common_prefix<'a>(entries: &[Leaf<'a>]) -> &'a [u8] {
    match entries {
        [(first, _), .., (last, _)] => &first[..first.iter().zip(*last).take_while(|(a, b)| a == b).count()],
        [(only, _)] => only,
        [] => &[],
    }
}

/// Writes the node for `entries`, sorted names from which all that leads here is cut off and which
/// start with `prefix`, behind its children. Its offset and flags.
fn node(mut entries: &[Leaf], prefix: &[u8], out: &mut Vec<u8>) -> u32 {
    let values = match entries {
        [(name, values), rest @ ..] if name.len() == prefix.len() => {
            entries = rest;
            values
        }
        _ => &[][..],
    };
    let (span, children) = children(entries, prefix.len(), out);

    let mut at = out.len() as u32;
    if !prefix.is_empty() {
        at |= HAS_PREFIX;
        out.extend(prefix.iter().chain(&[0]));
    }
    if !children.is_empty() {
        at |= HAS_CHILDREN;
        out.extend(span);
        out.extend(children.iter().flat_map(|child| child.to_be_bytes()));
    }
    if !values.is_empty() {
        at |= HAS_VALUES;
        out.extend((values.len() as u32).to_be_bytes());
        for (priority, text) in values {
            out.extend(priority.to_be_bytes().iter().chain(text.as_bytes()).chain(&[0]));
        }
    }
    at
}

/// Writes a child for each next character behind `depth`: the first and the last of them, and an
/// offset for each between, 0 where there is none.
fn children(entries: &[Leaf], depth: usize, out: &mut Vec<u8>) -> ([u8; 2], Vec<u32>) {
    let [(first, _), .., (last, _)] = entries else {
        let [(only, values)] = entries else { return ([0; 2], Vec::new()) };
        let rest = &only[depth + 1..];
        return ([only[depth]; 2], vec![node(&[(rest, values)], rest, out)]);
    };
    let (first, last) = (first[depth], last[depth]);
    let child = |character: u8| {
        let start = entries.partition_point(|(name, _)| name[depth] < character);
        let end = entries.partition_point(|(name, _)| name[depth] <= character);
        let below: Vec<_> =
            entries[start..end].iter().map(|(name, values)| (&name[depth + 1..], *values)).collect();
        if below.is_empty() { 0 } else { node(&below, common_prefix(&below), out) }
    };
    ([first, last], (first..=last).map(child).collect())
}
