//! Moments, as text.

use bootenv::calendar::civil;

/// Seconds since 1970 as date and time in UTC.
pub fn of_seconds(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// A date and a time of a FAT (FAT specification 1.03, "Date and Time Formats"), which know no zone.
pub fn of_fat(date: u16, time: u16) -> String {
    let (year, month, day) = (1980 + (date >> 9), date >> 5 & 15, date & 31);
    let (hour, minute, second) = (time >> 11, time >> 5 & 63, (time & 31) * 2);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(of_seconds(0), "1970-01-01 00:00:00");
        assert_eq!(of_seconds(951_868_799), "2000-02-29 23:59:59");
        assert_eq!(of_seconds(1_795_301_359), "2026-11-21 22:49:19");
        assert_eq!(of_seconds(-1), "1969-12-31 23:59:59");
        assert_eq!(of_seconds(i64::from(u32::MAX)), "2106-02-07 06:28:15");
        assert_eq!(of_fat(0x21, 0), "1980-01-01 00:00:00");
        assert_eq!(of_fat(0x5d75, 0xb64d), "2026-11-21 22:50:26");
    }
}
