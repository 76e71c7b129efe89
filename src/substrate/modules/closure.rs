//! From wanted names to module files in the order in which they load.
//!
//! ```text
//!   name -> a module of that name, or a builtin (done), or an alias: exact, else patterns
//!   module -> its soft "pre" names, its hard dependencies, itself, its soft "post" names
//! ```

use std::collections::BTreeSet;

use super::index::{Index, Module};
use super::name;
use crate::suggest;

/// A name that somebody wants, and where they said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Module or alias.
    pub name: String,
    /// Whether it may be missing from this kernel.
    pub is_optional: bool,
    /// For messages: `modules.list:12`.
    pub origin: String,
}

impl Wanted {
    /// What `text` asks for: a name, with `?` in front when a kernel may lack it. `origin` names
    /// the place in messages.
    pub fn new(text: &str, origin: impl Into<String>) -> Self {
        let (is_optional, name) = text.strip_prefix('?').map_or((false, text), |name| (true, name));
        Wanted { name: name.to_owned(), is_optional, origin: origin.into() }
    }
}

/// Why wanted modules cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClosureError {
    /// No module, builtin or alias has this name.
    #[error("kernel {release} has no module `{name}`\n  --> {origin}\n\nhint: {}", hint(.nearest))]
    Unknown {
        /// The kernel's release.
        release: String,
        /// The name as wanted.
        name: String,
        /// Who wants it.
        origin: String,
        /// Names that look alike.
        nearest: Vec<String>,
    },
    /// A module needs one that the kernel does not have: the kernel package is incomplete.
    #[error("module `{module}` needs `{needs}`, which kernel {release} does not have")]
    Broken {
        /// The kernel's release.
        release: String,
        /// The module.
        module: String,
        /// What it needs.
        needs: String,
    },
}

fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => "take another kernel, or put `?` in front of a name that may be missing".into(),
        names => format!(
            "did you mean {}?",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Reads a list of modules: one name a line, `#` comments, `?name` for one that a kernel may lack.
/// `file` names the list in messages.
pub fn parse_list(text: &str, file: &str) -> Vec<Wanted> {
    let wanted = |(number, line): (usize, &str)| {
        let text = line.split('#').next()?.trim();
        (!text.is_empty()).then(|| Wanted::new(text, format!("{file}:{}", number + 1)))
    };
    text.lines().enumerate().filter_map(wanted).collect()
}

/// The modules of a device.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// All that it gets, in load order.
    pub all: Vec<&'a Module>,
    /// Those to load at the start, in load order. The others are drivers and what only drivers
    /// need: they are loaded when hardware asks for them.
    pub at_start: Vec<&'a Module>,
}

/// Chooses the modules for a device that wants `wanted`.
///
/// # Errors
/// As for [`closure`].
pub fn select<'a>(index: &'a Index, wanted: &[Wanted]) -> Result<Selection<'a>, ClosureError> {
    let at_start: Vec<Wanted> = wanted.iter().filter(|want| !is_driver(index, &want.name)).cloned().collect();
    Ok(Selection { all: closure(index, wanted)?, at_start: closure(index, &at_start)? })
}

/// Whether the kernel asks for `name` by itself when it finds hardware: such aliases start with
/// the name of a bus and a colon. A `devname:` is that of a node in `/dev`.
fn is_driver(index: &Index, name: &str) -> bool {
    let is_bus = |alias: &String| alias.contains(':') && !alias.starts_with("devname:");
    let found = resolve(index, name);
    let modules: Vec<&Module> = found.iter().filter_map(|name| index.modules.get(*name)).collect();
    !modules.is_empty() && modules.iter().all(|module| module.info.aliases.iter().any(is_bus))
}

/// The files that `wanted` need, in an order in which each finds its needs loaded.
///
/// # Errors
/// When a name that is not optional is unknown, or a hard dependency is missing.
pub fn closure<'a>(index: &'a Index, wanted: &[Wanted]) -> Result<Vec<&'a Module>, ClosureError> {
    let mut walk = Walk {
        index,
        seen: BTreeSet::new(),
        open: BTreeSet::new(),
        postponed: Vec::new(),
        order: Vec::new(),
    };
    for want in wanted {
        let found = resolve(index, &want.name);
        if found.is_empty() && !want.is_optional {
            return Err(unknown(index, want));
        }
        for name in found {
            walk.add(name)?;
            walk.add_postponed()?;
        }
    }
    Ok(walk.order)
}

