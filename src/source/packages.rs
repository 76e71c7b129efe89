//! `Packages`: the binary packages of a suite. Read as it streams, as it is some 60 MB long; only
//! what resolving needs is kept.

use std::collections::HashMap;
use std::io::{self, BufRead};

use super::control::{self, Item};
use super::relation::{Relation, parse_groups};
use super::version;
use crate::digest::Sha256;
use crate::interrupt;
use crate::tree::TreePath;

/// One binary package of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// Number of the suite in the order in which they were added.
    pub suite: usize,
    /// Path of the `.deb` from the archive's root.
    pub file: Box<str>,
    /// Length of the `.deb`, in bytes.
    pub size: u64,
    /// Digest of the `.deb`.
    pub sha256: Option<Sha256>,
    /// Whether every system has it.
    pub is_essential: bool,
    /// How much it belongs to a system, the most first: Debian's priorities.
    pub(super) priority: u8,
    /// `Pre-Depends` and `Depends`.
    pub(super) depends: Box<str>,
    /// `Conflicts` and `Breaks`.
    pub(super) conflicts: Box<str>,
    pub(super) provides: Box<str>,
}

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// It cannot be read, unpacked, or is no control data.
    #[error("reading the index of packages")]
    Read(#[from] io::Error),
    /// A field of a package is missing or makes no sense.
    #[error("the index has package `{package}` with a damaged field `{field}`")]
    Field {
        /// Name of the package.
        package: String,
        /// Name of the field.
        field: &'static str,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] interrupt::Interrupted),
}

/// The packages of several suites.
#[derive(Debug, Default)]
pub struct Universe {
    /// Where the packages were looked for, for errors.
    pub(super) places: String,
    pub(super) packages: Vec<Package>,
    /// Numbers of the packages of one name, the newest first; of equal versions, the first
    /// suite's.
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// Numbers of the packages that provide a name.
    providers: HashMap<Box<str>, Vec<usize>>,
}

impl Universe {
    /// No packages yet. `places` tells people where they will be from, as in `trixie/main`.
    pub fn new(places: impl Into<String>) -> Self {
        Universe { places: places.into(), ..Universe::default() }
    }

    /// Adds the packages of an index. Indexes of one suite have the same number, and suites that
    /// are to win have lower ones.
    ///
    /// # Errors
    /// When the index cannot be read, or a field of a package is missing or makes no sense.
    pub fn add(&mut self, suite: usize, index: impl BufRead) -> Result<(), PackagesError> {
        let mut package = Package { priority: u8::MAX, ..Package::default() };
        let mut first_error = None;
        control::parse(index, |item| match item {
            Item::Field(name, value) => {
                if let Err(field) = package.set(name, value) {
                    let package = package.name.to_string();
                    first_error.get_or_insert(PackagesError::Field { package, field });
                }
            }
            Item::End => {
                let blank = Package { priority: u8::MAX, ..Package::default() };
                let mut whole = std::mem::replace(&mut package, blank);
                whole.suite = suite;
                if let Err(error) = self.insert(whole) {
                    first_error.get_or_insert(error);
                }
            }
        })?;
        first_error.map_or(Ok(()), Err)
    }

    /// The packages called `name`, the newest first.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Package> {
        self.numbers(name).map(|number| &self.packages[number])
    }

    /// All names of packages, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(AsRef::as_ref)
    }

    pub(super) fn numbers(&self, name: &str) -> impl Iterator<Item = usize> {
        self.by_name.get(name).into_iter().flatten().copied()
    }

    pub(super) fn providers(&self, name: &str) -> impl Iterator<Item = usize> {
        self.providers.get(name).into_iter().flatten().copied()
    }

    fn insert(&mut self, package: Package) -> Result<(), PackagesError> {
        interrupt::check()?;
        let damaged = |field| PackagesError::Field { package: package.name.to_string(), field };
        if package.name.is_empty() {
            return Err(damaged("Package"));
        }
        if package.version.is_empty() {
            return Err(damaged("Version"));
        }
        if package.size == 0 {
            return Err(damaged("Size"));
        }
        if package.sha256.is_none() {
            return Err(damaged("SHA256"));
        }
        if TreePath::parse(package.file.as_bytes()).is_err() || package.file.is_empty() {
            return Err(damaged("Filename"));
        }
        let number = self.packages.len();
        for (name, _) in package.provided() {
            self.providers.entry(name.into()).or_default().push(number);
        }
        let same_name = self.by_name.entry(package.name.clone()).or_default();
        let is_older = |other: &usize| {
            let other = &self.packages[*other];
            let order = version::compare(&package.version, &other.version);
            order.then(other.suite.cmp(&package.suite)).is_le()
        };
        let at = same_name.partition_point(is_older);
        same_name.insert(at, number);
        self.packages.push(package);
        Ok(())
    }
}

