//! Why an option has another value than was asked for.
//!
//! ```text
//!   more than it got:  no prompt? a condition below what was asked? another member of its choice?
//!   less than it got:  no modules? selected? the last of its choice? no say at all: its default
//!   number or text:    wrong type? no say? outside its range?
//! ```
//! After `sym_calc_value` of `scripts/kconfig/symbol.c`.

use super::eval::{Bound, Puller, Span, Tristate, Values, number};
use super::expr::{Atom, Expr};
use super::reason::{Because, Reason, Source, Why};
use super::tree::{Condition, Definition, Kind, Symbol, Tree};
use crate::suggest;

/// Most names of others that are given with a reason.
const MOST: usize = 64;

impl Tree {
    /// Why a symbol (named without `CONFIG_`) did not get the value that was asked for. Values are as
    /// in a `.config`, texts without their quotes; `None` is a symbol that is not in it. `value` tells
    /// those of all others, as they came out.
    ///
    /// There is no reason when it got what was asked for, and none when the Kconfig files hold none:
    /// then something else changed the value, such as a later fragment.
    pub fn explain(
        &self,
        symbol: &str,
        asked: &str,
        got: Option<&str>,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<Reason> {
        let Some(found) = self.symbols.get(symbol) else {
            return vec![Reason::Unknown { near: self.near(symbol) }];
        };
        let values = Values { tree: self, value };
        Case { values, name: symbol, symbol: found, asked, is_first: true }.reasons(got)
    }
    /// Names like one that is not there; else the longest that it begins with, for an option that is
    /// gone was often made a part of that.
    fn near(&self, symbol: &str) -> Vec<String> {
        let mut near = suggest::nearest(symbol, self.names());
        if near.is_empty() {
            let parts = symbol.rmatch_indices('_').map(|(end, _)| &symbol[..end]);
            near.extend(parts.into_iter().find(|part| self.symbols.contains_key(*part)));
        }
        near.into_iter().map(str::to_owned).collect()
    }
}

/// One symbol and what was asked of it.
struct Case<'a> {
    values: Values<'a>,
    name: &'a str,
    symbol: &'a Symbol,
    asked: &'a str,
    /// Whether this is the symbol itself, and not one that it waits for: only of these are there reasons.
    is_first: bool,
}

impl<'a> Case<'a> {
    fn reasons(&self, got: Option<&str>) -> Vec<Reason> {
        let Some((kind, first)) = self.symbol.kind.zip(self.symbol.definitions.first()) else {
            return Vec::new();
        };
        let at = self.tree().place(first.at);
        if kind == Kind::Bool && self.asked == "m" {
            return vec![Reason::NotTristate { at }];
        }
        if !is_of(kind, self.asked) {
            return vec![Reason::WrongType { kind, at }];
        }
        let got = got.unwrap_or(if matches!(kind, Kind::Bool | Kind::Tristate) { "n" } else { "" });
        match (Tristate::parse(self.asked), Tristate::parse(got)) {
            _ if !matches!(kind, Kind::Bool | Kind::Tristate) => self.other_value(kind, got),
            (Some(asked), Some(got)) if asked > got => self.too_little(asked),
            (Some(asked), Some(got)) if asked < got => self.too_much(asked, got),
            _ => Vec::new(),
        }
    }

