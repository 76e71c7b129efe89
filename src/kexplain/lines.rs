//! The lines of a Kconfig file: joined at a backslash, and those of a help text as they stand.

use std::borrow::Cow;

/// Columns from one tab stop to the next.
const TAB: usize = 8;

/// What is left of a file.
pub(super) struct Lines<'a> {
    rest: &'a str,
    /// Number of the last line that was taken, from 1.
    number: u32,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, number: 0 }
    }

    /// The next line, with those that it goes on in, and the number of the first.
    pub(super) fn logical(&mut self) -> Option<(u32, Cow<'a, str>)> {
        let mut line = Cow::Borrowed(self.physical()?);
        let first = self.number;
        // A comment goes to the end of its own line.
        if line.trim_start().starts_with('#') {
            return Some((first, line));
        }
        while let Some(kept) = line.strip_suffix('\\').map(str::len) {
            let joined = line.to_mut();
            joined.truncate(kept);
            joined.push(' ');
            joined.push_str(self.physical().unwrap_or_default());
        }
        Some((first, line))
    }

    /// A help text: all lines that stand as far to the right as its first.
    pub(super) fn help(&mut self) -> String {
        let mut text = String::new();
        let mut margin = None;
        loop {
            let (line, _) = first_line(self.rest);
            let blank = line.trim().is_empty();
            if self.rest.is_empty() || !blank && indent(line) < margin.unwrap_or(1) {
                return text.trim_end().to_owned();
            }
            self.physical();
            if !blank {
                let margin = *margin.get_or_insert(indent(line));
                text.extend(std::iter::repeat_n(' ', indent(line) - margin));
                text.push_str(line.trim());
            }
            if margin.is_some() {
                text.push('\n');
            }
        }
    }

    fn physical(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = first_line(self.rest);
        self.rest = rest;
        self.number = self.number.saturating_add(1);
        Some(line)
    }
}

fn first_line(text: &str) -> (&str, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    (line.strip_suffix('\r').unwrap_or(line), rest)
}

/// The column at which a line starts, from 0.
fn indent(line: &str) -> usize {
    let mut column = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => column += 1,
            b'\t' => column += TAB - column % TAB,
            _ => break,
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_joins_lines_and_the_number_is_that_of_the_first() {
        let mut lines = Lines::new("a \\\n b\\\nc\n# d \\");
        assert_eq!(lines.logical(), Some((1, "a   b c".into())));
        assert_eq!(lines.logical(), Some((4, "# d \\".into())));
        assert_eq!(lines.logical(), None);
    }

    #[test]
    fn a_help_text_ends_where_the_margin_is_left() {
        let mut lines = Lines::new("\n\t  one\n\t    two\n\n          three\n\tconfig B\n");
        assert_eq!(lines.help(), "one\n  two\n\nthree");
        assert_eq!(lines.logical(), Some((6, "\tconfig B".into())));
        assert_eq!(Lines::new("config C\n").help(), "");
    }
}
