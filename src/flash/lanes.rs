//! Threads that read an image ahead, and what they read, in order.
//!
//! ```text
//!   pieces   | 1 | 2 | 3 | 4 | 5 |      2 and 3 are unpacked together, so one thread reads both
//!   lane       0   1   1   0   1
//!            --[filled]--> next(), turn by turn
//!            <--[empty]---
//! ```
//! A thread that waits for a network or a pipe keeps nobody from noticing that the user wants to stop.

use std::io::{self, Read};
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

use super::buffer::Buffer;
use super::picture::PIECE;
use crate::archive::compress::unpack;
use crate::formats::read::parts::Parts;
use crate::{files, interrupt};

/// Threads that read an image whose parts can be had in any order.
const READERS: usize = 2;

/// Buffers of each thread: more would not be faster, and every one is a MiB.
const AHEAD: usize = 1;

/// Threads that read.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Whose turn it is, piece by piece.
    turns: Box<dyn Iterator<Item = usize> + Send>,
}

/// One thread.
struct Lane {
    filled: Receiver<io::Result<Option<Filled>>>,
    empty: Sender<Buffer>,
}

struct Filled {
    at: u64,
    is_zero: bool,
    buffer: Buffer,
}

/// Where a piece belongs that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) is_zero: bool,
}

impl Lanes {
    /// Reads these pieces, which ascend.
    pub(super) fn of_parts(parts: &Arc<dyn Parts>, pieces: &[Range<u64>]) -> Lanes {
        let turns = turns(&**parts, pieces);
        let lanes = (0..READERS).map(|own| {
            let own: Vec<Range<u64>> = pieces
                .iter()
                .zip(&turns)
                .filter(|(_, turn)| **turn == own)
                .map(|(piece, _)| piece.clone())
                .collect();
            let (parts, mut own) = (Arc::clone(parts), own.into_iter());
            Lane::spawn(move |buffer| {
                let Some(piece) = own.next() else { return Ok(None) };
                parts.read_at(piece.start, buffer.room((piece.end - piece.start) as usize))?;
                Ok(Some(piece.start))
            })
        });
        Lanes { lanes: lanes.collect(), turns: Box::new(turns.into_iter()) }
    }

    /// Reads what comes in a row, packed or not.
    pub(super) fn of_stream(stream: impl Read + Send + 'static) -> Lanes {
        let (mut packed, mut unpacked, mut at) = (Some(stream), None, 0_u64);
        let lane = Lane::spawn(move |buffer| {
            if let Some(packed) = packed.take() {
                unpacked = Some(unpack(packed)?);
            }
            let Some(stream) = &mut unpacked else { return Ok(None) };
            let count = files::fill(stream, buffer.room(PIECE as usize))?;
            buffer.cut(count);
            at += count as u64;
            Ok((count > 0).then_some(at - count as u64))
        });
        Lanes { lanes: vec![lane], turns: Box::new(std::iter::repeat(0)) }
    }

    /// Puts the next piece into a buffer; none at the end, once.
    pub(super) fn next(&mut self, buffer: &mut Buffer) -> io::Result<Option<Piece>> {
        let Some(turn) = self.turns.next() else { return Ok(None) };
        let lane = &self.lanes[turn];
        let ended = || io::Error::other("the thread that reads has ended before the image");
        let Some(filled) = interrupt::receive(&lane.filled)?.ok_or_else(ended)?? else { return Ok(None) };
        // A thread that is done takes no more.
        let _ = lane.empty.send(mem::replace(buffer, filled.buffer));
        Ok(Some(Piece { at: filled.at, is_zero: filled.is_zero }))
    }
}

impl Lane {
    /// Lets a thread fill buffers by `read`, which tells where each belongs, until that has no more.
    fn spawn(mut read: impl FnMut(&mut Buffer) -> io::Result<Option<u64>> + Send + 'static) -> Lane {
        let (full, filled) = sync_channel(AHEAD);
        let (empty, emptied) = channel::<Buffer>();
        for _ in 0..AHEAD {
            // Nobody has hung up yet.
            let _ = empty.send(Buffer::default());
        }
        thread::spawn(move || {
            while let Ok(mut buffer) = emptied.recv() {
                let place = read(&mut buffer);
                let is_last = !matches!(place, Ok(Some(_)));
                let filled = |at| Filled { at, is_zero: files::is_zero(buffer.bytes()), buffer };
                if full.send(place.map(|at| at.map(filled))).is_err() || is_last {
                    break;
                }
            }
        });
        Lane { filled, empty }
    }
}

/// Which thread reads each piece.
fn turns(parts: &dyn Parts, pieces: &[Range<u64>]) -> Vec<usize> {
    let (mut turn, mut together) = (0, 0);
    let next = |piece: &Range<u64>| {
        if piece.start >= together {
            turn = (turn + 1) % READERS;
        }
        together = parts.together(piece.end - 1).max(piece.end);
        turn
    };
    pieces.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::blocks::Blocks;

    /// Bytes that count, eight of which are unpacked together.
    struct Counting(Blocks);

    impl Parts for Counting {
        fn blocks(&self) -> &Blocks {
            &self.0
        }

        fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
            match at {
                32 => Err(io::ErrorKind::InvalidData.into()),
                _ => {
                    buffer.iter_mut().zip(at..).for_each(|(byte, at)| *byte = at as u8);
                    Ok(())
                }
            }
        }

        fn together(&self, at: u64) -> u64 {
            (at / 8 + 1) * 8
        }
    }

    #[test]
    fn pieces_come_in_order_and_what_is_packed_together_is_read_by_one() {
        let parts: Arc<dyn Parts> = Arc::new(Counting(Blocks::default()));
        let pieces: Vec<Range<u64>> = (0..32).step_by(4).map(|at| at..at + 4).collect();
        assert_eq!(turns(&*parts, &pieces), [1, 1, 0, 0, 1, 1, 0, 0]);
        assert_eq!(turns(&*parts, &[0..3, 9..12, 12..14, 16..40, 40..48]), [1, 0, 0, 1, 0]);
        let mut lanes = Lanes::of_parts(&parts, &pieces);
        let mut buffer = Buffer::default();
        for at in (0..32).step_by(4) {
            assert_eq!(lanes.next(&mut buffer).unwrap(), Some(Piece { at, is_zero: false }));
            assert_eq!(buffer.bytes()[0], at as u8);
        }
        assert_eq!(lanes.next(&mut buffer).unwrap(), None);
    }

    #[test]
    fn an_error_comes_in_its_turn() {
        let parts: Arc<dyn Parts> = Arc::new(Counting(Blocks::default()));
        let mut lanes = Lanes::of_parts(&parts, &[24..28, 32..36]);
        let mut buffer = Buffer::default();
        assert!(lanes.next(&mut buffer).unwrap().is_some());
        assert_eq!(lanes.next(&mut buffer).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