fn unknown(index: &Index, want: &Wanted) -> ClosureError {
    let names = index.modules.keys().chain(index.builtin.keys()).map(String::as_str);
    ClosureError::Unknown {
        release: index.release.clone(),
        name: want.name.clone(),
        origin: want.origin.clone(),
        nearest: suggest::nearest(&name::canonical(&want.name), names)
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }
}

/// The modules and builtins that `name` stands for.
fn resolve<'a>(index: &'a Index, name: &str) -> Vec<&'a str> {
    let name = name::canonical(name);
    if let Some((name, _)) = index.modules.get_key_value(&name) {
        return vec![name];
    }
    if let Some((name, _)) = index.builtin.get_key_value(&name) {
        return vec![name];
    }
    let exact = by_alias(index, |alias| *alias == name);
    if exact.is_empty() {
        by_alias(index, |alias| name::is_pattern(alias) && name::matches(alias, &name))
    } else {
        exact
    }
}

fn by_alias(index: &Index, is_match: impl Fn(&String) -> bool) -> Vec<&str> {
    let modules = index.modules.iter().map(|(name, module)| (name, &module.info.aliases));
    let builtin = index.builtin.iter().map(|(name, builtin)| (name, &builtin.aliases));
    let matching = modules.chain(builtin).filter(|(_, aliases)| aliases.iter().any(&is_match));
    matching.map(|(name, _)| name.as_str()).collect()
}

/// The state of a depth-first walk. A module is `open` from when the walk enters it until it has
/// its place in the order.
struct Walk<'a> {
    index: &'a Index,
    seen: BTreeSet<&'a str>,
    open: BTreeSet<&'a str>,
    postponed: Vec<&'a str>,
    order: Vec<&'a Module>,
}

impl<'a> Walk<'a> {
    /// Adds the module `name` behind all that it needs. Every module is entered once, so cycles of
    /// soft dependencies end, and the depth is that of the kernel's longest chain.
    fn add(&mut self, name: &'a str) -> Result<(), ClosureError> {
        let Some(module) = self.index.modules.get(name) else {
            return Ok(());
        };
        if !self.seen.insert(name) {
            return Ok(());
        }
        self.open.insert(name);
        self.add_soft(&module.info.before)?;
        for needs in &module.info.depends {
            if !self.index.modules.contains_key(needs) && !self.index.builtin.contains_key(needs) {
                return Err(self.broken(name, needs));
            }
            self.add(needs)?;
        }
        self.order.push(module);
        self.open.remove(name);
        self.add_soft(&module.info.after)
    }

    /// Adds what soft dependencies stand for. A kernel without them is no error: they name
    /// implementations for other processors as well. One that itself needs an open module cannot
    /// come before it and is postponed.
    fn add_soft(&mut self, names: &'a [String]) -> Result<(), ClosureError> {
        for name in names.iter().flat_map(|name| resolve(self.index, name)) {
            if self.needs_open(name, &mut BTreeSet::new()) {
                self.postponed.push(name);
            } else {
                self.add(name)?;
            }
        }
        Ok(())
    }

    fn add_postponed(&mut self) -> Result<(), ClosureError> {
        while let Some(name) = self.postponed.pop() {
            self.add(name)?;
        }
        Ok(())
    }

    /// Whether a hard dependency of `name`, however far, is open.
    fn needs_open(&self, name: &'a str, visited: &mut BTreeSet<&'a str>) -> bool {
        let needs = self.index.modules.get(name).map_or(&[][..], |module| &module.info.depends);
        visited.insert(name)
            && needs.iter().any(|needs| self.open.contains(needs.as_str()) || self.needs_open(needs, visited))
    }

