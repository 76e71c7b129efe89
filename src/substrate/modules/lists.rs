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
    let lines = |line: &dyn Fn(&(String, &Module)) -> String| {
        sorted.iter().map(line).collect::<String>().into_bytes()
    };
    let needs: Vec<String> =
        sorted.iter().map(|(name, module)| dependency_line(index, name, module)).collect();
    let by_name =
        (0..).zip(sorted.iter().zip(&needs)).map(|(order, ((name, _), line))| (name, order, line.as_str()));
    let by_alias = (0..).zip(&sorted).flat_map(|(order, (name, module))| {
        module.info.aliases.iter().map(move |alias| (alias, order, name.as_str()))
    });
    let builtin = (0..).zip(index.builtin.keys()).map(|(order, name)| (name, order, ""));
    let builtin_by_alias = index
        .builtin
        .iter()
        .flat_map(|(name, builtin)| builtin.aliases.iter().map(move |alias| (alias, 0, name.as_str())));
    vec![
        ("modules.order", lines(&|(_, module)| plain_path(module) + "\n")),
        ("modules.dep", (needs.join("\n") + "\n").into_bytes()),
        ("modules.dep.bin", trie::encode(&entries(by_name))),
        ("modules.alias", lines(&|(name, module)| alias_lines(name, module))),
        ("modules.alias.bin", trie::encode(&entries(by_alias))),
        ("modules.softdep", lines(&|(name, module)| softdep_line(name, module))),
        // Only `modprobe symbol:...` asks for symbols, but kmod wants the file.
        ("modules.symbols.bin", trie::encode(&Entries::new())),
        (
            "modules.builtin",
            index
                .builtin
                .values()
                .flat_map(|builtin| [builtin.path.as_str(), "\n"])
                .collect::<String>()
                .into_bytes(),
        ),
        ("modules.builtin.bin", trie::encode(&entries(builtin))),
        ("modules.builtin.alias.bin", trie::encode(&entries(builtin_by_alias))),
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

fn alias_lines(name: &str, module: &Module) -> String {
    module.info.aliases.iter().map(|alias| format!("alias {alias} {name}\n")).collect()
}

/// All soft dependencies of a module in one line, since `modprobe` looks at one line only.
fn softdep_line(name: &str, module: &Module) -> String {
    let group = |label: &str, names: &[String]| {
        if names.is_empty() { String::new() } else { format!(" {label}: {}", names.join(" ")) }
    };
    let groups = group("pre", &module.info.before) + &group("post", &module.info.after);
    if groups.is_empty() { groups } else { format!("softdep {name}{groups}\n") }
}

/// Names with their order and value; the same value of one name counts once.
fn entries<'a>(rows: impl Iterator<Item = (&'a String, u32, &'a str)>) -> Entries {
    let mut entries = Entries::new();
    for (name, order, value) in rows {
        let values = entries.entry(name.clone()).or_default();
        if values.iter().all(|(_, known)| known != value) {
            values.push((order, value.to_owned()));
        }
    }
    entries
}
