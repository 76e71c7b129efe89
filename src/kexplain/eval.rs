//! What expressions come to, with the values of a `.config`.
//!
//! A value that only the compiler could tell is a span from `n` to `y`; what follows in spite of it is
//! certain:
//!
//! ```text
//!   not [low, high] = [not high, not low]     and = the lower of both ends     or = the higher
//! ```

use serde::Serialize;

use super::expr::{Atom, Expr, one_or};
use super::token::Compare;
use super::tree::{Condition, Definition, Given, Kind, Pulls, Range, Spot, Target, Tree};

/// The value of a switch; the order is the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tristate {
    N,
    M,
    Y,
}

/// The least and the most that a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) low: Tristate,
    pub(super) high: Tristate,
}

/// Which side of a bound a value is on that is to blame.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    Below(Tristate),
    Above(Tristate),
}

/// A tree and the values of its symbols.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) tree: &'a Tree,
    pub(super) value: &'a dyn Fn(&str) -> Option<String>,
}

/// Who makes a symbol be on.
pub(super) struct Puller<'a> {
    pub(super) name: &'a str,
    pub(super) target: &'a Target,
    pub(super) value: Span,
}

impl Tristate {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "n" => Self::N,
            "m" => Self::M,
            "y" => Self::Y,
            _ => return None,
        })
    }

    fn not(self) -> Self {
        match self {
            Self::N => Self::Y,
            Self::M => Self::M,
            Self::Y => Self::N,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::N => "n",
            Self::M => "m",
            Self::Y => "y",
        }
    }
}

impl Span {
    pub(super) const YES: Self = Self::certain(Tristate::Y);
    const UNKNOWN: Self = Self { low: Tristate::N, high: Tristate::Y };

    const fn certain(value: Tristate) -> Self {
        Self { low: value, high: value }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.min(other.high) }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.max(other.high) }
    }

    fn not(self) -> Self {
        Self { low: self.high.not(), high: self.low.not() }
    }
}

impl<'a> Values<'a> {
    /// The value of a symbol, as text; a word that is no symbol stands for itself.
    pub(super) fn text(&self, name: &str) -> String {
        let Some(symbol) = self.tree.symbols.get(name) else { return name.to_owned() };
        let absent = || match symbol.kind {
            Some(Kind::Bool | Kind::Tristate) | None => "n".to_owned(),
            _ => String::new(),
        };
        (self.value)(name).unwrap_or_else(absent)
    }

    /// The value of a switch; what is none is off.
    pub(super) fn switch(&self, name: &str) -> Tristate {
        match self.tree.symbols.get(name).and_then(|symbol| symbol.kind) {
            Some(Kind::Bool | Kind::Tristate) => Tristate::parse(&self.text(name)).unwrap_or(Tristate::N),
            _ => Tristate::N,
        }
    }

    pub(super) fn has_modules(&self) -> bool {
        self.tree.modules.as_ref().is_some_and(|name| self.switch(name) != Tristate::N)
    }

    pub(super) fn expr(&self, expr: &Expr) -> Span {
        match expr {
            Expr::Atom(Atom::Symbol(name)) => Span::certain(self.switch(name)),
            Expr::Atom(Atom::Constant(text)) => Span::certain(match Tristate::parse(text) {
                Some(Tristate::M) if !self.has_modules() => Tristate::N,
                value => value.unwrap_or(Tristate::N),
            }),
            Expr::Atom(Atom::Macro(_)) => Span::UNKNOWN,
            Expr::Compare(left, how, right) => self.compare(left, *how, right),
            Expr::Not(inner) => self.expr(inner).not(),
            Expr::And(terms) => terms.iter().fold(Span::YES, |all, term| all.and(self.expr(term))),
            Expr::Or(terms) => {
                terms.iter().fold(Span::certain(Tristate::N), |any, term| any.or(self.expr(term)))
            }
        }
    }

    pub(super) fn condition(&self, condition: Option<&Expr>) -> Span {
        condition.map_or(Span::YES, |expr| self.expr(expr))
    }

