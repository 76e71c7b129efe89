//! Writing: one thread takes what others read of the image, some digest and write.
//!
//! ```text
//!   lanes --> next piece --> [piece][piece]... --> digest, compare, write --> what was written where
//!             (one thread)    a few in flight       (several threads)
//!       ^                                                   |
//!       +---------------- empty buffers --------------------+
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::buffer::{ALIGN, Buffer};
use super::holes::Holes;
use super::picture::{PIECE, Picture};
use super::target::Target;
use super::{FlashError, Progress, Report, SowError, Sowing, Stage, State, probe, rules, verify};
use crate::digest::Sha256;
use crate::interrupt;
use crate::units::{Bytes, MIB};

/// Threads that write: as many requests are in flight.
const WRITERS: usize = 4;

/// Buffers of one piece each: for each writer, one that comes next, and the last piece. What is read ahead has others.
const BUFFERS: usize = WRITERS + 2;

/// Begins the mark of a target that is being written.
const MARK: &[u8] = b"factory flash: not complete\n";

/// Where the mark is: the header of a GPT would be there.
const MARK_AT: usize = 512;

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) at: u64,
    pub(super) len: usize,
    pub(super) digest: Sha256,
}

/// A piece on its way.
type Job = (u64, Buffer);

/// One flash.
pub(super) struct Session<'a, T> {
    target: &'a T,
    progress: Progress<'a>,
    head: Buffer,
    /// The last piece, which is written when all others are proven.
    tail: Option<Job>,
    is_resumed: bool,
    is_bootable: bool,
    holes: Holes,
    report: Report,
}

impl<'a, T: Target> Session<'a, T> {
    pub(super) fn new(target: &'a T, head: Buffer, progress: Progress<'a>) -> Self {
        let report = Report::default();
        Session {
            target,
            progress,
            head,
            tail: None,
            is_resumed: false,
            is_bootable: false,
            holes: Holes::default(),
            report,
        }
    }

    pub(super) fn report(self) -> Report {
        self.report
    }

    pub(super) fn state(&self) -> State {
        if self.is_bootable { State::Unproven } else { State::NotBootable }
    }

    /// Takes away what would boot, and looks whether the medium is one.
    pub(super) fn begin(&mut self, size: Option<u64>) -> Result<(), FlashError> {
        let mark = mark(&self.head);
        let old = self.first(mark.bytes().len())?;
        self.is_resumed = old.bytes() == mark.bytes();
        self.write(0, mark.bytes())?;
        self.flush()?;
        let now = self.first(mark.bytes().len())?;
        if now.bytes() != mark.bytes() {
            return Err(if now.bytes() == old.bytes() {
                FlashError::Stuck
            } else {
                FlashError::Differs { at: 0 }
            });
        }
        if let Some(claims) = self.target.capacity() {
            // The second table of a GPT.
            let last = claims.saturating_sub(MIB).next_multiple_of(ALIGN as u64).max(MIB);
            self.write(last, Buffer::zeros(claims.saturating_sub(last) as usize).bytes())?;
            probe::all(self.target, claims, self.progress)?;
        }
        if let Some(size) = size {
            self.resize(size)?;
        }
        self.holes = Holes::begin(self.target, self.head.bytes())?;
        self.flush()
    }

    fn first(&self, len: usize) -> Result<Buffer, FlashError> {
        let mut bytes = Buffer::zeros(len);
        self.target.read(0, bytes.room(len)).map_err(|source| FlashError::ReadBack { at: 0, source })?;
        Ok(bytes)
    }

