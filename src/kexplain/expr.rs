//! Expressions: conditions and values.
//!
//! ```text
//!   expr:    and { "||" and }
//!   and:     not { "&&" not }
//!   not:     "!" not | "(" expr ")" | atom [ compare atom ]
//! ```

use std::fmt;

use super::token::{Compare, Sign, Token, Tokens};

/// Deepest nesting of brackets and negations; what is deeper is not understood.
const DEEPEST: usize = 64;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Atom(Atom),
    Compare(Atom, Compare, Atom),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
}

/// What an expression is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    /// A symbol, or a word that no file defines, which stands for itself.
    Symbol(String),
    /// `y`, `m`, `n`, or a text in quotes.
    Constant(String),
    /// What only the shell or the compiler could say.
    Macro(String),
}

impl Expr {
    /// The expression that comes next; `None` when there is none.
    pub(super) fn parse(tokens: &mut Tokens) -> Option<Self> {
        Self::or(tokens, 0)
    }

    fn or(tokens: &mut Tokens, depth: usize) -> Option<Self> {
        let mut terms = vec![Self::and(tokens, depth)?];
        while tokens.take(Sign::Or) {
            terms.push(Self::and(tokens, depth)?);
        }
        Some(one_or(terms, Self::Or))
    }

    fn and(tokens: &mut Tokens, depth: usize) -> Option<Self> {
        let mut terms = vec![Self::not(tokens, depth)?];
        while tokens.take(Sign::And) {
            terms.push(Self::not(tokens, depth)?);
        }
        Some(one_or(terms, Self::And))
    }

    fn not(tokens: &mut Tokens, depth: usize) -> Option<Self> {
        if depth == DEEPEST {
            return None;
        }
        if tokens.take(Sign::Not) {
            return Some(Self::Not(Box::new(Self::not(tokens, depth + 1)?)));
        }
        if tokens.take(Sign::Open) {
            let inner = Self::or(tokens, depth + 1)?;
            return tokens.take(Sign::Close).then_some(inner);
        }
        let left = Atom::parse(tokens)?;
        match tokens.compare() {
            Some(compare) => Some(Self::Compare(left, compare, Atom::parse(tokens)?)),
            None => Some(Self::Atom(left)),
        }
    }

    /// The text of it, with a text of the caller's for every atom.
    pub(super) fn describe(&self, atom: &dyn Fn(&Atom) -> String) -> String {
        let inner = |expr: &Self| match expr {
            Self::And(_) | Self::Or(_) => format!("({})", expr.describe(atom)),
            _ => expr.describe(atom),
        };
        let join = |terms: &[Self], sign| terms.iter().map(inner).collect::<Vec<_>>().join(sign);
        match self {
            Self::Atom(one) => atom(one),
            Self::Compare(left, how, right) => format!("{} {} {}", atom(left), how.sign(), atom(right)),
            Self::Not(negated) => format!("!{}", inner(negated)),
            Self::And(terms) => join(terms, " && "),
            Self::Or(terms) => join(terms, " || "),
        }
    }
}

/// The only one of some terms, or all of them as one.
pub(super) fn one_or(mut terms: Vec<Expr>, all: fn(Vec<Expr>) -> Expr) -> Expr {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        last => {
            terms.extend(last);
            all(terms)
        }
    }
}

impl Atom {
    pub(super) fn parse(tokens: &mut Tokens) -> Option<Self> {
        match tokens.next()? {
            Token::Word(word) if matches!(word.as_str(), "y" | "m" | "n") => Some(Self::Constant(word)),
            Token::Word(word) => Some(Self::Symbol(word)),
            Token::Text(text) => Some(Self::Constant(text)),
            Token::Macro(text) => Some(Self::Macro(text)),
            Token::Sign(_) => None,
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(text) if !matches!(text.as_str(), "y" | "m" | "n") => write!(f, "\"{text}\""),
            Self::Symbol(text) | Self::Constant(text) | Self::Macro(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(&Atom::to_string))
    }
}

#[cfg(test)]
mod tests {
    use super::super::macros::Macros;
    use super::super::token::tokens;
    use super::*;

    fn parse(text: &str) -> Option<String> {
        let mut tokens = Tokens::new(tokens(text, &Macros::default())?);
        let expr = Expr::parse(&mut tokens)?;
        tokens.is_empty().then(|| expr.to_string())
    }

    #[test]
    fn expressions_bind_as_the_kernel_reads_them() {
        for (text, read) in [
            ("A || B && !C", "A || (B && !C)"),
            ("(A||B)&&C!=n", "(A || B) && C != n"),
            ("!(A && (B))", "!(A && B)"),
            ("A = \"x y\" && B>=32", "A = \"x y\" && B >= 32"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(read));
        }
    }

    #[test]
    fn broken_and_bottomless_expressions_are_refused() {
        for text in ["", "A &&", "(A", "A = ", "&& A", "! ", "A B"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"(".repeat(100_000)), None);
        assert_eq!(parse(&"!".repeat(100_000)), None);
        assert!(parse("A && ".repeat(100_000).trim_end_matches("&& ")).is_some());
    }
}
