//! `InRelease`: what a suite is, and the digests of its indexes.

use std::collections::BTreeMap;

use super::control::{self, Item};
use crate::digest::Sha256;

/// How far a clock may be behind, in seconds, before a suite is from the future.
const CLOCK_SLACK: i64 = 24 * 60 * 60;

/// The fields of a suite's `InRelease` that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `stable` and the like.
    pub suite: String,
    /// `trixie` and the like.
    pub codename: String,
    /// When it was published, in seconds since 1970.
    pub date: i64,
    /// Until when it may be relied on, in seconds since 1970.
    pub valid_until: Option<i64>,
    /// Whether indexes can be had by their digests, which is safe while the archive changes.
    pub by_hash: bool,
    /// The components that it has.
    pub components: Vec<String>,
    /// Length and digest of its files, by path.
    pub files: BTreeMap<String, (u64, Sha256)>,
}

/// Why an `InRelease` is not the right one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// A field is missing or makes no sense.
    #[error("its field `{0}` is missing or damaged")]
    Field(&'static str),
    /// It is about another suite.
    #[error(
        "it is of the suite `{suite}` (`{codename}`)\n\nhint: use another mirror, or change `sources.debian.suites`"
    )]
    OtherSuite {
        /// The suite that it is about.
        suite: String,
        /// Its codename.
        codename: String,
    },
    /// Its time is over: the mirror has stopped to follow the archive, or somebody replays it.
    #[error(
        "it was valid until {until}\n\nhint: use another mirror; for a snapshot of the past, set `FACTORY_DEBIAN_CHECK_VALID_UNTIL=no`"
    )]
    Expired {
        /// Its last moment, as written in it.
        until: String,
    },
    /// It was published in the future.
    #[error("it is from the future ({date})\n\nhint: check the clock of this machine")]
    Future {
        /// Its date, as written in it.
        date: String,
    },
    /// The suite has no such component.
    #[error("it has no component `{component}`\n\nhint: there are {}", known.join(", "))]
    NoComponent {
        /// What was asked for.
        component: String,
        /// What there is.
        known: Vec<String>,
    },
}

impl Release {
    /// Reads the text whose signature was verified.
    ///
    /// # Errors
    /// When a field is missing or makes no sense.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut fields = BTreeMap::new();
        control::parse(text.as_bytes(), |item| {
            if let Item::Field(name, value) = item {
                fields.entry(name.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
            }
        })
        .map_err(|_| ReleaseError::Field("Suite"))?;
        let get = |name: &str| fields.get(name).map(String::as_str);
        let date = |name: &str, shown| {
            get(name).map(|text| parse_date(text).ok_or(ReleaseError::Field(shown))).transpose()
        };
        Ok(Release {
            suite: get("suite").unwrap_or_default().to_owned(),
            codename: get("codename").unwrap_or_default().to_owned(),
            date: date("date", "Date")?.ok_or(ReleaseError::Field("Date"))?,
            valid_until: date("valid-until", "Valid-Until")?,
            by_hash: get("acquire-by-hash") == Some("yes"),
            components: get("components").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            files: get("sha256").and_then(parse_files).ok_or(ReleaseError::Field("SHA256"))?,
        })
    }

    /// Checks that this is the suite called `name`, at the time `now` (seconds since 1970).
    ///
    /// # Errors
    /// When it is another suite, over, or from the future.
    pub fn check(&self, name: &str, now: i64, check_valid_until: bool) -> Result<(), ReleaseError> {
        if name != self.suite && name != self.codename {
            let (suite, codename) = (self.suite.clone(), self.codename.clone());
            return Err(ReleaseError::OtherSuite { suite, codename });
        }
        if self.date > now + CLOCK_SLACK {
            return Err(ReleaseError::Future { date: format_date(self.date) });
        }
        match self.valid_until {
            Some(until) if check_valid_until && now > until => {
                Err(ReleaseError::Expired { until: format_date(until) })
            }
            _ => Ok(()),
        }
    }
}

/// Rows of digest, length and path.
fn parse_files(field: &str) -> Option<BTreeMap<String, (u64, Sha256)>> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (digest, size, path) = (words.next()?, words.next()?, words.next()?);
        Some((path.to_owned(), (size.parse().ok()?, digest.parse().ok()?)))
    };
    field.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `Sat, 15 Nov 2025 10:00:41 UTC` (RFC 5322; archives write UTC, old ones call it GMT).
