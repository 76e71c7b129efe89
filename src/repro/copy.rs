//! A copy of a project that only what must not matter tells from it: names are made in the reverse order,
//! and everything has other times.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{files, interrupt};

/// The time of the first entry that is copied, 2001-09-09; the next is a day younger, and so on.
const FIRST: u64 = 1_000_000_000;
const DAY: u64 = 86_400;
/// More days than this are not counted, so that times stay in what file systems hold.
const DAYS: u64 = 9_000;

/// What could not be copied.
#[derive(Debug, thiserror::Error)]
#[error("copying `{}`", path.display())]
pub struct CopyError {
    path: PathBuf,
    source: io::Error,
}

/// Copies what is in `from` to the directory `to`, which is there, but for `except`.
///
/// # Errors
/// When something cannot be read or made, or the user asked to stop.
pub(super) fn project(from: &Path, to: &Path, except: &[PathBuf]) -> Result<(), CopyError> {
    let mut copy = Copy { except, links: BTreeMap::new(), count: 0 };
    copy.directory(from, to)
}

struct Copy<'a> {
    except: &'a [PathBuf],
    /// Copies of files that have several names, by device and inode.
    links: BTreeMap<(u64, u64), PathBuf>,
    count: u64,
}

impl Copy<'_> {
    fn directory(&mut self, from: &Path, to: &Path) -> Result<(), CopyError> {
        let failed = |source| CopyError { path: from.to_owned(), source };
        let entries = fs::read_dir(from).map_err(failed)?;
        let mut names =
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        names.sort_unstable_by(|one, other| other.cmp(one));
        for name in names {
            let path = from.join(&name);
            if !self.except.contains(&path) {
                self.entry(&path, &to.join(&name))?;
            }
        }
        let about = fs::metadata(from).map_err(failed)?;
        self.finish(from, to, &about).map_err(failed)
    }

    fn entry(&mut self, from: &Path, to: &Path) -> Result<(), CopyError> {
        let failed = |source| CopyError { path: from.to_owned(), source };
        interrupt::check().map_err(|stop| failed(stop.into()))?;
        let about = from.symlink_metadata().map_err(failed)?;
        if about.is_dir() {
            fs::create_dir(to).map_err(failed)?;
            return self.directory(from, to);
        }
        self.other(from, to, &about).map_err(failed)
    }

    fn other(&mut self, from: &Path, to: &Path, about: &Metadata) -> io::Result<()> {
        let kind = about.file_type();
        if kind.is_symlink() {
            return symlink(fs::read_link(from)?, to);
        }
        if about.nlink() > 1 {
            let place = (about.dev(), about.ino());
            if let Some(first) = self.links.get(&place) {
                return fs::hard_link(first, to);
            }
            self.links.insert(place, to.to_owned());
        }
        if kind.is_fifo() {
            mknodat(CWD, to, FileType::Fifo, Mode::from_raw_mode(about.mode() & 0o7777), 0)?;
            return Ok(());
        }
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it is neither a file nor a directory"));
        }
        let (source, target) = (File::open(from)?, File::create_new(to)?);
        target.set_len(about.len())?;
        files::copy_sparse(&source, &target, about.len())?;
        drop(target);
        self.finish(from, to, about)
    }

    /// What is set when all is there: attributes, a time, and rights, which may keep us from writing.
    fn finish(&mut self, from: &Path, to: &Path, about: &Metadata) -> io::Result<()> {
        for name in xattr::list(from).into_iter().flatten() {
            if let Some(value) = xattr::get(from, &name)? {
                // Those of security modules are given by the machine, and cannot be set.
                let _ = xattr::set(to, &name, &value);
            }
        }
        self.count += 1;
        File::open(to)?.set_times(FileTimes::new().set_modified(self.time()).set_accessed(self.time()))?;
        fs::set_permissions(to, Permissions::from_mode(about.mode() & 0o7777))
    }

    fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(FIRST + self.count % DAYS * DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_content_modes_and_links_and_other_times() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a/closed")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a/file"), "x").unwrap();
        fs::hard_link(from.join("a/file"), from.join("other")).unwrap();
        symlink("a/file", from.join("link")).unwrap();
        fs::write(from.join("a/closed/in"), "y").unwrap();
        fs::write(from.join("left out"), "z").unwrap();
        fs::set_permissions(from.join("a/closed"), Permissions::from_mode(0o555)).unwrap();
        project(&from, &to, &[from.join("left out")]).unwrap();
        assert_eq!(fs::read(to.join("a/closed/in")).unwrap(), b"y");
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("a/file"));
        let about = |name: &str| fs::metadata(to.join(name)).unwrap();
        assert_eq!(about("a/file").ino(), about("other").ino());
        assert_eq!(about("a/closed").mode() & 0o7777, 0o555);
        assert!(about("a/file").mtime() < 2_000_000_000 && about("a").mtime() < 2_000_000_000);
        assert!(!to.join("left out").exists());
        fs::set_permissions(from.join("a/closed"), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(to.join("a/closed"), Permissions::from_mode(0o755)).unwrap();
    }
}
