//! What is wrong with a config.txt, as far as the file alone can tell.
//!
//! The firmware never complains: what it does not understand it passes over, and what is too long
//! it cuts. So most of these are settings that silently do not do what they say.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::filter::OpenFilters;
use super::line::{Item, LONGEST_INITRAMFS, LONGEST_LINE, Line, lines};

/// Bytes of a config.txt that all boards read (raspberrypi/firmware, 1848).
pub const LARGEST: usize = 16 << 10;

/// Settings that the stage before `start4.elf` reads, which follows no `include`.
const EARLY: &[&str] = &["start_file", "fixup_file", "gpu_mem", "total_mem", "uart_2ndstage", "boot_ramdisk"];

/// Settings that name files.
const NAMES: &[&str] = &[
    "kernel",
    "ramfsfile",
    "cmdline",
    "device_tree",
    "os_prefix",
    "overlay_prefix",
    "start_file",
    "fixup_file",
];

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line; 0 for the file as a whole.
    pub line: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, and what follows from it.
    pub what: String,
    /// A way out.
    pub hint: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It does what it says, but perhaps not what is meant.
    Warning,
    /// It does not do what it says.
    Error,
}

/// Where a text is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file that all stages of the firmware read.
    Config,
    /// A file that it includes.
    Include,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

/// What is wrong with a config.txt, in the order of its lines.
pub fn problems(bytes: &[u8]) -> Vec<Problem> {
    problems_in(bootenv::rpi::CONFIG, bytes, Place::Config)
}

/// What is wrong with a text of this language that has another name, or is included by another.
pub fn problems_in(file: &str, bytes: &[u8], place: Place) -> Vec<Problem> {
    let mut found = whole_file(bytes);
    let mut open = OpenFilters::default();
    let mut trees = BTreeMap::new();
    for (line, raw) in lines(bytes).zip(bytes.split(|byte| *byte == b'\n')) {
        if let Item::Filter(filter) = &line.item {
            open.pass(line.number, filter);
        }
        let seen = Seen { line: &line, raw, open: &open, place };
        let complaints = LINE_RULES.iter().filter_map(|rule| rule(&seen));
        found.extend(complaints.chain(conflict(&seen, &mut trees)).map(|said| (line.number, said)));
    }
    if let Some((line, filter)) = open.iter().min_by_key(|(line, _)| *line) {
        let what = format!("`[{}]` is still in effect at the end of the file", filter.text);
        found.push((line, warning(what, "end every block with `[all]`")));
    }
    found.sort_by_key(|(line, _)| *line);
    let problem = |(line, Said { severity, what, hint })| Problem {
        file: file.to_owned(),
        line,
        severity,
        what,
        hint: hint.to_owned(),
    };
    found.into_iter().map(problem).collect()
}

/// A line, and where it stands.
struct Seen<'a> {
    line: &'a Line,
    /// All bytes of it.
    raw: &'a [u8],
    open: &'a OpenFilters,
    place: Place,
}

impl Seen<'_> {
    fn setting(&self) -> Option<(&str, &str)> {
        match &self.line.item {
            Item::Setting { key, value } => Some((key, value)),
            Item::Initramfs(value) => Some(("ramfsfile", value)),
            _ => None,
        }
    }
}

/// What a rule says.
struct Said {
    severity: Severity,
    what: String,
    hint: &'static str,
}

fn error(what: String, hint: &'static str) -> Said {
    Said { severity: Severity::Error, what, hint }
}

fn warning(what: String, hint: &'static str) -> Said {
    Said { severity: Severity::Warning, what, hint }
}

fn whole_file(bytes: &[u8]) -> Vec<(u32, Said)> {
    let mut found = Vec::new();
    if bytes.len() > LARGEST {
        let what = format!("it has {} bytes; over {LARGEST} Raspberry Pi 5 does not start", bytes.len());
        found.push((0, error(what, "remove comments, or what is for other boards")));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let what = format!("byte {at} is a NUL, and what follows it is not read");
        found.push((0, error(what, "the file is damaged; write it again")));
    }
    found
}

