//! Images and disks as media.
//!
//! | | read | write |
//! |---|---|---|
//! | [`Way::Direct`] | `O_DIRECT`: the page cache is not asked | `O_DIRECT` and `O_DSYNC` |
//! | [`Way::Buffered`] | after the page is dropped, as far as the system does that | `O_DSYNC` |
//!
//! The second is for file systems that refuse the first, such as tmpfs. Programs of this library lock
//! each other out with `flock`, as udev does while it looks at a disk; so a lock is waited for.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::string::ToString;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::vec::Vec;

use rustix::fs::{Advice, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Medium, MediumError, SECTOR, Sector};

/// How long a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest alignment that disks ask for memory, in bytes.
const ALIGNMENT: usize = 4096;

/// What a medium is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing can be written, and nobody is waited for: for tables, which do not change.
    Look,
    /// Nothing can be written.
    Read,
    /// Sectors can be changed.
    Write,
}

/// How sectors are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Past the page cache.
    Direct,
    /// Through it.
    Buffered,
}

/// An image file or a block device, locked as long as this lives.
#[derive(Debug)]
pub struct FileMedium {
    file: File,
    access: Access,
    way: Way,
    sectors: u64,
    buffer: Vec<u8>,
}

impl FileMedium {
    /// Opens an image or a whole disk, and locks it: alone for writing, with other readers else, and not
    /// at all to look.
    ///
    /// # Errors
    /// When it cannot be opened or is something else, has sectors of another size, or stays locked.
    pub fn open(path: &Path, access: Access) -> Result<Self, MediumError> {
        let name = path.display().to_string();
        let opened = open(path, access, OFlags::DIRECT).and_then(|file| match probe(&file) {
            Err(error) if refuses_direct(&error) => Err(error),
            _ => Ok((file, Way::Direct)),
        });
        let opened =
            opened.or_else(|_| open(path, access, OFlags::empty()).map(|file| (file, Way::Buffered)));
        let (file, way) =
            opened.map_err(|error| MediumError::Open { path: name.clone(), why: error.to_string() })?;
        let sectors = measure(&file, &name)?;
        lock(&file, access, &name)?;
        Ok(FileMedium { file, access, way, sectors, buffer: std::vec![0; ALIGNMENT + SECTOR] })
    }

    /// How its sectors are read and written.
    pub fn way(&self) -> Way {
        self.way
    }

    fn offset(&self, sector: u64) -> Result<u64, MediumError> {
        let bounds = MediumError::Bounds { sector, sectors: self.sectors };
        if sector < self.sectors { sector.checked_mul(SECTOR as u64).ok_or(bounds) } else { Err(bounds) }
    }
}

impl Medium for FileMedium {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read(&mut self, sector: u64) -> Result<Sector, MediumError> {
        let offset = self.offset(sector)?;
        if self.way == Way::Buffered {
            // Nothing depends on it, and tmpfs has nothing to drop.
            let _ = rustix::fs::fadvise(
                &self.file,
                offset,
                std::num::NonZero::new(SECTOR as u64),
                Advice::DontNeed,
            );
        }
        let buffer = aligned(&mut self.buffer);
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| MediumError::Read { sector, why: error.to_string() })?;
        let mut bytes = [0; SECTOR];
        bytes.copy_from_slice(buffer);
        Ok(bytes)
    }

    fn write(&mut self, sector: u64, bytes: &Sector) -> Result<(), MediumError> {
        let offset = self.offset(sector)?;
        if self.access != Access::Write {
            return Err(MediumError::ReadOnly);
        }
        let buffer = aligned(&mut self.buffer);
        buffer.copy_from_slice(bytes);
        self.file.write_all_at(buffer, offset).map_err(|error| match error.raw_os_error() {
            Some(code) if is(code, Errno::ROFS) || is(code, Errno::PERM) => MediumError::ReadOnly,
            _ => MediumError::Write { sector, why: error.to_string() },
        })
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        self.file.sync_data().map_err(|error| MediumError::Flush(error.to_string()))
    }
}

fn is(code: i32, errno: Errno) -> bool {
    errno.raw_os_error() == code
}

fn open(path: &Path, access: Access, way: OFlags) -> io::Result<File> {
    let mode = match access {
        Access::Look | Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::RDWR | OFlags::DSYNC,
    };
    // A pipe or a terminal must not hold the caller up before it is refused.
    let flags = mode | way | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Reads the first sector, which tells whether `O_DIRECT` works with sectors of our size.
fn probe(file: &File) -> io::Result<()> {
    let mut buffer = std::vec![0; ALIGNMENT + SECTOR];
    file.read_exact_at(aligned(&mut buffer), 0)
}

fn refuses_direct(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| is(code, Errno::INVAL))
}

