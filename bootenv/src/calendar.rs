//! Days since 1970-01-01 and their dates.
//!
//! Years are counted from March, so that the leap day is the last one, and in eras of 400 years.

use alloc::format;
use alloc::string::String;

/// Days of an era, and from 0000-03-01 to 1970-01-01.
const ERA: i64 = 146_097;
const EPOCH: i64 = 719_468;

/// Year, month and day of a day after 1970-01-01.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, wrap) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + wrap, month, day)
}

/// The day after 1970-01-01 that a date is. The date is of the year 1970 or later.
pub fn days((year, month, day): (i64, i64, i64)) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * ERA + year * 365 + year / 4 - year / 100 + of_year - EPOCH
}

/// `YYYY-MM-DD` of a time in seconds since 1970.
pub fn date(time: u64) -> String {
    // Of any clock that fits into 64 bits.
    let (year, month, day) = civil((time / 86_400) as i64);
    format!("{year}-{month:02}-{day:02}")
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
            (4_294_967_295, "2106-02-07"),
        ] {
            assert_eq!(date(time), text);
        }
    }

    #[test]
    fn every_day_is_its_dates() {
        assert!((0..200_000).all(|day| days(civil(day)) == day));
    }
}
