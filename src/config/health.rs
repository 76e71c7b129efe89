//! `[health]` of a project file.

use serde::{Deserialize, Serialize};

/// Least and most seconds of a trial.
const TIMEOUT: std::ops::RangeInclusive<i64> = 10..=86_400;

/// `[health]`: how a trial is judged.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// The program that says whether the system is well.
    pub check: Option<Check>,
    /// How long a trial may take until it is.
    pub timeout: Option<Timeout>,
    /// Whether a hardware watchdog runs meanwhile.
    pub watchdog: Option<bool>,
}

/// A program by its path on the device, and its arguments, as words between spaces. No shell reads
/// them but to split them, so that it needs none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Check(pub String);

/// Seconds since the kernel's start, 10 to 86,400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "i64")]
pub struct Timeout(pub u32);

impl TryFrom<String> for Check {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || " ./_-+:=,@%".contains(c);
        if text.split(' ').next().is_none_or(|program| !program.starts_with('/') || program.ends_with('/')) {
            return Err(format!(
                "`{text}` is no check; it starts with the path of a program, as in \"/payload/health\""
            ));
        }
        match text.chars().find(|c| !plain(*c)) {
            None => Ok(Check(text.split_whitespace().collect::<Vec<_>>().join(" "))),
            Some(wrong) => Err(format!(
                "a check cannot hold {wrong:?}, as no shell reads it; name a script that does what is meant"
            )),
        }
    }
}

impl TryFrom<i64> for Timeout {
    type Error = String;

    fn try_from(seconds: i64) -> Result<Self, String> {
        let is_fit = TIMEOUT.contains(&seconds);
        let seconds = u32::try_from(seconds).ok().filter(|_| is_fit);
        seconds.map(Timeout).ok_or_else(|| "a trial takes 10 to 86400 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, FILE};

    fn parse(line: &str) -> Result<Config, String> {
        Config::parse(&format!("[health]\n{line}\n"), FILE).map_err(|error| error.to_string())
    }

    #[test]
    fn a_check_is_a_program_with_its_arguments() {
        let config = parse("check = \"/usr/bin/systemctl  is-system-running --wait\"").unwrap();
        let check = config.health.check.unwrap();
        assert_eq!(check.0, "/usr/bin/systemctl is-system-running --wait");
    }

    #[test]
    fn what_is_no_program_and_needs_a_shell_is_refused() {
        for check in ["", "health", "./health", "/", "/ x", "payload/health"] {
            let error = parse(&format!("check = \"{check}\"")).unwrap_err();
            assert!(error.contains("is no check; it starts"), "{error}");
        }
        for check in ["/a && /b", "/a $HOME", "/a *", "/a\\n", "/a 'b c'", "/é"] {
            let error = parse(&format!("check = \"{check}\"")).unwrap_err();
            assert!(error.contains("as no shell reads it") && error.contains("factory.toml:2"), "{error}");
        }
    }

    #[test]
    fn a_trial_takes_neither_no_time_nor_for_ever() {
        assert_eq!(parse("timeout = 600").unwrap().health.timeout.unwrap().0, 600);
        for seconds in ["-1", "0", "9", "86401", "5000000000"] {
            assert!(parse(&format!("timeout = {seconds}")).unwrap_err().starts_with("a trial takes 10 to"));
        }
        assert!(parse("timeout = \"2 min\"").unwrap_err().starts_with("invalid type: string"));
    }
}
