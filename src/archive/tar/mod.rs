//! Reads `.tar`: ustar, GNU and pax, as a stream or as an index over a file.
//!
//! ```text
//! | header | content, padded to 512 | header | content | ... | zeros 512 | zeros 512 |
//!     ^ extended headers (pax `x` and `g`, GNU `L` and `K`) are members in front of
//!       the one that they describe
//! ```
//!
//! Whatever cannot become a file of the image as it is meant is refused by name: sparse members,
//! names that lead out of the tree, unknown types.

mod header;
mod pax;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read};

use crate::interrupt::{self, Interrupted};
use crate::tree::{Meta, PathError, TreePath};
pub use header::BLOCK;
use header::{Field, Header};
use pax::Records;

/// The most that an extended header may hold, in bytes: more than any name and all attributes
/// that a file system takes.
const MAX_EXTENDED: u64 = 1 << 20;

/// One member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes; the root for the member `./`.
    pub path: TreePath,
    /// Owner, mode, time, extended attributes.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file, whose content stands uncompressed in the archive.
    File {
        /// Offset of the content from the start of the archive, in bytes.
        offset: u64,
        /// Length of the content, in bytes.
        size: u64,
    },
    /// A symbolic link and its target, as it is stored.
    Symlink(String),
    /// Another name of the regular file at this path.
    HardLink(TreePath),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The file or the decompressor behind the archive failed.
    #[error("reading the archive")]
    Read(#[from] io::Error),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The archive stops before its end mark.
    #[error("the archive is cut off at byte {at}")]
    Truncated {
        /// How many bytes there are.
        at: u64,
    },
    /// There is no header where one must be.
    #[error("there is no tar header at byte {at}")]
    NoHeader {
        /// Offset from the start of the archive.
        at: u64,
    },
    /// A member's name, or the name that a hard link points to, cannot stand in a tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A field of a member's header makes no sense.
    #[error("the {field} of member `{member}` is damaged")]
    Field {
        /// Name of the member.
        member: String,
        /// What is wrong.
        field: String,
    },
    /// A member of a type that does not go into images.
    #[error("member `{member}` is {what}, which is not supported")]
    Unsupported {
        /// Name of the member.
        member: String,
        /// What it is.
        what: String,
    },
    /// Two members have one name.
    #[error("member `{0}` is in the archive twice")]
    Duplicate(String),
}

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

/// A [`Stream`] that jumps.
struct Seeking<'a>(BufReader<&'a File>);

impl Read for Seeking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Stream for Seeking<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.0.seek_relative(i64::try_from(count).map_err(io::Error::other)?)
    }
}

/// All members of the uncompressed archive in `file`, in the order in which they stand there.
/// Only headers are read.
///
/// # Errors
/// When the archive is damaged, cut off, or holds something that cannot go into an image; or two
/// members that are not directories have one name.
pub fn index(file: &File) -> Result<Vec<Entry>, TarError> {
    let length = file.metadata()?.len();
    let mut members = Members::new(Seeking(BufReader::with_capacity(4 * BLOCK as usize, file)));
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    while let Some(entry) = members.next()? {
        if members.next_header > length {
            return Err(TarError::Truncated { at: length });
        }
        if entry.kind != Kind::Dir && !names.insert(entry.path.clone()) {
            return Err(TarError::Duplicate(entry.path.as_str().to_owned()));
        }
        entries.push(entry);
    }
    Ok(entries)
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
    next_header: u64,
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
            io::ErrorKind::UnexpectedEof => TarError::Truncated { at: self.at },
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
        let count = self.stream.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, TarError::Truncated { at: self.at }));
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// A member with its names settled.
struct Member<'a> {
    name: Vec<u8>,
    link: Vec<u8>,
    header: &'a Header<'a>,
    records: &'a Records,
}

impl Member<'_> {
    fn kind(&self, offset: u64) -> Result<Kind, TarError> {
        if self.records.is_sparse() {
            return Err(self.unsupported("a sparse file"));
        }
        match self.header.kind() {
            // Before ustar, a directory was a file whose name ends in a slash.
            b'0' | b'7' | 0 if self.name.ends_with(b"/") => Ok(Kind::Dir),
            b'0' | b'7' | 0 => Ok(Kind::File { offset, size: self.size()? }),
            // Star writes sizes of hard links with no content behind, others with it.
            b'1' if self.size()? > 0 => Err(self.unsupported("a hard link with content")),
            b'1' => Ok(Kind::HardLink(TreePath::parse(&self.link)?)),
            b'2' => self.target().map(Kind::Symlink),
            b'3' => Ok(Kind::CharDevice { major: self.id(Field::Major)?, minor: self.id(Field::Minor)? }),
            b'4' => Ok(Kind::BlockDevice { major: self.id(Field::Major)?, minor: self.id(Field::Minor)? }),
            b'5' => Ok(Kind::Dir),
            b'6' => Ok(Kind::Fifo),
            b'S' => Err(self.unsupported("a sparse file")),
            other => Err(self.unsupported(&format!("of type `{}`", other.escape_ascii()))),
        }
    }

    fn meta(&self) -> Result<Meta, TarError> {
        let xattrs =
            self.records.xattrs().map_err(|key| damaged(&self.name, &format!("attribute `{key}`")))?;
        Ok(Meta {
            mode: (self.number(Field::Mode)? & 0o7777) as u16,
            uid: self.id(Field::Uid)?,
            gid: self.id(Field::Gid)?,
            mtime: Some(self.number(Field::Mtime)?),
            xattrs,
        })
    }

    fn size(&self) -> Result<u64, TarError> {
        u64::try_from(self.number(Field::Size)?).map_err(|_| damaged(&self.name, "size"))
    }

    /// A number that must fit 32 bits.
    fn id(&self, field: Field) -> Result<u32, TarError> {
        u32::try_from(self.number(field)?).map_err(|_| damaged(&self.name, field.name()))
    }

    fn number(&self, field: Field) -> Result<i64, TarError> {
        let record = match field {
            Field::Uid => self.records.number("uid"),
            Field::Gid => self.records.number("gid"),
            Field::Size => self.records.number("size"),
            Field::Mtime => self.records.number("mtime"),
            Field::Mode | Field::Major | Field::Minor => None,
        };
        let number = record.unwrap_or_else(|| self.header.number(field));
        number.ok_or_else(|| damaged(&self.name, field.name()))
    }

    /// A symbolic link's target: any text that Linux takes.
    fn target(&self) -> Result<String, TarError> {
        let sound = !self.link.is_empty() && self.link.len() < 4096 && !self.link.contains(&0);
        let text = std::str::from_utf8(&self.link).ok().filter(|_| sound);
        text.map(str::to_owned).ok_or_else(|| damaged(&self.name, "link target"))
    }

    fn unsupported(&self, what: &str) -> TarError {
        TarError::Unsupported { member: self.name.escape_ascii().to_string(), what: what.to_owned() }
    }
}

fn damaged(member: &[u8], field: &str) -> TarError {
    TarError::Field { member: member.escape_ascii().to_string(), field: field.to_owned() }
}

#[cfg(test)]
mod tests;
