//! Writing an image in one pass.
//!
//! ```text
//!   host files,          buffer            buffer
//!   memory      --gather------> --digest--------> --write--> at its offset, and at its mirror's
//!                  ^                 |                |
//!                  +------ empty ----|----------------+
//!   late pieces <--------------------+  digests                then: rename into place
//! ```
//! Each stage is a thread. Digesting and copying take about equally long, so that on two cores
//! the pass is about as fast as a plain copy. Holes are never written. Memory is a few buffers,
//! whatever the size of the image.
//!
//! The image has a temporary name until it is whole. It is not synced to the medium: a power cut
//! can cost an image that can be built again, and waiting for the medium would cost every build
//! more than all the rest.

mod gather;
mod output;
mod watch;

use std::io;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::Run;
use super::extents::{Extents, LateFn, Piece, Source};
use crate::digest::{Digests, Sha256};
use crate::interrupt::{self, Interrupted};
use crate::units::Bytes;

use gather::Gatherer;
use output::Output;
use watch::Watcher;

/// What the host's file systems allocate at a time.
const BLOCK: u64 = 4096;
/// Bytes in one buffer, and how many there are: one for each stage, and one that waits.
const BUFFER: usize = 1 << 20;
const BUFFERS: usize = 4;

/// What to write.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// All bytes of the image.
    pub extents: &'a Extents,
    /// Ranges that are written twice.
    pub mirrors: &'a [Mirror],
    /// Files to digest on the way.
    pub watches: &'a [Watch],
}

/// Everything written to `from..from + len` is written again at `to`, where the extents must have
/// no pieces of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Offset of the range on the disk, in bytes.
    pub from: u64,
    /// Length of the range, in bytes.
    pub len: u64,
    /// Offset of its copy on the disk, in bytes.
    pub to: u64,
}

/// A file to digest as its bytes pass. No two watches share bytes, and none is in a mirror's copy.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Name of the file, for [`Digests`] and for errors.
    pub name: String,
    /// Length of the file, in bytes.
    pub size: u64,
    /// Where it stands on the disk, ascending; what no run covers are zeros.
    pub runs: Vec<Run>,
    /// What the digest must be.
    pub expected: Option<Sha256>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Digests of the watched files.
    pub digests: Digests,
    /// The ranges that are not holes, ascending, mirrors included.
    pub mapped: Vec<Range<u64>>,
}

/// Why an image was not written. Nothing stands under its name then but what stood there before.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A directory stands where the image is to go.
    #[error("`{}` is a directory\n\nhint: name a file in it", .0.display())]
    Directory(PathBuf),
    /// Something else that is not a regular file stands there.
    #[error(
        "`{}` is not a regular file\n\nhint: name a file; what is in it can be copied to a device",
        .0.display()
    )]
    NotAFile(PathBuf),
    /// The file system is full.
    #[error(
        "no space is left for `{}`, which takes {needs}\n\nhint: free some space, or write it elsewhere",
        path.display()
    )]
    Full {
        /// The image.
        path: PathBuf,
        /// Bytes of the image that are not holes.
        needs: Bytes,
    },
    /// The image could not be written.
    #[error("writing `{}`", path.display())]
    Output {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that goes into the image cannot be read.
    #[error("reading `{}`", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that goes into the image has become shorter since it was looked at.
    #[error("`{}` ends before byte {end}; it has changed while the image was made", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Where the last byte wanted ends.
        end: u64,
    },
    /// A file is not what it was said to be.
    #[error("`{name}` has the sha256 {found}, but {expected} was expected")]
    Digest {
        /// Name of the file.
        name: String,
        /// What the digest must be.
        expected: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// A late content does not have the length that was said before.
    #[error("{found} bytes were made last, but {expected} were announced")]
    Late {
        /// The length announced.
        expected: u64,
        /// The length made.
        found: u64,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Job<'_> {
    /// The ranges that will not be holes, in whole 4 KiB, ascending, mirrors included.
    pub fn mapped(&self) -> Vec<Range<u64>> {
        let pieces = self.extents.pieces().iter().map(|piece| piece.at..piece.at + piece.len);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for range in pieces {
            extend(&mut ranges, &range);
        }
        let mirrored =
            self.mirrors.iter().flat_map(|mirror| ranges.iter().filter_map(|range| mirror.copy(range)));
        let mut all: Vec<Range<u64>> = ranges.iter().cloned().chain(mirrored).collect();
        all.sort_by_key(|range| range.start);
        ranges.clear();
        all.iter().for_each(|range| extend(&mut ranges, range));
        ranges
    }
}

/// Puts a range behind the others, joined with the last one if no whole block lies between.
fn extend(ranges: &mut Vec<Range<u64>>, range: &Range<u64>) {
    let start = range.start / BLOCK * BLOCK;
    let end = range.end.next_multiple_of(BLOCK);
    match ranges.last_mut() {
        Some(last) if last.end >= start => last.end = last.end.max(end),
        _ => ranges.push(start..end),
    }
}

impl Mirror {
    /// Where the part of `range` that is mirrored has its copy.
    fn copy(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let start = range.start.max(self.from);
        let end = range.end.min(self.from + self.len);
        (start < end).then(|| start - self.from + self.to..end - self.from + self.to)
    }
}

/// Checks that an image could be written to `path`, before anything that takes long is begun.
///
/// # Errors
/// When something else than a file stands there, or no file can be made beside it.
pub fn probe(path: &Path) -> Result<(), WriteError> {
    Output::create(path, 0, 0).map(drop)
}

/// An image that is whole but has a temporary name still. Dropped, it is gone.
pub struct Draft {
    output: Output,
    written: Written,
}

impl Draft {
    /// Where it is now, to be looked at.
    pub fn path(&self) -> &Path {
        self.output.draft()
    }

    /// Removes the image, which was wanted in other formats only. Tells what was in it.
    pub fn discard(self) -> Written {
        self.written
    }

    /// Gives the image its name, in place of what has it now.
    ///
    /// # Errors
    /// When it cannot take the name.
    pub fn keep(self) -> Result<Written, WriteError> {
        self.output.keep()?;
        Ok(self.written)
    }
}

/// Writes the image to `path`, in place of what is there, once all has gone well. `progress` is
/// told of every so many bytes as they are written, about [`Job::mapped`] in all.
///
/// # Errors
/// When a source cannot be read or is not what was expected, when the image cannot be written, or
/// when the user has interrupted.
pub fn write(path: &Path, job: &Job<'_>, progress: impl Fn(u64)) -> Result<Written, WriteError> {
    draft(path, job, progress)?.keep()
}

/// Writes the image as [`write()`] does, but for its name.
///
/// # Errors
/// As [`write()`].
pub fn draft(path: &Path, job: &Job<'_>, progress: impl Fn(u64)) -> Result<Draft, WriteError> {
    let mapped = job.mapped();
    let needs = mapped.iter().map(|range| range.end - range.start).sum();
    let output = Output::create(path, job.extents.size(), needs)?;
    let (late, early): (Vec<&Watch>, Vec<&Watch>) = job.watches.iter().partition(|watch| is_late(job, watch));
    let mut digests = copy(&output, job, Watcher::new(&early), &progress)?.finish()?;
    write_late(&output, job, &digests)?;
    for watch in late {
        digests.insert(watch.name.clone(), watch::read_back(&output, watch)?);
    }
    Ok(Draft { output, written: Written { digests, mapped } })
}

/// Bytes at their place on the disk, in a buffer that may be longer.
struct Chunk {
    at: u64,
    len: usize,
    buffer: Vec<u8>,
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

/// Copies all pieces but the late ones, while the watched files are digested. Buffers go round
/// from one stage to the next; whichever stops first, its neighbours find their channels closed
/// and stop without an error of their own.
fn copy<'a>(
    output: &Output,
    job: &Job<'_>,
    watcher: Watcher<'a>,
    progress: &impl Fn(u64),
) -> Result<Watcher<'a>, WriteError> {
    let (empty, to_fill) = mpsc::channel();
    let (filled, to_digest) = mpsc::channel();
    let (digested, to_write) = mpsc::channel();
    (0..BUFFERS).try_for_each(|_| empty.send(vec![0; BUFFER])).expect("the other end is still here");
    thread::scope(|scope| {
        let gathering = scope.spawn(move || gather(job.extents, to_fill, filled));
        let digesting = scope.spawn(move || digest(watcher, to_digest, digested));
        let written = write_all(output, job.mirrors, to_write, empty, progress);
        let gathered = gathering.join().unwrap_or_else(|panic| resume_unwind(panic));
        let watcher = digesting.join().unwrap_or_else(|panic| resume_unwind(panic));
        written.and(gathered).map(|()| watcher)
    })
}

