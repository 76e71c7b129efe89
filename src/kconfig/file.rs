//! Where fragments come from: files of a project, or those that come with the program.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::shipped::SHIPPED;

/// What stands in front of the name of a fragment that comes with the program.
const OURS: &str = "factory:";

/// A fragment by where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FragmentFile {
    /// One that comes with the program.
    Shipped {
        /// Its name.
        name: &'static str,
        /// Its text.
        text: &'static str,
    },
    /// A file.
    Path(PathBuf),
}

/// No such fragment comes with the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fragment `{OURS}{name}` comes with this program\n\nhint: there are {}", names())]
pub struct NotShipped {
    /// Its name.
    pub name: String,
}

impl FragmentFile {
    /// What a person wrote: `factory:container.fragment`, or a path from the directory `base`.
    ///
    /// # Errors
    /// When one of the program's own is meant, and there is none of that name.
    pub fn parse(text: &str, base: &Path) -> Result<Self, NotShipped> {
        let Some(name) = text.strip_prefix(OURS) else { return Ok(FragmentFile::Path(base.join(text))) };
        FragmentFile::shipped(name).ok_or_else(|| NotShipped { name: name.to_owned() })
    }

    /// The fragment of this name that comes with the program.
    pub fn shipped(name: &str) -> Option<Self> {
        let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        found.map(|(name, text)| FragmentFile::Shipped { name, text })
    }

    /// Whether a person means one that comes with the program.
    pub fn is_shipped(text: &str) -> bool {
        text.starts_with(OURS)
    }

    /// Its text.
    ///
    /// # Errors
    /// When the file cannot be read as text.
    pub fn read(&self) -> io::Result<String> {
        match self {
            FragmentFile::Shipped { text, .. } => Ok((*text).to_owned()),
            FragmentFile::Path(path) => std::fs::read_to_string(path),
        }
    }
}

impl fmt::Display for FragmentFile {
    /// As in errors about its lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FragmentFile::Shipped { name, .. } => f.write_str(name),
            FragmentFile::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

fn names() -> String {
    let names: Vec<String> = SHIPPED.iter().map(|(name, _)| format!("`{OURS}{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_ours_only_when_it_says_so() {
        let parse = |text| FragmentFile::parse(text, Path::new("kiosk"));
        let ours = parse("factory:container.fragment").unwrap();
        assert!(ours.read().unwrap().contains("CONFIG_CGROUPS=y"));
        let path = parse("container.fragment").unwrap();
        assert_eq!(path, FragmentFile::Path("kiosk/container.fragment".into()));
        assert_eq!(path.to_string(), "kiosk/container.fragment");
        let error = parse("factory:contaner.fragment").unwrap_err().to_string();
        assert!(error.contains("`factory:container.fragment`"), "{error}");
    }
}
