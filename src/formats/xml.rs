//! As much of XML 1.0 as block maps are written in, read from strangers.
//!
//! A crate would bring entities, name spaces and document types, all of which a hostile file can abuse
//! and no block map has. Here they are errors, and the reader takes no memory of its own.

/// A part of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `<name attributes>`
    Open { name: &'a str, attributes: Attributes<'a> },
    /// `</name>`
    Close(&'a str),
    /// What stands between tags, without space around it; never empty.
    Text(&'a str),
}

/// What follows the name in an opening tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes<'a>(&'a str);

/// Where and why a text is not such XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {why}")]
pub struct XmlError {
    /// Line of the text, from 1.
    pub line: usize,
    /// What is wrong there, as a predicate.
    pub why: &'static str,
}

/// Goes through the parts of a document. Declarations and comments are left out.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Tokens { text, at: 0 }
    }

    /// An error at the place that has been reached.
    pub(super) fn error(&self, why: &'static str) -> XmlError {
        XmlError { line: 1 + self.text[..self.at].matches('\n').count(), why }
    }

    /// The next part, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, XmlError> {
        loop {
            let rest = &self.text[self.at..];
            if rest.is_empty() {
                return Ok(None);
            }
            if rest.starts_with("<!--") {
                self.skip_past("-->", "begins a comment that does not end")?;
            } else if rest.starts_with("<?") {
                self.skip_past("?>", "begins a declaration that does not end")?;
            } else if rest.starts_with('<') {
                return self.tag().map(Some);
            } else {
                let end = rest.find('<').unwrap_or(rest.len());
                let text = rest[..end].trim();
                if text.contains('&') {
                    return Err(self.error("has an entity, which block maps have not"));
                }
                self.at += end;
                if !text.is_empty() {
                    return Ok(Some(Token::Text(text)));
                }
            }
        }
    }

    fn skip_past(&mut self, end: &str, why: &'static str) -> Result<(), XmlError> {
        let found = self.text[self.at..].find(end).ok_or_else(|| self.error(why))?;
        self.at += found + end.len();
        Ok(())
    }

    fn tag(&mut self) -> Result<Token<'a>, XmlError> {
        let rest = &self.text[self.at + 1..];
        let end = rest.find('>').ok_or_else(|| self.error("has a tag that does not end"))?;
        let inside = &rest[..end];
        let token = match inside.strip_prefix('/') {
            Some(name) => Token::Close(name.trim_end()),
            None => {
                let (name, attributes) = inside.split_at(inside.find(char::is_whitespace).unwrap_or(end));
                Token::Open { name, attributes: Attributes(attributes) }
            }
        };
        let (Token::Open { name, .. } | Token::Close(name) | Token::Text(name)) = token;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(self.error("has a tag that is not one of a block map"));
        }
        self.at += 1 + end + 1;
        Ok(token)
    }
}

impl<'a> Attributes<'a> {
    /// The value of an attribute that has the given name.
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        let mut rest = self.0.trim();
        while let Some((key, after)) = rest.split_once('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let (value, after) = after[1..].split_once(quote)?;
            if key.trim() == name {
                return Some(value);
            }
            rest = after.trim_start();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Token<'_>>, XmlError> {
        let mut tokens = Tokens::new(text);
        std::iter::from_fn(|| tokens.next().transpose()).collect()
    }

    #[test]
    fn tags_and_texts_come_in_order() {
        let tokens =
            all("<?xml version=\"1.0\" ?>\n<!-- <a> -->\n<Range x='1' chksum = \"ab\"> 3-4 </Range >");
        let tokens = tokens.unwrap();
        let Token::Open { name: "Range", attributes } = tokens[0] else { panic!("{tokens:?}") };
        assert_eq!((attributes.get("chksum"), attributes.get("y")), (Some("ab"), None));
        assert_eq!(tokens[1..], [Token::Text("3-4"), Token::Close("Range")]);
    }

    #[test]
    fn what_block_maps_have_not_is_an_error() {
        for text in ["<!DOCTYPE a>", "<a>&lt;</a>", "\n<a", "<!-- ", "<?xml", "<![CDATA[x]]>", "<>", "<a/>"] {
            assert!(all(text).is_err(), "{text}");
        }
        assert_eq!(all("\n<a").unwrap_err().line, 2);
    }
}
