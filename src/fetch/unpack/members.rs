//! Takes single files out of packages.
//!
//! ```text
//! one package:       its compressed archive is read as far as the last file that is wanted
//! several packages:  they are unpacked into the store, where their other files are read from as well
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;

use super::{UnpackError, copy, deb, is_deb, key, read_deb, tar};
use crate::archive::deb::{DebError, Section};
use crate::archive::tar::{Forward, Kind, Members, TarError};
use crate::fetch::Part;
use crate::firmware::Pick;
use crate::store::{Derived, DerivedDir, Store, StoredFile};

/// What was taken, by the names of the picks.
#[derive(Clone, Debug)]
pub struct Taken {
    by_pick: BTreeMap<String, Vec<(String, StoredFile)>>,
}

impl Taken {
    /// The files of `pick` with their own names, sorted by these; none when it was optional.
    pub fn all(&self, pick: &Pick) -> &[(String, StoredFile)] {
        self.by_pick.get(&pick.name).map_or(&[], Vec::as_slice)
    }

    /// The first file of `pick`.
    pub fn one(&self, pick: &Pick) -> Option<&StoredFile> {
        self.all(pick).first().map(|(_, file)| file)
    }

    fn of(derived: &Derived, picks: &[&Pick]) -> Self {
        let mut by_pick: BTreeMap<String, Vec<(String, StoredFile)>> = BTreeMap::new();
        for (stored, file) in derived.files() {
            let Some((row, name)) = stored.split_once(' ') else { continue };
            if let Some(pick) = row.parse().ok().and_then(|row: usize| picks.get(row)) {
                by_pick.entry(pick.name.clone()).or_default().push((name.to_owned(), file.clone()));
            }
        }
        Taken { by_pick }
    }
}

/// Takes files out of the packages of one part. They are searched in their order, and the first
/// file that a pick matches is its file; of a pick for many, the first of each name. No file goes
/// to two picks.
///
/// # Errors
/// When a package is damaged, or none has a regular file for a pick that is not optional.
pub fn members(store: &Store, parts: &[Part], picks: &[&Pick]) -> Result<Taken, UnpackError> {
    let derived = store.derived(key("members", parts, &format!("{picks:?}")), |dir| {
        let mut taking = Taking { picks, taken: vec![BTreeSet::new(); picks.len()], dir };
        for part in parts {
            if taking.is_done() {
                break;
            }
            taking.search(store, part, parts.len() == 1)?;
        }
        taking.missing().map_or(Ok(()), |pick| Err(none(parts, pick)))
    })?;
    Ok(Taken::of(&derived, picks))
}

fn none(parts: &[Part], pick: &Pick) -> UnpackError {
    let packages: Vec<&str> = parts.iter().map(|part| part.pin.name.as_str()).collect();
    UnpackError::NoMember { package: packages.join("`, `"), member: pick.paths.join("` or `") }
}

/// A search for the files of `picks`.
struct Taking<'a> {
    picks: &'a [&'a Pick],
    /// Names of the files that are there, for each pick.
    taken: Vec<BTreeSet<String>>,
    dir: &'a mut DerivedDir,
}

impl Taking<'_> {
    fn search(&mut self, store: &Store, part: &Part, is_alone: bool) -> Result<(), UnpackError> {
        let is_deb = is_deb(part)?;
        if !(is_alone && is_deb) {
            let path = if is_deb { deb(store, part)?.data.path } else { tar(store, part)?.path };
            let mut file = File::open(&path).map_err(|source| UnpackError::Read { path, source })?;
            return self.take(part, &mut file);
        }
        read_deb(part, |section, archive| match section {
            Section::Control => Ok(true),
            Section::Data => self.take(part, archive).map(|()| false),
        })
    }

    /// Takes what is wanted out of a tar, until nothing is.
    fn take(&mut self, part: &Part, archive: &mut dyn Read) -> Result<(), UnpackError> {
        let damaged =
            |source| UnpackError::Deb { name: part.pin.name.clone(), source: DebError::Tar(source) };
        let mut members = Members::new(Forward(archive));
        while !self.is_done() {
            let Some(entry) = members.next().map_err(damaged)? else { return Ok(()) };
            let Kind::File { .. } = entry.kind else { continue };
            let Some(row) = self.row(entry.path.as_str(), entry.path.name()) else { continue };
            let stored = format!("{row} {}", entry.path.name());
            self.dir.file(&stored, |out| copy(&mut members, out, |error| damaged(TarError::Read(error))))?;
            self.taken[row].insert(entry.path.name().to_owned());
        }
        Ok(())
    }

    /// The pick that the file at `path` is for.
    fn row(&self, path: &str, name: &str) -> Option<usize> {
        let wants = |(pick, taken): (&&Pick, &BTreeSet<String>)| {
            let is_open = if pick.is_many() { !taken.contains(name) } else { taken.is_empty() };
            is_open && pick.paths.iter().any(|pattern| matches(pattern, path))
        };
        self.picks.iter().zip(&self.taken).position(wants)
    }

    fn is_done(&self) -> bool {
        let mut rows = self.picks.iter().zip(&self.taken);
        rows.all(|(pick, taken)| !pick.is_many() && !taken.is_empty())
    }

    /// A pick that has no file and needs one.
    fn missing(&self) -> Option<&Pick> {
        let mut rows = self.picks.iter().zip(&self.taken);
        rows.find(|(pick, taken)| !pick.is_optional && taken.is_empty()).map(|(pick, _)| *pick)
    }
}

/// Whether `path` is `pattern`, in which each `*` stands for any text without a slash.
fn matches(pattern: &str, path: &str) -> bool {
    pattern.split('/').count() == path.split('/').count()
        && pattern.split('/').zip(path.split('/')).all(|(pattern, name)| matches_name(pattern, name))
}

/// The pieces between the stars are looked for from left to right; the last one ends the name.
fn matches_name(pattern: &str, name: &str) -> bool {
    let Some((start, mut pattern)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(start) else { return false };
    while let Some((piece, after)) = pattern.split_once('*') {
        let Some(at) = rest.find(piece) else { return false };
        (rest, pattern) = (&rest[at + piece.len()..], after);
    }
    rest.ends_with(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_within_one_component() {
        assert!(matches("boot/vmlinuz-*", "boot/vmlinuz-6.12.107+deb13-arm64"));
        assert!(matches("a*c", "abc") && matches("a*c", "ac"));
        assert!(!matches("boot/vmlinuz-*", "boot/vmlinuz-x/y") && !matches("a*a", "a"));
        assert!(matches("usr/bin/busybox", "usr/bin/busybox") && !matches("busybox", "usr/bin/busybox"));
        assert!(matches("lib/*/dtb/*-rpi-*.dtb", "lib/7/dtb/bcm2711-rpi-4-b.dtb"));
        assert!(!matches("lib/*/dtb/*-rpi-*.dtb", "lib/7/dtb/bcm2711-rpi-.dtb/x"));
        assert!(
            !matches("*-rpi-*.dtb", "bcm2711-rpi.dtb") && matches("*b*b", "abb") && !matches("*b*b", "ab")
        );
    }
}