fn parse_date(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "UTC" | "GMT" | "Z" | "+0000"] = words[..] else { return None };
    let month = 1 + MONTHS.iter().position(|name| *name == month)? as i64;
    let clock: Vec<i64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = clock[..] else { return None };
    let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok()?);
    let sound = (1..=31).contains(&day)
        && (1970..10_000).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    sound.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, from March to March, so that the day
/// that some years have more is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// `2025-11-15`, for people.
fn format_date(time: i64) -> String {
    let wanted = time.div_euclid(24 * 60 * 60);
    let year = (1970..).take_while(|year| days(*year, 1, 1) <= wanted).last().unwrap_or(1970);
    let month = (1..=12).rfind(|month| days(year, *month, 1) <= wanted).unwrap_or(1);
    format!("{year}-{month:02}-{:02}", wanted - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: stable\nCodename: trixie\n\
        Date: Sat, 15 Nov 2025 10:00:41 UTC\nValid-Until: Sat, 22 Nov 2025 10:00:41 UTC\n\
        Acquire-By-Hash: yes\nComponents: main contrib\nMD5Sum:\n 0 1 main/x\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-arm64/Packages\n";
    const PUBLISHED: i64 = 1_763_200_841;

    #[test]
    fn the_fields_are_read() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!(release.date, PUBLISHED);
        assert_eq!(release.valid_until, Some(PUBLISHED + 7 * 86_400));
        assert_eq!(release.components, ["main", "contrib"]);
        assert_eq!(release.files["main/binary-arm64/Packages"], (0, Sha256::of(b"")));
        assert!(release.by_hash);
    }

    #[test]
    fn a_release_is_for_its_suite_and_its_time() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!(release.check("trixie", PUBLISHED, true), Ok(()));
        assert_eq!(release.check("stable", PUBLISHED, true), Ok(()));
        let message = |result: Result<(), ReleaseError>| result.unwrap_err().to_string();
        assert_eq!(
            message(release.check("forky", PUBLISHED, true)),
            "it is of the suite `stable` (`trixie`)\n\nhint: use another mirror, or change `sources.debian.suites`"
        );
        let expired = message(release.check("trixie", PUBLISHED + 8 * 86_400, true));
        assert_eq!(
            expired,
            "it was valid until 2025-11-22\n\nhint: use another mirror; for a snapshot of the past, set \
             `FACTORY_DEBIAN_CHECK_VALID_UNTIL=no`"
        );
        assert_eq!(release.check("trixie", PUBLISHED + 8 * 86_400, false), Ok(()));
        let future = message(release.check("trixie", PUBLISHED - 2 * 86_400, true));
        assert_eq!(future, "it is from the future (2025-11-15)\n\nhint: check the clock of this machine");
    }

    #[test]
    fn damaged_fields_are_refused_by_name() {
        let refused = |from: &str, to: &str| Release::parse(&TEXT.replace(from, to)).unwrap_err().to_string();
        assert_eq!(refused("15 Nov 2025 10", "15 Now 2025 10"), "its field `Date` is missing or damaged");
        assert_eq!(
            refused("Valid-Until: Sat,", "Valid-Until:"),
            "its field `Valid-Until` is missing or damaged"
        );
        assert_eq!(refused("        0 main", " x main"), "its field `SHA256` is missing or damaged");
    }

    #[test]
    fn dates_are_read_and_shown_over_centuries() {
        let text = |date| format!("Mon, {date} 00:00:00 UTC");
        assert_eq!(parse_date(&text("1 Jan 1970")), Some(0));
        assert_eq!(parse_date(&text("29 Feb 2000")), Some(951_782_400));
        assert_eq!(parse_date(&text("1 Mar 2100")), Some(4_107_542_400));
        for time in (0..5_000_000_000_i64).step_by(86_400 * 17) {
            let shown = format_date(time);
            let parts: Vec<i64> = shown.split('-').map(|part| part.parse().unwrap()).collect();
            assert_eq!(days(parts[0], parts[1], parts[2]) * 86_400, time, "{shown}");
        }
    }
}
