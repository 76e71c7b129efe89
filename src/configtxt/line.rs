//! The lines of a config.txt.
//!
//! ```text
//!   line, of which 98 bytes count     item
//!   # anything                        comment
//!   [pi4]                             filter
//!   key=value                         setting
//!   dtoverlay=NAME,PARAM=VALUE,...    overlay
//!   dtparam=PARAM=VALUE,...           parameters of the overlay before, or of the device tree
//!   initramfs NAME[,NAME] ADDRESS     initramfs; the only one without a `=` besides
//!   include NAME                      another file
//! ```
//! The firmware handles the text as a C string: what follows a NUL is not there.

use super::filter::Filter;

/// Bytes of a line that the firmware reads (`what_is_config_txt.adoc`; 80 in older releases).
pub const LONGEST_LINE: usize = 98;

/// Bytes of the names in an `initramfs` line that the firmware reads: it scans `%64s`, as the text
/// in `start4.elf` shows.
pub const LONGEST_INITRAMFS: usize = 64;

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u32,
    /// Its length in bytes, without the end of the line.
    pub length: usize,
    /// What the firmware makes of its first [`LONGEST_LINE`] bytes.
    pub item: Item,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Nothing.
    Blank,
    /// A comment.
    Comment,
    /// What the lines that follow count for.
    Filter(Filter),
    /// `key=value`.
    Setting {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// `dtoverlay=`, of which this is the value.
    Overlay(String),
    /// `dtparam=`, of which this is the value.
    Param(String),
    /// `initramfs`: the names as they are read, one or several with commas between.
    Initramfs(String),
    /// `include`: a file that stands here instead.
    Include(String),
    /// Nothing that the firmware understands.
    Malformed(String),
}

/// The lines of a file, of which nothing need be text.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = Line> {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    (1..).zip(text.split(|byte| *byte == b'\n')).map(|(number, raw)| line(number, raw))
}

fn line(number: u32, raw: &[u8]) -> Line {
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    let read = String::from_utf8_lossy(&raw[..raw.len().min(LONGEST_LINE)]);
    Line { number, length: raw.len(), item: item(read.trim()) }
}

fn item(text: &str) -> Item {
    let malformed = || Item::Malformed(text.to_owned());
    if text.is_empty() {
        return Item::Blank;
    }
    if text.starts_with('#') {
        return Item::Comment;
    }
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').map_or_else(malformed, |(name, _)| Item::Filter(Filter::parse(name)));
    }
    if let Some(rest) = command(text, "initramfs") {
        return Item::Initramfs(first_word(rest, LONGEST_INITRAMFS).to_owned());
    }
    if let Some(rest) = command(text, "include") {
        return Item::Include(first_word(rest, LONGEST_INITRAMFS).to_owned());
    }
    match text.split_once('=') {
        Some((key, value)) if is_key(key) && !value.starts_with([' ', '\t']) => setting(key, value),
        _ => malformed(),
    }
}

fn setting(key: &str, value: &str) -> Item {
    let (key, value) = (key.to_owned(), value.to_owned());
    match key.as_str() {
        "dtoverlay" => Item::Overlay(value),
        "dtparam" => Item::Param(value),
        _ => Item::Setting { key, value },
    }
}

/// What follows a word that is a command, when it follows after a space.
fn command<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(name)?;
    rest.starts_with([' ', '\t']).then(|| rest.trim_start())
}

/// The first word, cut to `most` bytes as `%64s` does.
fn first_word(text: &str, most: usize) -> &str {
    let word = text.split_whitespace().next().unwrap_or_default();
    let end = (0..=most.min(word.len())).rev().find(|end| word.is_char_boundary(*end));
    &word[..end.unwrap_or(0)]
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && !key.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn only(text: &str) -> Item {
        lines(text.as_bytes()).next().unwrap().item
    }

    #[test]
    fn every_kind_of_line_is_told_apart() {
        let setting = |key: &str, value: &str| Item::Setting { key: key.into(), value: value.into() };
        assert_eq!(only("  kernel=kernel8.img \r"), setting("kernel", "kernel8.img"));
        assert_eq!(only("device_tree="), setting("device_tree", ""));
        assert_eq!(only("# kernel=x"), Item::Comment);
        assert_eq!(only("[pi4]"), Item::Filter(Filter::parse("pi4")));
        assert_eq!(only("dtparam=i2c_arm=on,spi=on"), Item::Param("i2c_arm=on,spi=on".into()));
        assert_eq!(only("dtoverlay="), Item::Overlay(String::new()));
        assert_eq!(only("initramfs  a,b followkernel"), Item::Initramfs("a,b".into()));
        assert_eq!(only("include more.txt"), Item::Include("more.txt".into()));
        for text in ["kernel", "kernel = x", "kernel= x", "=x", "[pi4"] {
            assert_eq!(only(text), Item::Malformed(text.into()));
        }
    }

    #[test]
    fn long_lines_and_names_are_cut_where_the_firmware_cuts_them() {
        let long = format!("kernel={}", "k".repeat(200));
        assert_eq!(only(&long), Item::Setting { key: "kernel".into(), value: "k".repeat(91) });
        let initramfs = format!("initramfs {} followkernel", "i".repeat(70));
        assert_eq!(only(&initramfs), Item::Initramfs("i".repeat(64)));
    }

    #[test]
    fn nothing_follows_a_nul() {
        assert_eq!(lines(b"a=1\nb=2\0\nc=3\n").count(), 2);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(lines(&bytes).count() <= bytes.len() + 1);
        }
    }
}