fn gather(extents: &Extents, empty: Receiver<Vec<u8>>, filled: Sender<Chunk>) -> Result<(), WriteError> {
    let mut gatherer = Gatherer::new(extents);
    for mut buffer in empty {
        interrupt::check()?;
        let Some((at, len)) = gatherer.fill(&mut buffer)? else { break };
        if filled.send(Chunk { at, len, buffer }).is_err() {
            break;
        }
    }
    Ok(())
}

fn digest<'a>(mut watcher: Watcher<'a>, filled: Receiver<Chunk>, digested: Sender<Chunk>) -> Watcher<'a> {
    for chunk in filled {
        watcher.pass(chunk.at, chunk.bytes());
        if digested.send(chunk).is_err() {
            break;
        }
    }
    watcher
}

fn write_all(
    output: &Output,
    mirrors: &[Mirror],
    digested: Receiver<Chunk>,
    empty: Sender<Vec<u8>>,
    progress: &impl Fn(u64),
) -> Result<(), WriteError> {
    for chunk in digested {
        interrupt::check()?;
        progress(output.put(chunk.at, chunk.bytes(), mirrors)?);
        // A gatherer that has no more to gather takes no more buffers.
        let _ = empty.send(chunk.buffer);
    }
    Ok(())
}

/// The pieces that could not be made before.
fn late_pieces(extents: &Extents) -> impl Iterator<Item = (&Piece, &LateFn, u64, u64)> {
    extents.pieces().iter().filter_map(|piece| match &piece.source {
        Source::Late { make, start, total } => Some((piece, make.as_ref(), *start, *total)),
        _ => None,
    })
}

fn write_late(output: &Output, job: &Job<'_>, digests: &Digests) -> Result<(), WriteError> {
    for (piece, make, start, total) in late_pieces(job.extents) {
        let bytes = make(digests);
        if bytes.len() as u64 != total {
            return Err(WriteError::Late { expected: total, found: bytes.len() as u64 });
        }
        let part = &bytes[start as usize..(start + piece.len) as usize];
        output.put(piece.at, part, job.mirrors)?;
    }
    Ok(())
}

/// Whether some of the file's bytes are made last.
fn is_late(job: &Job<'_>, watch: &Watch) -> bool {
    late_pieces(job.extents).any(|(piece, ..)| {
        watch.runs.iter().any(|run| run.at < piece.at + piece.len && piece.at < run.at + run.len)
    })
}