    fn tree(&self) -> &'a Tree {
        self.values.tree
    }

    /// Definitions that have a prompt: through these only is a request heard.
    fn heard(&self) -> impl Iterator<Item = &'a Definition> {
        self.symbol.definitions.iter().filter(|one| one.prompt.is_some())
    }

    /// The most that a request is heard for.
    fn visible(&self) -> Span {
        let none = Span { low: Tristate::N, high: Tristate::N };
        self.heard().fold(none, |most, one| most.or(self.values.all(self.tree().conditions(one))))
    }

    fn too_little(&self, asked: Tristate) -> Vec<Reason> {
        let mut reasons = self.unheard(self.needed(asked));
        if reasons.is_empty() {
            reasons.extend(self.choice_taken());
        }
        if reasons.is_empty() {
            reasons = self.undecided(self.needed(asked));
        }
        reasons
    }

    /// What conditions must come to: for a switch of two states, `m` is as good as `y`.
    fn needed(&self, asked: Tristate) -> Tristate {
        if self.symbol.kind == Some(Kind::Bool) { asked.min(Tristate::M) } else { asked }
    }

    /// Why a request for so much is not heard; first what can be helped.
    fn unheard(&self, needed: Tristate) -> Vec<Reason> {
        let mute = self.no_prompt();
        if mute.is_none() && self.visible().high >= needed {
            return Vec::new();
        }
        let definitions = self.symbol.definitions.iter().filter(|one| mute.is_some() || one.prompt.is_some());
        let conditions = definitions.flat_map(|one| self.tree().conditions(one));
        let mut unmet: Vec<Reason> = Vec::new();
        for reason in conditions.filter_map(|condition| self.unmet(condition, needed)) {
            if !unmet.contains(&reason) {
                unmet.push(reason);
            }
        }
        unmet.sort_by_key(|reason| !reason.can_be_helped());
        mute.into_iter().chain(unmet).collect()
    }

    /// That nobody can ask for it, when that is so.
    fn no_prompt(&self) -> Option<Reason> {
        let first = self.symbol.definitions.first().filter(|_| self.heard().next().is_none())?;
        Some(Reason::NoPrompt { at: self.tree().place(first.at), selectors: self.selectors(self.name) })
    }

    fn selectors(&self, name: &str) -> Vec<String> {
        let all = self.tree().selected.get(name).into_iter().flatten();
        let mut names: Vec<String> = all.map(|(name, ..)| name.clone()).collect();
        names.dedup();
        names.truncate(MOST);
        names
    }

    fn unmet(&self, condition: &Condition, needed: Tristate) -> Option<Reason> {
        let value = self.values.expr(&condition.expr);
        if !Bound::Below(needed).is_passed(value) {
            return None;
        }
        let guilty = self.values.blame(&condition.expr, Bound::Below(needed));
        let (condition, at) = (self.with_values(&guilty), self.tree().place(condition.at));
        let because = if self.is_first { self.because(&guilty) } else { Vec::new() };
        Some(match value.high {
            Tristate::N => Reason::Unmet { condition, at, because },
            _ => Reason::Capped { condition, at, because },
        })
    }

    /// What only the compiler can tell, where all hangs on it.
    fn undecided(&self, needed: Tristate) -> Vec<Reason> {
        if self.visible().low >= needed {
            return Vec::new();
        }
        let conditions = self.heard().flat_map(|one| self.tree().conditions(one));
        let is_open = |value: Span| value.low < needed && value.high >= needed;
        let open = conditions.filter(|condition| is_open(self.values.expr(&condition.expr)));
        open.map(|condition| Reason::Undecided {
            condition: self.with_values(&condition.expr),
            at: self.tree().place(condition.at),
        })
        .collect()
    }

    fn choice_taken(&self) -> Option<Reason> {
        let choice = self.tree().choice(self.symbol)?;
        let by =
            choice.members.iter().find(|one| *one != self.name && self.values.switch(one) == Tristate::Y)?;
        let at = self.tree().place(choice.at);
        Some(Reason::ChoiceTaken { choice: choice.prompt.clone(), by: by.clone(), at })
    }

    fn too_much(&self, asked: Tristate, got: Tristate) -> Vec<Reason> {
        let is_loud = |puller: &Puller| puller.value.high > asked;
        if let Some(by) = self.sources(true, is_loud) {
            return self.no_prompt().into_iter().chain([Reason::Selected { by }]).collect();
        }
        if (asked, got) == (Tristate::M, Tristate::Y) && !self.values.has_modules() {
            return vec![Reason::NoModules];
        }
        if self.visible().low != Tristate::N {
            return self.choice_needs_one().into_iter().collect();
        }
        let mut reasons = self.unheard(Tristate::M);
        reasons.extend(self.sources(false, is_loud).map(|by| Reason::Implied { by }));
        reasons.extend(self.default());
        reasons
    }

    /// Those that select or imply it, if there are such.
    fn sources(&self, select: bool, is_meant: impl Fn(&Puller) -> bool) -> Option<Vec<Source>> {
        let pulls = if select { &self.tree().selected } else { &self.tree().implied };
        let pullers = self.values.pullers(self.name, pulls, select);
        let meant = pullers.iter().filter(|puller| is_meant(puller)).take(MOST);
        let sources: Vec<Source> = meant.map(|puller| self.source(puller)).collect();
        (!sources.is_empty()).then_some(sources)
    }

    fn source(&self, puller: &Puller) -> Source {
        let (name, value) = (puller.name.to_owned(), puller.value.high.as_str().to_owned());
        Source { name, value, at: self.tree().place(puller.at()) }
    }

    fn choice_needs_one(&self) -> Option<Reason> {
        let choice = self.tree().choice(self.symbol).filter(|choice| !choice.optional)?;
        let others = choice.members.iter().filter(|one| *one != self.name).cloned().collect();
        let at = self.tree().place(choice.at);
        Some(Reason::ChoiceNeedsOne { choice: choice.prompt.clone(), others, at })
    }

    fn default(&self) -> Option<Reason> {
        let given = self.values.default(&self.symbol.definitions)?;
        Some(Reason::Default { value: given.value.to_string(), at: self.tree().place(given.at) })
    }

    fn other_value(&self, kind: Kind, got: &str) -> Vec<Reason> {
        if is_same(kind, self.asked, got) {
            return Vec::new();
        }
        let mut reasons = self.unheard(Tristate::M);
        if !reasons.is_empty() {
            reasons.extend(self.default());
        } else if kind == Kind::String {
            reasons.extend(got.is_empty().then_some(Reason::Unquoted));
        } else {
            reasons.extend(self.clamped(kind));
        }
        reasons
    }

    fn clamped(&self, kind: Kind) -> Option<Reason> {
        let range = self.values.range(&self.symbol.definitions)?;
        let (low, high) = (self.values.atom(&range.low)?, self.values.atom(&range.high)?);
        let asked = value_of(kind, self.asked)?;
        let is_inside = (value_of(kind, &low)?..=value_of(kind, &high)?).contains(&asked);
        (!is_inside).then(|| Reason::Clamped { low, high, at: self.tree().place(range.at) })
    }

    /// An expression with the values of its symbols.
    fn with_values(&self, expr: &Expr) -> String {
        expr.describe(&|atom| match atom {
            Atom::Symbol(name) if self.tree().symbols.contains_key(name) => match self.values.text(name) {
                text if text.is_empty() => format!("{name} (=\"\")"),
                text => format!("{name} (={text})"),
            },
            Atom::Symbol(name) if number(name).is_none() => format!("{name} (unknown)"),
            _ => atom.to_string(),
        })
    }

    /// Why the switches of a condition are as they are.
    fn because(&self, guilty: &Expr) -> Vec<Because> {
        let mut found: Vec<Because> = Vec::new();
        self.because_of(guilty, false, &mut found);
        found
    }

    fn because_of(&self, guilty: &Expr, negated: bool, found: &mut Vec<Because>) {
        match guilty {
            Expr::Atom(Atom::Symbol(name)) if found.iter().all(|one| one.name != *name) => {
                let value = self.values.switch(name).as_str().to_owned();
                let why = if negated { self.why_on(name) } else { self.why_off(name) };
                found.extend(why.map(|why| Because { name: name.clone(), value, why }));
            }
            Expr::Not(inner) => self.because_of(inner, !negated, found),
            Expr::And(terms) | Expr::Or(terms) => {
                terms.iter().for_each(|term| self.because_of(term, negated, found));
            }
            Expr::Atom(_) | Expr::Compare(..) => {}
        }
    }

    fn about<'b>(&'b self, name: &'b str, symbol: &'b Symbol) -> Case<'b> {
        Case { values: self.values, name, symbol, asked: "y", is_first: false }
    }

    fn why_off(&self, name: &str) -> Option<Why> {
        let Some(symbol) = self.tree().symbols.get(name) else { return Some(Why::Undefined) };
        let other = self.about(name, symbol);
        let mut unheard = other.unheard(other.needed(Tristate::Y));
        if let Some(first) = unheard.iter().position(|reason| !matches!(reason, Reason::NoPrompt { .. })) {
            return match unheard.swap_remove(first) {
                Reason::Unmet { condition, at, .. } | Reason::Capped { condition, at, .. } => {
                    Some(Why::Unmet { condition, at })
                }
                _ => None,
            };
        }
        match (unheard.pop(), other.choice_taken()) {
            (Some(Reason::NoPrompt { selectors, .. }), _) => Some(Why::NoPrompt { selectors }),
            (_, Some(Reason::ChoiceTaken { by, .. })) => Some(Why::ChoiceTaken { by }),
            _ => Some(Why::Free { at: self.tree().place(symbol.definitions.first()?.at) }),
        }
    }

    fn why_on(&self, name: &str) -> Option<Why> {
        let symbol = self.tree().symbols.get(name)?;
        let other = self.about(name, symbol);
        if let Some(by) = other.sources(true, |puller| puller.value.low != Tristate::N) {
            return by.into_iter().next().map(|by| Why::Selected { by });
        }
        let at = self.tree().place(symbol.definitions.first()?.at);
        Some(match other.heard().next() {
            Some(_) => Why::Free { at },
            None => Why::NoPrompt { selectors: Vec::new() },
        })
    }
}

/// Whether a text is a value of a type, as `sym_string_valid` has it.
fn is_of(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Bool => matches!(text, "y" | "n"),
        Kind::Tristate => Tristate::parse(text).is_some(),
        Kind::Int => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let is_plain = digits == "0" || !digits.starts_with('0');
            is_plain && !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
        }
        Kind::Hex => {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_hexdigit())
        }
        Kind::String => true,
    }
}

/// A number, in the notation of its type.
fn value_of(kind: Kind, text: &str) -> Option<i128> {
    match kind {
        Kind::Hex if !text.starts_with("0x") && !text.starts_with("0X") => {
            i128::from_str_radix(text, 16).ok()
        }
        _ => number(text),
    }
}

fn is_same(kind: Kind, asked: &str, got: &str) -> bool {
    asked == got
        || kind != Kind::String && value_of(kind, asked).is_some_and(|n| value_of(kind, got) == Some(n))
}
