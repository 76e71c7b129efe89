//! Decompression by what the bytes say they are, not by a file's name.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use super::ar::ArError;
use crate::interrupt::Interrupted;

/// What an xz archive may ask for to be unpacked, in KiB: four times what `xz -9` does.
const XZ_MEMORY: u32 = 256 << 10;

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
            // A frame to be skipped (3.1.2), which pzstd puts in front of each other one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }
}

/// Reads what `packed` holds, whatever it is packed with.
///
/// # Errors
/// When the first bytes cannot be read. Damage further on is an error of the reader returned.
pub fn unpack<'a>(packed: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(Box::new(Unpacked::new(BufReader::with_capacity(256 << 10, packed))?))
}

/// What is packed, read.
pub struct Unpacked<R: BufRead>(Decoder<R>);

enum Decoder<R: BufRead> {
    Plain(R),
    Gzip(Told<flate2::bufread::MultiGzDecoder<R>>),
    Member(Told<flate2::bufread::GzDecoder<R>>),
    Xz(Box<Told<Xz<R>>>),
    Zstd(Told<zstd::stream::read::Decoder<'static, R>>),
}

impl<R: BufRead> Unpacked<R> {
    /// All that `packed` holds.
    ///
    /// # Errors
    /// When its first bytes cannot be read.
    pub fn new(mut packed: R) -> io::Result<Self> {
        Ok(Unpacked(match Packing::detect(packed.fill_buf()?) {
            Packing::Plain => Decoder::Plain(packed),
            Packing::Gzip => Decoder::Gzip(Told("gzip", flate2::bufread::MultiGzDecoder::new(packed))),
            Packing::Xz => Decoder::Xz(Box::new(Told("xz", Xz::new(packed, true)))),
            Packing::Zstd => Decoder::Zstd(Told("zstd", zstd::stream::read::Decoder::with_buffer(packed)?)),
        }))
    }

    /// The same, but no more than the first gzip member, xz stream or zstd frame; what follows is
    /// left to be read from `packed`.
    ///
    /// # Errors
    /// When its first bytes cannot be read.
    pub fn first(mut packed: R) -> io::Result<Self> {
        Ok(Unpacked(match Packing::detect(packed.fill_buf()?) {
            Packing::Plain => Decoder::Plain(packed),
            Packing::Gzip => Decoder::Member(Told("gzip", flate2::bufread::GzDecoder::new(packed))),
            Packing::Xz => Decoder::Xz(Box::new(Told("xz", Xz::new(packed, false)))),
            Packing::Zstd => {
                let reader = zstd::stream::read::Decoder::with_buffer(packed)?;
                Decoder::Zstd(Told("zstd", reader.single_frame()))
            }
        }))
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Decoder::Plain(reader) => reader.read(buffer),
            Decoder::Gzip(reader) => reader.read(buffer),
            Decoder::Member(reader) => reader.read(buffer),
            Decoder::Xz(reader) => reader.read(buffer),
            Decoder::Zstd(reader) => reader.read(buffer),
        }
    }
}

/// A decompressor of the named packing, whose own errors are told as what they mean. Those of the
/// reader below it pass.
struct Told<R>(&'static str, R);

impl<R: Read> Read for Told<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.read(buffer).map_err(|error| {
            let (packing, kind) = (self.0, error.kind());
            let is_own = error.raw_os_error().is_none() && !is_ours(&error);
            match kind {
                ErrorKind::UnexpectedEof if is_own => {
                    io::Error::new(kind, format!("its {packing} data is cut off"))
                }
                ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other if is_own => {
                    io::Error::new(kind, format!("its {packing} data is damaged ({error})"))
                }
                _ => error,
            }
        })
    }
}

/// Whether the error comes from this program and not from a decompressor.
fn is_ours(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Interrupted>() || inner.is::<ArError>())
}

/// The reader of xz takes it for the end of a block when it is asked for nothing; this does not
/// ask it.
struct Xz<R: Read>(lzma_rust2::XzReader<R>);

