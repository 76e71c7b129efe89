//! Digests in the form that `sha256sum -c` takes.

use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use super::{FormatError, Out, Raw};
use crate::digest::Sha256;
use crate::interrupt;

/// Bytes that are digested at once.
const CHUNK: usize = 1 << 20;

/// Writes a line for each of `files`, which are told with what they hold.
pub(super) fn write<P: Fn(u64)>(
    files: &[(PathBuf, Raw)],
    out: &mut Out,
    begin: impl Fn(&str, u64) -> P,
) -> Result<(), FormatError> {
    let progress = begin("sha256", files.iter().map(|(_, raw)| raw.size()).sum());
    for (path, raw) in files {
        out.put(line(whole(raw, &progress)?, path).as_bytes())?;
    }
    Ok(())
}

fn line(digest: Sha256, path: &Path) -> String {
    format!("{digest}  {}\n", path.file_name().unwrap_or_default().to_string_lossy())
}

/// The digest of all bytes of an image. Holes are not read. `progress` is told how many bytes were digested,
/// [`Raw::size`] in all.
///
/// # Errors
/// When it cannot be read, or the user asked to stop.
pub fn whole(raw: &Raw, progress: &dyn Fn(u64)) -> Result<Sha256, FormatError> {
    let mut hash = sha2::Sha256::new();
    let mut at = 0;
    for range in &raw.blocks().ranges {
        zeros(&mut hash, range.start - at, progress)?;
        update(&mut hash, raw, range.clone(), progress)?;
        at = range.end;
    }
    zeros(&mut hash, raw.size() - at, progress)?;
    Ok(Sha256::finish(hash))
}

/// Adds what stands in a range of an image.
pub(super) fn update(
    hash: &mut sha2::Sha256,
    raw: &Raw,
    range: Range<u64>,
    progress: &dyn Fn(u64),
) -> Result<(), FormatError> {
    let mut buffer = Vec::new();
    for at in range.clone().step_by(CHUNK) {
        interrupt::check()?;
        raw.read(at..range.end.min(at + CHUNK as u64), &mut buffer)?;
        hash.update(&buffer);
        progress(buffer.len() as u64);
    }
    Ok(())
}

fn zeros(hash: &mut sha2::Sha256, mut count: u64, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
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