/// The rules for single lines.
const LINE_RULES: &[fn(&Seen<'_>) -> Option<Said>] =
    &[too_long, not_ascii, unknown_filter, malformed, long_initramfs, early_elsewhere, odd_path, forced_tree];

fn too_long(seen: &Seen<'_>) -> Option<Said> {
    let length = seen.line.length;
    let what = || format!("the line has {length} characters, of which {LONGEST_LINE} are read");
    let is_bad = length > LONGEST_LINE && seen.line.item != Item::Comment;
    is_bad.then(|| error(what(), "shorten it; overlay parameters can go into `dtparam=` lines of their own"))
}

fn not_ascii(seen: &Seen<'_>) -> Option<Said> {
    let is_bad = !seen.raw.is_ascii() && seen.line.item != Item::Comment;
    is_bad.then(|| error("the line has characters that are not ASCII".to_owned(), "write it in ASCII"))
}

fn unknown_filter(seen: &Seen<'_>) -> Option<Said> {
    let Item::Filter(filter) = &seen.line.item else { return None };
    let what = || format!("`[{}]` is no filter that is known, and is taken not to match", filter.text);
    (!filter.is_known()).then(|| error(what(), "correct it; filters are written in lower case"))
}

fn malformed(seen: &Seen<'_>) -> Option<Said> {
    let Item::Malformed(text) = &seen.line.item else { return None };
    let spaced = text.split_once('=').is_some_and(|(key, value)| {
        key.trim_end().len() < key.len() || value.trim_start().len() < value.len()
    });
    Some(if spaced {
        error("there are spaces around `=`, so nothing is set".to_owned(), "remove them")
    } else {
        error(format!("`{text}` is no setting, and is passed over"), "write `key=value`, or `#` before it")
    })
}

fn long_initramfs(seen: &Seen<'_>) -> Option<Said> {
    let Item::Initramfs(_) = seen.line.item else { return None };
    let word = seen.raw.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(1)?;
    let what = || format!("the name has {} characters, of which {LONGEST_INITRAMFS} are read", word.len());
    (word.len() > LONGEST_INITRAMFS).then(|| error(what(), "shorten it"))
}

fn early_elsewhere(seen: &Seen<'_>) -> Option<Said> {
    let (key, _) = seen.setting().filter(|(key, _)| EARLY.contains(key))?;
    if seen.place == Place::Include {
        let what = format!("`{key}` is read before files are included, so it does nothing here");
        return Some(error(what, "put it into config.txt itself"));
    }
    let (_, filter) = seen.open.iter().find(|(_, filter)| !filter.is_plain())?;
    let what = format!("`{key}` is read before `[{}]` can be decided", filter.text);
    Some(error(what, "put it under `[all]`, or under a model"))
}

fn odd_path(seen: &Seen<'_>) -> Option<Said> {
    let (_, value) = seen.setting().filter(|(key, _)| NAMES.contains(key))?;
    let is_bad = value.contains('\\') || value.split(['/', ',']).any(|part| matches!(part, "." | ".."));
    let what = || format!("`{value}` is no path that the firmware follows");
    let hint = "name it from the root of the partition, with `/` between, without `.` and `..`";
    is_bad.then(|| error(what(), hint))
}

fn forced_tree(seen: &Seen<'_>) -> Option<Said> {
    let (_, value) = seen.setting().filter(|(key, _)| *key == "device_tree")?;
    let for_pi5 = |name: &str| name.starts_with("pi5") || name == "cm5";
    let mut models = seen.open.iter().map(|(_, filter)| filter.text.as_str());
    let is_bad = !seen.open.chooses_model() || models.any(for_pi5);
    let what = || format!("`device_tree={value}` is forced on every stepping of Raspberry Pi 5");
    is_bad.then(|| warning(what(), "leave it out, or put it under the filter of the one board that needs it"))
}

/// Two device trees for the same boards.
fn conflict(seen: &Seen<'_>, trees: &mut BTreeMap<String, (u32, String)>) -> Option<Said> {
    let (_, value) = seen.setting().filter(|(key, _)| *key == "device_tree")?;
    let filters: Vec<&str> = seen.open.iter().map(|(_, filter)| filter.text.as_str()).collect();
    let before = trees.insert(filters.join(" "), (seen.line.number, value.to_owned()));
    let (line, other) = before.filter(|(_, other)| other != value)?;
    let what = format!("`device_tree={value}` replaces `{other}` of line {line}");
    Some(error(what, "keep one of them"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> Vec<String> {
        problems(text.as_bytes()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_has_none() {
        let good = "# A comment may be ü and as long as it wants to be, which this one here surely is, is it not? yes\n\
                    arm_64bit=1\r\nkernel=kernel8.img\ninitramfs initramfs8 followkernel\n\
                    [cm4]\ndevice_tree=bcm2711-rpi-cm4-io.dtb\nstart_file=start4.elf\n[all]\n\
                    dtoverlay=disable-bt\n";
        assert_eq!(said(good), [""; 0]);
    }

    #[test]
    fn each_rule_names_the_line_and_what_follows() {
        let cases = [
            (
                format!("kernel={}", "k".repeat(92)),
                "config.txt:1: the line has 99 characters, of which 98 are read",
            ),
            ("kernel=kérnel".to_owned(), "config.txt:1: the line has characters that are not ASCII"),
            (
                format!("initramfs {} followkernel", "i".repeat(65)),
                "config.txt:1: the name has 65 characters, of which 64 are read",
            ),
            (
                "[pi4]\n[all]\n[pi6]\n[all]".to_owned(),
                "config.txt:3: `[pi6]` is no filter that is known, and is taken not to match",
            ),
            (
                "a=1\n[pi4]\nb=2\n[tryboot]\n".to_owned(),
                "config.txt:2: `[pi4]` is still in effect at the end of the file",
            ),
            ("kernel = x".to_owned(), "config.txt:1: there are spaces around `=`, so nothing is set"),
            ("kernel".to_owned(), "config.txt:1: `kernel` is no setting, and is passed over"),
            ("a=1\0b=2".to_owned(), "config.txt: byte 3 is a NUL, and what follows it is not read"),
            ("#\n".repeat(8193), "config.txt: it has 16386 bytes; over 16384 Raspberry Pi 5 does not start"),
            (
                "[gpio4=1]\nstart_file=x\n[all]".to_owned(),
                "config.txt:2: `start_file` is read before `[gpio4=1]` can be decided",
            ),
            ("kernel=../k".to_owned(), "config.txt:1: `../k` is no path that the firmware follows"),
            (
                "device_tree=x.dtb".to_owned(),
                "config.txt:1: `device_tree=x.dtb` is forced on every stepping of Raspberry Pi 5",
            ),
            (
                "[cm4]\ndevice_tree=a\ndevice_tree=b\n[all]".to_owned(),
                "config.txt:3: `device_tree=b` replaces `a` of line 2",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(said(&text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_read_early_must_not_be_included() {
        let found = problems_in("more.txt", b"gpu_mem=16\nenable_uart=1\n", Place::Include);
        let text = "more.txt:1: `gpu_mem` is read before files are included, so it does nothing here";
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = problems(&bytes);
        }
    }
}
