//! Whether a medium has the room that it claims.
//!
//! A fake one keeps some GiB and takes the rest modulo that, or throws it away. Blocks that differ are written at
//! 1 MiB, at powers of two behind it, and at the end; when all are written, each must still be there.
//!
//! ```text
//!   1 MiB   +2 MiB   +4 MiB   ...   +8 GiB   +16 GiB  ...  end - 4 KiB
//!   ^                                  |
//!   +---------- the same block, where 8 GiB are kept
//! ```
//! What was in these blocks is put back.

use super::buffer::{ALIGN, Buffer};
use super::target::Target;
use super::{FlashError, Progress, Stage};
use crate::digest::Sha256;
use crate::interrupt;
use crate::units::{Bytes, MIB};

pub(super) fn all(target: &impl Target, claims: u64, progress: Progress<'_>) -> Result<(), FlashError> {
    let places = places(claims);
    let total = Some(2 * places.len() as u64);
    let mut old = Vec::new();
    for at in &places {
        interrupt::check()?;
        old.push(read(target, *at)?);
        write(target, *at, &block(*at))?;
        progress(Stage::Probing, 1, total);
    }
    flush(target)?;
    for at in &places {
        if read(target, *at)?.bytes() != block(*at).bytes() {
            return Err(FlashError::Fake { claims: Bytes(claims), less: Bytes(less(target, *at, &places)) });
        }
        progress(Stage::Probing, 1, total);
    }
    for (at, old) in places.iter().zip(&old) {
        write(target, *at, old)?;
    }
    flush(target)
}

/// Offsets of the blocks, in ascending order.
fn places(claims: u64) -> Vec<u64> {
    let last = claims.saturating_sub(ALIGN as u64) & !(ALIGN as u64 - 1);
    let powers = (21..63).map(|power| MIB + (1 << power));
    let mut places: Vec<u64> = std::iter::once(MIB).chain(powers).take_while(|at| *at < last).collect();
    if last >= MIB {
        places.push(last);
    }
    places
}

/// Where the room ends at the latest: at the place whose block overwrote another, or that was not kept.
fn less(target: &impl Target, at: u64, places: &[u64]) -> u64 {
    let found = read(target, at).ok();
    let other = places
        .iter()
        .find(|other| found.as_ref().is_some_and(|found| found.bytes() == block(**other).bytes()));
    other.map_or(at, |other| other.abs_diff(at))
}

/// Bytes that no other offset has.
fn block(at: u64) -> Buffer {
    let digest = Sha256::of(format!("factory probe at {at}").as_bytes()).0;
    let mut block = Buffer::default();
    for part in block.room(ALIGN).chunks_exact_mut(digest.len()) {
        part.copy_from_slice(&digest);
    }
    block
}

fn read(target: &impl Target, at: u64) -> Result<Buffer, FlashError> {
    let mut block = Buffer::zeros(ALIGN);
    target.read(at, block.room(ALIGN)).map_err(|source| FlashError::ReadBack { at, source })?;
    Ok(block)
}

fn write(target: &impl Target, at: u64, block: &Buffer) -> Result<(), FlashError> {
    target.write(at, block.bytes()).map_err(|source| FlashError::Write { at, source })
}

fn flush(target: &impl Target) -> Result<(), FlashError> {
    target.flush().map_err(|source| FlashError::Write { at: 0, source })
}
