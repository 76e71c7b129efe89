//! What is wrong with fragments. All of it is told at once, since a kernel takes long to build.

use std::fmt;

use super::value::{Malformed, Value};

/// Something that is wrong with a line of a fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {fault}")]
pub struct Problem {
    /// The fragment, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub fault: Fault,
}

/// Kinds of problems. Lines come shortened and with their invisible characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A character that is not printable ASCII, such as the `\r` of a Windows line end.
    #[error("the character `{}` is not plain text", .0.escape_default())]
    Character(char),
    /// A setting without its prefix, which Kconfig passes over.
    #[error("`{0}` lacks the prefix: write `CONFIG_{0}`")]
    Prefix(String),
    /// A name in small letters, which no symbol has.
    #[error("`{0}` is in small letters, and names of symbols are in capitals")]
    SmallLetters(String),
    /// A line that looks like "is not set" but unsets nothing.
    #[error("`{line}` unsets nothing: write `# CONFIG_{symbol} is not set`, with exactly these spaces")]
    NotUnset {
        /// The line.
        line: String,
        /// The symbol that it seems to be about.
        symbol: String,
    },
    /// A value that is none.
    #[error("`{symbol}` {malformed}")]
    Value {
        /// The symbol.
        symbol: String,
        /// Why not.
        malformed: Malformed,
    },
    /// Any other line.
    #[error("`{0}` is neither a setting nor a comment")]
    Line(String),
    /// A symbol that the same fragment has already.
    #[error("`{symbol}` is already in line {first}: a fragment says it once")]
    Twice {
        /// The symbol.
        symbol: String,
        /// Where it is first.
        first: u32,
    },
    /// A mark of an override that is not written as it must be.
    #[error("`{0}` is no mark of an override: write `# override: REASON`")]
    Mark(String),
    /// A mark of an override that stands alone.
    #[error("the mark of an override is not followed by a setting")]
    LoneMark,
    /// A mark of an override, but no earlier fragment says otherwise.
    #[error("`{0}` is marked as an override, but no earlier fragment asks for anything else")]
    OverridesNothing(String),
    /// An earlier fragment asks for something else.
    #[error("`{symbol}` is `{value}` here, but `{earlier}` in {file}:{line}")]
    Disagreement {
        /// The symbol.
        symbol: String,
        /// What is asked here.
        value: Value,
        /// What was asked before.
        earlier: Value,
        /// The fragment that asked before.
        file: String,
        /// Its line.
        line: u32,
    },
}

impl Fault {
    fn hint(&self) -> &'static str {
        match self {
            Fault::Disagreement { .. } => {
                "drop one of the two, or say above the later one why it wins: `# override: REASON`"
            }
            Fault::OverridesNothing(_) => "take the mark away, or change the order of the fragments",
            Fault::Mark(_) | Fault::LoneMark => {
                "a mark is the line `# override: REASON` right before the setting that it is about"
            }
            _ => {
                "lines are `CONFIG_NAME=VALUE` with y, m, n, a number or a text in double quotes, \
                 `# CONFIG_NAME is not set`, or comments"
            }
        }
    }
}

/// All problems that were found, in the order of the fragments and their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `value`, if there are no problems.
    pub(super) fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    /// One problem a line, then a hint for each kind of way out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))?;
        let mut hints: Vec<&str> = Vec::new();
        for hint in self.0.iter().map(|problem| problem.fault.hint()) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        let separators = std::iter::once("\n\n").chain(std::iter::repeat("\n"));
        hints.iter().zip(separators).try_for_each(|(hint, separator)| write!(f, "{separator}hint: {hint}"))
    }
}

impl std::error::Error for Problems {}
