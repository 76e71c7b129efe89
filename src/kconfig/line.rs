//! One line of a fragment.
//!
//! ```text
//!   CONFIG_NAME=VALUE            a setting
//!   # CONFIG_NAME is not set     a setting, too
//!   # override: REASON           the next line may contradict an earlier fragment
//!   # anything else              a comment
//! ```
//! To the kernel's tools everything else is a comment or noise. Here it is an error, and so are comments
//! that were surely meant to be more.

use super::PREFIX;
use super::config::{is_symbol, split};
use super::problem::Fault;
use super::value::Value;

/// Characters of a line that an error shows.
const SHOWN: usize = 60;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// Nothing.
    Nothing,
    /// The next line is an override, for this reason.
    Mark(&'a str),
    /// A symbol has a value.
    Set(&'a str, Value),
}

/// Reads a line, without its end.
pub(super) fn read(line: &str) -> Result<Item<'_>, Fault> {
    if let Some(character) = line.chars().find(|character| !matches!(character, ' '..='~' | '\t')) {
        return Err(Fault::Character(character));
    }
    if line.trim().is_empty() {
        return Ok(Item::Nothing);
    }
    match split(line) {
        Some((symbol, value)) => set(symbol, value),
        None if line.starts_with('#') => comment(line),
        None => Err(wrong(line)),
    }
}

fn set<'a>(symbol: &'a str, value: Option<&str>) -> Result<Item<'a>, Fault> {
    if is_in_small_letters(symbol) {
        return Err(Fault::SmallLetters(symbol.to_owned()));
    }
    match value.map_or(Ok(Value::No), Value::parse) {
        Ok(value) => Ok(Item::Set(symbol, value)),
        Err(malformed) => Err(Fault::Value { symbol: symbol.to_owned(), malformed }),
    }
}

/// Real symbols have small letters for numbers that vary, as in `MT76x02_LIB`, and in the likes of
/// `VFPv3`, but no word of them begins like `virtio` or `Virtio`.
fn is_in_small_letters(symbol: &str) -> bool {
    let small = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_lowercase);
    symbol.split('_').map(str::as_bytes).any(|word| {
        let begins_capital = word.first().is_some_and(u8::is_ascii_uppercase);
        small(word.first()) || begins_capital && small(word.get(1).filter(|second| **second != b'x'))
    })
}

fn comment(line: &str) -> Result<Item<'_>, Fault> {
    if let Some(reason) = line.strip_prefix("# override: ").map(str::trim).filter(|reason| !reason.is_empty())
    {
        return Ok(Item::Mark(reason));
    }
    let text = line.trim_start_matches(['#', ' ', '\t']);
    if let Some(symbol) = seems_unset(text) {
        return Err(Fault::NotUnset { line: shown(line), symbol });
    }
    let word = text.split(':').next().filter(|word| word.len() < text.len()).unwrap_or_default();
    if word.trim().eq_ignore_ascii_case("override") {
        return Err(Fault::Mark(shown(line)));
    }
    Ok(Item::Nothing)
}

/// The symbol of a text that looks like "is not set", with or without `CONFIG_`. A sentence such as
/// "it is not set" has none.
fn seems_unset(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().take(5).collect();
    let [name, is, not, set] = words[..] else { return None };
    let matches = |word: &str, expected: &str| word.trim_end_matches('.').eq_ignore_ascii_case(expected);
    let name = name.to_ascii_uppercase().strip_prefix(PREFIX).map_or_else(
        || (!name.bytes().any(|byte| byte.is_ascii_lowercase())).then(|| name.to_owned()),
        |symbol| Some(symbol.to_owned()),
    )?;
    (is_symbol(&name) && matches(is, "is") && matches(not, "not") && matches(set, "set")).then_some(name)
}

/// Why a line that is neither a setting nor a comment is not one.
fn wrong(line: &str) -> Fault {
    if let Some(symbol) = seems_unset(line) {
        return Fault::NotUnset { line: shown(line), symbol };
    }
    match line.split_once('=') {
        Some((name, _)) if is_symbol(name) && !name.to_ascii_uppercase().starts_with(PREFIX) => {
            Fault::Prefix(shown(line))
        }
        Some((name, _)) if is_symbol(name) && !name.starts_with(PREFIX) => {
            Fault::SmallLetters(name.to_owned())
        }
        _ => Fault::Line(shown(line)),
    }
}

/// The beginning of a line, fit to be shown.
fn shown(line: &str) -> String {
    let shown: String = line.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if line.chars().nth(SHOWN).is_some() { shown + "..." } else { shown }
}
