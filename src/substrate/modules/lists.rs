//! The lists that `depmod` makes, for the modules that go onto a device: `modprobe` works there at
//! once, busybox's with the texts and kmod's with the `.bin` files.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::index::{Index, Module};
use super::name;
use super::trie::{self, Entries};

/// The lists by name, for `modules` of `index`, which must hold what they need (see
/// [`closure`](super::closure())).
pub fn lists(index: &Index, modules: &[&Module]) -> Vec<(&'static str, Vec<u8>)> {
    let mut sorted: Vec<(String, &Module)> =
        modules.iter().filter_map(|module| Some((name::of_path(&module.path)?, *module))).collect();
    sorted.sort_by(|(a, left), (b, right)| (left.order, a).cmp(&(right.order, b)));
    let dependencies: Vec<(String, String)> =
        sorted.iter().map(|(name, module)| (name.clone(), dependency_line(index, name, module))).collect();
    let builtin_paths: String = index.builtin.values().map(|builtin| builtin.path.clone() + "\n").collect();
    let text = |lines: Vec<String>| lines.concat().into_bytes();
    vec![
        ("modules.order", text(sorted.iter().map(|(_, module)| plain_path(module) + "\n").collect())),
        ("modules.dep", text(dependencies.iter().map(|(_, line)| format!("{line}\n")).collect())),
        ("modules.dep.bin", trie::encode(&numbered(dependencies.clone()))),
        (
            "modules.alias",
            text(aliases(&sorted).map(|(alias, name)| format!("alias {alias} {name}\n")).collect()),
        ),
        ("modules.alias.bin", trie::encode(&numbered(aliases(&sorted)))),
        ("modules.softdep", text(sorted.iter().map(softdep_line).collect())),
        // Only `modprobe symbol:...` asks for symbols, but kmod wants the file.
        ("modules.symbols.bin", trie::encode(&Entries::new())),
        ("modules.builtin", builtin_paths.into_bytes()),
        (
            "modules.builtin.bin",
            trie::encode(&numbered(index.builtin.keys().map(|name| (name.clone(), String::new())))),
        ),
        ("modules.builtin.alias.bin", trie::encode(&numbered(builtin_aliases(index)))),
    ]
}

/// The path of a module on the device, below the module directory: not packed, whatever it was.
pub fn plain_path(module: &Module) -> String {
    let end = module.path.rfind(".ko").map_or(module.path.len(), |at| at + ".ko".len());
    module.path[..end].to_owned()
}

/// `path: dependency ...`, each before those it needs itself: `modprobe` loads from the right.
fn dependency_line(index: &Index, name: &str, module: &Module) -> String {
    let mut seen = BTreeSet::from([name]);
    let mut order = Vec::new();
    for needs in &module.info.depends {
        visit(index, needs, &mut seen, &mut order);
    }
    let mut line = plain_path(module) + ":";
    for module in order.iter().rev() {
        // Writing to a string cannot fail.
        let _ = write!(line, " {}", plain_path(module));
    }
    line
}

fn visit<'a>(index: &'a Index, name: &'a str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a Module>) {
    if let Some(module) = index.modules.get(name)
        && seen.insert(name)
    {
        module.info.depends.iter().for_each(|needs| visit(index, needs, seen, order));
        order.push(module);
    }
}

fn aliases<'a>(modules: &'a [(String, &'a Module)]) -> impl Iterator<Item = (String, String)> + 'a {
    modules
        .iter()
        .flat_map(|(name, module)| module.info.aliases.iter().map(|alias| (alias.clone(), name.clone())))
}

fn builtin_aliases(index: &Index) -> impl Iterator<Item = (String, String)> + '_ {
    let aliases = index.builtin.iter().map(|(name, builtin)| (name, &builtin.aliases));
    aliases.flat_map(|(name, aliases)| aliases.iter().map(|alias| (alias.clone(), name.clone())))
}

/// All soft dependencies of a module in one line, since `modprobe` looks at one line only.
fn softdep_line((name, module): &(String, &Module)) -> String {
    let group = |label: &str, names: &[String]| {
        if names.is_empty() { String::new() } else { format!(" {label}: {}", names.join(" ")) }
    };
    let groups = group("pre", &module.info.before) + &group("post", &module.info.after);
    if groups.is_empty() { groups } else { format!("softdep {name}{groups}\n") }
}

/// Entries whose values keep the order in which they come.
fn numbered(pairs: impl IntoIterator<Item = (String, String)>) -> Entries {
    let mut entries = Entries::new();
    for (number, (key, value)) in pairs.into_iter().enumerate() {
        let values = entries.entry(key).or_default();
        if values.iter().all(|(_, known)| *known != value) {
            values.push((number as u32, value));
        }
    }
    entries
}
