//! Digests in the form that `sha256sum -c` takes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::Digest as _;

use super::{FormatError, Out, Raw};
use crate::digest::Sha256;
use crate::{files, interrupt};

/// Bytes that are digested at once.
const CHUNK: usize = 1 << 20;

/// Writes a line for each of `others`, or for the image itself when there are none.
pub(super) fn write(raw: &Raw, image: &Path, others: &[&Out], out: &mut Out) -> Result<(), FormatError> {
    if others.is_empty() {
        let digest = whole(raw.file(), raw.size()).map_err(|source| raw.error(source))?;
        return out.put(line(digest, image).as_bytes());
    }
    for other in others {
        let digest = whole(other.file(), other.at()).map_err(|source| other.error(source))?;
        out.put(line(digest, other.path()).as_bytes())?;
    }
    Ok(())
}

fn line(digest: Sha256, path: &Path) -> String {
    format!("{digest}  {}\n", path.file_name().unwrap_or_default().to_string_lossy())
}

/// The digest of the first `size` bytes of a file, whose holes are not read.
fn whole(file: &File, size: u64) -> io::Result<Sha256> {
    let mut hash = sha2::Sha256::new();
    let mut at = 0;
    for data in files::data(file, size) {
        let (start, end) = data?;
        zeros(&mut hash, start - at)?;
        update(&mut hash, file, start..end)?;
        at = end;
    }
    zeros(&mut hash, size - at)?;
    Ok(Sha256::finish(hash))
}

/// Adds what stands in a range of a file.
pub(super) fn update(hash: &mut sha2::Sha256, file: &File, range: Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK.min((range.end - range.start) as usize)];
    let mut at = range.start;
    while at < range.end {
        interrupt::check()?;
        let count = buffer.len().min((range.end - at) as usize);
        file.read_exact_at(&mut buffer[..count], at)?;
        hash.update(&buffer[..count]);
        at += count as u64;
    }
    Ok(())
}

fn zeros(hash: &mut sha2::Sha256, mut count: u64) -> io::Result<()> {
    let buffer = vec![0; CHUNK.min(count as usize)];
    while count > 0 {
        interrupt::check()?;
        let step = buffer.len().min(count as usize);
        hash.update(&buffer[..step]);
        count -= step as u64;
    }
    Ok(())
}
