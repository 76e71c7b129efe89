//! Damage that keeps most of what it hits.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// One thing that happens to bytes.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    Bit(Index, u8),
    Byte(Index, u8),
    /// So many bytes of a number, little-endian.
    Number(Index, usize, u64),
    /// Some bytes are there twice: from, to, how many.
    Copy(Index, Index, usize),
    Fill(Index, usize, u8),
    /// These only make sense where a length may change.
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Length(usize),
}

/// Bytes that mean something to one of the formats.
fn byte() -> impl Strategy<Value = u8> {
    let known = prop::sample::select(b"#\n=\\ []0129AB\r\0\x01\x0f\x10\x40\x7f\x80\xe5\xff".to_vec());
    prop_oneof![known, any::<u8>()]
}

/// Numbers at the edges of things.
fn number() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 2, 3, 0xff7, 0xff8, 0xfff, 4084, 4085, 65_524, 65_525, 0xfff7, 0xffff, 0x0fff_fff7];
    let large = [0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, i64::MAX as u64, u64::MAX];
    prop_oneof![prop::sample::select([&edges[..], &large].concat()), any::<u64>(), 0..2000_u64]
}

/// Words that decoders look for.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "# GRUB Environment Block\n",
        "boot_default=",
        "boot_counter=",
        "boot_good=AB",
        "boot_failed=none\n",
        "\\",
        "\n",
        "=",
        "[all]\n",
        "[tryboot]\n",
        "boot_partition=",
        "tryboot_a_b=1\n",
        "99999999999999999999",
        "-1",
        "none",
        "try b 300",
        "\u{fe0f}",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        vec(byte(), 1..40)
    ]
}

/// Damage that keeps the length.
pub(super) fn in_place() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Bit(at, bit)),
        4 => (at(), byte()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        4 => (at(), prop::sample::select(vec![1, 2, 4, 8]), number())
            .prop_map(|(at, width, value)| Damage::Number(at, width, value)),
        2 => (at(), at(), 1..600_usize).prop_map(|(from, to, length)| Damage::Copy(from, to, length)),
        1 => (at(), 1..600_usize, byte()).prop_map(|(at, length, byte)| Damage::Fill(at, length, byte)),
    ]
}

/// Damage of any kind.
pub(super) fn any_damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => in_place(),
        2 => (at(), word()).prop_map(|(at, word)| Damage::Insert(at, word)),
        1 => (at(), 1..600_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        1 => (0..2100_usize).prop_map(Damage::Length),
    ]
}

impl Damage {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        let from = |at: &Index, longest: usize| {
            let start = at.index(length);
            start..length.min(start + longest)
        };
        match self {
            Damage::Bit(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Damage::Byte(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Number(at, width, value) => {
                let place = from(at, *width);
                let number = value.to_le_bytes();
                bytes[place.clone()].copy_from_slice(&number[..place.len()]);
            }
            Damage::Copy(at, to, longest) => {
                let copied = from(at, *longest);
                let to = to.index(length).min(length - copied.len());
                bytes.copy_within(copied, to);
            }
            Damage::Fill(at, longest, byte) => bytes[from(at, *longest)].fill(*byte),
            Damage::Insert(at, word) => {
                let at = at.index(length);
                bytes.splice(at..at, word.iter().copied());
            }
            Damage::Remove(at, longest) => drop(bytes.drain(from(at, *longest))),
            Damage::Length(length) => bytes.resize(*length, b'#'),
        }
    }
}

/// All of them, one after the other.
pub(super) fn damaged(bytes: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    damage.iter().for_each(|damage| damage.apply(&mut bytes));
    bytes
}
