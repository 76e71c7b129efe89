//! Values of symbols, as they stand in a `.config`.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use super::PREFIX;

/// Value of a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Off: `n`, or "is not set".
    No,
    /// A module: `m`.
    Module,
    /// Part of the kernel: `y`.
    Yes,
    /// A decimal or hexadecimal number, as written.
    Number(String),
    /// A text, without its quotes and escapes.
    Text(String),
}

/// Why a text is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing stands after the equals sign.
    #[error("has no value: write `n` to turn it off, or `\"\"` for an empty text")]
    Empty,
    /// It begins or ends with white space.
    #[error("has white space around its value, which Kconfig takes for a part of it")]
    Space,
    /// A word that is neither `y`, `m` nor `n`. Kconfig empties such a text without a word.
    #[error("is set to a word without quotes: a text needs them, and only `y`, `m` and `n` have none")]
    NoQuotes,
    /// The second quote is missing.
    #[error("has a text whose quotes do not end on its line")]
    OpenQuotes,
    /// Something follows the second quote.
    #[error("has something after the quotes of its text: write `\\\"` for a quote inside")]
    AfterQuotes,
    /// It begins like a number and is none.
    #[error("is set to no number that Kconfig takes: write `12`, `-3` or `0x1f`")]
    Number,
}

impl Value {
    /// Reads what follows the equals sign.
    ///
    /// # Errors
    /// When Kconfig would not read it as the value that it looks like.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        match text {
            "y" => Ok(Value::Yes),
            "m" => Ok(Value::Module),
            "n" => Ok(Value::No),
            "" => Err(Malformed::Empty),
            _ if text.trim() != text => Err(Malformed::Space),
            _ if text.starts_with('"') => quoted(&text[1..]).map(Value::Text),
            _ if is_number(text) => Ok(Value::Number(text.to_owned())),
            _ if looks_numeric(text) => Err(Malformed::Number),
            _ => Err(Malformed::NoQuotes),
        }
    }

    /// Whether both mean the same, however a number is written.
    pub fn is_same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => {
                a == b || integer(a).is_some_and(|a| integer(b) == Some(a))
            }
            _ => self == other,
        }
    }

    /// The line of a `.config` that gives `symbol` this value, without line end.
    pub fn line(&self, symbol: &str) -> String {
        match self {
            Value::No => format!("# {PREFIX}{symbol} is not set"),
            _ => format!("{PREFIX}{symbol}={self}"),
        }
    }
}

/// Reads a text up to its second quote. A backslash takes any character as it is
/// (`conf_set_sym_val` in `scripts/kconfig/confdata.c`).
fn quoted(text: &str) -> Result<String, Malformed> {
    let mut read = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return Ok(read),
            '"' => return Err(Malformed::AfterQuotes),
            '\\' => read.push(characters.next().ok_or(Malformed::OpenQuotes)?),
            _ => read.push(character),
        }
    }
    Err(Malformed::OpenQuotes)
}

/// Whether it is a number to Kconfig (`sym_string_valid` in `scripts/kconfig/symbol.c`, which for
/// hexadecimal symbols would also take digits without `0x`).
fn is_number(text: &str) -> bool {
    if let Some(digits) = hexadecimal(text) {
        return !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leads_with_zero = digits.len() > 1 && digits.starts_with('0');
    !digits.is_empty() && !leads_with_zero && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn looks_numeric(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    text.starts_with(|first: char| first.is_ascii_digit())
}

fn hexadecimal(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

fn integer(text: &str) -> Option<i128> {
    match hexadecimal(text) {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::No => f.write_str("n"),
            Value::Module => f.write_str("m"),
            Value::Yes => f.write_str("y"),
            Value::Number(number) => f.write_str(number),
            Value::Text(text) => write!(f, "\"{}\"", escaped(text)),
        }
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['"', '\\']) {
        text.replace('\\', "\\\\").replace('"', "\\\"").into()
    } else {
        text.into()
    }
}

impl Serialize for Value {
    /// As it is displayed.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_value_is_read_and_the_wrong_ones_say_why() {
        let number = |text: &str| Ok(Value::Number(text.to_owned()));
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        let rows = [
            ("y", Ok(Value::Yes)),
            ("m", Ok(Value::Module)),
            ("n", Ok(Value::No)),
            ("0", number("0")),
            ("-12", number("-12")),
            ("0x1F", number("0x1F")),
            ("\"\"", text("")),
            (r#""a \"b\" \\""#, text(r#"a "b" \"#)),
            ("", Err(Malformed::Empty)),
            ("y ", Err(Malformed::Space)),
            ("Y", Err(Malformed::NoQuotes)),
            ("'a'", Err(Malformed::NoQuotes)),
            ("-", Err(Malformed::NoQuotes)),
            ("-noquote", Err(Malformed::NoQuotes)),
            ("\"", Err(Malformed::OpenQuotes)),
            ("\"a\\\"", Err(Malformed::OpenQuotes)),
            ("\"a\" # why", Err(Malformed::AfterQuotes)),
            ("007", Err(Malformed::Number)),
            ("0x", Err(Malformed::Number)),
            ("6.12", Err(Malformed::Number)),
            ("-0x1", Err(Malformed::Number)),
        ];
        for (given, expected) in rows {
            assert_eq!(Value::parse(given), expected, "{given}");
        }
    }

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        let number = |text: &str| Value::parse(text).unwrap();
        assert!(number("0x10").is_same(&number("16")) && number("0xa").is_same(&number("0X0A")));
        assert!(!number("10").is_same(&number("0x10")) && !number("0").is_same(&Value::No));
        let long = "9".repeat(99);
        assert!(number(&long).is_same(&number(&long)) && !number(&long).is_same(&number("9")));
    }

    proptest! {
        #[test]
        fn any_text_survives_its_quotes(text in "\\PC*") {
            let value = Value::Text(text);
            prop_assert_eq!(Value::parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn what_is_read_is_printed_as_it_was_and_no_text_makes_it_panic(
            text in "[-ymn0-9xa-f\"\\\\]{0,6}|.{0,9}",
        ) {
            if let Ok(value) = Value::parse(&text) {
                prop_assert_eq!(Value::parse(&value.to_string()), Ok(value));
            }
        }
    }
}
