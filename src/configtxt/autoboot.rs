//! autoboot.txt: which partition to boot (`config_txt/autoboot.adoc`).

use std::fmt::Write as _;

use super::filter::OpenFilters;
use super::line::{Item, Line, lines};
use super::number;
use super::problems::{Problem, Severity};

/// Bytes of it that are read.
pub const LARGEST: usize = 512;

/// The keys that it may have.
const KEYS: &[&str] = &["boot_partition", "tryboot_a_b"];

/// Its name, for problems.
const NAME: &str = bootenv::rpi::AUTOBOOT;

/// What it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Autoboot {
    /// The partition to boot; 0 stands for the first that can.
    pub boot_partition: Option<u32>,
    /// Whether a trial differs in nothing but the partition.
    pub tryboot_a_b: bool,
}

/// Reads an autoboot.txt. EEPROMs before 2022-10-18 go past the filters as if they were not there,
/// and do not know `tryboot_a_b`: the last partition named wins.
pub fn evaluate(bytes: &[u8], tryboot: bool, knows_sections: bool) -> Autoboot {
    let mut autoboot = Autoboot::default();
    let mut sections = Sections::default();
    for line in lines(&bytes[..bytes.len().min(LARGEST)]) {
        match line.item {
            Item::Filter(filter) if knows_sections => sections.pass(&filter.text, tryboot),
            Item::Setting { key, value } if sections.count() => match key.as_str() {
                "boot_partition" => autoboot.boot_partition = Some(number(&value)),
                "tryboot_a_b" if knows_sections => autoboot.tryboot_a_b = number(&value) != 0,
                _ => {}
            },
            _ => {}
        }
    }
    autoboot
}

/// The filters that it may have; any other is taken not to match.
#[derive(Default)]
struct Sections {
    none: bool,
    tryboot: Option<bool>,
    other: bool,
}

impl Sections {
    fn pass(&mut self, name: &str, tryboot: bool) {
        match name {
            "all" => *self = Sections::default(),
            "none" => self.none = true,
            "tryboot" => self.tryboot = Some(tryboot),
            _ => self.other = true,
        }
    }

    fn count(&self) -> bool {
        !self.none && !self.other && self.tryboot != Some(false)
    }
}

/// What is wrong with an autoboot.txt.
pub fn problems(bytes: &[u8]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut add = |line, severity, what: String, hint: &str| {
        found.push(Problem { file: NAME.to_owned(), line, severity, what, hint: hint.to_owned() });
    };
    if bytes.len() > LARGEST {
        let what = format!("it has {} bytes, of which {LARGEST} are read", bytes.len());
        add(0, Severity::Error, what, "shorten it");
    }
    if bytes.iter().any(|byte| *byte == 0 || !byte.is_ascii()) {
        let what = "it has bytes that are not text".to_owned();
        add(0, Severity::Error, what, "a write was cut short, or the file is another; write it again");
    }
    let mut open = OpenFilters::default();
    let mut names_partition = false;
    for line in lines(&bytes[..bytes.len().min(LARGEST)]) {
        if let Item::Filter(filter) = &line.item {
            open.pass(line.number, filter);
        }
        names_partition |=
            open.is_empty() && matches!(&line.item, Item::Setting { key, .. } if key == "boot_partition");
        if let Some((what, hint)) = line_problem(&line) {
            add(line.number, Severity::Error, what, hint);
        }
    }
    if !names_partition {
        let what = "no `boot_partition` under `[all]`: the first partition that can boot is taken".to_owned();
        add(0, Severity::Warning, what, "name one");
    }
    found
}

fn line_problem(line: &Line) -> Option<(String, &'static str)> {
    let mut what = String::new();
    let hint = match &line.item {
        Item::Blank | Item::Comment => return None,
        Item::Filter(filter) if filter.is_for_autoboot() => return None,
        Item::Filter(filter) => {
            let _ = write!(what, "`[{}]` is no filter of {NAME}", filter.text);
            "only `[all]`, `[none]` and `[tryboot]` are"
        }
        Item::Setting { key, value } if KEYS.contains(&key.as_str()) => {
            if value.parse::<u32>().is_ok() {
                return None;
            }
            let _ = write!(what, "`{value}` is not a number");
            "write digits only"
        }
        Item::Setting { key, .. } => {
            let _ = write!(what, "`{key}` is no setting of {NAME}");
            "only `boot_partition` and `tryboot_a_b` are; watchdog settings belong in the EEPROM"
        }
        _ => {
            what.push_str("the line is no setting, and is passed over");
            "write `key=value` without spaces"
        }
    };
    Some((what, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VENDORS: &[u8] = b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";

    fn partition(bytes: &[u8], tryboot: bool, knows_sections: bool) -> Option<u32> {
        evaluate(bytes, tryboot, knows_sections).boot_partition
    }

    #[test]
    fn a_trial_takes_the_other_partition_and_old_eeproms_always_do() {
        assert_eq!(partition(VENDORS, false, true), Some(2));
        assert_eq!(partition(VENDORS, true, true), Some(3));
        assert_eq!(partition(VENDORS, false, false), Some(3));
        assert!(evaluate(VENDORS, true, true).tryboot_a_b && !evaluate(VENDORS, true, false).tryboot_a_b);
        assert_eq!(problems(VENDORS), []);
    }

    #[test]
    fn only_one_sector_is_read() {
        let text = [VENDORS, &b"\n".repeat(448), b"[all]\nboot_partition=4\n"].concat();
        assert_eq!(text.iter().position(|byte| *byte == b'4'), Some(533));
        assert_eq!(partition(&text, false, true), Some(2));
        assert_eq!(problems(&text)[0].to_string(), "autoboot.txt: it has 535 bytes, of which 512 are read");
    }

    #[test]
    fn what_it_cannot_say_is_named() {
        let text =
            b"[pi4]\nboot_partition=2\n[all]\nboot_partition=b\nboot_watchdog_timeout=9\nboot_partition 2";
        let found: Vec<String> = problems(text).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "autoboot.txt:1: `[pi4]` is no filter of autoboot.txt",
                "autoboot.txt:4: `b` is not a number",
                "autoboot.txt:5: `boot_watchdog_timeout` is no setting of autoboot.txt",
                "autoboot.txt:6: the line is no setting, and is passed over",
            ]
        );
        assert_eq!(problems(b"\xff\xff")[0].severity, Severity::Error);
        assert_eq!(problems(b"")[0].severity, Severity::Warning);
    }

    proptest! {
        #[test]
        fn no_change_of_it_makes_it_panic(at in 0..VENDORS.len(), with: u8, cut in 0..70_usize) {
            let mut bytes = VENDORS.to_vec();
            bytes[at] = with;
            bytes.truncate(cut);
            let _ = (evaluate(&bytes, true, true), evaluate(&bytes, false, false), problems(&bytes));
        }
    }
}
