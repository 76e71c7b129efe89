//! Images as disks: raw ones as they are, others in temporary files with holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::DiffError;
use crate::formats::read::parts::Parts;
use crate::formats::read::{self, Kind};
use crate::interrupt;
use crate::volume::Disk;

/// Bytes that are copied at once.
const CHUNK: u64 = 1 << 20;

/// Opens the image or device at `path`, whatever it is packed with.
pub(super) fn image(path: &Path) -> Result<Disk, DiffError> {
    let source = read::open(path)?;
    if source.kind() == Kind::Raw {
        return Ok(Disk::open(path)?);
    }
    let temporary = |source| DiffError::Temporary { path: path.to_owned(), source };
    let file = tempfile::tempfile().map_err(temporary)?;
    let size = match source.parts()? {
        Some(parts) => {
            spread(&*parts, &file).map_err(temporary)?;
            parts.blocks().size
        }
        None => source.unpack(&file, |_| ())?,
    };
    Ok(Disk::new(file, size))
}

/// Puts down what is not zeros.
fn spread(parts: &dyn Parts, file: &File) -> io::Result<()> {
    file.set_len(parts.blocks().size)?;
    let mut buffer = vec![0; CHUNK as usize];
    for range in &parts.blocks().ranges {
        for at in range.clone().step_by(CHUNK as usize) {
            interrupt::check()?;
            let buffer = &mut buffer[..CHUNK.min(range.end - at) as usize];
            parts.read_at(at, buffer)?;
            file.write_all_at(buffer, at)?;
        }
    }
    Ok(())
}
