//! Puts the members of an archive into a directory that nobody else uses.
//!
//! ```text
//! members ─> directories, files (new ones only) ─> hard links ─> symbolic links
//! ```
//! Links come last, so nothing is ever written through one. A symbolic link's target may begin with `..`
//! and have none further on: what it leads to is then in the tree whatever other links stand on the way.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{FIRST_EPOCH, SourceTreeError, makefile};
use crate::archive::tar::{Entry, Forward, Kind, Members};
use crate::tree::TreePath;
use crate::units::Bytes;

/// What an archive may hold. Linux 6.12 has 92,000 members, 62 links and 1.4 GiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Members of any kind.
    pub members: u32,
    /// Links, which are kept in memory to the end.
    pub links: usize,
    /// Bytes in all files.
    pub bytes: u64,
}

impl Limits {
    pub(super) const KERNEL: Limits = Limits { members: 400_000, links: 10_000, bytes: 4 << 30 };
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unpacked {
    /// Regular files.
    pub files: u32,
    /// The newest member's time in seconds since 1970.
    pub newest: u32,
}

/// Unpacks the archive that `stream` gives into `dir`, which is empty. A single directory that holds all
/// the rest is left out. Files get their members' times; of their modes, who may execute them counts.
///
/// # Errors
/// When the archive is damaged, has members that cannot stand in a source tree, or exceeds `limits`.
pub(super) fn unpack(
    name: &str,
    mut stream: impl Read,
    dir: &Path,
    limits: Limits,
) -> Result<Unpacked, SourceTreeError> {
    let mut writer = Writer::new(name, dir, limits);
    let mut members = Members::new(Forward(&mut stream));
    while let Some(entry) = members.next().map_err(SourceTreeError::tar(name))? {
        writer.put(entry, &mut members)?;
    }
    // What packs the archive has checksums at its end, which tell of damage before it.
    io::copy(&mut stream, &mut io::sink()).map_err(|error| SourceTreeError::tar(name)(error.into()))?;
    let top = top(dir)?;
    writer.link(&top)?;
    lift(&top, dir)?;
    Ok(writer.done)
}

struct Writer<'a> {
    name: &'a str,
    dir: &'a Path,
    limits: Limits,
    members: u32,
    bytes: u64,
    done: Unpacked,
    hard_links: Vec<(TreePath, TreePath)>,
    symlinks: Vec<(TreePath, String)>,
    buffer: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(name: &'a str, dir: &'a Path, limits: Limits) -> Self {
        let (done, buffer) = (Unpacked { files: 0, newest: FIRST_EPOCH }, vec![0; 128 << 10]);
        let (hard_links, symlinks) = (Vec::new(), Vec::new());
        Writer { name, dir, limits, members: 0, bytes: 0, done, hard_links, symlinks, buffer }
    }

    fn put(&mut self, entry: Entry, content: &mut impl Read) -> Result<(), SourceTreeError> {
        self.members += 1;
        self.check(self.members <= self.limits.members, || format!("{} members", self.limits.members))?;
        let time = u32::try_from(entry.meta.mtime.unwrap_or(0).max(0)).unwrap_or(u32::MAX);
        self.done.newest = self.done.newest.max(time);
        match entry.kind {
            Kind::Dir => self.put_dir(&entry.path),
            Kind::File { size, .. } => {
                self.bytes = self.bytes.saturating_add(size);
                self.check(self.bytes <= self.limits.bytes, || Bytes(self.limits.bytes).to_string())?;
                let mode = if entry.meta.mode & 0o111 == 0 { 0o666 } else { 0o777 };
                self.put_file(&entry.path, mode, time, content)
            }
            Kind::HardLink(target) => {
                self.put_parent(&entry.path)?;
                self.hard_links.push((entry.path, target));
                self.check_links()
            }
            Kind::Symlink(target) => {
                self.put_parent(&entry.path)?;
                self.symlinks.push((entry.path, target));
                self.check_links()
            }
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => {
                Err(self.refuse(&entry.path, "is a device or a pipe"))
            }
        }
    }

    fn check_links(&self) -> Result<(), SourceTreeError> {
        let links = self.hard_links.len() + self.symlinks.len();
        self.check(links <= self.limits.links, || format!("{} links", self.limits.links))
    }

    fn check(&self, is_within: bool, limit: impl FnOnce() -> String) -> Result<(), SourceTreeError> {
        if is_within {
            return Ok(());
        }
        let found = makefile::found(&top(self.dir)?);
        Err(SourceTreeError::TooMuch { name: self.name.to_owned(), limit: limit(), found })
    }

