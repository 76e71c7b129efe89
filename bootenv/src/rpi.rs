//! The boot state of the Raspberry Pi track, as the boot ROM reads it.
//!
//! ```text
//!   (start) --tryboot flag, cleared at once--> partition under [tryboot]     the other slot
//!      |
//!      | no flag
//!      v
//!   partition under [all]                                                   the default slot
//!      | it cannot boot, or autoboot.txt cannot be read
//!      v
//!   the first partition that can boot: the control partition has a kernel of its own
//! ```
//!
//! The flag lives in the chip and survives exactly one reset, so a trial can never last: what is
//! not committed is left by the next start. Committing rewrites the one sector of `autoboot.txt`.
//!
//! Sources: Raspberry Pi documentation, `config_txt/autoboot.adoc` and
//! `raspberry-pi/bootflow-eeprom.adoc`.

use alloc::string::String;
use core::fmt::Write as _;

use crate::Slot;
use crate::locate::{Place, Table};
use crate::medium::{Medium, Sector};

/// The file on the control partition that names the slots.
pub const AUTOBOOT: &str = "autoboot.txt";
/// Its length in bytes: one sector, which is also the most that boot ROMs are documented to read.
pub const AUTOBOOT_SIZE: usize = 512;
/// What the firmware is told, in every partition that it starts from.
pub const CONFIG: &str = "config.txt";
/// The kernel command line, one line.
pub const CMDLINE: &str = "cmdline.txt";
/// The kernel, under the name that firmware of all boards looks for.
pub const KERNEL: &str = "kernel8.img";
/// The initramfs.
pub const INITRAMFS: &str = "initramfs8";
/// Directory of device tree overlays.
pub const OVERLAYS: &str = "overlays";
/// The second stage of Raspberry Pi 4: its presence makes a partition bootable there.
pub const START: &str = "start4.elf";
/// What goes with [`START`], of the same build.
pub const FIXUP: &str = "fixup4.dat";
/// What is read in the place of [`CONFIG`] in a trial of the same partition, without `tryboot_a_b`.
pub const TRYBOOT: &str = "tryboot.txt";

/// Number of the control partition, which is read first and boots by itself when all else fails.
pub const CONTROL_PARTITION: u32 = 1;
/// Number of the partition that is kept across updates.
pub const DATA_PARTITION: u32 = 4;

/// Type of FAT partitions in an MBR, as the vendor's images have it.
const FAT: u8 = 0x0c;
/// Type of Linux' partitions.
const LINUX: u8 = 0x83;

/// The partition table, and the type of the partitions that the boot ROM reads.
pub const TABLE: Table = Table::Mbr(FAT);
/// The sector of a slot's partition that repeats its first, as every formatter of FAT32 writes it.
pub const BACKUP_SECTOR: u16 = 6;

/// Where [`AUTOBOOT`] lies.
pub const AUTOBOOT_PLACE: Place =
    Place { table: TABLE, partition: CONTROL_PARTITION, path: AUTOBOOT, length: AUTOBOOT_SIZE as u32 };

/// Number of a slot's partition in the table.
pub const fn partition(slot: Slot) -> u32 {
    match slot {
        Slot::A => 2,
        Slot::B => 3,
    }
}

/// The slot whose partition has this number.
pub fn slot_of(partition_number: u32) -> Option<Slot> {
    Slot::ALL.into_iter().find(|slot| partition(*slot) == partition_number)
}

/// Whether a disk has the table of an image of this track: three FATs and Linux, in an MBR.
pub fn has_table(medium: &mut impl Medium) -> bool {
    let kinds = |sector: Sector| [450, 466, 482, 498].map(|at| sector[at]);
    medium
        .read(0)
        .is_ok_and(|sector| sector[510..] == [0x55, 0xaa] && kinds(sector) == [FAT, FAT, FAT, LINUX])
}

/// The state that survives a reset: what `autoboot.txt` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Autoboot {
    /// The committed slot. A trial boots the other.
    pub default: Slot,
}

/// Why an `autoboot.txt` is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AutobootError {
    /// Not one sector long.
    #[error("it has {0} bytes instead of {AUTOBOOT_SIZE}")]
    Size(usize),
    /// Not the text that [`Autoboot::encode`] writes for any slot.
    #[error("it does not say which slot to boot")]
    Content,
}

impl Autoboot {
    /// The state of a new image: slot A is committed.
    pub const fn initial() -> Self {
        Autoboot { default: Slot::A }
    }

    /// The file: the vendor's text, filled up with newlines, so that changing the slot changes no
    /// length and nothing but this sector.
    pub fn encode(&self) -> [u8; AUTOBOOT_SIZE] {
        let mut text = String::new();
        for (section, slot) in [("all", self.default), ("tryboot", self.default.other())] {
            let both = if section == "all" { "tryboot_a_b=1\n" } else { "" };
            // Writing into a string does not fail.
            let _ = write!(text, "[{section}]\n{both}boot_partition={}\n", partition(slot));
        }
        let mut sector = [b'\n'; AUTOBOOT_SIZE];
        sector[..text.len()].copy_from_slice(text.as_bytes());
        sector
    }

    /// Reads the file. Only what [`Autoboot::encode`] writes is taken: a torn sector is never half
    /// believed.
    ///
    /// # Errors
    /// When its length or its content is another one.
    pub fn decode(bytes: &[u8]) -> Result<Self, AutobootError> {
        if bytes.len() != AUTOBOOT_SIZE {
            return Err(AutobootError::Size(bytes.len()));
        }
        let states = Slot::ALL.map(|default| Autoboot { default });
        states.into_iter().find(|state| state.encode() == bytes).ok_or(AutobootError::Content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_vendors_and_fills_one_sector() {
        let sector = Autoboot::initial().encode();
        let text = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";
        assert_eq!(std::str::from_utf8(&sector).unwrap().trim_end(), text.trim_end());
        assert_eq!(sector.len(), 512);
    }

    #[test]
    fn every_state_survives_its_file() {
        for default in Slot::ALL {
            let state = Autoboot { default };
            assert_eq!(Autoboot::decode(&state.encode()), Ok(state));
        }
    }

    #[test]
    fn a_torn_sector_is_not_believed() {
        let (old, new) = (Autoboot { default: Slot::A }.encode(), Autoboot { default: Slot::B }.encode());
        for at in 0..AUTOBOOT_SIZE {
            let torn = [&new[..at], &old[at..]].concat();
            let read = Autoboot::decode(&torn);
            assert!(read == Err(AutobootError::Content) || torn == old || torn == new, "torn at {at}");
        }
        assert_eq!(Autoboot::decode(b""), Err(AutobootError::Size(0)));
    }

    #[test]
    fn partitions_and_slots_are_each_others() {
        for slot in Slot::ALL {
            assert_eq!(slot_of(partition(slot)), Some(slot));
        }
        assert_eq!(slot_of(CONTROL_PARTITION), None);
    }
}
