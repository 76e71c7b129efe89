//! Where control files lie: sectors that are read and written one by one.

use alloc::string::String;
use alloc::vec::Vec;

#[cfg(feature = "std")]
mod file;

#[cfg(feature = "std")]
pub use file::{Access, FileMedium, Way};

/// Bytes of a sector. Disks with larger ones are refused: a control file is one of these.
pub const SECTOR: usize = 512;

/// The bytes of one sector.
pub type Sector = [u8; SECTOR];

/// A disk.
pub trait Medium {
    /// Sectors of the disk.
    fn sectors(&self) -> u64;

    /// Reads one sector from the disk itself, past every cache that can be passed.
    ///
    /// # Errors
    /// When the disk does not give it.
    fn read(&mut self, sector: u64) -> Result<Sector, MediumError>;

    /// Writes one sector. It may be lost, torn or late until [`Medium::flush`] returns.
    ///
    /// # Errors
    /// When the disk does not take it.
    fn write(&mut self, sector: u64, bytes: &Sector) -> Result<(), MediumError>;

    /// Returns when all that was written will survive a loss of power.
    ///
    /// # Errors
    /// When that is not so.
    fn flush(&mut self) -> Result<(), MediumError>;
}

/// Why a disk does not do as it is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediumError {
    /// It cannot be opened.
    #[error("opening `{path}`: {why}")]
    Open {
        /// The file or device.
        path: String,
        /// What the system says.
        why: String,
    },
    /// Neither a regular file nor a block device.
    #[error("`{0}` is neither an image nor a disk")]
    Kind(String),
    /// Somebody else holds the lock.
    #[error("`{0}` is in use by another program\n\nhint: wait until it is done")]
    Busy(String),
    /// It has sectors of another size.
    #[error("its sectors have {0} bytes, but control files need sectors of {SECTOR}")]
    SectorSize(u32),
    /// There is no such sector.
    #[error("sector {sector} is beyond the end, which is at {sectors}")]
    Bounds {
        /// The sector.
        sector: u64,
        /// How many there are.
        sectors: u64,
    },
    /// It was opened for reading, or is protected.
    #[error("it can only be read")]
    ReadOnly,
    /// A sector was not read.
    #[error("reading sector {sector}: {why}")]
    Read {
        /// The sector.
        sector: u64,
        /// What the system says.
        why: String,
    },
    /// A sector was not written.
    #[error("writing sector {sector}: {why}")]
    Write {
        /// The sector.
        sector: u64,
        /// What the system says.
        why: String,
    },
    /// What was written may not last.
    #[error("making the writes last: {0}")]
    Flush(String),
}

/// A disk in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    bytes: Vec<u8>,
}

impl Memory {
    /// A disk with these bytes; what is less than a sector at the end does not count.
    pub fn new(bytes: Vec<u8>) -> Self {
        Memory { bytes }
    }

    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn sector(&mut self, sector: u64) -> Result<&mut Sector, MediumError> {
        let sectors = self.sectors();
        let bounds = MediumError::Bounds { sector, sectors };
        let index = usize::try_from(sector).map_err(|_| bounds.clone())?;
        let (all, _) = self.bytes.as_chunks_mut::<SECTOR>();
        all.get_mut(index).ok_or(bounds)
    }
}

impl Medium for Memory {
    fn sectors(&self) -> u64 {
        (self.bytes.len() / SECTOR) as u64
    }

    fn read(&mut self, sector: u64) -> Result<Sector, MediumError> {
        self.sector(sector).map(|bytes| *bytes)
    }

    fn write(&mut self, sector: u64, bytes: &Sector) -> Result<(), MediumError> {
        self.sector(sector).map(|old| *old = *bytes)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

impl<M: Medium + ?Sized> Medium for &mut M {
    fn sectors(&self) -> u64 {
        (**self).sectors()
    }

    fn read(&mut self, sector: u64) -> Result<Sector, MediumError> {
        (**self).read(sector)
    }

    fn write(&mut self, sector: u64, bytes: &Sector) -> Result<(), MediumError> {
        (**self).write(sector, bytes)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        (**self).flush()
    }
}
