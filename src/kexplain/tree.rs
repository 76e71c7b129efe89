//! What the Kconfig files say, all together.
//!
//! ```text
//!   Tree -- symbols -- definitions: conditions, prompt, defaults, selects, ranges
//!     |                    |
//!     |                    scope: the `menu`, `if` or `choice` around it, up to the root
//!     choices, selected by, implied by
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::expr::{Atom, Expr};

/// What the Kconfig files of one architecture say.
#[derive(Debug, Default)]
pub struct Tree {
    pub(super) files: Vec<String>,
    pub(super) symbols: BTreeMap<String, Symbol>,
    /// Scopes; one's parent always comes before it.
    pub(super) scopes: Vec<Scope>,
    pub(super) choices: Vec<Choice>,
    /// The symbol that says whether there are modules.
    pub(super) modules: Option<String>,
    /// Lines that were not understood, and passed over.
    pub(super) skipped: Vec<Spot>,
    pub(super) selected: Pulls,
    pub(super) implied: Pulls,
}

/// Who selects or implies a symbol: the other's name, the number of its definition, and of its line.
pub(super) type Pulls = BTreeMap<String, Vec<(String, usize, usize)>>;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, from the top of the kernel's source.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// The same inside a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: usize,
    pub(super) line: u32,
}

/// What values a symbol takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `y` or `n`.
    Bool,
    /// `y`, `m` or `n`.
    Tristate,
    /// A decimal number.
    Int,
    /// A hexadecimal number.
    Hex,
    /// A text.
    String,
}

#[derive(Debug, Default)]
pub(super) struct Symbol {
    pub(super) kind: Option<Kind>,
    pub(super) definitions: Vec<Definition>,
}

/// One of the places that define a symbol.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) at: Spot,
    pub(super) scope: usize,
    pub(super) prompt: Option<Prompt>,
    pub(super) depends: Vec<Condition>,
    pub(super) defaults: Vec<Given>,
    pub(super) selects: Vec<Target>,
    pub(super) implies: Vec<Target>,
    pub(super) ranges: Vec<Range>,
    pub(super) help: String,
}

#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) text: String,
    pub(super) condition: Option<Condition>,
}

/// A condition, and what it is a condition for.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) expr: Expr,
    pub(super) at: Spot,
    pub(super) how: How,
}

/// How a condition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// `depends on`, here or around it.
    Depends,
    /// A block of `if` around it.
    If,
    /// `visible if` of a menu around it: for the prompt only.
    Visible,
    /// `if` behind the prompt: for that only.
    Prompt,
}

/// A default.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) value: Expr,
    pub(super) condition: Option<Expr>,
    pub(super) at: Spot,
}

/// What is selected or implied.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) condition: Option<Expr>,
    pub(super) at: Spot,
}

#[derive(Debug)]
pub(super) struct Range {
    pub(super) low: Atom,
    pub(super) high: Atom,
    pub(super) condition: Option<Expr>,
    pub(super) at: Spot,
}

/// A `menu`, `if` or `choice`.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) parent: Option<usize>,
    pub(super) conditions: Vec<Condition>,
    /// The choice that what is directly in it belongs to.
    pub(super) choice: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Choice {
    pub(super) at: Spot,
    pub(super) prompt: String,
    /// Whether all members may be off.
    pub(super) optional: bool,
    pub(super) members: Vec<String>,
}

impl Tree {
    /// Lines that were not understood and are passed over, as what a later kernel may have.
    pub fn skipped(&self) -> Vec<Place> {
        self.skipped.iter().map(|spot| self.place(*spot)).collect()
    }

    /// How many files were read; one that is included twice counts twice.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The names of all symbols, sorted, without `CONFIG_`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.symbols.keys().map(String::as_str)
    }

    pub(super) fn place(&self, spot: Spot) -> Place {
        let file = self.files.get(spot.file).cloned().unwrap_or_default();
        Place { file, line: spot.line }
    }

    /// What a definition depends on, its own conditions first, then those around it, inside out.
    pub(super) fn dependencies<'a>(&'a self, of: &'a Definition) -> impl Iterator<Item = &'a Condition> {
        of.depends.iter().chain(self.around(of)).filter(|condition| is_dependency(condition.how))
    }

    /// All of these, and what its prompt waits for besides.
    pub(super) fn conditions<'a>(&'a self, of: &'a Definition) -> impl Iterator<Item = &'a Condition> {
        let prompt = of.prompt.iter().filter_map(|prompt| prompt.condition.as_ref());
        of.depends.iter().chain(prompt).chain(self.around(of))
    }

    /// The choice that a symbol is a member of.
    pub(super) fn choice(&self, symbol: &Symbol) -> Option<&Choice> {
        let mut choices = symbol
            .definitions
            .iter()
            .filter_map(|one| self.scopes.get(one.scope).and_then(|scope| scope.choice));
        choices.next().and_then(|index| self.choices.get(index))
    }

    /// Fills in who selects and who implies what, when all is read.
    pub(super) fn index(&mut self) {
        let mut pulls = [Pulls::new(), Pulls::new()];
        for (name, symbol) in &self.symbols {
            for (number, definition) in symbol.definitions.iter().enumerate() {
                for (pulls, targets) in pulls.iter_mut().zip([&definition.selects, &definition.implies]) {
                    for (line, target) in targets.iter().enumerate() {
                        pulls.entry(target.name.clone()).or_default().push((name.clone(), number, line));
                    }
                }
            }
        }
        [self.selected, self.implied] = pulls;
    }

    fn around<'a>(&'a self, of: &Definition) -> impl Iterator<Item = &'a Condition> {
        let scope = |index: usize| self.scopes.get(index);
        std::iter::successors(scope(of.scope), move |inner| inner.parent.and_then(scope))
            .flat_map(|scope| &scope.conditions)
    }
}

fn is_dependency(how: How) -> bool {
    matches!(how, How::Depends | How::If)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Tristate => "tristate",
            Self::Int => "int",
            Self::Hex => "hex",
            Self::String => "string",
        })
    }
}