impl Package {
    fn set(&mut self, field: &str, value: &str) -> Result<(), &'static str> {
        match field {
            "Package" => self.name = value.into(),
            "Version" => self.version = value.into(),
            "Essential" => self.is_essential = value == "yes",
            "Priority" => self.priority = priority(value),
            "Provides" => self.provides = value.into(),
            "Pre-Depends" => self.depends = joined(value, &self.depends),
            "Depends" => self.depends = joined(&self.depends, value),
            "Conflicts" | "Breaks" => self.conflicts = joined(&self.conflicts, value),
            "Filename" => self.file = value.strip_prefix("./").unwrap_or(value).into(),
            "Size" => self.size = value.parse().map_err(|_| "Size")?,
            "SHA256" => self.sha256 = Some(value.parse().map_err(|_| "SHA256")?),
            _ => {}
        }
        Ok(())
    }

    /// The groups of what this package depends on.
    pub(super) fn groups(&self) -> impl Iterator<Item = Vec<Relation<'_>>> {
        parse_groups(&self.depends)
    }

    /// What must not be there along with this package.
    pub(super) fn conflicts(&self) -> impl Iterator<Item = Relation<'_>> {
        parse_groups(&self.conflicts).flatten()
    }

    /// The names that this package provides, with versions where it gives them.
    pub(super) fn provided(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let relations = parse_groups(&self.provides).flatten();
        relations.map(|relation| (relation.name, relation.condition.map(|(_, version)| version)))
    }

    /// Whether this package is what `relation` names, itself or as a provider. A condition on
    /// the version is only met by a provider that gives one.
    pub(super) fn is(&self, relation: &Relation) -> bool {
        let provides = |(name, version): (&str, Option<&str>)| {
            name == relation.name
                && (relation.condition.is_none() || version.is_some_and(|version| relation.accepts(version)))
        };
        let itself = *self.name == *relation.name && relation.accepts(&self.version);
        itself || self.provided().any(provides)
    }
}

fn priority(name: &str) -> u8 {
    let known = ["required", "important", "standard", "optional"];
    known.iter().position(|known| *known == name).map_or(u8::MAX, |at| at as u8)
}

fn joined(first: &str, second: &str) -> Box<str> {
    if first.is_empty() || second.is_empty() {
        return [first, second].concat().into();
    }
    format!("{first}, {second}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paragraph(name: &str, version: &str) -> String {
        let digest = Sha256::of(version.as_bytes());
        format!(
            "Package: {name}\nVersion: {version}\nFilename: ./pool/{name}.deb\nSize: 7\nSHA256: {digest}\n\n"
        )
    }

    fn universe(indexes: &[&str]) -> Universe {
        let mut universe = Universe::default();
        for (suite, index) in indexes.iter().enumerate() {
            universe.add(suite, index.as_bytes()).unwrap();
        }
        universe
    }

    #[test]
    fn of_one_name_the_newest_comes_first_and_of_equals_the_first_suites() {
        let first = paragraph("a", "1.9") + &paragraph("a", "1.10");
        let second = paragraph("a", "1.10") + &paragraph("a", "2~rc1");
        let universe = universe(&[&first, &second]);
        let found: Vec<(&str, usize)> =
            universe.named("a").map(|package| (&*package.version, package.suite)).collect();
        assert_eq!(found, [("2~rc1", 1), ("1.10", 0), ("1.10", 1), ("1.9", 0)]);
    }

    #[test]
    fn damaged_packages_are_refused_by_name_and_field() {
        let refused = |from: &str, to: &str| {
            let text = paragraph("a", "1").replace(from, to);
            Universe::default().add(0, text.as_bytes()).unwrap_err().to_string()
        };
        let message = |field: &str| format!("the index has package `a` with a damaged field `{field}`");
        assert_eq!(refused("Size: 7", "Size: x"), message("Size"));
        assert_eq!(refused("SHA256: ", "SHA256: x"), message("SHA256"));
        assert_eq!(refused("SHA256", "SHA1"), message("SHA256"));
        assert_eq!(refused("./pool", "pool/../.."), message("Filename"));
        assert_eq!(refused("Version: 1", "Version:"), message("Version"));
    }

    #[test]
    fn a_provider_meets_a_version_only_when_it_gives_one() {
        let text = paragraph("mawk", "1.3").replace("\n\n", "\nProvides: awk, pattern (= 5)\n\n");
        let universe = universe(&[&text]);
        let mawk = universe.named("mawk").next().unwrap();
        let is = |text: &str| mawk.is(&parse_groups(text).next().unwrap()[0]);
        assert!(is("awk") && is("pattern (>= 4)") && is("mawk (<< 2)"));
        assert!(!is("awk (>= 1)") && !is("pattern (>> 5)") && !is("mawk (>= 2)"));
    }
}
