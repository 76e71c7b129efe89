//! The firmware of the Raspberry Pi's VideoCore: what a `start4.elf` says of itself.
//!
//! It is an ELF file for a processor of its own, and holds lines such as
//! `VC_BUILD_ID_TIME: Feb 11 2026` (seen in raspi-firmware 1.20240424 and 1.20260408).

/// Bytes of firmware that are read. The largest variants have 4 MB.
pub const LARGEST: u32 = 16 << 20;

/// First bytes of an ELF file of 32 bits, little-endian.
const ELF: &[u8] = b"\x7fELF\x01\x01\x01";
/// ELF's number of the processor.
const VIDEOCORE: u16 = 137;
/// Marks the day of the build; the same words stand before the time of day.
const BUILD_DAY: &[u8] = b"VC_BUILD_ID_TIME: ";
const VERSION: &[u8] = b"VC_BUILD_ID_VERSION: ";

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What a firmware file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The day it was built, as `YYYY-MM-DD`.
    pub built: Option<String>,
    /// Its version, a digest.
    pub version: Option<String>,
}

/// Reads a `start*.elf`; `None` when it is something else.
pub fn read(bytes: &[u8]) -> Option<Firmware> {
    let machine = bytes.get(18..20).map(|field| u16::from_le_bytes([field[0], field[1]]));
    if !bytes.starts_with(ELF) || machine != Some(VIDEOCORE) {
        return None;
    }
    let version = values(bytes, VERSION).next();
    let version = version.and_then(|text| text.split_whitespace().next().map(str::to_owned));
    Some(Firmware { built: built(bytes), version })
}

/// The day it was built, as `YYYY-MM-DD`, of whatever holds firmware.
pub fn built(bytes: &[u8]) -> Option<String> {
    values(bytes, BUILD_DAY).find_map(|text| day(&text))
}

/// The texts after a mark, up to the end of each.
fn values<'a>(bytes: &'a [u8], mark: &'static [u8]) -> impl Iterator<Item = String> + 'a {
    memchr::memmem::find_iter(bytes, mark).map(move |at| {
        let text = bytes[at + mark.len()..].iter().take(80);
        text.take_while(|byte| matches!(byte, b' '..=b'~')).map(|byte| char::from(*byte)).collect()
    })
}

/// `Feb 11 2026` as `2026-02-11`; the day may have a space for its first digit.
fn day(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let (month, day, year) = (words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (day, year): (u32, u32) = (day.parse().ok()?, year.parse().ok()?);
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = built(&[BUILD_DAY, &tail].concat());
        }
    }

    #[test]
    fn a_firmware_tells_its_day_and_version() {
        let mut file = [ELF, &[0; 11], &137_u16.to_le_bytes(), &[0; 40]].concat();
        file.extend(b"VC_BUILD_ID_TIME: 18:28:41\0VC_BUILD_ID_TIME: Feb  3 2026\0");
        file.extend(b"VC_BUILD_ID_VERSION: ce768004a1c9 (clean)\0");
        let expected =
            Firmware { built: Some("2026-02-03".to_owned()), version: Some("ce768004a1c9".to_owned()) };
        assert_eq!(read(&file), Some(expected));
        assert_eq!(read(&file[..20]), Some(Firmware { built: None, version: None }));
    }

    #[test]
    fn other_files_are_no_firmware() {
        assert_eq!(read(b""), None);
        assert_eq!(read(b"\x7fELF\x02\x01\x01 an ELF of 64 bits"), None);
    }
}
