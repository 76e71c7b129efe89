//! zstd, in frames that can be unpacked each by itself.
//!
//! ```text
//!   frame          | frame of zeros          | frame | ...  | skippable frame
//!   up to 2 MiB of | up to 64 MiB of a hole, |              | seek table: lengths of all frames,
//!   data           | 4 bytes for 128 KiB     |              | packed and unpacked
//! ```
//! Any zstd unpacks it from front to back; [`super::read::zst`] reads it in any order. The seek table is
//! that of zstd's `contrib/seekable_format/zstd_seekable_compression_format.md`, version 0.1.0.

use std::io;

use super::pieces::{self, Packer};
use super::{FormatError, Out, Raw};

/// What `zstd` takes without being asked.
const LEVEL: i32 = 3;
pub(super) const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// The skippable frame that seek tables are in, and what they end with.
pub(super) const SKIPPABLE_MAGIC: [u8; 4] = 0x184D_2A5E_u32.to_le_bytes();
pub(super) const SEEKABLE_MAGIC: [u8; 4] = 0x8F92_EAB1_u32.to_le_bytes();
/// The most that a block may hold when it is unpacked.
pub(super) const BLOCK: u64 = 128 << 10;
/// The most that a frame of data holds when it is unpacked.
pub(super) const LONGEST: u64 = 2 << 20;
/// A window of [`BLOCK`] (RFC 8878, 3.1.1.1.2).
const WINDOW: u8 = 7 << 3;
/// Frame_Header_Descriptor: the length of the content follows in 4 bytes.
const LENGTH_IN_4: u8 = 2 << 6;

/// Packs frames.
pub(super) struct Zstd(zstd::bulk::Compressor<'static>);

impl Packer for Zstd {
    type Packed = Vec<u8>;
    const LENGTHS: (u64, u64) = (LONGEST, 64 << 20);

    fn new() -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Zstd(compressor))
    }

    fn pack(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(bytes)
    }

    /// A frame of blocks that say which byte is repeated how often (RFC 8878, 3.1.1.2.2).
    fn pack_zeros(&mut self, len: u64) -> io::Result<Vec<u8>> {
        let mut frame = FRAME_MAGIC.to_vec();
        frame.extend([LENGTH_IN_4, WINDOW]);
        frame.extend((len as u32).to_le_bytes());
        let mut left = len;
        while left > 0 {
            let size = left.min(BLOCK);
            left -= size;
            let header = (size as u32) << 3 | 1 << 1 | u32::from(left == 0);
            frame.extend(&header.to_le_bytes()[..3]);
            frame.push(0);
        }
        Ok(frame)
    }
}

/// Writes the frames, and the seek table behind them.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let mut table = Vec::new();
    pieces::pack::<Zstd>(raw, progress, |len, frame| {
        table.extend([frame.len() as u32, len as u32].map(u32::to_le_bytes).concat());
        out.put(&frame)
    })?;
    let frames = (table.len() / 8) as u32;
    // No digests of single frames: zstd's own are in the frames.
    table.extend(frames.to_le_bytes().into_iter().chain([0]).chain(SEEKABLE_MAGIC));
    out.put(&[SKIPPABLE_MAGIC, (table.len() as u32).to_le_bytes()].concat())?;
    out.put(&table)
}
