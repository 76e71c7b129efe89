//! Digests in the form that `sha256sum -c` takes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use super::{FormatError, Out};
use crate::digest::Sha256;
use crate::{files, interrupt};

/// Bytes that are digested at once.
const CHUNK: usize = 1 << 20;

/// Writes a line for each of `files`, which are told with their lengths.
pub(super) fn write<P: Fn(u64)>(
    files: Vec<(PathBuf, &File, u64)>,
    out: &mut Out,
    begin: impl Fn(&str, u64) -> P,
) -> Result<(), FormatError> {
    let progress = begin("sha256", files.iter().map(|(.., size)| size).sum());
    for (path, file, size) in files {
        let digest = whole(file, size, &progress);
        let digest = digest.map_err(|source| FormatError::Source { path: path.clone(), source })?;
        out.put(line(digest, &path).as_bytes())?;
    }
    Ok(())
}

fn line(digest: Sha256, path: &Path) -> String {
    format!("{digest}  {}\n", path.file_name().unwrap_or_default().to_string_lossy())
}

/// The digest of the first `size` bytes of a file, whose holes are not read.
pub(crate) fn whole(file: &File, size: u64, progress: &dyn Fn(u64)) -> io::Result<Sha256> {
    let mut hash = sha2::Sha256::new();
    let mut at = 0;
    for data in files::data(file, size) {
        let (start, end) = data?;
        zeros(&mut hash, start - at, progress)?;
        update(&mut hash, file, start..end, progress)?;
        at = end;
    }
    zeros(&mut hash, size - at, progress)?;
    Ok(Sha256::finish(hash))
}

/// Adds what stands in a range of a file.
pub(super) fn update(
    hash: &mut sha2::Sha256,
    file: &File,
    range: Range<u64>,
    progress: &dyn Fn(u64),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK.min((range.end - range.start) as usize)];
    let mut at = range.start;
    while at < range.end {
        interrupt::check()?;
        let count = buffer.len().min((range.end - at) as usize);
        file.read_exact_at(&mut buffer[..count], at)?;
        hash.update(&buffer[..count]);
        at += count as u64;
        progress(count as u64);
    }
    Ok(())
}

fn zeros(hash: &mut sha2::Sha256, mut count: u64, progress: &dyn Fn(u64)) -> io::Result<()> {
    let buffer = vec![0; CHUNK.min(count as usize)];
    while count > 0 {
        interrupt::check()?;
        let step = buffer.len().min(count as usize);
        hash.update(&buffer[..step]);
        count -= step as u64;
        progress(step as u64);
    }
    Ok(())
}
