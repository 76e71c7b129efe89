//! The first sector of a slot of the Raspberry Pi: what decides whether the boot ROM's walk finds it.
//!
//! ```text
//!   sector of the partition   0 boot sector          6 its copy (FAT32)
//!   shown                     a FAT that fits        anything
//!   hidden                    zeroes                 a FAT32 that fits and says 6, or nothing usable
//! ```
//!
//! A partition that starts with zeroes is none that a ROM or a system takes for a FAT. Hiding a slot is
//! one sector, and so is showing it again; no other byte of the slot is ever written here, and neither
//! is the partition table.
//!
//! Sources: Raspberry Pi documentation, `raspberry-pi/eeprom-bootloader.adoc` (`PARTITION_WALK`);
//! Microsoft, "FAT: General Overview of On-Disk Format", 1.03 (`BPB_BkBootSec`).

use crate::control::replace;
use crate::error::Error;
use crate::locate::{Extent, is_boot_sector, is_repeated_at, partition};
use crate::machine::Refusal;
use crate::machine::rpi::{First, Front};
use crate::medium::{Medium, SECTOR, Sector};
use crate::rpi::{self, BACKUP_SECTOR};
use crate::slot::Slot;

/// What the partition of a slot that is hidden starts with.
pub const HIDDEN: Sector = [0; SECTOR];

/// The first sector of a slot, found and read.
#[derive(Clone, Debug)]
pub struct BootSector {
    slot: Slot,
    extent: Extent,
    seen: Sector,
    backup: Option<Sector>,
}

impl BootSector {
    /// Finds the partition of a slot and reads what it starts with.
    ///
    /// # Errors
    /// When there is no such partition, or it cannot be read.
    pub fn read(medium: &mut impl Medium, slot: Slot) -> Result<Self, Error> {
        let extent = find(medium, slot)?;
        let seen = medium.read(extent.first)?;
        let backup = if extent.sectors > u32::from(BACKUP_SECTOR) {
            let copy = medium.read(extent.first + u64::from(BACKUP_SECTOR))?;
            is_repeated_at(&copy, extent.sectors, BACKUP_SECTOR).then_some(copy)
        } else {
            None
        };
        Ok(BootSector { slot, extent, seen, backup })
    }

    /// What it comes down to.
    pub fn front(&self) -> Front {
        let first = match self.seen {
            HIDDEN => First::Zeroes,
            sector if is_boot_sector(&sector, self.extent.sectors) => First::Fat,
            _ => First::Garbage,
        };
        Front { first, backup: self.backup.is_some() }
    }

    /// Makes the slot one that cannot be booted.
    ///
    /// # Errors
    /// When the partition was moved or its sector changed, and nothing was written; when the medium
    /// fails; when something else is read back.
    pub fn hide(&self, medium: &mut impl Medium) -> Result<(), Error> {
        self.put(medium, &HIDDEN)
    }

    /// Makes it one that can, from the copy of its boot sector.
    ///
    /// # Errors
    /// As [`BootSector::hide`], and when there is no copy that makes sense.
    pub fn show(&self, medium: &mut impl Medium) -> Result<(), Error> {
        let backup = self.backup.ok_or(Refusal::NoFileSystem(self.slot))?;
        self.put(medium, &backup)
    }

    fn put(&self, medium: &mut impl Medium, bytes: &Sector) -> Result<(), Error> {
        let name = match self.slot {
            Slot::A => "first sector of slot a",
            Slot::B => "first sector of slot b",
        };
        if find(medium, self.slot)? != self.extent {
            return Err(Error::Moved(name));
        }
        replace(medium, self.extent.first, &self.seen, bytes, name)
    }
}

fn find(medium: &mut impl Medium, slot: Slot) -> Result<Extent, Error> {
    Ok(partition(medium, rpi::TABLE, rpi::partition(slot))?)
}