    /// Writes all but the first and the last piece, and reads it back.
    pub(super) fn fill(&mut self, picture: &mut Picture) -> Result<(), FlashError> {
        let meter = picture.meter();
        let (jobs, todo) = sync_channel(BUFFERS);
        let (emptied, empty) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            // There is room for all of them.
            let _ = emptied.send(Buffer::default());
        }
        let crew = Crew {
            target: self.target,
            todo: Mutex::new(todo),
            emptied,
            is_resumed: self.is_resumed,
            failed: AtomicBool::new(false),
            progress: &|written| {
                let (step, total) = meter.step(written);
                (self.progress)(Stage::Writing, step, total);
            },
        };
        let (read, done) = thread::scope(|scope| {
            let workers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| crew.work())).collect();
            let read = self.feed(picture, &jobs, &empty, &crew.failed);
            drop(jobs);
            let done: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("no panics")).collect();
            (read, done)
        });
        // Reading back takes memory of its own.
        drop(empty);
        let done = done.into_iter().collect::<Result<Vec<_>, _>>()?;
        let fed = read?;
        self.resize(fed.size)?;
        self.tail = fed.tail;
        rules::whole("the image", fed.size, self.head.bytes())?;
        self.flush()?;
        self.count(fed.size, &done);
        let mut written: Vec<Written> = done.into_iter().flat_map(|done| done.written).collect();
        written.sort_by_key(|written| written.at);
        verify::all(self.target, &written, self.progress)
    }

    /// Puts a seed onto its partition, and reads it back.
    pub(super) fn sow(&mut self, seed: &Sowing) -> Result<(), FlashError> {
        interrupt::check()?;
        // The last piece is not there yet. On an image, that is of the partition for data, or a table.
        if self.tail.as_ref().is_none_or(|(at, _)| *at < seed.end()) {
            return Err(SowError::NoPartition("the image".to_owned()).into());
        }
        let written = seed.sow(self.target)?;
        self.flush()?;
        let count: u64 = written.iter().map(|written| written.len as u64).sum();
        self.report.written += count;
        self.report.verified += count;
        self.report.seeded = seed.names();
        verify::all(self.target, &written, self.progress)
    }

    /// Writes what makes the target bootable, when all else is proven.
    pub(super) fn finish(&mut self) -> Result<(), FlashError> {
        interrupt::check()?;
        let first = ALIGN.min(self.head.bytes().len());
        let mut last = Vec::new();
        if let Some((at, tail)) = self.tail.take() {
            self.write(at, tail.bytes())?;
            self.flush()?;
            last.push(Written { at, len: tail.bytes().len(), digest: Sha256::of(tail.bytes()) });
        }
        let (table, rest) = self.head.bytes().split_at(first);
        self.write(first as u64, rest)?;
        self.flush()?;
        self.is_bootable = true;
        self.write(0, table)?;
        self.flush()?;
        last.push(Written { at: 0, len: self.head.bytes().len(), digest: Sha256::of(self.head.bytes()) });
        let count: u64 = last.iter().map(|written| written.len as u64).sum();
        self.report.written += count;
        self.report.verified += count;
        let proven = verify::all(self.target, &last, self.progress);
        if proven.is_err() && self.write(0, Buffer::zeros(first).bytes()).and_then(|()| self.flush()).is_ok()
        {
            self.is_bootable = false;
        }
        proven
    }

    fn count(&mut self, size: u64, done: &[Done]) {
        self.report.size = size;
        self.report.kept = done.iter().map(|done| done.kept).sum();
        let all: u64 = done.iter().flat_map(|done| &done.written).map(|written| written.len as u64).sum();
        self.report.written = all - self.report.kept;
        self.report.verified = all;
        self.report.holes_are_zeros = self.holes.are_zeros();
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), FlashError> {
        self.target.write(at, bytes).map_err(|source| FlashError::Write { at, source })
    }

    fn flush(&self) -> Result<(), FlashError> {
        self.target.flush().map_err(|source| FlashError::Write { at: 0, source })
    }

    fn resize(&self, size: u64) -> Result<(), FlashError> {
        self.target.resize(size).map_err(|source| FlashError::Write { at: size, source })
    }

    /// Sends all pieces but the last to the writers, and makes what is between them zero.
    fn feed(
        &self,
        picture: &mut Picture,
        jobs: &SyncSender<Job>,
        empty: &Receiver<Buffer>,
        has_failed: &AtomicBool,
    ) -> Result<Fed, FlashError> {
        let mut end = self.head.bytes().len() as u64;
        let mut tail: Option<Job> = None;
        while let Some(mut buffer) = empty.recv().ok().filter(|_| !has_failed.load(Ordering::Relaxed)) {
            interrupt::check()?;
            let Some(at) = picture.next(&mut buffer).map_err(FlashError::Read)? else { break };
            let next = at + buffer.bytes().len() as u64;
            if let Some(has) = self.target.capacity().filter(|has| next > *has) {
                return Err(FlashError::TooLong { has: Bytes(has) });
            }
            self.holes.zero(self.target, end, at)?;
            end = next;
            // The writers live as long as this sends.
            let _ = tail.replace((at, buffer)).map(|job| jobs.send(job));
        }
        let size = picture.size().unwrap_or(end);
        self.holes.zero(self.target, end, size)?;
        Ok(Fed { size, tail })
    }
}

/// What came of reading the image.
struct Fed {
    size: u64,
    tail: Option<Job>,
}

/// What one writer has done.
#[derive(Default)]
struct Done {
    written: Vec<Written>,
    kept: u64,
}

/// What the writers share.
struct Crew<'a, T> {
    target: &'a T,
    todo: Mutex<Receiver<Job>>,
    emptied: SyncSender<Buffer>,
    is_resumed: bool,
    failed: AtomicBool,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<T: Target> Crew<'_, T> {
    /// Writes pieces until none comes. After an error they are only taken, so that nobody waits.
    fn work(&self) -> Result<Done, FlashError> {
        let (mut done, mut failure) = (Done::default(), None);
        let mut old = Buffer::default();
        loop {
            let job = self.todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((at, piece)) = job else { break };
            if failure.is_none() {
                failure = self.put(at, &piece, &mut old, &mut done).err();
            }
            if failure.is_some() {
                self.failed.store(true, Ordering::Relaxed);
            }
            // Nobody takes them any more when the image ends.
            let _ = self.emptied.send(piece);
        }
        failure.map_or(Ok(done), Err)
    }

    fn put(&self, at: u64, piece: &Buffer, old: &mut Buffer, done: &mut Done) -> Result<(), FlashError> {
        let bytes = piece.bytes();
        let is_there =
            self.is_resumed && self.target.read(at, old.room(bytes.len())).is_ok() && old.bytes() == bytes;
        if is_there {
            done.kept += bytes.len() as u64;
        } else {
            self.target.write(at, bytes).map_err(|source| FlashError::Write { at, source })?;
        }
        done.written.push(Written { at, len: bytes.len(), digest: Sha256::of(bytes) });
        (self.progress)(bytes.len() as u64);
        Ok(())
    }
}

/// The first bytes of a target that is being written: zeros, but for a mark that names the image by its own.
fn mark(head: &Buffer) -> Buffer {
    let mut mark = Buffer::zeros(PIECE as usize);
    let text = [MARK, Sha256::of(head.bytes()).to_string().as_bytes(), b"\n"].concat();
    let bytes = mark.room(head.bytes().len().max(ALIGN));
    bytes.fill(0);
    bytes[MARK_AT..MARK_AT + text.len()].copy_from_slice(&text);
    mark
}
