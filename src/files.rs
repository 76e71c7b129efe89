//! Files of the host: small ones that are whole or not there, large ones with holes.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::SeekFrom as Hole;
use tempfile::NamedTempFile;

use crate::interrupt;

/// Most that is copied at once, in bytes, between two looks at whether the user wants to stop.
const CHUNK: u64 = 64 << 20;

/// Puts a file of `content` in place of what is at `path`, through a temporary file beside it.
///
/// # Errors
/// When the file cannot be written; then what was there is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

/// Whether both paths lead to one file that is there.
pub fn are_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|about| (about.dev(), about.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// A hidden temporary file in the directory of `path`, whose name it can take when it is whole.
/// It is removed when it is dropped.
///
/// # Errors
/// When the file cannot be made.
pub fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix: OsString =
        [".".as_ref(), path.file_name().unwrap_or_default(), ".".as_ref()].into_iter().collect();
    // The umask takes away from the mode what the user does not want. `tempfile_in` would tell the
    // random name in its errors.
    let open = |path: &Path| File::options().read(true).write(true).create_new(true).mode(0o666).open(path);
    tempfile::Builder::new().prefix(&prefix).suffix(".part").make_in(dir, open)
}

/// Reads until `buffer` is full or nothing is left; how many bytes that were.
///
/// # Errors
/// When reading fails, other than for a signal.
pub fn fill(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether all bytes are zeros. Slices are compared as fast as memory is, even in builds for tests.
pub fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|part| *part == ZEROS[..part.len()])
}

/// The first byte from `at` on that is not in a hole, `None` when only a hole follows.
///
/// # Errors
/// When the file cannot tell.
pub fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, Hole::Data(at)) {
        Ok(start) => Ok(Some(start)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The first byte from `at` on that is in a hole; the end of the file is one.
///
/// # Errors
/// When the file cannot tell, or ends before `at`.
pub fn next_hole(file: &File, at: u64) -> io::Result<u64> {
    Ok(rustix::fs::seek(file, Hole::Hole(at))?)
}

/// What is not a hole in the first `size` bytes of a file, as starts and ends.
pub fn data(file: &File, size: u64) -> impl Iterator<Item = io::Result<(u64, u64)>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= size {
            return None;
        }
        let next = || -> io::Result<Option<(u64, u64)>> {
            let Some(start) = next_data(file, at)?.filter(|start| *start < size) else { return Ok(None) };
            Ok(Some((start, next_hole(file, start)?.min(size))))
        };
        let range = next();
        // Nothing follows an error.
        at = range.as_ref().map_or(size, |range| range.map_or(size, |(_, end)| end));
        range.transpose()
    })
}

/// Copies what is not a hole in the first `size` bytes to the same places of `to`, where the file
/// system can without moving a byte.
///
/// # Errors
/// When reading or writing fails, or the user asked to stop.
pub fn copy_sparse(mut from: &File, mut to: &File, size: u64) -> io::Result<()> {
    for range in data(from, size) {
        let (mut at, end) = range?;
        while at < end {
            interrupt::check()?;
            let count = CHUNK.min(end - at);
            from.seek(io::SeekFrom::Start(at))?;
            to.seek(io::SeekFrom::Start(at))?;
            if io::copy(&mut from.take(count), &mut to)? < count {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at += count;
        }
    }
    Ok(())
}