    pub(super) fn all<'c>(&self, conditions: impl Iterator<Item = &'c Condition>) -> Span {
        conditions.fold(Span::YES, |all, condition| all.and(self.expr(&condition.expr)))
    }

    /// The value of an atom, as text; `None` when only the compiler could tell.
    pub(super) fn atom(&self, atom: &Atom) -> Option<String> {
        match atom {
            Atom::Symbol(name) => Some(self.text(name)),
            Atom::Constant(text) => Some(text.clone()),
            Atom::Macro(_) => None,
        }
    }

    fn compare(&self, left: &Atom, how: Compare, right: &Atom) -> Span {
        let (Some(left), Some(right)) = (self.atom(left), self.atom(right)) else {
            return Span::UNKNOWN;
        };
        let order = match (rank(&left), rank(&right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.cmp(&right),
        };
        let holds = match how {
            Compare::Equal => order.is_eq(),
            Compare::Unequal => order.is_ne(),
            Compare::Less => order.is_lt(),
            Compare::AtMost => order.is_le(),
            Compare::More => order.is_gt(),
            Compare::AtLeast => order.is_ge(),
        };
        Span::certain(if holds { Tristate::Y } else { Tristate::N })
    }

    /// The part of an expression that keeps it on the wrong side of a bound.
    pub(super) fn blame(&self, expr: &Expr, bound: Bound) -> Expr {
        match (expr, bound) {
            (Expr::Not(inner), Bound::Below(least)) => {
                Expr::Not(Box::new(self.blame(inner, Bound::Above(least.not()))))
            }
            (Expr::Not(inner), Bound::Above(most)) => {
                Expr::Not(Box::new(self.blame(inner, Bound::Below(most.not()))))
            }
            // One term is enough to lower an `and` and to raise an `or`; else all of them do.
            (Expr::And(terms), Bound::Below(_)) => one_or(self.blamed(terms, bound, true), Expr::And),
            (Expr::Or(terms), Bound::Above(_)) => one_or(self.blamed(terms, bound, true), Expr::Or),
            (Expr::And(terms), Bound::Above(_)) => one_or(self.blamed(terms, bound, false), Expr::And),
            (Expr::Or(terms), Bound::Below(_)) => one_or(self.blamed(terms, bound, false), Expr::Or),
            (Expr::Atom(_) | Expr::Compare(..), _) => expr.clone(),
        }
    }

    fn blamed(&self, terms: &[Expr], bound: Bound, only_guilty: bool) -> Vec<Expr> {
        let is_guilty = |term: &&Expr| !only_guilty || bound.is_passed(self.expr(term));
        terms.iter().filter(is_guilty).map(|term| self.blame(term, bound)).collect()
    }

    /// The first default that counts.
    pub(super) fn default(&self, definitions: &'a [Definition]) -> Option<&'a Given> {
        let of = |one: &'a Definition| {
            let allowed = self.all(self.tree.dependencies(one)).high;
            one.defaults.iter().filter(move |_| allowed != Tristate::N)
        };
        definitions
            .iter()
            .flat_map(of)
            .find(|given| self.condition(given.condition.as_ref()).high != Tristate::N)
    }

    /// The first range that counts.
    pub(super) fn range(&self, definitions: &'a [Definition]) -> Option<&'a Range> {
        let ranges = definitions.iter().flat_map(|one| &one.ranges);
        ranges.into_iter().find(|range| self.condition(range.condition.as_ref()).high != Tristate::N)
    }

    /// Those that select or imply a symbol, and how much; strongest first.
    pub(super) fn pullers(&self, name: &str, pulls: &'a Pulls, select: bool) -> Vec<Puller<'a>> {
        let puller = |(name, definition, line): &'a (String, usize, usize)| {
            let definition = self.tree.symbols.get(name)?.definitions.get(*definition)?;
            let targets = if select { &definition.selects } else { &definition.implies };
            let target = targets.get(*line)?;
            let own = Span::certain(self.switch(name)).and(self.condition(target.condition.as_ref()));
            Some(Puller { name, target, value: own.and(self.all(self.tree.dependencies(definition))) })
        };
        let mut found: Vec<_> = pulls.get(name).into_iter().flatten().filter_map(puller).collect();
        found.sort_by_key(|puller| std::cmp::Reverse(puller.value.high));
        found
    }
}

impl Bound {
    pub(super) fn is_passed(self, value: Span) -> bool {
        match self {
            Self::Below(least) => value.high < least,
            Self::Above(most) => value.low > most,
        }
    }
}

impl Puller<'_> {
    pub(super) fn at(&self) -> Spot {
        self.target.at
    }
}

/// The place of a value among those that have an order: switches, and numbers.
fn rank(text: &str) -> Option<i128> {
    Tristate::parse(text).map(|value| value as i128).or_else(|| number(text))
}

/// A number as the kernel writes it, hexadecimal after `0x`.
pub(super) fn number(text: &str) -> Option<i128> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
