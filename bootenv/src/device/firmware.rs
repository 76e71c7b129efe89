//! Whether the firmware of a Raspberry Pi is fit for a trial.

use std::string::String;

use super::System;
use crate::calendar::date;

/// What the boot ROM must be able to do: `capabilities` in `/chosen/bootloader` (Raspberry Pi
/// documentation, `configuration/device-tree.adoc`).
const CAPABILITIES: [(u32, &str); 2] = [(1 << 3, "tryboot"), (1 << 2, "tryboot_a_b")];

/// The oldest release that is fit: `PARTITION_WALK` by default, also after a partition without firmware
/// (raspberrypi/rpi-eeprom, release notes of 2025-08-20), as `YYYY-MM-DD`.
pub const OLDEST_EEPROM: &str = "2025-08-20";
/// The start of that day, in seconds since 1970.
const OLDEST: u32 = 1_755_648_000;

/// The board's revision code (Raspberry Pi documentation, `raspberry-pi/revision-codes.adoc`): a new one
/// has bit 23 set, its type in bits 4 to 11, and its revision in the last four.
const REVISION: &str = "proc/device-tree/system/linux,revision";
const PI_4B: u32 = 0x11;
const NEW: u32 = 1 << 23;
/// From this revision on the board keeps the flag over a reset of its power controller.
const KEEPS_FLAG: u32 = 4;

/// Why a board must not be armed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FirmwareError {
    /// It leaves no word of what it is.
    #[error(
        "the board's EEPROM does not say which release it is, so it is too old for A/B boot\n\n\
         hint: `rpi-eeprom-update -a` updates it; {oldest} or newer is needed",
        oldest = OLDEST_EEPROM
    )]
    Silent,
    /// It is of a release that does not do what is needed.
    #[error(
        "the board's EEPROM is of {built}, before which the boot ROM stops at a slot without firmware\n\n\
         hint: `rpi-eeprom-update -a` updates it; {oldest} or newer is needed",
        oldest = OLDEST_EEPROM
    )]
    Old {
        /// When it was built, as a date.
        built: String,
    },
    /// It says that it cannot.
    #[error("the board's EEPROM says that it has no `{what}`\n\nhint: `rpi-eeprom-update -a` updates it")]
    Unable {
        /// The capability.
        what: &'static str,
    },
}

/// Asks the firmware's words of this start.
///
/// # Errors
/// When they are missing or tell of something that is not fit.
pub(super) fn check(system: &System) -> Result<(), FirmwareError> {
    let built = system.firmware("build-timestamp").ok_or(FirmwareError::Silent)?;
    let can = system.firmware("capabilities").ok_or(FirmwareError::Silent)?;
    if let Some((_, what)) = CAPABILITIES.into_iter().find(|(bit, _)| can & bit == 0) {
        return Err(FirmwareError::Unable { what });
    }
    if built < OLDEST {
        return Err(FirmwareError::Old { built: date(built.into()) });
    }
    Ok(())
}

/// What speaks against trials without forbidding them.
pub(super) fn doubt(system: &System) -> Option<&'static str> {
    let code = system.word(&system.path(REVISION))?;
    let old = code & NEW != 0 && (code >> 4) & 0xff == PI_4B && code & 0xf < KEEPS_FLAG;
    old.then_some("boards of Raspberry Pi 4B before revision 1.4 may lose the tryboot flag in the reset")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_release_has_one_date() {
        assert_eq!(date(OLDEST.into()), OLDEST_EEPROM);
    }
}
