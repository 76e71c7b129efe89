//! The language of config.txt and autoboot.txt, as the Raspberry Pi's firmware reads it.
//!
//! ```text
//!   bytes --line--> lines --filter--> those that count for a board --settings--> Settings
//!               \--problems--> what the firmware would silently read otherwise than meant
//! ```
//! Sources: Raspberry Pi documentation, `config_txt/what_is_config_txt.adoc`, `conditional.adoc`,
//! `boot.adoc` and `autoboot.adoc`; what they leave open is said where it is decided.

pub mod autoboot;
mod filter;
mod line;
mod problems;
mod settings;

pub use filter::{Context, Filter, Match, OpenFilters};
pub use line::{Item, LONGEST_INITRAMFS, LONGEST_LINE, Line, lines};
pub use problems::{LARGEST, Place, Problem, Severity, problems, problems_in};
pub use settings::{Assumed, Overlay, Settings};

/// A number as C's `strtoul` reads it: hexadecimal after `0x`, up to the first character that is
/// no digit, and 0 when there is none.
pub fn number(text: &str) -> u32 {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    u32::from_str_radix(&digits[..end], radix).unwrap_or(if end == 0 { 0 } else { u32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_does() {
        assert_eq!([number("2"), number("0x1F"), number("7x"), number("x"), number("")], [2, 31, 7, 0, 0]);
        assert_eq!(number("99999999999"), u32::MAX);
    }
}
