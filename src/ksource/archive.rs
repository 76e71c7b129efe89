//! Sources out of archives, unpacked once into the store.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::patch::Patch;
use super::pipe::{Inlet, pipe};
use super::unpack::{Limits, unpack};
use super::{SourceTree, SourceTreeError, makefile};
use crate::archive::compress::{Limited, Unpacked};
use crate::archive::deb::{self, DebError, Section};
use crate::archive::tar::{Forward, Kind, Members};
use crate::digest::Sha256;
use crate::progress;
use crate::store::Store;

/// To be raised when what is unpacked changes, so that nobody finds what older programs unpacked.
const GENERATION: &str = "1";

/// What an archive may unpack to, in bytes: its files, and a block or two for each.
const MOST: u64 = 5 << 30;

/// How an `ar` begins, and so a Debian package.
const AR: &[u8] = b"!<arch>\n";

/// What is kept beside an unpacked tree.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    version: String,
    epoch: u32,
    files: u32,
}

/// The source in the archive at `path`, with `patches` applied in their order: a tar, plain or packed by
/// gzip, xz or zstd, or a Debian package that holds one. `name` is what it is called in errors, `sha256`
/// its digest, which has been checked.
///
/// # Errors
/// When it is damaged, is not the source of a kernel, would write outside of its tree, or a patch does not
/// apply. Then nothing of it is left.
pub fn of_archive(
    store: &Store,
    name: &str,
    path: &Path,
    sha256: Sha256,
    patches: &[PathBuf],
) -> Result<SourceTree, SourceTreeError> {
    let patches: Vec<Patch> = patches.iter().map(|patch| Patch::read(patch)).collect::<Result<_, _>>()?;
    let id = key(sha256, &patches);
    let make = |tree: &Path| {
        let unpacked = unpack_file(name, path, tree)?;
        let version = makefile::version(tree, name)?;
        for patch in &patches {
            patch.apply(tree, &version, unpacked.newest)?;
        }
        // A patch may change it, as those of stable kernels do.
        let version = makefile::version(tree, name)?;
        Ok::<_, SourceTreeError>(Facts { version, epoch: unpacked.newest, files: unpacked.files })
    };
    let (path, facts) = store.tree(id, is_sound, make)?;
    Ok(SourceTree { path, id, version: facts.version, epoch: facts.epoch, is_users: false })
}

fn key(sha256: Sha256, patches: &[Patch]) -> Sha256 {
    let patches: Vec<String> = patches.iter().map(|patch| patch.sha256().to_string()).collect();
    Sha256::of(format!("kernel source\0{GENERATION}\0{sha256}\0{}", patches.join(" ")).as_bytes())
}

/// Whether a tree looks as it was unpacked, as far as can be told without looking at every file.
fn is_sound(tree: &Path, facts: &Facts) -> bool {
    makefile::trace_of_build(tree).is_none()
        && makefile::version(tree, "").is_ok_and(|version| version == facts.version)
}

/// Decompresses on one thread and writes files on another.
fn unpack_file(name: &str, path: &Path, tree: &Path) -> Result<super::unpack::Unpacked, SourceTreeError> {
    let file = File::open(path).map_err(SourceTreeError::reading(path))?;
    let size = file.metadata().map_err(SourceTreeError::reading(path))?.len();
    let bar = progress::bytes(format!("unpacking {name}"), size);
    let packed = BufReader::with_capacity(256 << 10, bar.wrap_read(file));
    pipe(|inlet| feed(name, packed, inlet), |outlet| unpack(name, outlet, tree, Limits::KERNEL))
}

/// Puts the tar that `packed` holds into `inlet`.
fn feed(name: &str, mut packed: impl io::BufRead + Send, inlet: &Inlet) -> Result<(), SourceTreeError> {
    let tar = |error: io::Error| SourceTreeError::tar(name)(error.into());
    if packed.fill_buf().map_err(tar)?.starts_with(AR) {
        return feed_package(name, packed, inlet);
    }
    put_unpacked(packed, inlet).map_err(tar)
}

fn put_unpacked(packed: impl io::BufRead, inlet: &Inlet) -> io::Result<()> {
    inlet.put(Limited::new(Unpacked::new(packed)?, MOST))
}

fn feed_package(name: &str, package: impl Read + Send, inlet: &Inlet) -> Result<(), SourceTreeError> {
    let mut is_there = false;
    deb::sections(package, MOST, |section, archive| match section {
        Section::Control => Ok(true),
        Section::Data => {
            is_there = put_source(archive, inlet)?;
            Ok(false)
        }
    })
    .map_err(|source: DebError| SourceTreeError::Deb { name: name.to_owned(), source })?;
    if is_there { Ok(()) } else { Err(SourceTreeError::NoSource { name: name.to_owned() }) }
}

/// Puts the source among the files of a package into `inlet`, if there is one.
fn put_source(archive: &mut dyn Read, inlet: &Inlet) -> Result<bool, DebError> {
    let mut members = Members::new(Forward(archive));
    while let Some(entry) = members.next()? {
        if matches!(entry.kind, Kind::File { .. }) && is_source(entry.path.as_str()) {
            let source = BufReader::with_capacity(256 << 10, members);
            let member = entry.path.as_str().to_owned();
            return put_unpacked(source, inlet)
                .map(|()| true)
                .map_err(|source| DebError::Unpack { member, source });
        }
    }
    Ok(false)
}

fn is_source(path: &str) -> bool {
    path.strip_prefix("usr/src/linux-source-")
        .is_some_and(|rest| !rest.contains('/') && rest.contains(".tar"))
}
