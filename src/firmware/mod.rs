//! The lists of external parts under `firmware/`, as data.

pub mod upstream;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::source::{Origin, Suite, Wanted};

/// Component of packages that name a suite and no component.
const COMPONENT: &str = "main";

/// Where one part comes from, and which files are taken out of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Package of the archive.
    pub package: String,
    /// For a metapackage: what the name of the real package starts with.
    pub follow: Option<String>,
    /// For a package that is split: what the names of its pieces start with.
    #[serde(default)]
    pub with: Vec<String>,
    /// The suite that it is taken from, instead of the project's.
    pub suite: Option<String>,
    /// The component of that suite, when it is another than `main`.
    pub component: Option<String>,
    /// The file that is taken out of it under the part's own name.
    #[serde(default)]
    pub member: Option<Paths>,
    /// Further files by the names that [`Pick`] has for them, with `?` in front of those that may
    /// be missing.
    #[serde(default)]
    pub members: BTreeMap<String, Paths>,
}

/// Where a file may be: one path or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Paths {
    /// The only path.
    One(String),
    /// The first of these that is there.
    Several(Vec<String>),
}

/// A file to take out of a part, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The part, by its role.
    pub part: String,
    /// What to call it; no two of a track are called the same. One that ends in `/` stands for all
    /// files that match, which keep their own names.
    pub name: String,
    /// Where it may be; a `*` stands for any text without a slash. Without paths it is the part
    /// itself, which is a file and no package.
    pub paths: Vec<String>,
    /// Whether it may be missing.
    pub is_optional: bool,
}

impl Pick {
    /// Whether it stands for all files that match.
    pub fn is_many(&self) -> bool {
        self.name.ends_with('/')
    }
}

impl Part {
    /// The question that this part answers under the role `name`.
    pub fn wanted(&self, name: &str) -> Wanted {
        let origin = Origin::Package {
            package: self.package.clone(),
            follow: self.follow.clone(),
            with: self.with.clone(),
        };
        let components = vec![self.component.clone().unwrap_or_else(|| COMPONENT.to_owned())];
        let suite = self.suite.clone().map(|name| Suite { name, components, mirror: None });
        Wanted { suite, ..Wanted::new(name, origin) }
    }

    /// The files to take out of this part under the role `name`: the one of its own name first.
    pub fn picks(&self, name: &str) -> Vec<Pick> {
        let own = self.member.iter().map(|paths| pick(name, name, paths));
        own.chain(self.members.iter().map(|(row, paths)| pick(name, row, paths))).collect()
    }
}

fn pick(part: &str, row: &str, paths: &Paths) -> Pick {
    let name = row.strip_prefix('?').unwrap_or(row);
    let paths = match paths {
        Paths::One(path) => vec![path.clone()],
        Paths::Several(paths) => paths.clone(),
    };
    Pick { part: part.to_owned(), name: name.to_owned(), paths, is_optional: row.starts_with('?') }
}

/// The parts of a track by what they are for, such as `kernel`.
pub type Parts = BTreeMap<String, Part>;

/// Reads a list of parts.
///
/// # Errors
/// When it is not TOML, or has a field that is unknown or missing.
pub fn parse(text: &str) -> Result<Parts, toml::de::Error> {
    toml::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_asked_and_what_is_taken_out() {
        let text = r#"
            [kernel]
            package = "linux-image-arm64"
            follow = "linux-image-"
            with = ["linux-base-"]
            suite = "trixie-backports"
            member = ["boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"]
            [kernel.members]
            "dtb/" = "usr/lib/modules/*/dtb/broadcom/*.dtb"
            "?config" = "boot/config-*"

            [busybox]
            package = "busybox-static"
            member = "usr/bin/busybox"
        "#;
        let parts = parse(text).unwrap();
        let question = parts["kernel"].wanted("kernel").question();
        let expected = "package linux-image-arm64, followed to linux-image-*, with linux-base-* from \
                        trixie-backports/main";
        assert_eq!(question, expected);
        assert_eq!(parts["busybox"].wanted("busybox").question(), "package busybox-static");
        let picks = parts["kernel"].picks("kernel");
        let rows: Vec<_> = picks
            .iter()
            .map(|pick| (&*pick.name, pick.paths.len(), pick.is_optional, pick.is_many()))
            .collect();
        let expected = [("kernel", 2, false, false), ("config", 1, true, false), ("dtb/", 1, false, true)];
        assert_eq!(rows, expected);
        assert!(picks.iter().all(|pick| pick.part == "kernel"));
    }

    #[test]
    fn unknown_words_are_refused() {
        let refused = parse("[a]\npackage = \"a\"\npath = \"b\"\n").unwrap_err().to_string();
        assert!(refused.contains("unknown field `path`"), "{refused}");
    }
}
