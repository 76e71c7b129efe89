//! The source of kernel modules: a directory that the kernel's Makefiles take with `M=`.
//!
//! ```text
//!   Kbuild or Makefile    obj-m := a.o b.o, a-y := x.o sub/y.o
//!   x.c, sub/y.c, ...
//! ```
//! A source is its files and nothing else: modes and times do not count.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::Digest as _;
use walkdir::{DirEntry, WalkDir};

use super::OotError;
use crate::digest::Sha256;
use crate::image::extents::Extents;
use crate::tree::FileTree;

/// Files that the kernel's Makefiles look for in a directory, the first first.
const MAKEFILES: [&str; 2] = ["Kbuild", "Makefile"];

/// What earlier builds leave in a directory, beside files whose names start with a dot.
const LEFTOVERS: [&str; 4] = [".o", ".ko", ".mod", ".mod.c"];
const LEFTOVER_LISTS: [&str; 2] = ["Module.symvers", "modules.order"];

/// Bytes and files that a source may have at the most.
const MOST_BYTES: u64 = 64 << 20;
const MOST_FILES: usize = 10_000;

/// The source of one or more modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of the directory: of ASCII letters, digits, `-`, `_`, `.` and `+`.
    pub name: String,
    /// The files by their path in the directory, with `/` between.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why a directory is no source of modules.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It has nothing that says what to make.
    #[error(
        "`{path}` has neither `Kbuild` nor `Makefile`\n\nhint: name the directory whose Makefile says `obj-m := ...`"
    )]
    NoMakefile {
        /// The directory.
        path: PathBuf,
    },
    /// Makefiles of the kernel cannot work in a directory of that name.
    #[error(
        "`{path}` cannot be used as a name of modules\n\nhint: name the directory with letters, digits, `-` and `_`"
    )]
    Name {
        /// The directory.
        path: PathBuf,
    },
    /// It is neither a file nor a directory, or a link to something else than a file of the source.
    #[error(
        "`{path}` is neither a file nor a directory of the modules' source\n\nhint: replace it by the file itself"
    )]
    Kind {
        /// What there is.
        path: PathBuf,
    },
    /// It is no source, but more.
    #[error("`{path}` has more than {} MiB or {MOST_FILES} files\n\nhint: name a directory with the source only", MOST_BYTES >> 20)]
    Size {
        /// The directory.
        path: PathBuf,
    },
}

impl Source {
    /// `/dev/vcio`, which kernels of Debian and of mainline lack.
    pub fn rpi_vcio() -> Self {
        let files = [
            ("COPYING", include_str!("../../modules/rpi-vcio/COPYING")),
            ("Kbuild", include_str!("../../modules/rpi-vcio/Kbuild")),
            ("rpi-vcio.c", include_str!("../../modules/rpi-vcio/rpi-vcio.c")),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        Source { name: "rpi-vcio".to_owned(), files: files.into() }
    }

    /// Reads a directory with all that is in it, without what earlier builds left there and without
    /// files whose names start with a dot. Links to files of the directory are read as those.
    ///
    /// # Errors
    /// When there is no Makefile, something that is no file, more than 64 MiB or 10,000 files, or when
    /// it cannot be read.
    pub fn of_dir(path: &Path) -> Result<Self, OotError> {
        let root = path.canonicalize().map_err(OotError::on(path))?;
        let name = root.file_name().and_then(|name| name.to_str()).filter(|name| is_plain(name));
        let name = name.ok_or_else(|| SourceError::Name { path: path.to_owned() })?.to_owned();
        let mut source = Source { name, files: BTreeMap::new() };
        let mut left = MOST_BYTES;
        for entry in WalkDir::new(&root).min_depth(1).into_iter().filter_entry(|entry| !is_leftover(entry)) {
            let entry = entry.map_err(|error| OotError::on(path)(error.into()))?;
            if entry.file_type().is_dir() {
                continue;
            }
            if source.files.len() == MOST_FILES {
                return Err(SourceError::Size { path: path.to_owned() }.into());
            }
            let bytes =
                read(&root, &entry, left)?.ok_or_else(|| SourceError::Size { path: path.to_owned() })?;
            left -= bytes.len() as u64;
            source.files.insert(inside(&root, &entry)?, bytes);
        }
        if !MAKEFILES.iter().any(|name| source.files.contains_key(*name)) {
            return Err(SourceError::NoMakefile { path: path.to_owned() }.into());
        }
        Ok(source)
    }

    /// Writes the files into the directory `dir`, which is made if there is none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write_to(&self, dir: &Path) -> Result<(), OotError> {
        self.files.iter().try_for_each(|(name, bytes)| super::write(&dir.join(name), bytes))
    }

