//! The files of a kernel's source.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use super::build::{Builder, Files, Wanted};
use super::tree::Tree;

/// Longest file that is read, in bytes; the longest of 6.12 has 100 KiB.
const LONGEST: u64 = 4 << 20;

/// Most files that are read; 6.12 has 1,500 for arm64.
const MOST: usize = 20_000;

/// Most that is read in all, in bytes; 6.12 has 5 MiB for arm64.
const MOST_BYTES: u64 = 128 << 20;

/// The file that all others are included from.
pub(super) const TOP: &str = "Kconfig";

/// Why a tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// There is no such directory of a kernel.
    #[error(
        "`{}` has no `{TOP}` for the architecture `{arch}`\n\n\
         hint: name the top directory of a kernel's source; architectures are the names under `arch/`",
        root.display()
    )]
    NoKernel {
        /// The directory.
        root: PathBuf,
        /// The architecture.
        arch: String,
    },
    /// A file cannot be read.
    #[error("reading `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that a line includes is not there.
    #[error("`{at}` includes `{pattern}`, which is not there\n\nhint: is the kernel's source complete?")]
    Missing {
        /// File and line.
        at: String,
        /// What it includes.
        pattern: String,
    },
    /// A line includes what is not in the kernel's source.
    #[error("`{at}` includes `{pattern}`, which is outside the kernel's source")]
    Outside {
        /// File and line.
        at: String,
        /// What it includes.
        pattern: String,
    },
    /// Files include each other without end.
    #[error("`{at}` includes files too deep: do they include each other?")]
    TooDeep {
        /// File and line.
        at: String,
    },
    /// There is more to read than any kernel has.
    #[error("`{at}` includes more than any kernel has: {what}")]
    TooMuch {
        /// File and line.
        at: String,
        /// The bound that was passed.
        what: &'static str,
    },
    /// A block does not end in its file.
    #[error("`{at}`: the block of `{keyword}` does not end in this file")]
    Unclosed {
        /// File and line.
        at: String,
        /// What it starts with.
        keyword: &'static str,
    },
    /// Something ends that did not begin.
    #[error("`{at}`: `{keyword}` ends nothing that is open here")]
    Stray {
        /// File and line.
        at: String,
        /// The word.
        keyword: String,
    },
}

impl Tree {
    /// Reads the Kconfig files of a kernel's source for one architecture, which is named as its
    /// directory under `arch/`.
    ///
    /// # Errors
    /// When `root` is no kernel's source or a file cannot be read, lies outside, or has blocks that
    /// do not end. A line that is not understood is no error: see [`Tree::skipped`].
    pub fn read(root: &Path, arch: &str) -> Result<Self, TreeError> {
        let no_kernel = || TreeError::NoKernel { root: root.to_owned(), arch: arch.to_owned() };
        let is_name = !arch.is_empty() && arch.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let needed = [root.join(TOP), root.join("arch").join(arch).join(TOP)];
        if !is_name || !needed.iter().all(|file| file.is_file()) {
            return Err(no_kernel());
        }
        let real = root.canonicalize().map_err(|source| TreeError::Read { path: root.to_owned(), source })?;
        let mut files = Disk { root: real, files: 0, bytes: 0 };
        Builder::new(&mut files, arch).build(TOP)
    }
}

/// Files under a directory.
struct Disk {
    /// With no symbolic link in it.
    root: PathBuf,
    /// How many have been read.
    files: usize,
    /// Their bytes.
    bytes: u64,
}

impl Files for Disk {
    fn find(&mut self, wanted: &Wanted, at: &dyn Fn() -> String) -> Result<Vec<(String, String)>, TreeError> {
        let pattern = &wanted.pattern;
        let outside = || TreeError::Outside { at: at(), pattern: pattern.clone() };
        if !Path::new(pattern)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(outside());
        }
        let mut found = Vec::new();
        for name in self.matching(pattern) {
            let path = self.root.join(&name);
            let real =
                path.canonicalize().map_err(|source| TreeError::Read { path: path.clone(), source })?;
            if !real.starts_with(&self.root) {
                return Err(outside());
            }
            found.push((name, self.text(&real, at)?));
        }
        if found.is_empty() && !wanted.optional {
            return Err(TreeError::Missing { at: at(), pattern: pattern.clone() });
        }
        Ok(found)
    }
}

impl Disk {
    /// The names of the files that a pattern means, sorted.
    fn matching(&self, pattern: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        for part in pattern.split('/').filter(|part| !matches!(*part, "" | ".")) {
            let join = |dir: &str, name: &str| {
                if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
            };
            if !part.contains(['*', '?']) {
                found = found.iter().map(|dir| join(dir, part)).collect();
                continue;
            }
            let inside = |dir: &String| {
                let names = fs::read_dir(self.root.join(dir)).into_iter().flatten().flatten();
                let names = names.filter_map(|entry| entry.file_name().into_string().ok());
                names
                    .filter(|name| is_match(part.as_bytes(), name.as_bytes()))
                    .map(|name| join(dir, &name))
                    .collect()
            };
            found = found.iter().flat_map(|dir| -> Vec<String> { inside(dir) }).take(MOST).collect();
        }
        found.retain(|name| self.root.join(name).is_file());
        found.sort_unstable();
        found
    }

    fn text(&mut self, path: &Path, at: &dyn Fn() -> String) -> Result<String, TreeError> {
        let failed = |source| TreeError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        let length = file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)? as u64;
        self.files += 1;
        self.bytes += length;
        let bounds = [
            (length > LONGEST, "a file of more than 4 MiB"),
            (self.files > MOST, "more than 20,000 files"),
            (self.bytes > MOST_BYTES, "more than 128 MiB"),
        ];
        match bounds.iter().find(|(passed, _)| *passed) {
            Some((_, what)) => Err(TreeError::TooMuch { at: at(), what }),
            None => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

/// Whether a name fits a pattern of `*` and `?`.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // The last star, and the first byte that it does not take.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_as_in_a_shell() {
        for (pattern, name, fits) in [
            ("Kconfig*", "Kconfig.debug", true),
            ("*b*c", "abbc", true),
            ("*b*c", "abbd", false),
            ("K?", "K", false),
            ("*", "", true),
        ] {
            assert_eq!(is_match(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }
}
