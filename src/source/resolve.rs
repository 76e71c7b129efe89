//! Finds the packages that are asked for, and all that they depend on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::packages::{Package, Universe};
use super::relation::Relation;
use crate::suggest;

/// Why packages cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No suite has such a package.
    #[error("there is no package `{package}` in {places}{}", near_hint(near))]
    Unknown {
        /// Name of the package.
        package: String,
        /// Where it was looked for.
        places: String,
        /// Names that may be meant.
        near: Vec<String>,
    },
    /// A metapackage does not lead to what is wanted.
    #[error(
        "package `{package}` does not depend on a package whose name starts with `{prefix}`\n\nhint: name a package that does, or one whose own name starts so"
    )]
    LeadsNowhere {
        /// The metapackage.
        package: String,
        /// How the name should start.
        prefix: String,
    },
    /// Nothing fulfils a dependency.
    #[error("package `{package}` depends on `{relation}`, which no suite has{ELSEWHERE}")]
    Unsatisfied {
        /// The package.
        package: String,
        /// What it depends on.
        relation: String,
    },
    /// Two packages exclude each other.
    #[error("packages `{package}` and `{other}` cannot be installed together")]
    Conflict {
        /// One package and its version, as `name=version`.
        package: String,
        /// The other, likewise.
        other: String,
    },
}

/// The way out when a package is nowhere to be seen.
const ELSEWHERE: &str =
    "\n\nhint: if it is in another suite or component, add that to `sources.debian.suites` or `.components`";

fn near_hint(near: &[String]) -> String {
    match near {
        [] => ELSEWHERE.to_owned(),
        near => format!("\n\nhint: did you mean `{}`?", near.join("` or `")),
    }
}

impl Universe {
    /// The newest package called `name`.
    ///
    /// # Errors
    /// [`ResolveError::Unknown`], with names that may be meant.
    pub fn newest(&self, name: &str) -> Result<&Package, ResolveError> {
        self.named(name).next().ok_or_else(|| ResolveError::Unknown {
            package: name.to_owned(),
            places: self.places.clone(),
            near: self.near(name),
        })
    }

    /// The real package behind the metapackage `name`: goes to a dependency whose name starts
    /// with `prefix` as long as there is one.
    ///
    /// # Errors
    /// When there is no such package, or none whose name starts with `prefix`.
    pub fn follow(&self, name: &str, prefix: &str) -> Result<&Package, ResolveError> {
        let mut package = self.newest(name)?;
        let mut seen = vec![&*package.name];
        while let Some(next) = self.step(package, prefix)? {
            if seen.contains(&&*next.name) {
                break;
            }
            seen.push(&next.name);
            package = next;
        }
        if package.name.starts_with(prefix) {
            return Ok(package);
        }
        Err(ResolveError::LeadsNowhere { package: name.to_owned(), prefix: prefix.to_owned() })
    }

    fn step<'a>(&'a self, package: &'a Package, prefix: &str) -> Result<Option<&'a Package>, ResolveError> {
        self.dependencies(package, |name| name.starts_with(prefix)).next().transpose()
    }

