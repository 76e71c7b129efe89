//! xz, in blocks that can be unpacked each by itself, and therefore several at once.
//!
//! ```text
//!   stream header | block: its lengths,   | ... | index: lengths | footer: length
//!   12 bytes      | LZMA2 data, padding,  |     | of all blocks  | of the index
//!                 | CRC-32 of the content |     |                | 12 bytes
//! ```
//! Source: The .xz File Format, version 1.1.0. Numbers in it have 7 bits a byte, the lowest first.

use std::io::{self, Write as _};
use std::sync::Arc;

use flate2::Crc;
use lzma_rust2::{Lzma2Options, Lzma2Writer};

use super::pieces::{self, Packer};
use super::{FormatError, Out, Raw};

const HEADER_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";
/// Stream flags: the content is checked by CRC-32.
const CHECK_CRC32: [u8; 2] = [0, 1];
/// Block flags: one filter, both lengths are told.
const LENGTHS_ARE_TOLD: u8 = 0x40 | 0x80;
/// The filter LZMA2 with one byte of properties.
const LZMA2: [u8; 2] = [0x21, 1];
/// That of `xz -1`. The next ones take twice the time and more for a tenth less.
const PRESET: u32 = 1;
/// A dictionary of 1 MiB, as the preset has: 2 << (16 / 2 + 11).
const DICTIONARY: u8 = 16;

struct Lzma;

/// A block, and what the index says of it.
struct Block {
    bytes: Vec<u8>,
    unpadded: u64,
    content: u64,
}

impl Packer for Lzma {
    type Packed = Arc<Block>;
    const LENGTHS: (u64, u64) = (4 << 20, 4 << 20);

    fn new() -> io::Result<Self> {
        Ok(Lzma)
    }

    fn pack(&mut self, bytes: &[u8]) -> io::Result<Arc<Block>> {
        let mut writer = Lzma2Writer::new(Vec::new(), Lzma2Options::with_preset(PRESET));
        writer.write_all(bytes)?;
        let data = writer.finish()?;
        let content = bytes.len() as u64;
        let mut block = block_header(data.len() as u64, content);
        block.extend(&data);
        let unpadded = block.len() as u64 + 4;
        pad(&mut block);
        block.extend(crc32(bytes));
        Ok(Arc::new(Block { bytes: block, unpadded, content }))
    }
}

fn block_header(packed: u64, content: u64) -> Vec<u8> {
    let mut header = vec![0, LENGTHS_ARE_TOLD];
    number(&mut header, packed);
    number(&mut header, content);
    header.extend(LZMA2);
    header.push(DICTIONARY);
    pad(&mut header);
    // The length in words, the one of the digest included, less one.
    header[0] = (header.len() / 4) as u8;
    let digest = crc32(&header);
    header.extend(digest);
    header
}

fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

/// Writes one stream.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    out.put(&[&HEADER_MAGIC[..], &CHECK_CRC32, &crc32(&CHECK_CRC32)].concat())?;
    let mut count = 0;
    let mut records = Vec::new();
    pieces::pack::<Lzma>(raw, progress, |_, block| {
        count += 1;
        number(&mut records, block.unpadded);
        number(&mut records, block.content);
        out.put(&block.bytes)
    })?;
    let mut index = vec![0];
    number(&mut index, count);
    index.extend(records);
    pad(&mut index);
    let digest = crc32(&index);
    index.extend(digest);
    out.put(&index)?;
    // In words, less one.
    let size = (index.len() / 4 - 1) as u32;
    let footer = [&size.to_le_bytes()[..], &CHECK_CRC32].concat();
    out.put(&[&crc32(&footer)[..], &footer, &FOOTER_MAGIC].concat())
}
