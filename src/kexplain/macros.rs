//! Variables of the Kconfig macro language. Functions are never called: their values are not known.

use std::collections::BTreeMap;

/// Longest value of a variable, in bytes; a longer one counts as not known.
const LONGEST: usize = 4096;

/// Deepest nesting of references in a reference.
const DEEPEST: usize = 16;

/// The variables that have been set so far.
#[derive(Debug, Default)]
pub(super) struct Macros {
    /// `None` is a value that is not known.
    values: BTreeMap<String, Option<String>>,
}

/// A line that sets a variable: its name, whether it appends, and the value as written.
pub(super) fn assignment(line: &str) -> Option<(&str, bool, &str)> {
    let line = line.trim();
    let end = line.find(|c: char| !is_word(c)).filter(|end| *end > 0)?;
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let (append, value) = match rest.strip_prefix("+=") {
        Some(value) => (true, value),
        None => (false, rest.strip_prefix(":=").or_else(|| rest.strip_prefix('='))?),
    };
    Some((name, append, value.trim()))
}

/// Whether a character may stand in a word that has no quotes.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')
}

/// The reference that a text starts with, `$(` to the bracket that ends it, whatever is quoted in it.
pub(super) fn reference(text: &str) -> Option<&str> {
    if !text.starts_with("$(") {
        return None;
    }
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open += 1,
            b')' if open == 1 => return Some(&text[..=at]),
            b')' => open -= 1,
            _ => {}
        }
    }
    None
}

impl Macros {
    /// Sets a variable to a value that is known.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), Some(value.to_owned()));
    }

    /// Follows a line that sets a variable.
    pub(super) fn assign(&mut self, name: &str, append: bool, value: &str) {
        let value = self.expand(value);
        let before = self.values.get(name).cloned();
        let value = match before {
            Some(before) if append => before.zip(value).map(|(before, more)| format!("{before} {more}")),
            _ => value,
        };
        self.values.insert(name.to_owned(), value.filter(|value| value.len() <= LONGEST));
    }

    /// A text with all references replaced; `None` when one of them is not known.
    pub(super) fn expand(&self, text: &str) -> Option<String> {
        self.expand_at(text, 0)
    }

    fn expand_at(&self, text: &str, depth: usize) -> Option<String> {
        let mut whole = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("$(") {
            whole.push_str(&rest[..at]);
            let reference = reference(&rest[at..])?;
            rest = &rest[at + reference.len()..];
            let name = &reference[2..reference.len() - 1];
            if depth == DEEPEST || name.contains(',') {
                return None;
            }
            let name = self.expand_at(name, depth + 1)?;
            whole.push_str(self.values.get(name.as_str())?.as_deref()?);
            if whole.len() > LONGEST {
                return None;
            }
        }
        whole.push_str(rest);
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_functions_are_not_known() {
        let mut macros = Macros::default();
        macros.set("SRCARCH", "arm64");
        macros.assign("here", false, "arch/$(SRCARCH)");
        macros.assign("here", true, "more");
        macros.assign("gcc", false, "$(shell,echo $(SRCARCH))");
        assert_eq!(macros.expand("$(here)/x").as_deref(), Some("arch/arm64 more/x"));
        assert_eq!(macros.expand("$(gcc)"), None);
        assert_eq!(macros.expand("$(cc-option,-O2)"), None);
        assert_eq!(macros.expand("$(unset)"), None);
        assert_eq!(macros.expand("$(open"), None);
    }

    #[test]
    fn a_value_that_doubles_at_every_line_ends() {
        let mut macros = Macros::default();
        macros.set("a", "xxxxxxxx");
        for _ in 0..64 {
            macros.assign("a", false, "$(a)$(a)");
        }
        assert_eq!(macros.expand("$(a)"), None);
    }

    #[test]
    fn a_line_that_sets_a_variable_is_told_from_others() {
        assert_eq!(assignment("a-b := $(x)  "), Some(("a-b", false, "$(x)")));
        assert_eq!(assignment("a += b"), Some(("a", true, "b")));
        assert_eq!(assignment("if A = B"), None);
        assert_eq!(assignment("config A"), None);
    }
}
