//! zstd whose frames can be unpacked in any order, since a table tells where they are.
//!
//! ```text
//!   packed      | frame | zeros | frame | frame | seek table |
//!                   |               |       |
//!   read_at         |       0       v       v        a frame is unpacked whole, into one of a few slots, from which
//!                   v            [slot]  [slot]      readers of the same frame take their part
//! ```
//! Files of others are read so, too, when their frames are as short. Those without a table, or with longer
//! frames, only unpack from front to back.

mod table;
mod zeros;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::parts::Parts;
use crate::formats::blocks::Blocks;
use crate::formats::zst::LONGEST;
use table::Lengths;

/// The most bytes of a packed frame that is read at once; what does not compress grows by less.
const LONGEST_PACKED: u64 = LONGEST + (LONGEST >> 6);
/// A frame may be one of zeros when it unpacks to so many times its length, and is no longer than this.
const ZEROS_RATIO: u64 = 512;
const ZEROS_PACKED: u64 = 256 << 10;
/// Frames that are kept unpacked, for as many readers that go forward.
const SLOTS: usize = 2;

/// A file of zstd frames that are known.
pub struct Frames {
    file: File,
    /// In order; behind the last one there is an empty one, where all ends.
    frames: Vec<Frame>,
    blocks: Blocks,
    /// Those that were asked for, by their order. The first one is given up for another.
    slots: Mutex<BTreeMap<usize, Arc<Slot>>>,
    /// What nobody uses just now.
    tools: Mutex<Vec<Tools>>,
}

/// Where a frame begins, in the file and on the disk, in bytes.
#[derive(Clone, Copy, Debug)]
struct Frame {
    packed: u64,
    at: u64,
    is_zero: bool,
}

/// A frame, unpacked, or empty when nobody has done that yet.
type Slot = Mutex<Vec<u8>>;

/// What unpacks: memory that is used again, since to ask for it costs time, and to give it back more of it.
#[derive(Default)]
struct Tools {
    packed: Vec<u8>,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl Frames {
    /// Takes a file of `size` bytes, `None` when it can only be unpacked from front to back.
    ///
    /// # Errors
    /// When it cannot be read, or is not as long as its table says.
    pub fn open(file: File, size: u64) -> io::Result<Option<Self>> {
        let Some(lengths) = table::read(&file, size)? else { return Ok(None) };
        let size = lengths.iter().map(|frame| u64::from(frame.unpacked)).sum();
        let mut blocks = Blocks { size, ranges: Vec::new() };
        let mut frames = Vec::with_capacity(lengths.len() + 1);
        let mut next = Frame { packed: 0, at: 0, is_zero: true };
        for lengths in lengths {
            let Lengths { packed, unpacked } = lengths;
            let (packed, unpacked) = (u64::from(packed), u64::from(unpacked));
            next.is_zero = unpacked == 0 || is_zero(&file, next.packed, packed, unpacked)?;
            if !next.is_zero {
                if unpacked > LONGEST || packed > LONGEST_PACKED {
                    return Ok(None);
                }
                blocks.push(next.at..next.at + unpacked);
            }
            frames.push(next);
            next = Frame { packed: next.packed + packed, at: next.at + unpacked, is_zero: true };
        }
        frames.push(next);
        Ok(Some(Frames { file, frames, blocks, slots: Mutex::default(), tools: Mutex::default() }))
    }

    /// The frame that has the byte at `at`, which is not behind the end.
    fn holding(&self, at: u64) -> usize {
        self.frames.partition_point(|frame| frame.at <= at).saturating_sub(1)
    }

    /// Fills `part` with what a frame has from `offset` on.
    fn copy(&self, frame: usize, offset: usize, part: &mut [u8]) -> io::Result<()> {
        let slot = self.slot(frame);
        let mut bytes = lock(&slot);
        if bytes.is_empty() {
            let mut tools = lock(&self.tools).pop().unwrap_or_default();
            let done = self.unpack(frame, &mut tools, &mut bytes);
            lock(&self.tools).push(tools);
            // Half a frame is none.
            done.inspect_err(|_| bytes.clear())?;
        }
        part.copy_from_slice(&bytes[offset..offset + part.len()]);
        Ok(())
    }

    fn slot(&self, frame: usize) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(&frame) {
            return Arc::clone(slot);
        }
        let first = if slots.len() < SLOTS { None } else { slots.pop_first() };
        // Somebody may be reading it still.
        let free = first.and_then(|(_, slot)| Arc::into_inner(slot));
        let mut bytes =
            free.map_or_else(Vec::new, |slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
        bytes.clear();
        Arc::clone(slots.entry(frame).or_insert_with(|| Arc::new(Mutex::new(bytes))))
    }

    fn unpack(&self, frame: usize, tools: &mut Tools, bytes: &mut Vec<u8>) -> io::Result<()> {
        let (this, next) = (self.frames[frame], self.frames[frame + 1]);
        tools.packed.resize((next.packed - this.packed) as usize, 0);
        self.file.read_exact_at(&mut tools.packed, this.packed)?;
        let expected = (next.at - this.at) as usize;
        bytes.reserve_exact(expected);
        let why = match tools.decompressor.decompress_to_buffer(&tools.packed, bytes) {
            Ok(_) if bytes.len() == expected => return Ok(()),
            Ok(count) => format!("a frame of {expected} bytes has {count}"),
            Err(error) => error.to_string(),
        };
        Err(io::Error::new(ErrorKind::InvalidData, format!("its zstd data is damaged ({why})")))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parts for Frames {
    fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > self.blocks.size) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut index = self.holding(at);
        let mut rest = buffer;
        let mut at = at;
        while !rest.is_empty() {
            let (frame, end) = (self.frames[index], self.frames[index + 1].at);
            let count = rest.len().min((end - at) as usize);
            let (part, after) = rest.split_at_mut(count);
            if frame.is_zero {
                part.fill(0);
            } else {
                self.copy(index, (at - frame.at) as usize, part)?;
            }
            (rest, at, index) = (after, end, index + 1);
        }
        Ok(())
    }

    fn together(&self, at: u64) -> u64 {
        self.frames.get(self.holding(at) + 1).map_or(at, |next| next.at)
    }
}

/// Whether a frame can be told to be of zeros.
fn is_zero(file: &File, at: u64, packed: u64, unpacked: u64) -> io::Result<bool> {
    if packed > ZEROS_PACKED || packed.saturating_mul(ZEROS_RATIO) > unpacked {
        return Ok(false);
    }
    let mut frame = vec![0; packed as usize];
    file.read_exact_at(&mut frame, at)?;
    Ok(zeros::count(&frame) == Some(unpacked))
}

#[cfg(test)]
mod tests;
