//! Which release of the EEPROM can do what (raspberrypi/rpi-eeprom, `firmware-2711/release-notes.md`
//! and `firmware-2712/release-notes.md`).

use bootenv::calendar::days;

use super::ModelError;
use crate::board::Chip;

/// The newest release that the rules know, as `YYYY-MM-DD`.
pub const NEWEST: &str = "2026-05-26";

/// What chips could from their first release on.
const ALWAYS: &str = "";

/// The first releases that have a feature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    bcm2711: &'static str,
    bcm2712: &'static str,
}

const fn since(bcm2711: &'static str, bcm2712: &'static str) -> Since {
    Since { bcm2711, bcm2712 }
}

/// GUID partition tables are read.
pub(super) const GPT: Since = since("2020-09-03", ALWAYS);
/// Partitions of a GPT other than the default one have numbers.
pub(super) const GPT_NUMBERS: Since = since("2025-02-11", "2025-01-22");
/// The tryboot flag is known.
pub(super) const TRYBOOT: Since = since("2020-10-28", ALWAYS);
/// autoboot.txt has sections and `tryboot_a_b`; a bad partition is replaced by partition 1.
pub(super) const SECTIONS: Since = since("2022-10-18", ALWAYS);
/// An update of the EEPROM is taken from the SD card.
pub(super) const SELF_UPDATE: Since = since("2022-03-10", ALWAYS);
/// All partitions are tried when one is bad.
pub(super) const WALK: Since = since("2025-08-13", "2025-08-13");
/// They are also tried after one without firmware.
pub(super) const WALK_WITHOUT_FIRMWARE: Since = since("2025-08-20", ALWAYS);
/// They are also tried when `boot.img` is missing.
pub(super) const WALK_FOR_RAMDISK: Since = since("2026-02-23", "2026-02-23");
/// Filters compare partitions in what the EEPROM reads.
pub(super) const PARTITION_FILTERS: Since = since("2025-03-10", "2025-03-10");

/// `capabilities` of an EEPROM that knows all about tryboot, and the bits of it that say so.
const CAPABILITIES: u32 = 0x7f;
const CAN_TRYBOOT: u32 = 1 << 3;
const CAN_TRYBOOT_A_B: u32 = 1 << 2;

/// What an EEPROM tells the kernel of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// What it can, as bits.
    pub capabilities: u32,
    /// When it was built, in seconds since 1970: at noon of its day.
    pub build_timestamp: u32,
}

/// What a release tells the kernel.
///
/// # Errors
/// [`ModelError::Date`] when `date` is none.
pub fn words(chip: Chip, date: &str) -> Result<Words, ModelError> {
    let release = Release::new(chip, date)?;
    let without = |feature, bit| if release.has(feature) { 0 } else { bit };
    let numbers: Vec<i64> = date.split('-').filter_map(|part| part.parse().ok()).collect();
    let day = days((numbers[0], numbers[1], numbers[2]));
    Ok(Words {
        capabilities: CAPABILITIES & !without(TRYBOOT, CAN_TRYBOOT) & !without(SECTIONS, CAN_TRYBOOT_A_B),
        build_timestamp: u32::try_from(day * 86_400 + 43_200).unwrap_or(0),
    })
}

/// The release of a board's EEPROM.
#[derive(Clone, Debug)]
pub(super) struct Release {
    chip: Chip,
    date: String,
}

impl Release {
    pub(super) fn new(chip: Chip, date: &str) -> Result<Self, ModelError> {
        if !is_date(date) {
            return Err(ModelError::Date { text: date.to_owned() });
        }
        Ok(Release { chip, date: date.to_owned() })
    }

    /// Whether it has a feature.
    pub(super) fn has(&self, feature: Since) -> bool {
        self.date.as_str() >= if self.chip == Chip::Bcm2712 { feature.bcm2712 } else { feature.bcm2711 }
    }
}

/// Whether a text is `YYYY-MM-DD`, so that dates compare as texts do.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let within = |part: &str, length: usize, most: u32| {
        let is_number = part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number && (1..=most).contains(&part.parse().unwrap_or(0))
    };
    within(year, 4, 9999) && within(month, 2, 12) && within(day, 2, 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_come_with_releases() {
        let has = |chip, date| Release::new(chip, date).unwrap().has(SECTIONS);
        assert!(!has(Chip::Bcm2711, "2022-10-17") && has(Chip::Bcm2711, "2022-10-18"));
        assert!(has(Chip::Bcm2712, "2022-10-17"));
    }

    #[test]
    fn a_release_tells_what_it_can() {
        let told = |date| words(Chip::Bcm2711, date).unwrap();
        let noon = 1_755_648_000 + 43_200;
        assert_eq!(told("2025-08-20"), Words { capabilities: 0x7f, build_timestamp: noon });
        assert_eq!(told("2022-01-01").capabilities, 0x7b);
        assert_eq!(told("1969-01-01"), Words { capabilities: 0x73, build_timestamp: 0 });
    }

    #[test]
    fn only_dates_are_dates() {
        assert!(is_date(NEWEST));
        for text in ["", "2025", "2025-13-01", "2025-1-01", "2025-01-00", "+025-01-01", "2025-01-01-01"] {
            assert!(!is_date(text), "{text}");
        }
    }
}