    /// The files as the directory `usr/src/<name>` of a tree.
    pub fn tree(&self) -> FileTree {
        let mut tree = FileTree::new();
        for (name, bytes) in &self.files {
            let path = format!("{}/{name}", self.place());
            tree.file(&path, 0o644, Extents::bytes(bytes.clone()));
        }
        tree
    }

    /// Where [`Source::tree`] has the files.
    pub fn place(&self) -> String {
        format!("{}/{}", super::sources().as_str(), self.name)
    }

    /// Covers the name and all files.
    pub fn digest(&self) -> Sha256 {
        let mut hash = sha2::Sha256::new();
        let texts = self.files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes]);
        for text in [self.name.as_bytes()].into_iter().chain(texts) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        Sha256::finish(hash)
    }
}

/// Whether a path of it means to make and to shells what it says.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

fn is_leftover(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let is_made = LEFTOVERS.iter().any(|ending| name.ends_with(ending)) || LEFTOVER_LISTS.contains(&&*name);
    name.starts_with('.') || (is_made && !entry.file_type().is_dir())
}

/// What a file has, or `None` when that is more than `most` bytes.
fn read(root: &Path, entry: &DirEntry, most: u64) -> Result<Option<Vec<u8>>, OotError> {
    let on = OotError::on;
    let target = entry.path().canonicalize().map_err(on(entry.path()))?;
    if !target.is_file() || !target.starts_with(root) {
        return Err(SourceError::Kind { path: entry.path().to_owned() }.into());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(&target).map_err(on(&target))?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(on(&target))?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// The path of an entry in the source.
fn inside(root: &Path, entry: &DirEntry) -> Result<String, OotError> {
    let path = entry.path().strip_prefix(root).ok().and_then(Path::to_str);
    let invalid = || OotError::on(entry.path())(io::ErrorKind::InvalidFilename.into());
    path.map(str::to_owned).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn dir(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sensor");
        for (name, text) in files {
            super::super::write(&path.join(name), text.as_bytes()).unwrap();
        }
        (dir, path)
    }

    #[test]
    fn a_directory_is_read_without_what_builds_leave_and_written_again() {
        let made = ["sensor.o", "sensor.ko", "sub/x.mod.c", "Module.symvers", ".sensor.o.cmd", ".git/config"];
        let files =
            [("Kbuild", "obj-m := sensor.o\n"), ("sensor.c", "1"), ("sub/x.h", "2"), ("x.o_shipped", "3")];
        let (_all, path) = dir(&files.into_iter().chain(made.map(|name| (name, "old"))).collect::<Vec<_>>());
        symlink("sub/x.h", path.join("y.h")).unwrap();
        let source = Source::of_dir(&path).unwrap();
        assert_eq!(source.name, "sensor");
        let names: Vec<&str> = source.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["Kbuild", "sensor.c", "sub/x.h", "x.o_shipped", "y.h"]);
        assert_eq!(source.files["y.h"], b"2");
        let copy = tempfile::tempdir().unwrap();
        source.write_to(&copy.path().join("sensor")).unwrap();
        assert_eq!(Source::of_dir(&copy.path().join("sensor")).unwrap(), source);
    }

    #[test]
    fn what_is_no_source_of_modules_is_refused() {
        let (_all, path) = dir(&[("sensor.c", "")]);
        let error = Source::of_dir(&path).unwrap_err();
        assert!(error.to_string().contains("has neither `Kbuild` nor `Makefile`"), "{error}");
        fs::write(path.join("Makefile"), "obj-m := sensor.o\n").unwrap();
        assert!(Source::of_dir(&path).is_ok());
        for target in ["/etc/passwd", ".", "../sensor"] {
            symlink(target, path.join("out.h")).unwrap();
            let error = Source::of_dir(&path).unwrap_err();
            assert!(matches!(error, OotError::Source(SourceError::Kind { .. })), "{target}: {error}");
            fs::remove_file(path.join("out.h")).unwrap();
        }
        fs::File::create(path.join("big")).unwrap().set_len(MOST_BYTES + 1).unwrap();
        let error = Source::of_dir(&path).unwrap_err();
        assert!(matches!(error, OotError::Source(SourceError::Size { .. })), "{error}");
        let spaced = path.with_file_name("my sensor");
        fs::rename(&path, &spaced).unwrap();
        let error = Source::of_dir(&spaced).unwrap_err();
        assert!(matches!(error, OotError::Source(SourceError::Name { .. })), "{error}");
    }

    #[test]
    fn a_digest_tells_names_and_contents_apart() {
        let source = |files: &[(&str, &str)]| Source {
            name: "a".to_owned(),
            files: files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect(),
        };
        let all = [source(&[("ab", "c")]), source(&[("a", "bc")]), source(&[("ab", ""), ("c", "")])];
        let digests: std::collections::BTreeSet<Sha256> = all.iter().map(Source::digest).collect();
        assert_eq!(digests.len(), all.len());
    }
}
