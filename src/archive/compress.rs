//! Decompression by what the bytes say they are, not by a file's name.

use std::io::{self, BufRead, BufReader, Read};

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not compressed.
    Plain,
    /// RFC 1952.
    Gzip,
    /// The xz format 1.1.0.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    /// Tells the packing from the first bytes of a file (6 are enough).
    pub fn detect(head: &[u8]) -> Packing {
        match head {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }
}

/// Reads what `packed` holds, whatever it is packed with.
///
/// # Errors
/// When the first bytes cannot be read. Damage further on is an error of the reader returned.
pub fn unpack<'a>(packed: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut packed = BufReader::with_capacity(256 << 10, packed);
    Ok(match Packing::detect(packed.fill_buf()?) {
        Packing::Plain => Box::new(packed),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new(packed, true)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
    })
}

/// A reader that fails when there is more than there should be: a bomb, or damage.
pub struct Limited<R> {
    inner: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Limited<R> {
    /// Reads from `inner` up to `limit` bytes.
    pub fn new(inner: R, limit: u64) -> Self {
        Limited { inner, limit, left: limit }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let limit = crate::units::Bytes(self.limit);
            io::Error::new(io::ErrorKind::InvalidData, format!("it unpacks to more than {limit}"))
        })?;
        Ok(count)
    }
}
