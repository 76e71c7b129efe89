//! Text of strangers in a page: names of files, labels, variables.

use std::fmt;

/// Most characters of a text that are shown: names are shorter, and hostile ones are not worth more.
const MOST: usize = 160;

/// Most accents on one letter: a pile of them would be drawn over the lines above.
const ACCENTS: usize = 2;

/// What stands where a character must not.
const INSTEAD: char = '\u{fffd}';

/// A text between tags, or in an attribute in double quotes. Whatever it is, it stays a text, of one line,
/// of bounded length, whose letters come in the order in which they stand there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.chars().count();
        let hidden = if length > MOST { MOST / 2..length - MOST / 2 } else { length..length };
        let mut accents = 0;
        for (at, letter) in self.0.chars().enumerate() {
            accents = if is_accent(letter) { accents + 1 } else { 0 };
            match letter {
                _ if at == hidden.start => f.write_str("…")?,
                _ if hidden.contains(&at) || accents > ACCENTS => {}
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ if is_unseen(letter) => write!(f, "{INSTEAD}")?,
                _ => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}

/// Marks that stand above or below the letter before them (blocks of the Unicode standard).
fn is_accent(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

/// Characters that are not seen but do something, such as turning the direction of the text: controls, and
/// what Unicode calls `Default_Ignorable_Code_Point`, line separators and interlinear marks.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_and_marks_that_turn_the_text_are_harmless() {
        let shown = Text("<script>\"'&\u{202e}gpj\u{7}\n").to_string();
        assert_eq!(shown, "&lt;script&gt;&quot;&#39;&amp;\u{fffd}gpj\u{fffd}\u{fffd}");
        assert_eq!(Text("e\u{301}\u{301}\u{301}\u{301}").to_string(), "e\u{301}\u{301}");
        assert_eq!(Text("שלום.txt").to_string(), "שלום.txt");
    }

    #[test]
    fn a_long_text_keeps_both_ends() {
        let shown = Text(&format!("start{}end", "x".repeat(10_000))).to_string();
        assert_eq!(shown.chars().count(), MOST + 1);
        assert!(shown.starts_with("start") && shown.contains('…') && shown.ends_with("end"));
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(text in any::<String>()) {
            let shown = Text(&text).to_string();
            prop_assert!(!shown.contains(['<', '>', '"', '\'']));
            prop_assert!(!shown.chars().any(is_unseen));
            prop_assert!(shown.len() <= 6 * (MOST + 1));
        }
    }
}
