//! Reading back what was written.

use super::buffer::Buffer;
use super::target::Target;
use super::write::Written;
use super::{FlashError, Progress, Stage};
use crate::digest::Sha256;
use crate::{interrupt, parallel};

/// Threads that read.
const READERS: usize = 4;

/// Reads every piece from the medium and compares digests.
pub(super) fn all(
    target: &impl Target,
    written: &[Written],
    progress: Progress<'_>,
) -> Result<(), FlashError> {
    let total = written.iter().map(|piece| piece.len as u64).sum();
    let compare = |buffer: &mut Buffer, piece: &Written| {
        interrupt::check()?;
        let at = piece.at;
        target.read(at, buffer.room(piece.len)).map_err(|source| FlashError::ReadBack { at, source })?;
        if Sha256::of(buffer.bytes()) != piece.digest {
            return Err(FlashError::Differs { at });
        }
        progress(Stage::Verifying, piece.len as u64, Some(total));
        Ok(())
    };
    parallel::map(written, READERS, compare).map(|_| ())
}
