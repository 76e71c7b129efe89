//! Walks an archive from header to header.

use std::io::{self, Read};

use super::header::{BLOCK, Field, Header};
use super::member::Member;
use super::pax::Records;
use super::{Entry, Kind, TarError, damaged};
use crate::interrupt;
use crate::tree::TreePath;

/// The most that an extended header may hold, in bytes: more than any name and all attributes
/// that a file system takes.
const MAX_EXTENDED: u64 = 1 << 20;

/// Something to read from that can leave bytes out.
pub trait Stream: Read {
    /// Leaves out `count` bytes. Fewer are there: the next read says so.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

/// A [`Stream`] of what can only be read on and on, such as a decompressor's output.
pub struct Forward<R>(pub R);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Stream for Forward<R> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut (&mut self.0).take(count), &mut io::sink()).map(drop)
    }
}

/// The members of an archive one by one. Reading from it gives the content of the member that
/// [`next`](Self::next) returned last.
pub struct Members<S> {
    stream: S,
    /// How far the stream has been read.
    at: u64,
    /// Where the content of the current member ends, without padding.
    content_end: u64,
    /// Where the next header stands.
    pub(super) next_header: u64,
    /// Records that hold for all members to come.
    global: Records,
}

/// What extended headers have said about the next member.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Records,
}

impl<S: Stream> Members<S> {
    /// Reads the archive that starts where `stream` stands.
    pub fn new(stream: S) -> Self {
        Members { stream, at: 0, content_end: 0, next_header: 0, global: Records::default() }
    }

    /// The next member, or `None` at the end mark.
    ///
    /// # Errors
    /// When the archive is damaged, cut off, or the member cannot go into an image.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend the content")]
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extended = Extended { records: self.global.clone(), ..Extended::default() };
        loop {
            interrupt::check()?;
            let Some(block) = self.header()? else { return Ok(None) };
            let header = Header::decode(&block).ok_or(TarError::NoHeader { at: self.next_header })?;
            match header.kind() {
                b'L' => extended.name = Some(self.long_name(&header)?),
                b'K' => extended.link = Some(self.long_name(&header)?),
                b'x' => extended.records.update(self.records(&header)?),
                b'g' => {
                    let records = self.records(&header)?;
                    extended.records.update(records.clone());
                    self.global.update(records);
                }
                _ => return self.entry(&header, extended).map(Some),
            }
        }
    }

    /// The block at the next header, or `None` when it is the end mark.
    fn header(&mut self) -> Result<Option<[u8; BLOCK as usize]>, TarError> {
        self.stream.skip(self.next_header - self.at)?;
        self.at = self.next_header;
        let mut block = [0; BLOCK as usize];
        self.read_exact_or_truncated(&mut block)?;
        Ok(if block == [0; BLOCK as usize] { None } else { Some(block) })
    }

    /// The content of an extended header.
    fn extended(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let size = header.number(Field::Size).and_then(|size| u64::try_from(size).ok());
        let size = size.filter(|size| *size <= MAX_EXTENDED);
        let size = size.ok_or_else(|| damaged(&header.name(), "extended header"))?;
        let mut content = vec![0; size as usize];
        self.read_exact_or_truncated(&mut content)?;
        self.next_header = self.at.next_multiple_of(BLOCK);
        Ok(content)
    }

    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let mut name = self.extended(header)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn records(&mut self, header: &Header) -> Result<Records, TarError> {
        let content = self.extended(header)?;
        Records::parse(&content).ok_or_else(|| damaged(&header.name(), "extended header"))
    }

    /// The member that `header` and what stood before it describe; its content is up next.
    fn entry(&mut self, header: &Header, extended: Extended) -> Result<Entry, TarError> {
        let records = &extended.records;
        let name = records.get("path").map(<[u8]>::to_vec).or(extended.name).unwrap_or_else(|| header.name());
        let link =
            records.get("linkpath").map(<[u8]>::to_vec).or(extended.link).unwrap_or_else(|| header.link());
        let member = Member { name, link, header, records };
        let path = TreePath::parse(&member.name)?;
        let kind = member.kind(self.at)?;
        let size = if let Kind::File { size, .. } = kind { size } else { 0 };
        self.content_end = self.at.checked_add(size).ok_or_else(|| damaged(&member.name, "size"))?;
        let padded = self.content_end.checked_next_multiple_of(BLOCK);
        self.next_header = padded.ok_or_else(|| damaged(&member.name, "size"))?;
        Ok(Entry { path, meta: member.meta()?, kind })
    }

    fn read_exact_or_truncated(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        self.stream.read_exact(buffer).map_err(|error| match error.kind() {
            // With a reason of its own it is not the tar that ends.
            io::ErrorKind::UnexpectedEof if error.get_ref().is_none() => TarError::Truncated { at: self.at },
            _ => TarError::Read(error),
        })?;
        self.at += buffer.len() as u64;
        Ok(())
    }
}

impl<S: Stream> Read for Members<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.content_end.saturating_sub(self.at);
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let count = self.stream.read(&mut buffer[..room])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, TarError::Truncated { at: self.at }));
        }
        self.at += count as u64;
        Ok(count)
    }
}