    /// What `package` depends on, of packages whose names start with one of `prefixes`, and what these
    /// depend on, likewise: in the versions and the order in which they are named.
    ///
    /// # Errors
    /// When no suite has such a version.
    pub fn along<'a>(
        &'a self,
        package: &'a Package,
        prefixes: &[String],
    ) -> Result<Vec<&'a Package>, ResolveError> {
        let is_wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let mut all: Vec<&Package> = vec![package];
        let mut done = 0;
        while let Some(next) = all.get(done).copied() {
            for found in self.dependencies(next, is_wanted) {
                let found = found?;
                if !all.iter().any(|other| other.name == found.name) {
                    all.push(found);
                }
            }
            done += 1;
        }
        Ok(all.split_off(1))
    }

    /// The best that meets each dependency of `package`, of those that name what is wanted.
    fn dependencies<'a>(
        &'a self,
        package: &'a Package,
        is_wanted: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = Result<&'a Package, ResolveError>> {
        let groups = package.groups().map(move |mut group| {
            group.retain(|relation| is_wanted(relation.name));
            group
        });
        groups.filter(|group| !group.is_empty()).map(move |group| {
            let number = self.candidates(&group).next().ok_or_else(|| unsatisfied(package, &group))?;
            Ok(&self.packages[number])
        })
    }

    /// `names`, with the essential packages when those are wanted, and all that they depend on;
    /// each after what it depends on, as far as packages do not depend on each other in circles.
    ///
    /// Takes the first alternative that can be had, of packages that provide a name the one with
    /// the highest priority; what was taken already is preferred to both.
    ///
    /// # Errors
    /// When a package is not known, a dependency cannot be fulfilled, or two packages exclude
    /// each other.
    pub fn closure(&self, names: &[String], essential: bool) -> Result<Vec<&Package>, ResolveError> {
        let mut chosen = Chosen { universe: self, by_name: BTreeMap::new(), waiting: VecDeque::new() };
        for name in names {
            self.newest(name)?;
            chosen.add(self.numbers(name).next().unwrap_or_default())?;
        }
        if essential {
            for number in self.essential() {
                chosen.add(number)?;
            }
        }
        chosen.complete()?;
        Ok(chosen.in_order().into_iter().map(|number| &self.packages[number]).collect())
    }

    /// The newest of each essential package, by name.
    fn essential(&self) -> impl Iterator<Item = usize> {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        let newest = names.into_iter().filter_map(|name| self.numbers(name).next());
        newest.filter(|number| self.packages[*number].is_essential)
    }

    /// All that meet one of the alternatives, the best first.
    fn candidates<'a>(&'a self, group: &'a [Relation]) -> impl Iterator<Item = usize> + 'a {
        group.iter().flat_map(|relation| {
            let is_it = |number: &usize| self.packages[*number].is(relation);
            let real = self.numbers(relation.name).filter(is_it);
            let mut providers: Vec<usize> = self.providers(relation.name).filter(is_it).collect();
            providers.sort_by_key(|number| {
                let package = &self.packages[*number];
                (package.priority, &package.name, package.suite)
            });
            real.chain(providers).collect::<Vec<_>>()
        })
    }

    /// Names of packages like `name`: those that provide it, else those that differ little.
    fn near(&self, name: &str) -> Vec<String> {
        let mut providers: Vec<String> =
            self.providers(name).map(|number| self.packages[number].name.to_string()).collect();
        providers.sort();
        providers.dedup();
        providers.truncate(3);
        if !providers.is_empty() {
            return providers;
        }
        suggest::nearest(name, self.names()).into_iter().map(str::to_owned).collect()
    }
}

fn unsatisfied(package: &Package, group: &[Relation]) -> ResolveError {
    let alternatives: Vec<String> = group.iter().map(Relation::to_string).collect();
    ResolveError::Unsatisfied { package: package.name.to_string(), relation: alternatives.join(" | ") }
}

/// What has been taken so far.
struct Chosen<'a> {
    universe: &'a Universe,
    by_name: BTreeMap<&'a str, usize>,
    /// Taken, but not yet what they depend on.
    waiting: VecDeque<usize>,
}

impl<'a> Chosen<'a> {
    fn add(&mut self, number: usize) -> Result<(), ResolveError> {
        let package = &self.universe.packages[number];
        if self.by_name.get(&*package.name) == Some(&number) {
            return Ok(());
        }
        if let Some(other) = self.excluded_by(package) {
            let shown = |package: &Package| format!("{}={}", package.name, package.version);
            return Err(ResolveError::Conflict { package: shown(package), other: shown(other) });
        }
        self.by_name.insert(&package.name, number);
        self.waiting.push_back(number);
        Ok(())
    }

    /// Takes all that is depended on.
    fn complete(&mut self) -> Result<(), ResolveError> {
        while let Some(number) = self.waiting.pop_front() {
            let package = &self.universe.packages[number];
            for group in package.groups() {
                if self.find(&group).is_some() {
                    continue;
                }
                let candidates = || self.universe.candidates(&group);
                let free = |number: &usize| self.excluded_by(&self.universe.packages[*number]).is_none();
                let best = candidates().find(free).or_else(|| candidates().next());
                self.add(best.ok_or_else(|| unsatisfied(package, &group))?)?;
            }
        }
        Ok(())
    }

    /// One that was taken and meets one of the alternatives.
    fn find(&self, group: &[Relation]) -> Option<usize> {
        group.iter().find_map(|relation| {
            let named = self.by_name.get(relation.name).copied();
            let taken =
                |number: &usize| self.by_name.get(&*self.universe.packages[*number].name) == Some(number);
            let is_it = |number: &usize| self.universe.packages[*number].is(relation);
            named.filter(is_it).or_else(|| self.universe.providers(relation.name).filter(taken).find(is_it))
        })
    }

