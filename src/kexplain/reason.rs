//! Reasons, and how they read.

use std::fmt;

use serde::Serialize;

use super::tree::{Kind, Place};

/// Names that are listed before the rest is only counted.
const LISTED: usize = 3;

/// Why an option did not get the value that was asked for. Its text goes on from the option's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// No file defines it.
    Unknown {
        /// The nearest names that there are.
        near: Vec<String>,
    },
    /// The Raspberry Pi's own tree defines it.
    Vendors,
    /// It has no prompt, so what is asked for is not looked at.
    NoPrompt {
        /// Where it is defined.
        at: Place,
        /// All that select it, on or off.
        selectors: Vec<String>,
    },
    /// A condition does not hold.
    Unmet {
        /// The part of it that does not, with values.
        condition: String,
        /// Where it is written.
        at: Place,
        /// Why the switches in it are as they are.
        because: Vec<Because>,
    },
    /// A condition is `m`, so the option is not more.
    Capped {
        /// The part of it that is `m`, with values.
        condition: String,
        /// Where it is written.
        at: Place,
        /// Why the switches in it are as they are.
        because: Vec<Because>,
    },
    /// A condition has a part that only the compiler or the shell could tell.
    Undecided {
        /// The condition.
        condition: String,
        /// Where it is written.
        at: Place,
    },
    /// Others need it.
    Selected {
        /// They.
        by: Vec<Source>,
    },
    /// Others suggest it where nobody can say otherwise.
    Implied {
        /// They.
        by: Vec<Source>,
    },
    /// It has no say, and this is its default.
    Default {
        /// The default.
        value: String,
        /// Where it is written.
        at: Place,
    },
    /// Another member of its choice was taken.
    ChoiceTaken {
        /// The choice's prompt.
        choice: String,
        /// The other member.
        by: String,
        /// Where the choice is.
        at: Place,
    },
    /// One member of its choice must be on, and no other is.
    ChoiceNeedsOne {
        /// The choice's prompt.
        choice: String,
        /// The other members.
        others: Vec<String>,
        /// Where the choice is.
        at: Place,
    },
    /// The number is outside what is allowed.
    Clamped {
        /// The least.
        low: String,
        /// The most.
        high: String,
        /// Where the range is written.
        at: Place,
    },
    /// `m` was asked of a switch that knows `y` and `n` only.
    NotTristate {
        /// Where it is defined.
        at: Place,
    },
    /// The value is none of its type.
    WrongType {
        /// The type.
        kind: Kind,
        /// Where it is defined.
        at: Place,
    },
    /// `m` was asked, and there are no modules.
    NoModules,
    /// A text was lost: the kernel's tools empty one that is not in double quotes.
    Unquoted,
}

/// Someone who makes an option be on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// How much it asks for, `m` or `y`.
    pub value: String,
    /// Where it says so.
    pub at: Place,
}

/// Why a switch that a condition names has the value that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Because {
    /// The switch.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Why.
    pub why: Why,
}

/// What keeps a switch as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Why {
    /// No file defines it.
    Undefined,
    /// It has no prompt.
    NoPrompt {
        /// All that select it.
        selectors: Vec<String>,
    },
    /// A condition of its own.
    Unmet {
        /// The part that does not hold, with values.
        condition: String,
        /// Where it is written.
        at: Place,
    },
    /// Another needs it.
    Selected {
        /// The other.
        by: Source,
    },
    /// Another member of its choice was taken.
    ChoiceTaken {
        /// The other.
        by: String,
    },
    /// Nothing: whoever asks for another value gets it.
    Free {
        /// Where it is defined.
        at: Place,
    },
}

impl Reason {
    /// Whether it goes away when a switch is set that is free to be set.
    pub(super) fn can_be_helped(&self) -> bool {
        match self {
            Self::Unmet { because, .. } | Self::Capped { because, .. } => {
                because.iter().any(|one| matches!(one.why, Why::Free { .. }))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { near } if near.is_empty() => f.write_str(
                "is defined nowhere in this kernel for this architecture: removed, renamed or misspelt",
            ),
            Self::Unknown { near } => write!(
                f,
                "is defined nowhere in this kernel for this architecture: removed, renamed or misspelt \
                 (near: {})",
                near.join(", ")
            ),
            Self::Vendors => {
                f.write_str("is an option of raspberrypi/linux: build from that tree, or leave it out")
            }
            Self::NoPrompt { at, selectors } => {
                write!(
                    f,
                    "has no prompt, so what is asked for is not looked at ({at}); {}",
                    set_by(selectors)
                )
            }
            Self::Unmet { condition, at, because } => {
                write!(f, "needs {condition} ({at}){}", reasons(because))
            }
            Self::Capped { condition, at, because } => {
                write!(f, "is m at most, with {condition} ({at}){}", reasons(because))
            }
            Self::Undecided { condition, at } => {
                write!(f, "needs {condition} ({at}), which only the compiler or the shell can tell")
            }
            Self::Selected { by } => write!(f, "is selected by {}", sources(by)),
            Self::Implied { by } => write!(f, "is implied by {}", sources(by)),
            Self::Default { value, at } => write!(f, "gets its default, {value} ({at})"),
            Self::ChoiceTaken { choice, by, at } => {
                write!(f, "is one of a choice, \"{choice}\" ({at}), of which {by} was taken")
            }
            Self::ChoiceNeedsOne { choice, others, at } => write!(
                f,
                "is one of a choice, \"{choice}\" ({at}), of which one must be on: ask for another ({})",
                listed(others, ToString::to_string)
            ),
            Self::Clamped { low, high, at } => write!(f, "is kept in the range {low} to {high} ({at})"),
            Self::NotTristate { at } => write!(f, "is y or n, never m ({at})"),
            Self::WrongType { kind, at } => write!(f, "is of type {kind} ({at})"),
            Self::NoModules => f.write_str("cannot be m, for there are no modules (MODULES=n)"),
            Self::Unquoted => f.write_str("is a text, which is lost when it is not in double quotes"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (={}, {})", self.name, self.value, self.at)
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name)?;
        match &self.why {
            Why::Undefined => f.write_str("is defined nowhere here"),
            Why::NoPrompt { selectors } => write!(f, "has no prompt, {}", set_by(selectors)),
            Why::Unmet { condition, at } => write!(f, "needs {condition} ({at})"),
            Why::Selected { by } => write!(f, "is selected by {by}"),
            Why::ChoiceTaken { by } => write!(f, "gave way to {by}"),
            Why::Free { at } => write!(f, "is free to be set ({at})"),
        }
    }
}

fn reasons(because: &[Because]) -> String {
    because.iter().map(|one| format!("; {one}")).collect()
}

fn set_by(selectors: &[String]) -> String {
    match selectors {
        [] => "its default decides".to_owned(),
        _ => format!("it is selected by {}", listed(selectors, ToString::to_string)),
    }
}

fn sources(by: &[Source]) -> String {
    listed(by, Source::to_string)
}

/// The first few of some names, and how many there are besides.
fn listed<T>(all: &[T], name: impl Fn(&T) -> String) -> String {
    let mut text = all.iter().take(LISTED).map(name).collect::<Vec<_>>().join(", ");
    if let Some(more) = all.len().checked_sub(LISTED).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
