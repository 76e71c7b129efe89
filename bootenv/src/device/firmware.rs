//! Whether the firmware of a Raspberry Pi is fit for a trial.

use std::string::String;

use super::System;

/// What the boot ROM must be able to do: `capabilities` in `/chosen/bootloader` (Raspberry Pi
/// documentation, `configuration/device-tree.adoc`).
const CAPABILITIES: [(u32, &str); 2] = [(1 << 3, "tryboot"), (1 << 2, "tryboot_a_b")];

/// The oldest release that is fit: `PARTITION_WALK` by default, also after a partition without firmware
/// (raspberrypi/rpi-eeprom, release notes of 2025-08-20). The start of its day in seconds since 1970, and
/// its name.
const OLDEST: (u32, &str) = (1_755_648_000, "2025-08-20");

/// Why a board must not be armed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FirmwareError {
    /// It leaves no word of what it is.
    #[error(
        "the board's EEPROM does not say which release it is, so it is too old for A/B boot\n\n\
         hint: `rpi-eeprom-update -a` updates it; {oldest} or newer is needed",
        oldest = OLDEST.1
    )]
    Silent,
    /// It is of a release that does not do what is needed.
    #[error(
        "the board's EEPROM is of {built}, before which the boot ROM stops at a slot without firmware\n\n\
         hint: `rpi-eeprom-update -a` updates it; {oldest} or newer is needed",
        oldest = OLDEST.1
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
    if built < OLDEST.0 {
        return Err(FirmwareError::Old { built: date(built) });
    }
    Ok(())
}

/// `YYYY-MM-DD` of a time in seconds since 1970. Years are counted from their 1 March here, so that leap
/// days come last, and in eras of 400 of them.
fn date(time: u32) -> String {
    let days = u64::from(time / 86_400) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (of_month, january) = (of_year - (153 * month + 2) / 5 + 1, month >= 10);
    let month = if january { month - 9 } else { month + 3 };
    std::format!("{}-{month:02}-{of_month:02}", era * 400 + year + u64::from(january))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (time, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_755_648_000, "2025-08-20"),
            (1_767_225_599, "2025-12-31"),
            (u32::MAX, "2106-02-07"),
        ] {
            assert_eq!(date(time), text);
        }
    }
}
