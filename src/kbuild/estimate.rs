//! How many steps a kernel's build will have, without asking make, which takes as long as the first part
//! of the build to say it.
//!
//! ```text
//!   Kbuild, Makefile of a directory, with the options of the kernel:
//!     obj-$(CONFIG_EXT4_FS) += ext4.o   an object, or what `ext4-y` lists: each is compiled
//!     ext4-y := balloc.o bitmap.o       what `obj-m` lists is linked as well, and gets a `.mod.c`
//!     obj-y += jbd2/                    another directory; each puts its objects into an archive
//! ```
//! Assignments, conditions and the usual functions are read; rules are not. For Linux 6.12 that comes
//! within a few of a hundred of what make does: 2,079 for 2,150 steps of a small kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::kconfig::{Config, Value};

/// Directories that the top makefile names itself.
const LIBRARIES: [&str; 3] = ["lib", "arch/arm64/lib", "drivers/firmware/efi/libstub"];
/// Steps of every build: programs for this machine, generated headers, what links the whole.
const ALWAYS: u64 = 170;
/// Steps of a module: its `.mod.c`, linking, linking again with that.
const OF_MODULE: u64 = 3;
/// References that are followed in one line, which could refer to itself.
const REFERENCES: usize = 256;
/// Objects that consist of objects that consist of objects.
const DEPTH: usize = 4;

/// About how many steps the build of a kernel has that is not begun yet: image, modules and no device
/// trees. None when the directory `source` has no makefiles of a kernel.
pub fn steps(source: &Path, config: &Config) -> Option<u64> {
    let mut count = Count { source, config, seen: BTreeSet::new(), objects: 0, archives: 0, modules: 0 };
    count.directory(Path::new(""), false);
    for library in LIBRARIES {
        count.directory(Path::new(library), false);
    }
    let steps = count.objects + count.archives + count.modules * OF_MODULE;
    (count.objects > 0).then_some(steps + ALWAYS)
}

/// What was counted so far.
struct Count<'a> {
    source: &'a Path,
    config: &'a Config,
    seen: BTreeSet<PathBuf>,
    objects: u64,
    archives: u64,
    modules: u64,
}

impl Count<'_> {
    /// Counts what a directory builds; `is_module` when nothing of it goes into the image.
    fn directory(&mut self, dir: &Path, is_module: bool) {
        let path = self.source.join(dir);
        let Some(file) = ["Kbuild", "Makefile"].into_iter().find(|name| path.join(name).is_file()) else {
            return;
        };
        if !self.seen.insert(dir.to_owned()) {
            return;
        }
        let mut makefile =
            Makefile { config: self.config, variables: BTreeMap::new(), conditions: Vec::new() };
        makefile.read(&path, file, true);
        let mut objects = BTreeSet::new();
        for (list, is_module) in [("obj-y", is_module), ("lib-y", is_module), ("obj-m", true)] {
            for word in makefile.words(list) {
                match word.strip_suffix('/') {
                    Some(below) => self.below(dir, below, is_module),
                    None if word.ends_with(".o") => {
                        self.modules += u64::from(list == "obj-m");
                        makefile.objects(&word, DEPTH, &mut objects);
                    }
                    None => {}
                }
            }
        }
        self.objects += objects.len() as u64;
        self.archives += u64::from(!is_module);
    }

    fn below(&mut self, dir: &Path, name: &str, is_module: bool) {
        let mut path = dir.to_owned();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::ParentDir => drop(path.pop()),
                _ => {}
            }
        }
        self.directory(&path, is_module);
    }
}

/// The variables of one directory's makefile.
struct Makefile<'a> {
    config: &'a Config,
    variables: BTreeMap<String, String>,
    /// Whether what stands in the conditions around a line is true.
    conditions: Vec<bool>,
}

