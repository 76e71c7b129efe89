//! gzip (RFC 1952), as one member, which every reader knows.
//!
//! ```text
//!   header   | deflate blocks of a piece, | ...of the next | last block, | CRC-32, length
//!   10 bytes | up to a byte's border      |                | empty       | 8 bytes
//! ```

use std::io;
use std::sync::Arc;

use flate2::{Compress, Compression, Crc, FlushCompress};

use super::pieces::{self, Packer};
use super::{FormatError, Out, Raw};

/// Deflate, no name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A last block with fixed codes and nothing in it (RFC 1951, 3.2.6).
const LAST_BLOCK: [u8; 2] = [3, 0];
/// What `gzip` takes without being asked.
const LEVEL: u32 = 6;

struct Deflate(Compress);

impl Packer for Deflate {
    type Packed = Arc<(Vec<u8>, Crc)>;
    const LENGTHS: (u64, u64) = (1 << 20, 4 << 20);

    fn new() -> io::Result<Self> {
        Ok(Deflate(Compress::new(Compression::new(LEVEL), false)))
    }

    fn pack(&mut self, bytes: &[u8]) -> io::Result<Self::Packed> {
        let mut crc = Crc::new();
        crc.update(bytes);
        let mut packed = Vec::with_capacity(bytes.len() / 2 + 64);
        self.0.reset();
        loop {
            let taken = self.0.total_in() as usize;
            self.0.compress_vec(&bytes[taken..], &mut packed, FlushCompress::Full)?;
            // It has flushed all when there is room that it did not use.
            if self.0.total_in() as usize == bytes.len() && packed.len() < packed.capacity() {
                return Ok(Arc::new((packed, crc)));
            }
            packed.reserve(bytes.len() / 4 + 64);
        }
    }
}

/// Writes the one member.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    out.put(&HEADER)?;
    let mut all = Crc::new();
    pieces::pack::<Deflate>(raw, progress, |_, piece| {
        let (packed, crc) = piece.as_ref();
        all.combine(crc);
        out.put(packed)
    })?;
    out.put(&LAST_BLOCK)?;
    out.put(&[all.sum(), raw.size() as u32].map(u32::to_le_bytes).concat())
}