    /// One that was taken and cannot be along with `package`: another version of it, or one that
    /// either excludes.
    fn excluded_by(&self, package: &Package) -> Option<&'a Package> {
        let taken = || self.by_name.values().map(|number| &self.universe.packages[*number]);
        let excludes = |one: &Package, other: &Package| {
            one.name != other.name && one.conflicts().any(|relation| other.is(&relation))
        };
        taken()
            .find(|other| other.name == package.name || excludes(package, other) || excludes(other, package))
    }

    fn in_order(&self) -> Vec<usize> {
        let mut order = Order { chosen: self, seen: BTreeSet::new(), sorted: Vec::new() };
        for number in self.by_name.values() {
            order.visit(*number);
        }
        order.sorted
    }
}

/// Sorts by depth-first search: a package comes after all that it depends on.
struct Order<'a> {
    chosen: &'a Chosen<'a>,
    seen: BTreeSet<usize>,
    sorted: Vec<usize>,
}

impl Order<'_> {
    fn visit(&mut self, number: usize) {
        if !self.seen.insert(number) {
            return;
        }
        for group in self.chosen.universe.packages[number].groups() {
            if let Some(depended_on) = self.chosen.find(&group) {
                self.visit(depended_on);
            }
        }
        self.sorted.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    /// A universe of rows: name, version, and further fields.
    fn universe(rows: &[(&str, &str, &str)]) -> Universe {
        let digest = Sha256::of(b"");
        let text: String = rows
            .iter()
            .map(|(name, version, fields)| {
                format!(
                    "Package: {name}\nVersion: {version}\nFilename: pool/{name}_{version}.deb\nSize: 1\n\
                     SHA256: {digest}\n{fields}\n\n"
                )
            })
            .collect();
        let mut universe = Universe::new("trixie/main");
        universe.add(0, text.as_bytes()).unwrap();
        universe
    }

    fn closure(universe: &Universe, names: &[&str], essential: bool) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let packages = universe.closure(&names, essential).map_err(|error| error.to_string())?;
        Ok(packages.into_iter().map(|package| format!("{}={}", package.name, package.version)).collect())
    }

    #[test]
    fn a_metapackage_leads_to_the_real_one() {
        let universe = universe(&[
            ("linux-image-arm64", "6.12.107-1", "Depends: linux-image-6.12.107+deb13-arm64 (= 6.12.107-1)"),
            ("linux-image-6.12.107+deb13-arm64", "6.12.107-1", "Depends: kmod, linux-base"),
            ("linux-image-6.12.9+deb13-arm64", "6.12.9-1", ""),
            ("round-a", "1", "Depends: round-b"),
            ("round-b", "1", "Depends: round-a"),
        ]);
        let follow = |name: &str, prefix: &str| {
            universe
                .follow(name, prefix)
                .map(|package| package.name.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(follow("linux-image-arm64", "linux-image-").unwrap(), "linux-image-6.12.107+deb13-arm64");
        let direct = "linux-image-6.12.9+deb13-arm64";
        assert_eq!(follow(direct, "linux-image-").unwrap(), direct);
        assert_eq!(follow("round-a", "round-").unwrap(), "round-b");
        assert_eq!(
            follow("linux-image-arm64", "grub-").unwrap_err(),
            "package `linux-image-arm64` does not depend on a package whose name starts with `grub-`\n\nhint: \
             name a package that does, or one whose own name starts so"
        );
    }

    #[test]
    fn a_split_package_brings_its_pieces_in_the_versions_that_it_names() {
        let depends = "Depends: linux-binary-7 (= 7-1), linux-base (>= 4), linux-base-7 (= 7-1) | none, \
                       linux-base-7, kmod";
        let universe = universe(&[
            ("linux-image-7", "7-1", depends),
            ("linux-image-8", "8-1", "Depends: linux-base-8 (= 8-1)"),
            ("linux-base-7", "7-2", ""),
            ("linux-base-7", "7-1", ""),
            ("linux-base", "4.1", ""),
            ("linux-binary-7", "7-1", "Depends: linux-modules-7, linux-base-7"),
            ("linux-modules-7", "7-1", "Depends: linux-binary-7, kmod"),
            ("kmod", "1", ""),
        ]);
        let along = |name: &str, prefixes: &[&str]| {
            let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            let package = universe.newest(name).unwrap();
            let found = universe.along(package, &prefixes).map_err(|error| error.to_string())?;
            let shown = found.iter().map(|package| format!("{}={}", package.name, package.version));
            Ok::<_, String>(shown.collect::<Vec<_>>())
        };
        let all = ["linux-base-", "linux-binary-", "linux-modules-"];
        let pieces = ["linux-binary-7=7-1", "linux-base-7=7-1", "linux-modules-7=7-1"];
        assert_eq!(along("linux-image-7", &all).unwrap(), pieces);
        assert!(along("linux-image-7", &["linux-modules-"]).unwrap().is_empty());
        assert!(along("linux-image-7", &[]).unwrap().is_empty());
        let error = along("linux-image-8", &all).unwrap_err();
        assert!(error.starts_with("package `linux-image-8` depends on `linux-base-8 (= 8-1)`"), "{error}");
    }

    #[test]
    fn what_is_depended_on_comes_first_even_in_circles() {
        let universe = universe(&[
            ("app", "1", "Depends: libc (>= 2), tool | other"),
            ("libc", "2.1", "Depends: libgcc"),
            ("libgcc", "1", "Depends: libc"),
            ("tool", "1", "Pre-Depends: base\nDepends: libc"),
            ("other", "1", ""),
            ("base", "1", "Essential: yes"),
        ]);
        let all = closure(&universe, &["app"], false).unwrap();
        assert_eq!(all, ["libgcc=1", "libc=2.1", "base=1", "tool=1", "app=1"]);
        assert_eq!(closure(&universe, &[], true).unwrap(), ["base=1"]);
    }

    #[test]
    fn alternatives_fall_to_the_first_that_can_be_had_or_is_there() {
        let universe = universe(&[
            ("first", "1", "Depends: none | libc (>= 3) | second"),
            ("second", "1", ""),
            ("third", "1", "Depends: fourth | second"),
            ("fourth", "1", ""),
            ("libc", "2", ""),
        ]);
        assert_eq!(closure(&universe, &["first"], false).unwrap(), ["second=1", "first=1"]);
        assert_eq!(closure(&universe, &["third"], false).unwrap(), ["fourth=1", "third=1"]);
        let both = closure(&universe, &["third", "second"], false).unwrap();
        assert_eq!(both, ["second=1", "third=1"], "what was asked for is preferred");
    }

    #[test]
    fn a_name_that_is_only_provided_goes_to_the_highest_priority() {
        let universe = universe(&[
            ("base", "1", "Depends: awk"),
            ("gawk", "1", "Provides: awk\nPriority: optional"),
            ("mawk", "1", "Provides: awk\nPriority: required"),
            ("strict", "1", "Depends: awk (>= 2)"),
        ]);
        assert_eq!(closure(&universe, &["base"], false).unwrap(), ["mawk=1", "base=1"]);
        assert_eq!(closure(&universe, &["base", "gawk"], false).unwrap(), ["gawk=1", "base=1"]);
        assert_eq!(
            closure(&universe, &["strict"], false).unwrap_err(),
            format!("package `strict` depends on `awk (>= 2)`, which no suite has{ELSEWHERE}")
        );
    }

    #[test]
    fn an_older_version_is_taken_when_a_condition_wants_it() {
        let universe = universe(&[("app", "1", "Depends: lib (<< 2)"), ("lib", "2", ""), ("lib", "1.5", "")]);
        assert_eq!(closure(&universe, &["app"], false).unwrap(), ["lib=1.5", "app=1"]);
        assert_eq!(
            closure(&universe, &["app", "lib"], false).unwrap_err(),
            "packages `lib=1.5` and `lib=2` cannot be installed together"
        );
    }

    #[test]
    fn packages_that_exclude_each_other_are_avoided_or_refused() {
        let universe = universe(&[
            ("app", "1", "Depends: mail"),
            ("postfix", "1", "Provides: mail\nConflicts: mail\nPriority: important"),
            ("exim", "1", "Provides: mail\nConflicts: mail"),
            ("old", "1", "Breaks: postfix (<< 2)"),
        ]);
        assert_eq!(closure(&universe, &["old", "app"], false).unwrap(), ["exim=1", "app=1", "old=1"]);
        assert_eq!(
            closure(&universe, &["exim", "postfix"], false).unwrap_err(),
            "packages `postfix=1` and `exim=1` cannot be installed together"
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_names_like_it() {
        let universe =
            universe(&[("busybox-static", "1", ""), ("busybox", "1", ""), ("mawk", "1", "Provides: awk")]);
        let error = |name: &str| universe.newest(name).unwrap_err().to_string();
        assert_eq!(
            error("busybox-statc"),
            "there is no package `busybox-statc` in trixie/main\n\nhint: did you mean `busybox-static`?"
        );
        assert_eq!(error("awk"), "there is no package `awk` in trixie/main\n\nhint: did you mean `mawk`?");
        assert_eq!(error("zzzzzzzz"), format!("there is no package `zzzzzzzz` in trixie/main{ELSEWHERE}"));
    }
}