    fn put_dir(&self, path: &TreePath) -> Result<(), SourceTreeError> {
        let made = fs::create_dir_all(self.dir.join(path.as_str()));
        made.map_err(|error| self.cannot_make(path, error))
    }

    fn put_parent(&self, path: &TreePath) -> Result<(), SourceTreeError> {
        path.parent().map_or(Ok(()), |parent| self.put_dir(&parent))
    }

    fn put_file(
        &mut self,
        path: &TreePath,
        mode: u32,
        time: u32,
        content: &mut impl Read,
    ) -> Result<(), SourceTreeError> {
        let file = self.create(path, mode)?;
        loop {
            let count = content.read(&mut self.buffer);
            let count = count.map_err(|error| SourceTreeError::tar(self.name)(error.into()))?;
            if count == 0 {
                break;
            }
            (&file).write_all(&self.buffer[..count]).map_err(|error| self.cannot_make(path, error))?;
        }
        file.set_modified(system_time(time)).map_err(|error| self.cannot_make(path, error))?;
        self.done.files += 1;
        Ok(())
    }

    /// A new file. Most archives name directories before what they hold.
    fn create(&self, path: &TreePath, mode: u32) -> Result<File, SourceTreeError> {
        let full = self.dir.join(path.as_str());
        let create = || File::options().write(true).create_new(true).mode(mode).open(&full);
        let file = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.put_parent(path)?;
                create()
            }
            file => file,
        };
        file.map_err(|error| self.cannot_make(path, error))
    }

    /// Makes the links, in the tree that begins at `top`.
    fn link(&self, top: &Path) -> Result<(), SourceTreeError> {
        for (path, target) in &self.hard_links {
            let made = fs::hard_link(self.dir.join(target.as_str()), self.dir.join(path.as_str()));
            made.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => self
                    .refuse(path, &format!("is a second name of `{}`, which is not there", target.as_str())),
                _ => self.cannot_make(path, error),
            })?;
        }
        for (path, target) in &self.symlinks {
            let full = self.dir.join(path.as_str());
            let depth = full.strip_prefix(top).map_or(0, |inside| inside.components().count());
            if !stays_inside(target, depth.saturating_sub(1)) {
                return Err(
                    self.refuse(path, &format!("links to `{target}`, which may be outside of the source"))
                );
            }
            symlink(target, full).map_err(|error| self.cannot_make(path, error))?;
        }
        Ok(())
    }

    fn refuse(&self, path: &TreePath, what: &str) -> SourceTreeError {
        let (name, member) = (self.name.to_owned(), path.as_str().to_owned());
        SourceTreeError::Member { name, member, what: what.to_owned() }
    }

    /// Why there is no file at `path`. The directory was empty: what is in the way is another member.
    fn cannot_make(&self, path: &TreePath, error: io::Error) -> SourceTreeError {
        match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                self.refuse(path, "stands where another member does")
            }
            _ => SourceTreeError::writing(&self.dir.join(path.as_str()))(error),
        }
    }
}

/// Whether a link in a directory `depth` levels below the top leads to something below the top: as many
/// `..` as there are levels, at most, and only in front.
fn stays_inside(target: &str, depth: usize) -> bool {
    let mut steps = target.split('/').filter(|step| !matches!(*step, "" | ".")).peekable();
    let mut ups = 0;
    while steps.next_if_eq(&"..").is_some() {
        ups += 1;
    }
    !target.starts_with('/') && ups <= depth && steps.all(|step| step != "..")
}

/// The directory that the tree begins in: the only one in `dir`, or `dir` itself.
fn top(dir: &Path) -> Result<PathBuf, SourceTreeError> {
    let read = || -> io::Result<PathBuf> {
        let mut entries = fs::read_dir(dir)?;
        let (first, second) = (entries.next().transpose()?, entries.next());
        Ok(match (first, second) {
            (Some(only), None) if only.file_type()?.is_dir() => only.path(),
            _ => dir.to_owned(),
        })
    };
    read().map_err(SourceTreeError::reading(dir))
}

/// Puts the directory `top`, which is all that `dir` holds, in the place of `dir`.
fn lift(top: &Path, dir: &Path) -> Result<(), SourceTreeError> {
    if top == dir {
        return Ok(());
    }
    let beside = dir.with_extension("top");
    let lifted = fs::rename(top, &beside).and_then(|()| fs::remove_dir(dir));
    lifted.and_then(|()| fs::rename(&beside, dir)).map_err(SourceTreeError::writing(dir))
}

/// `seconds` since 1970, for a file.
pub(super) fn system_time(seconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into())
}
