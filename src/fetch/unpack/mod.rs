//! Takes parts apart: once, and into the store.

mod members;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::slice;

use super::Part;
use crate::archive::compress::{self, Limited, Packing};
use crate::archive::deb::{self, DebError, Section};
use crate::archive::tar::{self, Entry, Kind, TarError};
use crate::digest::Sha256;
use crate::interrupt::{self, Interrupted};
use crate::lock::Location;
use crate::parallel;
use crate::progress;
use crate::store::{Output, Store, StoreError, StoredFile};
pub use members::{Taken, members};

/// To be raised when what is derived changes, so that nobody finds what older programs derived.
const GENERATION: &str = "1";

/// Names in derived directories.
const DATA: &str = "data.tar";
const CONTROL: &str = "control.tar";

/// What an archive may unpack to: enough for a file system full of zeros on the one hand, and for
/// text that packs well on the other.
const fn unpacked_limit(packed: u64) -> u64 {
    packed.saturating_mul(100).saturating_add(1 << 30)
}

/// A package whose archives are in the store, not compressed.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The files, as a tar.
    pub data: StoredFile,
    /// The control files, as a tar.
    pub control: StoredFile,
}

/// Why a part cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A package is damaged.
    #[error("package `{name}` is damaged")]
    Deb {
        /// Name of the package.
        name: String,
        /// What is the matter.
        source: DebError,
    },
    /// An archive is damaged.
    #[error("archive `{name}` is damaged")]
    Tar {
        /// Name of the file.
        name: String,
        /// What is the matter.
        source: TarError,
    },
    /// A package, or several that belong together, lack a file.
    #[error("package `{package}` has no file `{member}`")]
    NoMember {
        /// Name of the package; of several, joined.
        package: String,
        /// Path of the file, with a `*` where it may be anything; of several, joined.
        member: String,
    },
    /// A file cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Unpacks a package.
///
/// # Errors
/// When the package is damaged.
pub fn deb(store: &Store, part: &Part) -> Result<Unpacked, UnpackError> {
    let derived = store.derived(key("deb", slice::from_ref(part), ""), |dir| {
        read_deb(part, |section, archive| {
            let (name, member) = match section {
                Section::Control => (CONTROL, "control.tar"),
                Section::Data => (DATA, "data.tar"),
            };
            let damaged = |source| UnpackError::Deb {
                name: part.pin.name.clone(),
                source: DebError::Unpack { member: member.to_owned(), source },
            };
            dir.file(name, |out| copy(archive, out, damaged))?;
            Ok(true)
        })
    })?;
    let file = |name| {
        let damaged = || UnpackError::Deb { name: part.pin.name.clone(), source: DebError::Missing(name) };
        derived.get(name).cloned().ok_or_else(damaged)
    };
    Ok(Unpacked { data: file(DATA)?, control: file(CONTROL)? })
}

/// Unpacks packages, up to `jobs` at once; in their order.
///
/// # Errors
/// When a package is damaged.
pub fn debs(store: &Store, parts: &[Part], jobs: usize) -> Result<Vec<Unpacked>, UnpackError> {
    let bar = progress::count("unpacking packages", parts.len() as u64);
    parallel::map(parts, jobs, |(): &mut (), part| {
        let unpacked = deb(store, part);
        bar.inc(1);
        unpacked
    })
}

/// The files of parts as tars, up to `jobs` at once; in the order of the parts, each of which is a
/// package or an archive.
///
/// # Errors
/// When a part is damaged.
pub fn files(store: &Store, parts: &[Part], jobs: usize) -> Result<Vec<StoredFile>, UnpackError> {
    let bar = progress::count("unpacking packages", parts.len() as u64);
    parallel::map(parts, jobs, |(): &mut (), part| {
        let files =
            if is_deb(part)? { deb(store, part).map(|unpacked| unpacked.data) } else { tar(store, part) };
        bar.inc(1);
        files
    })
}

/// Whether a part is a package, and no archive. What comes from a pool of packages always is.
fn is_deb(part: &Part) -> Result<bool, UnpackError> {
    let is_from_pool = matches!(part.pin.location, Location::Pool { .. });
    Ok(is_from_pool || deb::is_package(&head(part)?))
}

/// The first bytes of a part.
fn head(part: &Part) -> Result<Vec<u8>, UnpackError> {
    let mut head = vec![0; 8];
    let count = open(part)?
        .read_at(&mut head, 0)
        .map_err(|source| UnpackError::Read { path: part.path.clone(), source })?;
    head.truncate(count);
    Ok(head)
}

