//! Images to read, whatever they are packed with.
//!
//! ```text
//!   disk.img.zst --detect by its first bytes--> unpack --> bytes of the disk --> flashed, or
//!                                                                  unpacked to a file with holes
//! ```

pub mod parts;
pub mod qcow2;
pub mod zst;

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::archive::compress::{Packing, Unpacked};
use crate::files;
use crate::formats::blocks::BLOCK;
use crate::formats::qcow2::MAGIC;
use crate::interrupt::{self, Interrupted};
use crate::units::SECTOR;
use parts::{Holed, Parts};
use qcow2::{Qcow2, Qcow2Error};
use zst::Frames;

/// Bytes that are unpacked at once.
const CHUNK: usize = 1 << 20;
/// Bytes that are read at once from what is packed.
const BUFFER: usize = 256 << 10;

/// What an image is packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes of the disk themselves.
    Raw,
    /// A compressed stream of them.
    Packed(Packing),
    /// QEMU's format of clusters.
    Qcow2,
}

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened.
    #[error("opening `{}`", path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory, or something else without content.
    #[error("`{}` is not an image\n\nhint: name a file", .0.display())]
    NotAnImage(PathBuf),
    /// Nothing is in it.
    #[error("`{}` is empty", .0.display())]
    Empty(PathBuf),
    /// A format that is not read.
    #[error(
        "`{}` is {}, which is not read here\n\nhint: {}",
        path.display(), format.name, format.way_out
    )]
    Unread {
        /// The image.
        path: PathBuf,
        /// What it is.
        format: &'static Unread,
    },
    /// Its bytes do not come in the order of the disk.
    #[error("`{}` cannot be read from front to back", .0.display())]
    NoStream(PathBuf),
    /// It is cut off, damaged, or on a bad disk.
    #[error("reading `{}`", path.display())]
    Read {
        /// The image.
        path: PathBuf,
        /// The decompressor's or the system's reason.
        source: io::Error,
    },
    /// It is a qcow2 image that cannot be read.
    #[error("opening `{}`", path.display())]
    Qcow2 {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        source: Qcow2Error,
    },
    /// What it holds cannot be put down.
    #[error("unpacking `{}` to a temporary file", path.display())]
    Unpack {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// An image that was opened.
pub struct Source {
    path: PathBuf,
    kind: Kind,
    file: File,
    size: u64,
}

impl Kind {
    /// Tells the kind from the first bytes of a file (6 are enough).
    pub fn detect(head: &[u8]) -> Kind {
        match Packing::detect(head) {
            _ if head.starts_with(MAGIC) => Kind::Qcow2,
            Packing::Plain => Kind::Raw,
            packing => Kind::Packed(packing),
        }
    }
}

/// A format that would be taken for a raw image by its first bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Unread {
    name: &'static str,
    at: usize,
    magic: &'static [u8],
    way_out: &'static str,
}

const QEMU_IMG: &str = "make it raw with `qemu-img convert -O raw`";

static UNREAD: [Unread; 5] = [
    Unread { name: "a VMDK image", at: 0, magic: b"KDMV", way_out: QEMU_IMG },
    Unread { name: "a VHDX image", at: 0, magic: b"vhdxfile", way_out: QEMU_IMG },
    Unread { name: "a dynamic VHD image", at: 0, magic: b"conectix", way_out: QEMU_IMG },
    Unread { name: "a VDI image", at: 64, magic: &0xbeda_107f_u32.to_le_bytes(), way_out: QEMU_IMG },
    Unread { name: "a tar archive", at: 257, magic: b"ustar", way_out: "unpack it with `tar -xf`" },
];

impl Unread {
    fn detect(head: &[u8]) -> Option<&'static Unread> {
        UNREAD.iter().find(|format| head.get(format.at..).is_some_and(|rest| rest.starts_with(format.magic)))
    }
}

/// Opens the image at `path`, a file or a block device.
///
/// # Errors
/// When it cannot be opened, is empty, or is something else.
pub fn open(path: &Path) -> Result<Source, ReadError> {
    let failed = |source| ReadError::Open { path: path.to_owned(), source };
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() && !about.file_type().is_block_device() {
        return Err(ReadError::NotAnImage(path.to_owned()));
    }
    let mut file = File::open(path).map_err(failed)?;
    let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut head = [0; SECTOR as usize];
    let count = file.read_at(&mut head, 0).map_err(failed)?;
    file.rewind().map_err(failed)?;
    match (Kind::detect(&head[..count]), Unread::detect(&head)) {
        _ if size == 0 => Err(ReadError::Empty(path.to_owned())),
        (Kind::Raw, Some(format)) => Err(ReadError::Unread { path: path.to_owned(), format }),
        (kind, _) => Ok(Source { path: path.to_owned(), kind, file, size }),
    }
}