impl Makefile<'_> {
    /// Reads a file of the directory `dir`, and those that it includes from there.
    fn read(&mut self, dir: &Path, name: &str, may_include: bool) {
        let Ok(bytes) = fs::read(dir.join(name)) else { return };
        let text = String::from_utf8_lossy(&bytes).replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.starts_with('\t')) {
            let line = line.split('#').next().unwrap_or_default().trim();
            let is_condition = self.condition(line);
            if is_condition || self.conditions.contains(&false) {
                continue;
            }
            match line.strip_prefix("include $(src)/") {
                Some(name) if may_include => self.read(dir, name, false),
                _ => self.assign(line),
            }
        }
    }

    /// Takes a line that begins, turns or ends a condition.
    fn condition(&mut self, line: &str) -> bool {
        let (word, rest) = line.split_once([' ', '(']).unwrap_or((line, ""));
        match word {
            "ifdef" | "ifndef" => {
                let is_set = !self.value(rest.trim()).is_empty();
                self.conditions.push(is_set == (word == "ifdef"));
            }
            "ifeq" | "ifneq" => {
                let rest = self.expand(rest.trim().trim_start_matches('(').trim_end_matches(')'));
                let (left, right) =
                    rest.rsplit_once(',').or_else(|| rest.rsplit_once("\" \"")).unwrap_or((&rest, ""));
                let plain = |text: &str| text.trim().trim_matches('"').to_owned();
                self.conditions.push((plain(left) == plain(right)) == (word == "ifeq"));
            }
            "else" => {
                if let Some(last) = self.conditions.last_mut() {
                    *last = !*last;
                }
            }
            "endif" => drop(self.conditions.pop()),
            _ => return false,
        }
        true
    }

    fn assign(&mut self, line: &str) {
        let Some((left, value)) = line.split_once('=') else { return };
        let name = self.expand(left.trim_end_matches(['+', ':', '?']).trim());
        let value = self.expand(value.trim());
        let old = self.variables.entry(name).or_default();
        if left.ends_with('+') {
            *old += " ";
            *old += &value;
        } else {
            *old = value;
        }
    }

    /// What a variable or an option of the kernel is set to.
    fn value(&self, name: &str) -> String {
        let Some(symbol) = name.strip_prefix("CONFIG_") else {
            let own = || self.variables.get(name).cloned().unwrap_or_default();
            return if matches!(name, "SRCARCH" | "ARCH") { super::ARCH.to_owned() } else { own() };
        };
        match self.config.value(symbol) {
            Value::No => String::new(),
            Value::Text(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// A text with what its references stand for, the innermost first.
    fn expand(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..REFERENCES {
            let reference = text.find(')').and_then(|end| Some((text[..end].rfind("$(")?, end)));
            let Some((start, end)) = reference else { break };
            let inner = &text[start + 2..end];
            let value = match inner.split_once(' ') {
                Some((function, arguments)) => call(function, arguments),
                None => self.value(inner),
            };
            text.replace_range(start..=end, &value);
        }
        text
    }

    fn words(&self, name: &str) -> Vec<String> {
        let list = self.variables.get(name).map(String::as_str).unwrap_or_default();
        list.split_whitespace().map(str::to_owned).collect()
    }

    /// Adds the objects that an object consists of, or itself.
    fn objects(&self, object: &str, depth: usize, found: &mut BTreeSet<String>) {
        let stem = object.strip_suffix(".o").unwrap_or(object);
        let lists = ["-objs", "-y", "-m"].map(|list| self.words(&format!("{stem}{list}")));
        let parts: Vec<String> = lists.concat().into_iter().filter(|part| part.ends_with(".o")).collect();
        if parts.is_empty() || depth == 0 {
            found.insert(object.to_owned());
        }
        for part in parts.iter().filter(|_| depth > 0) {
            self.objects(part, depth - 1, found);
        }
    }
}

/// What the functions of make return that lists of objects are made with; others return nothing.
fn call(function: &str, arguments: &str) -> String {
    let parts: Vec<&str> = arguments.splitn(3, ',').collect();
    let each = |words: &str, change: &dyn Fn(&str) -> Option<String>| {
        words.split_whitespace().filter_map(change).collect::<Vec<_>>().join(" ")
    };
    let has = |list: &str, word: &str| list.split_whitespace().any(|one| one == word);
    match (function, &parts[..]) {
        ("addprefix", [prefix, words]) => each(words, &|word| Some(format!("{}{word}", prefix.trim()))),
        ("addsuffix", [suffix, words]) => each(words, &|word| Some(format!("{word}{}", suffix.trim()))),
        ("filter", [list, words]) => each(words, &|word| has(list, word).then(|| word.to_owned())),
        ("filter-out", [list, words]) => each(words, &|word| (!has(list, word)).then(|| word.to_owned())),
        ("subst", [from, to, text]) if !from.is_empty() => text.replace(from, to),
        ("if", [condition, rest @ ..]) => {
            let chosen = if condition.trim().is_empty() { rest.get(1) } else { rest.first() };
            chosen.copied().unwrap_or_default().to_owned()
        }
        ("or", parts) => {
            parts.iter().find(|part| !part.trim().is_empty()).copied().unwrap_or_default().to_owned()
        }
        ("sort" | "strip", _) => arguments.to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kernel(files: &[(&str, &str)], config: &str) -> Option<u64> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        steps(dir.path(), &Config::parse(config)).map(|steps| steps - ALWAYS)
    }

    #[test]
    fn objects_archives_and_modules_are_counted() {
        let files = [
            ("Kbuild", "obj-y += fs/\nobj-$(CONFIG_NET) += net/ # not set\nobj-$(CONFIG_USB) += usb/\n"),
            (
                "fs/Makefile",
                "obj-y := open.o \\\n\tread.o\nobj-$(CONFIG_EXT4) += ext4.o\next4-y := a.o b.o\n\
                 ext4-$(CONFIG_ACL) += acl.o\nifdef CONFIG_ACL\nobj-y += on.o\nelse\nobj-y += off1.o off2.o\nendif\n\
                 ifeq ($(CONFIG_NAME),\"x\")\nobj-y += x.o\nendif\nobj-$(subst m,y,$(CONFIG_USB)) += once.o\n\
                 obj-y += $(addprefix in/,1.o 2.o)\nout.o: obj-y\n\tobj-y += rule.o\n",
            ),
            ("net/Makefile", "obj-y := never.o\n"),
            ("usb/Makefile", "obj-$(CONFIG_USB) += core.o storage.o ../fs/\nstorage-objs := s1.o s2.o\n"),
        ];
        // open, read, a, b, acl, on, x, once, in/1, in/2; core, s1, s2: two archives, two modules.
        let config = "CONFIG_EXT4=y\nCONFIG_ACL=y\nCONFIG_USB=m\nCONFIG_NAME=\"x\"\n";
        assert_eq!(kernel(&files, config), Some(13 + 2 + 2 * OF_MODULE));
        // open, read, off1, off2, in/1, in/2.
        assert_eq!(kernel(&files, ""), Some(6 + 2));
        assert_eq!(kernel(&[("README", "")], ""), None);
    }

    proptest! {
        #[test]
        fn no_makefile_makes_it_panic_or_turn_for_ever(
            text in "((a|obj-y|obj-m|\\$\\(a\\)) (\\+|:)?= (\\$\\((a|if |subst a,|or ,)*\\)|a\\.o|a/|\\.\\./|,| ){0,6}\n\
                     |ifeq \\(a,\n|else\n|endif\n|include \\$\\(src\\)/(Kbuild|other)\n|.{0,6}\n){0,12}",
        ) {
            kernel(&[("Kbuild", &text), ("other", &text), ("a/Makefile", &text)], "CONFIG_A=y\n");
        }
    }
}
