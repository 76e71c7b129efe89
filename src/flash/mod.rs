//! From an image to a device: refused, or written and proven.
//!
//! ```text
//!   rules     the system disk, mounted, too small, not an image ...            refused: untouched
//!   begin     the first MiB becomes zeros and a mark, the last MiB zeros       from here: not bootable
//!   probe     blocks at powers of two: does the medium have the room it claims
//!   write     all pieces but the first and the last; holes are forgotten; at the image's end: is it the promised one
//!   verify    every piece is read back from the medium
//!   seed      what one device gets besides the image: written, and read back
//!   finish    last piece, first piece without its first 4 KiB, its first 4 KiB; each flushed, then verified
//! ```
//! The mark stands in the second sector, where a GPT would have its header, and names the image. A later run that
//! finds it compares before it writes, and so goes on where the first one stopped.

mod buffer;
pub mod contents;
pub mod devices;
pub mod find;
mod head;
mod holes;
mod lanes;
mod mounts;
mod picture;
mod probe;
pub mod proof;
pub mod render;
pub mod rules;
mod seed;
pub mod source;
pub mod target;
mod verify;
mod write;

use std::io;

use serde::Serialize;

use crate::interrupt::{self, Interrupted};
use crate::units::Bytes;

pub use buffer::Buffer;
pub use picture::Picture;
pub use seed::{SowError, Sowing};
pub use target::Target;

use write::Session;

/// What a flash is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looks whether the medium is what it claims to be.
    Probing,
    /// Writes.
    Writing,
    /// Reads back.
    Verifying,
}

/// Told about every step: what is done, how many bytes of it more, and of how many in all.
pub type Progress<'a> = &'a (dyn Fn(Stage, u64, Option<u64>) + Sync);

/// What a target is after a flash that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it was.
    Untouched,
    /// Without a partition table; the same command goes on.
    NotBootable,
    /// All but the table was read back; whether the table arrived is not known.
    Unproven,
}

/// Why a flash did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// The image cannot be read to its end.
    #[error("reading the image")]
    Read(#[source] io::Error),
    /// The image is not one.
    #[error(transparent)]
    Refused(#[from] rules::Refusal),
    /// The image, whose length was not known, is longer than the target.
    #[error("the target has {has} ({} bytes), and the image is longer\n\nhint: take a larger medium", has.0)]
    TooLong {
        /// Bytes that the target has.
        has: Bytes,
    },
    /// The target does not take bytes.
    #[error("writing at {at}")]
    Write {
        /// Offset in bytes.
        at: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The target does not give back bytes.
    #[error("reading back at {at}")]
    ReadBack {
        /// Offset in bytes.
        at: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The medium takes writes and keeps its old bytes, as worn-out cards do.
    #[error(
        "it takes writes and keeps its old bytes: a card at the end of its life does that\n\nhint: take another; this one can still be read"
    )]
    Stuck,
    /// The medium has less room than it claims.
    #[error(
        "it claims {claims}, but keeps less than {less} of that apart: its capacity is a fake\n\nhint: take another medium"
    )]
    Fake {
        /// What it says.
        claims: Bytes,
        /// Where it began to repeat or to forget.
        less: Bytes,
    },
    /// The medium gives back other bytes than it took.
    #[error(
        "it gave back other bytes at {at} than were written there\n\nhint: try another reader or port; if that does not help, the medium is broken"
    )]
    Differs {
        /// Offset in bytes of the piece.
        at: u64,
    },
    /// The seed does not go onto what was written.
    #[error(transparent)]
    Seed(#[from] SowError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// A flash that did not end well, and what it left.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.state.text())]
pub struct Failed {
    /// What the target is now.
    pub state: State,
    /// Why.
    #[source]
    pub error: FlashError,
}

/// A flash that ended well: all that was written was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Length of the image in bytes.
    pub size: u64,
    /// Bytes that were written.
    pub written: u64,
    /// Bytes that an earlier run had written.
    pub kept: u64,
    /// Bytes that were read back and compared.
    pub verified: u64,
    /// Whether all holes of the image are zeros now. On a device that cannot forget, only the edges of long ones are.
    pub holes_are_zeros: bool,
    /// Files of the seed that were put onto the first partition, by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seeded: Vec<String>,
}

impl State {
    /// What it means for a person.
    pub fn text(self) -> &'static str {
        match self {
            State::Untouched => "nothing was written",
            State::NotBootable => "the target is not bootable; the same command goes on where this stopped",
            State::Unproven => "the target may be bootable or not; the same command makes sure",
        }
    }
}

/// Writes an image whose head was read already, with a seed if there is one, and proves it.
///
/// # Errors
/// Whatever went wrong, and in which state the target is.
pub fn flash(
    target: &impl Target,
    picture: &mut Picture,
    head: Buffer,
    seed: Option<&Sowing>,
    progress: Progress<'_>,
) -> Result<Report, Failed> {
    let untouched = |error| Failed { state: State::Untouched, error };
    let broken = |error| Failed { state: State::NotBootable, error };
    interrupt::check().map_err(|error| untouched(error.into()))?;
    let mut session = Session::new(target, head, progress);
    session.begin(picture.size()).map_err(|error| match error {
        FlashError::Stuck => untouched(error),
        _ => broken(error),
    })?;
    session.fill(picture).map_err(broken)?;
    seed.map_or(Ok(()), |seed| session.sow(seed)).map_err(broken)?;
    session.finish().map_err(|error| Failed { state: session.state(), error })?;
    Ok(session.report())
}

#[cfg(test)]
mod tests;