/// A tar without its compression. One that has none is taken where it is.
///
/// # Errors
/// When the archive is damaged or cannot be read.
pub fn tar(store: &Store, part: &Part) -> Result<StoredFile, UnpackError> {
    if Packing::detect(&head(part)?) == Packing::Plain {
        return Ok(StoredFile { path: part.path.clone(), size: part.pin.size, sha256: part.pin.sha256 });
    }
    let damaged = |source| UnpackError::Tar { name: part.pin.name.clone(), source: TarError::Read(source) };
    let derived = store.derived(key("tar", slice::from_ref(part), ""), |dir| {
        let unpacked = compress::unpack(open(part)?).map_err(damaged)?;
        let mut unpacked = Limited::new(unpacked, unpacked_limit(part.pin.size));
        dir.file(DATA, |out| copy(&mut unpacked, out, damaged))
    })?;
    let none = || damaged(io::ErrorKind::NotFound.into());
    derived.get(DATA).cloned().ok_or_else(none)
}

impl Unpacked {
    /// The package's files, in the order of the archive. Their contents are in [`Self::data`].
    ///
    /// # Errors
    /// When the archive is damaged or holds something that cannot go into an image.
    pub fn files(&self) -> Result<Vec<Entry>, UnpackError> {
        index(&self.data.path)
    }

    /// The control files by name: `control`, `conffiles`, `md5sums`, maintainer scripts.
    ///
    /// # Errors
    /// When the archive is damaged or holds something that cannot go into an image.
    pub fn control_files(&self) -> Result<BTreeMap<String, Vec<u8>>, UnpackError> {
        let path = &self.control.path;
        let read = |source| UnpackError::Read { path: path.clone(), source };
        let file = File::open(path).map_err(read)?;
        let mut files = BTreeMap::new();
        for entry in index(path)? {
            if let Kind::File { offset, size } = entry.kind {
                let size = usize::try_from(size).map_err(|error| read(io::Error::other(error)))?;
                // The index has checked that the archive is that long.
                let mut content = vec![0; size];
                file.read_exact_at(&mut content, offset).map_err(read)?;
                files.insert(entry.path.as_str().to_owned(), content);
            }
        }
        Ok(files)
    }
}

/// The members of the uncompressed tar at `path`.
///
/// # Errors
/// When the archive is damaged or holds something that cannot go into an image.
pub fn index(path: &Path) -> Result<Vec<Entry>, UnpackError> {
    let file = File::open(path).map_err(|source| UnpackError::Read { path: path.to_owned(), source })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    tar::index(&file).map_err(|source| UnpackError::Tar { name, source })
}

/// Name of what is derived from `parts` in one of the ways of this module.
fn key(way: &str, parts: &[Part], details: &str) -> Sha256 {
    let digests: Vec<String> = parts.iter().map(|part| part.pin.sha256.to_string()).collect();
    Sha256::of(format!("{way}\0{GENERATION}\0{}\0{details}", digests.join(" ")).as_bytes())
}

fn open(part: &Part) -> Result<File, UnpackError> {
    File::open(&part.path).map_err(|source| UnpackError::Read { path: part.path.clone(), source })
}

/// Reads a package with a bar, and errors with its name.
fn read_deb(
    part: &Part,
    mut each: impl FnMut(Section, &mut dyn Read) -> Result<bool, UnpackError>,
) -> Result<(), UnpackError> {
    let bar = progress::bytes(format!("unpacking {}", part.pin.name), part.pin.size);
    let file = bar.wrap_read(open(part)?);
    let limit = unpacked_limit(part.pin.size);
    deb::sections(file, limit, |section, archive| each(section, archive).map_err(Stop::Error)).map_err(
        |stop: Stop| match stop {
            Stop::Error(error) => error,
            Stop::Deb(source) => UnpackError::Deb { name: part.pin.name.clone(), source },
        },
    )
}

/// Why [`read_deb`] stops: its caller's errors pass, the package's get its name.
enum Stop {
    Error(UnpackError),
    Deb(DebError),
}

impl From<DebError> for Stop {
    fn from(error: DebError) -> Self {
        Stop::Deb(error)
    }
}

/// Copies all of `from`, and tells errors of reading from errors of writing.
fn copy(
    from: &mut (impl Read + ?Sized),
    to: &mut Output,
    damaged: impl Fn(io::Error) -> UnpackError,
) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        interrupt::check()?;
        let count = from.read(&mut buffer).map_err(&damaged)?;
        if count == 0 {
            return Ok(());
        }
        to.append(&buffer[..count])?;
    }
}
