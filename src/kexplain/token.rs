//! The words of a line.

use super::macros::{Macros, is_word, reference};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Without quotes: a keyword, a symbol or a number.
    Word(String),
    /// A text in quotes.
    Text(String),
    /// A word or a text with a reference whose value is not known, as it is written.
    Macro(String),
    /// A sign.
    Sign(Sign),
}

/// A sign of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    And,
    Or,
    Not,
    Open,
    Close,
    Compare(Compare),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// All signs; one that another starts with comes after it.
const SIGNS: &[(&str, Sign)] = &[
    ("&&", Sign::And),
    ("||", Sign::Or),
    ("!=", Sign::Compare(Compare::Unequal)),
    ("<=", Sign::Compare(Compare::AtMost)),
    (">=", Sign::Compare(Compare::AtLeast)),
    ("=", Sign::Compare(Compare::Equal)),
    ("<", Sign::Compare(Compare::Less)),
    (">", Sign::Compare(Compare::More)),
    ("!", Sign::Not),
    ("(", Sign::Open),
    (")", Sign::Close),
];

impl Compare {
    /// The sign as it is written.
    pub(super) fn sign(self) -> &'static str {
        SIGNS.iter().find(|(_, sign)| *sign == Sign::Compare(self)).map_or("", |(text, _)| text)
    }
}

/// The words of a line up to a comment; `None` when it is not of this language.
pub(super) fn tokens(line: &str, macros: &Macros) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        let (token, length) = match first {
            '"' | '\'' => quoted(rest, first, macros)?,
            '$' => word(rest, macros)?,
            _ if is_word(first) => word(rest, macros)?,
            _ => sign(rest)?,
        };
        // A variable that is empty leaves nothing.
        found.extend(Some(token).filter(|token| *token != Token::Word(String::new())));
        rest = rest[length..].trim_start();
    }
    Some(found)
}

fn sign(text: &str) -> Option<(Token, usize)> {
    let (written, sign) = SIGNS.iter().find(|(written, _)| text.starts_with(written))?;
    Some((Token::Sign(*sign), written.len()))
}

fn word(text: &str, macros: &Macros) -> Option<(Token, usize)> {
    let mut length = 0;
    while let Some(next) = text[length..].chars().next() {
        match next {
            '$' => length += reference(&text[length..])?.len(),
            _ if is_word(next) => length += next.len_utf8(),
            _ => break,
        }
    }
    let written = &text[..length];
    Some((macros.expand(written).map_or_else(|| Token::Macro(written.to_owned()), Token::Word), length))
}

/// A text from one quote to the next like it; a backslash takes the meaning from what follows it.
fn quoted(text: &str, quote: char, macros: &Macros) -> Option<(Token, usize)> {
    let mut value = Some(String::new());
    let mut length = 1;
    loop {
        let rest = &text[length..];
        let mut part = &rest[..rest.chars().next()?.len_utf8()];
        length += part.len();
        if part.starts_with(quote) {
            let written = || Token::Macro(text[..length].to_owned());
            return Some((value.map_or_else(written, Token::Text), length));
        }
        if part == "\\" {
            part = &rest[1..1 + rest[1..].chars().next()?.len_utf8()];
            length += part.len();
        } else if rest.starts_with("$(") {
            let reference = reference(rest)?;
            length += reference.len() - part.len();
            let known = macros.expand(reference);
            value = value.zip(known).map(|(value, known)| value + &known);
            continue;
        }
        if let Some(value) = &mut value {
            value.push_str(part);
        }
    }
}

/// The words of a line, to be taken one by one.
pub(super) struct Tokens(std::iter::Peekable<std::vec::IntoIter<Token>>);

impl Tokens {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Self(tokens.into_iter().peekable())
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        self.0.next()
    }

    pub(super) fn is_empty(&mut self) -> bool {
        self.0.peek().is_none()
    }

    /// Takes the next word without quotes.
    pub(super) fn word(&mut self) -> Option<String> {
        match self.0.next_if(|token| matches!(token, Token::Word(_)))? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Takes the next word or text, known or not, as it is written.
    pub(super) fn text(&mut self) -> Option<String> {
        match self.0.next_if(|token| !matches!(token, Token::Sign(_)))? {
            Token::Word(text) | Token::Text(text) | Token::Macro(text) => Some(text),
            Token::Sign(_) => None,
        }
    }

    /// Takes the next word if it is this one.
    pub(super) fn take_word(&mut self, wanted: &str) -> bool {
        self.0.next_if(|token| matches!(token, Token::Word(word) if word == wanted)).is_some()
    }

    /// Takes the next sign if it is this one.
    pub(super) fn take(&mut self, wanted: Sign) -> bool {
        self.0.next_if_eq(&Token::Sign(wanted)).is_some()
    }

    /// Takes the next sign if it compares.
    pub(super) fn compare(&mut self) -> Option<Compare> {
        match self.0.next_if(|token| matches!(token, Token::Sign(Sign::Compare(_))))? {
            Token::Sign(Sign::Compare(compare)) => Some(compare),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_words_texts_and_signs() {
        let mut macros = Macros::default();
        macros.set("SRCARCH", "arm64");
        let found = tokens(r#"source "arch/$(SRCARCH)/\"K" A!=-1 # no"#, &macros).unwrap();
        let word = |text: &str| Token::Word(text.to_owned());
        let text = Token::Text("arch/arm64/\"K".to_owned());
        let unequal = Token::Sign(Sign::Compare(Compare::Unequal));
        assert_eq!(found, [word("source"), text, word("A"), unequal, word("-1")]);
    }

    #[test]
    fn what_a_compiler_would_have_to_say_is_kept_as_written() {
        let found = tokens("def_bool $(cc-option,-mfoo(x) # y)", &Macros::default()).unwrap();
        assert_eq!(found[1], Token::Macro("$(cc-option,-mfoo(x) # y)".to_owned()));
        let found = tokens(r#"default "a $(X)""#, &Macros::default()).unwrap();
        assert_eq!(found[1], Token::Macro(r#""a $(X)""#.to_owned()));
    }

    #[test]
    fn what_is_not_of_the_language_is_refused() {
        for line in ["\"open", "'a\\", "$(open", "$x", "a & b", "é"] {
            assert_eq!(tokens(line, &Macros::default()), None, "{line}");
        }
    }
}
