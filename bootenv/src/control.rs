//! A control file: a few sectors of a disk that are changed in place, one at a time.
//!
//! ```text
//!   locate again: still there?   read: still as it was?   write one sector   flush   read back: arrived?
//! ```
//!
//! The file system is never mounted and never written; nothing but the file's own sectors is.

use alloc::vec::Vec;

use crate::error::Error;
use crate::locate::{Extent, Place, locate};
use crate::medium::{Medium, SECTOR, Sector};

/// A control file that has been found and read.
#[derive(Clone, Debug)]
pub struct ControlFile {
    place: Place,
    extent: Extent,
    seen: Vec<u8>,
}

impl ControlFile {
    /// Finds a control file and reads it.
    ///
    /// # Errors
    /// When it is not where and how it should be, or cannot be read.
    pub fn open(medium: &mut impl Medium, place: Place) -> Result<Self, Error> {
        let extent = locate(medium, &place)?;
        let mut file = ControlFile { place, extent, seen: Vec::new() };
        file.read(medium)?;
        Ok(file)
    }

    /// Where it lies.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// What it held when it was read or written last.
    pub fn bytes(&self) -> &[u8] {
        &self.seen
    }

    /// Reads it again.
    ///
    /// # Errors
    /// When the medium does not give it.
    pub fn read(&mut self, medium: &mut impl Medium) -> Result<&[u8], Error> {
        let mut bytes = Vec::new();
        for index in 0..self.extent.sectors {
            bytes.extend(medium.read(self.extent.first + u64::from(index))?);
        }
        // Of a few sectors.
        bytes.truncate(self.place.length as usize);
        self.seen = bytes;
        Ok(&self.seen)
    }

    /// Gives it new contents: writes the sectors that differ, the last first, so that the one that
    /// makes sense of the others comes last.
    ///
    /// # Errors
    /// As [`ControlFile::write_sector`]; what stands behind a sector that failed has been written.
    ///
    /// # Panics
    /// When `bytes` has another length than the file.
    pub fn write(&mut self, medium: &mut impl Medium, bytes: &[u8]) -> Result<(), Error> {
        assert_eq!(bytes.len(), self.seen.len(), "a control file keeps its length");
        let (sectors, _) = bytes.as_chunks::<SECTOR>();
        for (index, sector) in sectors.iter().enumerate().rev() {
            if self.seen[index * SECTOR..][..SECTOR] != *sector {
                self.write_sector(medium, index, sector)?;
            }
        }
        Ok(())
    }

    /// Changes one sector.
    ///
    /// # Errors
    /// When the file is not where it was or not as it was read, and nothing was written; when the
    /// medium fails; when something else is read back, and the sector is in doubt.
    pub fn write_sector(
        &mut self,
        medium: &mut impl Medium,
        index: usize,
        bytes: &Sector,
    ) -> Result<(), Error> {
        if locate(medium, &self.place)? != self.extent {
            return Err(Error::Moved(self.place.path));
        }
        let sector = self.extent.first + index as u64;
        let seen = &mut self.seen[index * SECTOR..][..SECTOR];
        replace(medium, sector, seen, bytes, self.place.path)?;
        seen.copy_from_slice(bytes);
        Ok(())
    }
}

/// Writes a sector that still holds what was `seen` there, and returns when it lasts.
pub(crate) fn replace(
    medium: &mut impl Medium,
    sector: u64,
    seen: &[u8],
    bytes: &Sector,
    name: &'static str,
) -> Result<(), Error> {
    if medium.read(sector)? != *seen {
        return Err(Error::Changed(name));
    }
    medium.write(sector, bytes)?;
    medium.flush()?;
    if medium.read(sector)? != *bytes {
        return Err(Error::ReadBack(name));
    }
    Ok(())
}