/// The part of a buffer that lies as disks want it.
fn aligned(buffer: &mut [u8]) -> &mut [u8] {
    let start = buffer.as_ptr().align_offset(ALIGNMENT);
    &mut buffer[start..start + SECTOR]
}

fn measure(file: &File, name: &str) -> Result<u64, MediumError> {
    let unknown = |why: io::Error| MediumError::Open { path: name.to_owned(), why: why.to_string() };
    let metadata = file.metadata().map_err(unknown)?;
    if metadata.file_type().is_file() {
        return Ok(metadata.len() / SECTOR as u64);
    }
    if !metadata.file_type().is_block_device() {
        return Err(MediumError::Kind(name.to_owned()));
    }
    let size = rustix::fs::ioctl_blksszget(file).map_err(|errno| unknown(errno.into()))?;
    if size as usize != SECTOR {
        return Err(MediumError::SectorSize(size));
    }
    let end = rustix::fs::seek(file, rustix::fs::SeekFrom::End(0)).map_err(|errno| unknown(errno.into()))?;
    Ok(end / SECTOR as u64)
}

fn lock(file: &File, access: Access, name: &str) -> Result<(), MediumError> {
    let operation = match access {
        Access::Look => return Ok(()),
        Access::Read => FlockOperation::NonBlockingLockShared,
        Access::Write => FlockOperation::NonBlockingLockExclusive,
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                sleep(Duration::from_millis(20))
            }
            Err(Errno::WOULDBLOCK) => return Err(MediumError::Busy(name.to_owned())),
            Err(errno) => return Err(MediumError::Open { path: name.to_owned(), why: errno.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("disk.img");
        std::fs::write(&path, std::vec![7; 4 * SECTOR + 3]).unwrap();
        path
    }

    fn lives_through_everything(dir: &Path) -> Way {
        let path = image(dir);
        let mut medium = FileMedium::open(&path, Access::Write).unwrap();
        assert_eq!(medium.sectors(), 4);
        medium.write(2, &[9; SECTOR]).unwrap();
        medium.flush().unwrap();
        assert_eq!(medium.read(2).unwrap(), [9; SECTOR]);
        assert_eq!(medium.read(4), Err(MediumError::Bounds { sector: 4, sectors: 4 }));
        let mut expected = std::vec![7; 4 * SECTOR + 3];
        expected[2 * SECTOR..3 * SECTOR].fill(9);
        assert_eq!(std::fs::read(&path).unwrap(), expected, "more than the sector was written");
        medium.way()
    }

    #[test]
    fn one_sector_is_written_and_nothing_else_on_every_file_system() {
        let here = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        println!("in the source tree: {:?}", lives_through_everything(here.path()));
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        println!("on tmpfs: {:?}", lives_through_everything(memory.path()));
    }

    #[test]
    fn a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path());
        let mut medium = FileMedium::open(&path, Access::Read).unwrap();
        assert_eq!(medium.write(0, &[0; SECTOR]), Err(MediumError::ReadOnly));
        assert!(FileMedium::open(&path, Access::Read).is_ok(), "readers do not hinder each other");
    }

    #[test]
    fn a_second_writer_waits_for_the_first_and_gives_up_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path());
        let first = FileMedium::open(&path, Access::Write).unwrap();
        let waits = std::thread::spawn({
            let path = path.clone();
            move || FileMedium::open(&path, Access::Write).map(drop)
        });
        sleep(Duration::from_millis(60));
        drop(first);
        assert_eq!(waits.join().unwrap(), Ok(()));
        let _first = FileMedium::open(&path, Access::Write).unwrap();
        let refused = FileMedium::open(&path, Access::Write).map(drop);
        assert_eq!(refused, Err(MediumError::Busy(path.display().to_string())));
    }

    #[test]
    fn what_is_no_disk_is_refused() {
        assert_eq!(
            FileMedium::open(Path::new("/dev/null"), Access::Read).map(drop),
            Err(MediumError::Kind("/dev/null".into()))
        );
        assert!(matches!(
            FileMedium::open(Path::new("/nowhere"), Access::Read).map(drop),
            Err(MediumError::Open { .. })
        ));
    }
}