impl Source {
    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file at `path` is the same one.
    pub fn is_at(&self, path: &Path) -> bool {
        let identity = |about: Metadata| (about.dev(), about.ino());
        let other = std::fs::metadata(path).ok().map(identity);
        other.is_some() && other == self.file.metadata().ok().map(identity)
    }

    /// What it is packed with.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its length as it is packed, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The image as one that can be read in any order, `None` when it only unpacks from front to back.
    ///
    /// # Errors
    /// When what tells its parts apart cannot be read.
    pub fn parts(&self) -> Result<Option<Box<dyn Parts>>, ReadError> {
        let failed = |source| ReadError::Read { path: self.path.clone(), source };
        let file = || self.file.try_clone().map_err(failed);
        match self.kind {
            Kind::Raw => Ok(Some(Box::new(Holed::new(file()?, self.size).map_err(failed)?))),
            Kind::Packed(Packing::Zstd) => match Frames::open(file()?, self.size).map_err(failed)? {
                Some(frames) if frames.blocks().size == 0 => Err(ReadError::Empty(self.path.clone())),
                frames => Ok(frames.map(|frames| Box::new(frames) as Box<dyn Parts>)),
            },
            Kind::Qcow2 => {
                let refused = |source| ReadError::Qcow2 { path: self.path.clone(), source };
                match Qcow2::open(file()?, self.size).map_err(refused)? {
                    image if image.blocks().size == 0 => Err(ReadError::Empty(self.path.clone())),
                    image => Ok(Some(Box::new(image))),
                }
            }
            Kind::Packed(_) => Ok(None),
        }
    }

    /// The bytes of the disk, in order, without an end at the end of one compressed member. `progress`
    /// is told how many packed bytes were read, [`Self::size`] in all.
    ///
    /// # Errors
    /// When it is of a kind that [`Self::parts`] reads only, or its first bytes cannot be read.
    pub fn reader<'a>(&self, progress: impl Fn(u64) + Send + 'a) -> Result<impl Read + 'a, ReadError> {
        if self.kind == Kind::Qcow2 {
            return Err(ReadError::NoStream(self.path.clone()));
        }
        let failed = |source| ReadError::Read { path: self.path.clone(), source };
        let file = self.file.try_clone().map_err(failed)?;
        Unpacked::new(BufReader::with_capacity(BUFFER, Counted { file, progress })).map_err(failed)
    }

    /// Unpacks it to a new file, in which blocks of zeros become holes. Returns how long it is.
    ///
    /// # Errors
    /// When it cannot be read or put down, or the user asked to stop.
    pub fn unpack(&self, to: &File, progress: impl Fn(u64) + Send) -> Result<u64, ReadError> {
        let mut reader = self.reader(progress)?;
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        loop {
            interrupt::check()?;
            let count = files::fill(&mut reader, &mut buffer)
                .map_err(|source| ReadError::Read { path: self.path.clone(), source })?;
            if at == 0
                && let Some(format) = Unread::detect(&buffer[..count])
            {
                return Err(ReadError::Unread { path: self.path.clone(), format });
            }
            put_data(to, at, &buffer[..count])
                .and_then(|()| if count == 0 { to.set_len(at) } else { Ok(()) })
                .map_err(|source| ReadError::Unpack { path: self.path.clone(), source })?;
            at += count as u64;
            match count {
                0 if at == 0 => return Err(ReadError::Empty(self.path.clone())),
                0 => return Ok(at),
                _ => {}
            }
        }
    }
}

/// Writes the blocks of `bytes` that are not zeros, neighbours at once.
fn put_data(to: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut offset = 0;
    for run in bytes
        .chunks(BLOCK as usize)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| files::is_zero(a) == files::is_zero(b))
    {
        let len = run.iter().map(|block| block.len()).sum::<usize>();
        if !files::is_zero(run[0]) {
            to.write_all_at(&bytes[offset..offset + len], at + offset as u64)?;
        }
        offset += len;
    }
    Ok(())
}

/// A file that tells how much of it has been read.
struct Counted<F> {
    file: File,
    progress: F,
}

impl<F: Fn(u64)> Read for Counted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        (self.progress)(count as u64);
        Ok(count)
    }
}