    fn broken(&self, module: &str, needs: &str) -> ClosureError {
        ClosureError::Broken {
            release: self.index.release.clone(),
            module: module.to_owned(),
            needs: needs.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::modules::index::Builtin;
    use crate::substrate::modules::modinfo::Modinfo;
    use proptest::prelude::*;

    fn index(modules: &[(&str, &[u8])], builtin: &[(&str, &str)]) -> Index {
        let module = |(order, (name, info)): (usize, &(&str, &[u8]))| {
            let module = Module { path: format!("kernel/{name}.ko.xz"), order, info: Modinfo::parse(info) };
            (name::canonical(name), module)
        };
        let part = |(name, alias): &(&str, &str)| {
            let part = Builtin { path: format!("kernel/{name}.ko"), aliases: vec![name::canonical(alias)] };
            (name.to_string(), part)
        };
        Index {
            release: "6.1".into(),
            modules: modules.iter().enumerate().map(module).collect(),
            builtin: builtin.iter().map(part).collect(),
        }
    }

    fn sample() -> Index {
        index(
            &[
                ("ext4", b"depends=mbcache,jbd2\0softdep=pre: crc32c\0alias=fs-ext4\0"),
                ("jbd2", b"depends=\0softdep=pre: crypto-crc32c\0"),
                ("mbcache", b"alias=devname:mbcache\0"),
                ("crc32c-generic", b"alias=crypto-crc32c\0alias=crc32c\0softdep=pre: sha-for-vax\0"),
                ("bridge", b"softdep=post: br_filter\0"),
                ("br-filter", b"depends=bridge\0"),
                ("nvme", b"depends=core\0alias=pci:v*d*sv*sd*bc01sc08i02*\0"),
            ],
            &[("core", "nvme-core")],
        )
    }

    fn load_order(index: &Index, list: &str) -> Result<Vec<String>, ClosureError> {
        let files = closure(index, &parse_list(list, "list"))?;
        Ok(files.iter().map(|module| name::of_path(&module.path).unwrap()).collect())
    }

    #[test]
    fn soft_dependencies_come_first_through_their_aliases() {
        let order = load_order(&sample(), "ext4").unwrap();
        assert_eq!(order, ["crc32c_generic", "mbcache", "jbd2", "ext4"]);
    }

    #[test]
    fn post_dependencies_follow_and_may_point_back() {
        assert_eq!(load_order(&sample(), "bridge").unwrap(), ["bridge", "br_filter"]);
    }

    #[test]
    fn names_builtins_aliases_and_patterns_are_found() {
        let list =
            "fs-ext4 # by alias\n\ncore\nnvme-core\npci:v1Bd10sv1sd1bc01sc08i02\n?br-filter\n?absent\n";
        let order = load_order(&sample(), list).unwrap();
        assert_eq!(order, ["crc32c_generic", "mbcache", "jbd2", "ext4", "nvme", "bridge", "br_filter"]);
    }

    #[test]
    fn drivers_wait_for_their_hardware() {
        let index = sample();
        let selection = select(&index, &parse_list("nvme\nmbcache\next4\ncore\n", "list")).unwrap();
        let names = |modules: &[&Module]| -> Vec<String> {
            modules.iter().filter_map(|module| name::of_path(&module.path)).collect()
        };
        assert_eq!(names(&selection.all), ["nvme", "mbcache", "crc32c_generic", "jbd2", "ext4"]);
        assert_eq!(names(&selection.at_start), ["mbcache", "crc32c_generic", "jbd2", "ext4"]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_line_and_the_nearest() {
        let error = load_order(&sample(), "ext4\n# storage\nnvmi\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "kernel 6.1 has no module `nvmi`\n  --> list:3\n\nhint: did you mean `nvme`?"
        );
        let error = load_order(&sample(), "wireguard").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("hint: take another kernel, or put `?` in front of a name that may be missing")
        );
    }

    #[test]
    fn a_missing_hard_dependency_is_an_error() {
        let error = load_order(&index(&[("a", b"depends=b\0")], &[]), "a").unwrap_err();
        assert_eq!(error.to_string(), "module `a` needs `b`, which kernel 6.1 does not have");
    }

    proptest! {
        #[test]
        fn every_module_comes_after_its_hard_dependencies_whatever_the_soft_ones(
            hard in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..12),
            soft in prop::collection::vec((0usize..12, 0usize..12), 0..12),
        ) {
            // Hard dependencies point to lower numbers: the kernel's build has no cycles there.
            let count = hard.len();
            let record = |at: usize| {
                let depends: Vec<String> = hard[at].iter().filter(|_| at > 0).map(|i| format!("m{}", i.index(at))).collect();
                let soft = soft.iter().filter(|(from, to)| *from == at && *to < count).map(|(_, to)| format!("softdep=pre: m{to}\0"));
                format!("depends={}\0{}", depends.join(","), soft.collect::<String>())
            };
            let records: Vec<(String, String)> = (0..count).map(|at| (format!("m{at}"), record(at))).collect();
            let records: Vec<(&str, &[u8])> = records.iter().map(|(name, info)| (name.as_str(), info.as_bytes())).collect();
            let index = index(&records, &[]);
            let list: String = (0..count).rev().map(|at| format!("m{at}\n")).collect();
            let order = load_order(&index, &list).unwrap();
            prop_assert_eq!(order.len(), count);
            for (at, name) in order.iter().enumerate() {
                for needs in &index.modules[name].info.depends {
                    let position = order.iter().position(|other| other == needs);
                    prop_assert!(position < Some(at), "{} after {}: {:?}", needs, name, order);
                }
            }
        }
    }
}
