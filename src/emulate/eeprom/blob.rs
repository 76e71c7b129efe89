//! When a `start4.elf` was built. Its text has the words that the diagnostic screen shows:
//!
//! ```text
//!   VC_BUILD_ID_TIME: 18:28:41 \0 ... VC_BUILD_ID_TIME: Feb 11 2026 \0
//! ```

/// Bytes of firmware that are read. The largest variants have 4 MB.
pub(super) const LARGEST: u32 = 16 << 20;

const MARK: &[u8] = b"VC_BUILD_ID_TIME: ";

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The date as `YYYY-MM-DD`, when the firmware says it.
pub(super) fn build_date(blob: &[u8]) -> Option<String> {
    let marks = blob.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    marks.into_iter().find_map(|(at, _)| {
        let rest = &blob[at + MARK.len()..];
        let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        date(std::str::from_utf8(text.get(..text.len().min(11))?).ok()?)
    })
}

/// Reads `Feb 11 2026`; a day before the tenth has two spaces before it.
fn date(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (day, year): (u32, u32) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_date_is_told_from_the_time() {
        let blob = b"\x7fELF\0VC_BUILD_ID_TIME: 18:28:41\0x\0VC_BUILD_ID_TIME: Feb 11 2026\0";
        assert_eq!(build_date(blob).as_deref(), Some("2026-02-11"));
        assert_eq!(build_date(b"VC_BUILD_ID_TIME: Apr  7 2024").as_deref(), Some("2024-04-07"));
        assert_eq!(build_date(b"VC_BUILD_ID_TIME: Feb"), None);
        assert_eq!(build_date(b"VC_BUILD_ID_TIME: "), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = build_date(&[MARK, &tail].concat());
        }
    }
}
