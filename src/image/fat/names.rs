//! Names in a directory: the long one, and the short one that old readers see.
//!
//! ```text
//!   a long name that is 27 units long     13 units an entry, the last part first
//!   | part 3 | part 2 | part 1 | ALONGN~1.TXT |
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::FatError;
use crate::tree::TreePath;

/// UTF-16 units in one entry of a long name, and where they stand in it.
const UNITS: usize = 13;
const UNIT_OFFSETS: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const LONGEST: usize = 255;
/// Printable characters that only long names may hold, and those that no name may hold.
const LONG_ONLY: &str = "+,;=[]";
const FORBIDDEN: &str = "\"*/:<>?\\|";

const LAST_PART: u8 = 0x40;
const ATTRIBUTE_LONG: u8 = 0x0f;

pub(crate) type Short = [u8; 11];

/// What stands in a directory for one name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// Eight characters and three, padded with spaces.
    pub(crate) short: Short,
    /// The name in UTF-16, unless the short one says it all.
    long: Vec<u16>,
}

impl Name {
    /// Directory entries before the one with the short name.
    pub(crate) fn long_entries(&self) -> usize {
        self.long.len().div_ceil(UNITS)
    }

    /// The entries of the long name.
    pub(super) fn encode_long(&self) -> impl Iterator<Item = [u8; 32]> {
        let total = self.long_entries() as u8;
        let parts = (1..=total).zip(self.long.chunks(UNITS)).rev();
        parts.map(move |(order, units)| {
            let mut entry = [0xff; 32];
            entry[0] = if order == total { order | LAST_PART } else { order };
            entry[11] = ATTRIBUTE_LONG;
            entry[12] = 0;
            entry[13] = checksum(&self.short);
            entry[26..28].fill(0);
            // A part that is not full ends in one zero; what is left stays 0xffff.
            for (unit, at) in units.iter().chain([&0]).zip(UNIT_OFFSETS) {
                entry[at..at + 2].copy_from_slice(&unit.to_le_bytes());
            }
            entry
        })
    }
}

fn checksum(short: &Short) -> u8 {
    short.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The names of one directory, in the given order.
pub(crate) fn assign(dir: &TreePath, names: &[&str]) -> Result<Vec<Name>, FatError> {
    let mut folded = BTreeMap::new();
    for name in names {
        let path = || dir.join(name);
        check(name).map_err(|reason| FatError::Name { path: path(), reason })?;
        if let Some(other) = folded.insert(fold(name), name) {
            return Err(FatError::SameName { path: path(), other: dir.join(other) });
        }
    }
    // Whoever can have its own name has it; the others take what is free then.
    let mut taken: BTreeSet<Short> = names.iter().filter_map(|name| exact(&fold(name))).collect();
    let mut tails = BTreeMap::new();
    let assigned = names.iter().map(|name| match exact(&fold(name)) {
        Some(short) if exact(name).is_some() => Name { short, long: Vec::new() },
        Some(short) => Name { short, long: name.encode_utf16().collect() },
        None => Name { short: numbered(name, &mut tails, &mut taken), long: name.encode_utf16().collect() },
    });
    Ok(assigned.collect())
}

fn check(name: &str) -> Result<(), &'static str> {
    if name.encode_utf16().count() > LONGEST {
        return Err("it has more than 255 UTF-16 units");
    }
    if name.ends_with(['.', ' ']) {
        return Err("it ends in a dot or a space");
    }
    if name.chars().any(|c| c.is_control()) {
        return Err("it holds a control character");
    }
    if name.contains(|c| FORBIDDEN.contains(c)) {
        return Err("it holds one of \" * / : < > ? \\ |");
    }
    Ok(())
}

/// The name as FAT compares it.
fn fold(name: &str) -> String {
    let upper = |c: char| {
        let mut upper = c.to_uppercase();
        if upper.len() == 1 { upper.next().unwrap_or(c) } else { c }
    };
    name.chars().map(upper).collect()
}

/// The short name that is exactly `name`, if there is one.
fn exact(name: &str) -> Option<Short> {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let is_short =
        |c: char| c.is_ascii_graphic() && !c.is_ascii_lowercase() && !LONG_ONLY.contains(c) && c != '.';
    let fits = (1..=8).contains(&base.len()) && extension.len() <= 3;
    (fits && base.chars().chain(extension.chars()).all(is_short)).then(|| padded(base, extension))
}