impl<R: Read> Xz<R> {
    fn new(packed: R, all_streams: bool) -> Self {
        Xz(lzma_rust2::XzReader::new_mem_limit(packed, all_streams, XZ_MEMORY))
    }
}

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() { Ok(0) } else { self.0.read(buffer) }
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    const TEXT: &[u8] = b"some text, some text, some text";

    /// What `program` makes of the text.
    fn pack(program: &str, arguments: &[&str], content: &[u8]) -> Vec<u8> {
        let mut command = Command::new(program);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{program}` is needed: {error}"));
        child.stdin.take().unwrap().write_all(content).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    fn unpack_all(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        unpack(packed)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn what_the_tools_pack_is_unpacked() {
        assert_eq!(unpack_all(TEXT).unwrap(), TEXT);
        for (program, arguments) in [("gzip", &["-c"][..]), ("xz", &["-c"]), ("zstd", &["-c", "-q"])] {
            let packed = pack(program, arguments, TEXT);
            assert_ne!(packed, TEXT);
            assert_eq!(unpack_all(&packed).unwrap(), TEXT, "{program}");
            let twice = [packed.clone(), packed].concat();
            assert_eq!(unpack_all(&twice).unwrap(), TEXT.repeat(2), "{program}, two in a row");
        }
    }

    #[test]
    fn frames_to_be_skipped_are_zstd_too() {
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
        let packed = pack("zstd", &["-c", "-q"], TEXT);
        assert_eq!(unpack_all(&[&skipped[..], &packed, &skipped, &packed].concat()).unwrap(), TEXT.repeat(2));
        assert!(unpack_all(&[&skipped[..], &packed, &skipped[..7]].concat()).is_err());
    }

    #[test]
    fn what_follows_the_first_frame_is_left() {
        for (program, arguments) in [("gzip", &["-c"][..]), ("xz", &["-c"]), ("zstd", &["-c", "-q"])] {
            let packed = [&pack(program, arguments, TEXT)[..], b"the rest"].concat();
            let mut rest = &packed[..];
            let mut content = Vec::new();
            Unpacked::first(&mut rest).unwrap().read_to_end(&mut content).unwrap();
            assert_eq!((&content[..], rest), (TEXT, &b"the rest"[..]), "{program}");
        }
    }

    #[test]
    fn cut_and_damaged_archives_are_errors() {
        for (program, arguments) in
            [("gzip", &["-c"][..]), ("xz", &["-c"]), ("zstd", &["-c", "-q", "--check"])]
        {
            let packed = pack(program, arguments, TEXT);
            for cut in 8..packed.len() {
                assert!(unpack_all(&packed[..cut]).is_err(), "{program} cut at {cut}");
            }
            let mut flipped = packed.clone();
            let middle = packed.len() / 2;
            flipped[middle] ^= 0x10;
            assert!(unpack_all(&flipped).is_err(), "{program} with a flipped bit");
        }
    }

    #[test]
    fn xz_is_asked_for_nothing_without_harm() {
        let packed = pack("xz", &["-c"], TEXT);
        let mut reader = unpack(&packed[..]).unwrap();
        let mut half = [0; 10];
        reader.read_exact(&mut half).unwrap();
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, &TEXT[10..]);
    }

    #[test]
    fn archives_that_want_too_much_memory_are_refused() {
        let packed = pack("xz", &["-c", "--lzma2=dict=1GiB"], TEXT);
        let error = unpack_all(&packed).unwrap_err();
        assert!(error.to_string().contains("mem_limit"), "{error}");
    }

    #[test]
    fn a_bomb_is_stopped_at_its_limit() {
        let packed = pack("xz", &["-c"], &vec![0; 1 << 20]);
        let limited = |limit| {
            let mut content = Vec::new();
            let result = Limited::new(unpack(&packed[..]).unwrap(), limit).read_to_end(&mut content);
            result.map(|_| content.len()).map_err(|error| error.to_string())
        };
        assert_eq!(limited(1 << 20), Ok(1 << 20));
        assert_eq!(limited(1 << 19), Err("it unpacks to more than 512 KiB".to_owned()));
    }
}
