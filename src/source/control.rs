//! Control data (Debian Policy 5.1, deb822(5)): paragraphs of `Field: value` lines, a value going
//! on in lines that start with a space.

use std::io::{self, BufRead, Read};

/// The longest line that is read, in bytes. The longest in Debian are the `Provides` of some
/// Rust and Haskell packages with some 30 kB.
const MAX_LINE: u64 = 4 << 20;

/// Calls `each` with each field's name and value, and at the end of each paragraph. The lines of a
/// value are joined by line feeds; comments are left out. Bytes that are not UTF-8 are replaced,
/// as they can only be in descriptions.
///
/// # Errors
/// When `text` cannot be read, or has a line that is longer than 4 MiB or not a field's.
pub fn parse(mut text: impl BufRead, mut each: impl FnMut(Item)) -> io::Result<()> {
    let mut current: Option<(String, String)> = None;
    let mut open = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = (&mut text).take(MAX_LINE).read_until(b'\n', &mut line)?;
        let shown = String::from_utf8_lossy(&line);
        let trimmed = shown.trim_end();
        if count as u64 == MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
        }
        if count > 0 && trimmed.starts_with('#') {
            continue;
        }
        if count > 0 && !trimmed.is_empty() && trimmed.starts_with([' ', '\t']) {
            let (_, value) = current.as_mut().ok_or_else(|| not_a_field(trimmed))?;
            value.push('\n');
            value.push_str(trimmed.trim_start());
            continue;
        }
        if let Some((name, value)) = current.take() {
            each(Item::Field(&name, &value));
            open = true;
        }
        if trimmed.is_empty() && open {
            each(Item::End);
            open = false;
        }
        if count == 0 {
            return Ok(());
        }
        if !trimmed.is_empty() {
            let (name, value) = trimmed.split_once(':').ok_or_else(|| not_a_field(trimmed))?;
            current = Some((name.to_owned(), value.trim().to_owned()));
        }
    }
}

/// What [`parse`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A field's name, as written, and its value.
    Field(&'a str, &'a str),
    /// The end of a paragraph.
    End,
}

fn not_a_field(line: &str) -> io::Error {
    let start: String = line.chars().take(60).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("`{start}` is not a field"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> io::Result<Vec<String>> {
        let mut items = Vec::new();
        parse(text.as_bytes(), |item| {
            items.push(match item {
                Item::Field(name, value) => format!("{name}={value}"),
                Item::End => "end".to_owned(),
            });
        })?;
        Ok(items)
    }

    #[test]
    fn paragraphs_end_at_empty_lines_and_at_the_end() {
        let text = "\n\nA: 1\nB:\n 2\n 3\n# no field\n\n \nC: 4";
        assert_eq!(all(text).unwrap(), ["A=1", "B=\n2\n3", "end", "C=4", "end"]);
        assert_eq!(all("").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_field_is_refused() {
        assert_eq!(all("A: 1\nnonsense\n").unwrap_err().to_string(), "`nonsense` is not a field");
        assert_eq!(all(" 1\n").unwrap_err().to_string(), "` 1` is not a field");
    }
}