/// The first `BASE~1.EXT`, `BASE~2.EXT` and so on that is free.
fn numbered(name: &str, tails: &mut BTreeMap<Short, u32>, taken: &mut BTreeSet<Short>) -> Short {
    let name = fold(name.trim_start_matches(['.', ' ']));
    let (base, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    let squeeze = |text: &str, most: usize| -> String {
        let kept = text.chars().filter(|c| !matches!(c, ' ' | '.'));
        let plain = |c: char| if c.is_ascii_graphic() && !LONG_ONLY.contains(c) { c } else { '_' };
        kept.map(plain).take(most).collect()
    };
    let (base, extension) = (squeeze(base, 8), squeeze(extension, 3));
    // From ten on, the number that comes next is kept for all names that could end up alike, so
    // that a large directory does not take for ever.
    let next = tails.entry(padded(&base[..base.len().min(2)], &extension)).or_insert(10);
    let with_tail = |number: u32| {
        let tail = format!("~{number}");
        let kept = base.len().min(8 - tail.len());
        (number, padded(&format!("{}{tail}", &base[..kept]), &extension))
    };
    let mut candidates = (1..10).chain(*next..).map(with_tail);
    let free = candidates.find(|(_, short)| taken.insert(*short));
    let (number, short) = free.expect("a directory holds fewer names than there are numbers");
    *next = (number + 1).max(*next);
    short
}

fn padded(base: &str, extension: &str) -> Short {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base.as_bytes());
    short[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    short
}

/// A volume label as it is stored, or `None` for an empty one.
pub(super) fn label(text: &str) -> Result<Option<[u8; 11]>, FatError> {
    if text.is_empty() {
        return Ok(None);
    }
    let is_sound = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | ' ');
    if text.len() > 11 || text.starts_with(' ') || !text.chars().all(is_sound) {
        return Err(FatError::Label { label: text.to_owned() });
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.as_bytes());
    Ok(Some(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shorts(names: &[&str]) -> Vec<String> {
        let assigned = assign(&TreePath::root(), names).unwrap();
        assigned.iter().map(|name| String::from_utf8_lossy(&name.short).into_owned()).collect()
    }

    #[test]
    fn capital_short_names_need_no_long_one() {
        let names = assign(&TreePath::root(), &["BOOTAA64.EFI", "README", "grub.cfg"]).unwrap();
        let long: Vec<usize> = names.iter().map(Name::long_entries).collect();
        assert_eq!(long, [0, 0, 1]);
        assert_eq!(names[2].short, *b"GRUB    CFG");
    }

    #[test]
    fn long_names_get_a_number_that_nobody_has() {
        let names =
            ["LONGFI~1.TXT", "longfile-one.txt", "longfile-two.txt", ".bashrc", "a+b", "Ünï.名前", "a.b.c"];
        let expected = [
            "LONGFI~1TXT",
            "LONGFI~2TXT",
            "LONGFI~3TXT",
            "BASHRC~1   ",
            "A_B~1      ",
            "_N_~1   __ ",
            "AB~1    C  ",
        ];
        assert_eq!(shorts(&names), expected);
    }

    #[test]
    fn ten_thousand_similar_names_stay_apart() {
        let names: Vec<String> = (0..10_000).map(|n| format!("similar name {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let shorts = shorts(&names);
        assert_eq!(
            [&shorts[0], &shorts[8], &shorts[9], &shorts[9999]],
            ["SIMILA~1   ", "SIMILA~9   ", "SIMIL~10   ", "SI~10000   "]
        );
        assert_eq!(shorts.into_iter().collect::<BTreeSet<_>>().len(), 10_000);
    }

    #[test]
    fn names_that_differ_only_in_case_are_refused() {
        let error = assign(&TreePath::root().join("efi"), &["Größe", "GRÖßE"]).unwrap_err();
        let path = |name| TreePath::root().join("efi").join(name);
        assert_eq!(error, FatError::SameName { path: path("GRÖßE"), other: path("Größe") });
    }

    #[test]
    fn illegal_names_are_refused() {
        for name in ["a:b", "a\\b", "tail.", "tail ", "tab\tbed", "del\x7f", "what?"] {
            assert!(matches!(assign(&TreePath::root(), &[name]), Err(FatError::Name { .. })), "{name}");
        }
        assert!(assign(&TreePath::root(), &[&"n".repeat(255)]).is_ok());
    }

    #[test]
    fn labels_are_capitals_and_short() {
        assert_eq!(label(""), Ok(None));
        assert_eq!(label("ESP"), Ok(Some(*b"ESP        ")));
        assert!(label("esp").is_err() && label("ABCDEFGHIJKL").is_err());
    }
}
