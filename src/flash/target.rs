//! What is written: a block device, or a file that takes its place.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate};
use rustix::io::Errno;

use super::buffer::ALIGN;

/// What a flash does to its target. Tests have one that fails.
pub trait Target: Sync {
    /// Bytes that can be written; none when it grows.
    fn capacity(&self) -> Option<u64>;
    /// Writes all bytes at an offset.
    ///
    /// # Errors
    /// When not all could be written.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills a buffer with what the medium itself has at an offset; zeros beyond its end.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Makes a range zero without writing it. False when it cannot do that.
    ///
    /// # Errors
    /// When it can, and failed.
    fn punch(&self, at: u64, len: u64) -> io::Result<bool>;
    /// Waits until the medium has all that was written.
    ///
    /// # Errors
    /// When something did not arrive.
    fn flush(&self) -> io::Result<()>;
    /// Gives what can grow this length; a device keeps its own.
    ///
    /// # Errors
    /// When it cannot have it.
    fn resize(&self, size: u64) -> io::Result<()>;
}

/// A device or file that is open.
#[derive(Debug)]
pub struct Opened {
    cached: File,
    /// Past the cache, where that is possible.
    direct: Option<File>,
    capacity: Option<u64>,
    sector: u64,
}

impl Opened {
    /// Opens a block device, which nobody else may have, or a file, which is made when there is none.
    ///
    /// # Errors
    /// When it cannot be opened; `ResourceBusy` when a device is in use.
    pub fn open(path: &Path) -> io::Result<Opened> {
        let is_device = std::fs::metadata(path).is_ok_and(|about| about.file_type().is_block_device());
        let mut options = File::options();
        options.read(true).write(true);
        // For a block device without O_CREAT: nobody mounts or holds it meanwhile (open(2)).
        let options = if is_device { options.custom_flags(flag(OFlags::EXCL)) } else { options.create(true) };
        let cached = options.open(path)?;
        let mut options = File::options();
        let direct = options.read(true).write(true).custom_flags(flag(OFlags::DIRECT)).open(path).ok();
        if !is_device {
            return Ok(Opened { cached, direct, capacity: None, sector: 512 });
        }
        let capacity = Some(rustix::fs::seek(&cached, rustix::fs::SeekFrom::End(0))?);
        let sector = rustix::fs::ioctl_blksszget(&cached)?.into();
        Ok(Opened { cached, direct, capacity, sector })
    }

    /// Bytes in one logical sector; 512 for a file.
    pub fn sector(&self) -> u64 {
        self.sector
    }

    /// Whether this is the file that is open there.
    ///
    /// # Errors
    /// When one of them does not tell.
    pub fn is(&self, other: &File) -> io::Result<bool> {
        let (own, other) = (self.cached.metadata()?, other.metadata()?);
        Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
    }

    /// The way past the cache, for what is aligned.
    fn way(&self, at: u64, bytes: &[u8]) -> &File {
        let is_aligned = at.is_multiple_of(ALIGN as u64)
            && bytes.len().is_multiple_of(ALIGN)
            && bytes.as_ptr().align_offset(ALIGN) == 0;
        self.direct.as_ref().filter(|_| is_aligned).unwrap_or(&self.cached)
    }
}

impl Target for Opened {
    fn capacity(&self) -> Option<u64> {
        self.capacity
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.way(at, bytes).write_all_at(bytes, at)
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        // What went through the cache is forgotten, so that the medium is asked.
        fadvise(&self.cached, at, std::num::NonZero::new(buffer.len() as u64), Advice::DontNeed)?;
        let file = self.way(at, buffer);
        let mut done = 0;
        while done < buffer.len() {
            match file.read_at(&mut buffer[done..], at + done as u64) {
                Ok(0) => break,
                // The rest of a file that ends within a sector is at no address for `O_DIRECT`.
                Ok(count) if !count.is_multiple_of(ALIGN) => {
                    done += count;
                    break;
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer[done..].fill(0);
        Ok(())
    }

    fn punch(&self, at: u64, len: u64) -> io::Result<bool> {
        // A device is asked to forget the range, and reads as zeros then; it does not fall back to
        // writing (`block/fops.c`, `blkdev_fallocate`).
        match fallocate(&self.cached, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.cached.sync_data()
    }

    fn resize(&self, size: u64) -> io::Result<()> {
        if self.capacity.is_some() { Ok(()) } else { self.cached.set_len(size) }
    }
}

/// A flag as the standard library takes it.
fn flag(flag: OFlags) -> i32 {
    flag.bits().cast_signed()
}
