//! What the Kconfig files say of one symbol.

use std::fmt;

use serde::Serialize;

use super::expr::Expr;
use super::tree::{Definition, Kind, Place, Pulls, Range, Symbol, Target, Tree};

/// All that there is to know of a symbol before it has a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its type; none is given to one that only other places define.
    pub kind: Option<Kind>,
    /// The line that people see; none for one that others set.
    pub prompt: Option<String>,
    /// Where it is defined.
    pub defined: Vec<Place>,
    /// What it depends on, its own conditions and those around it.
    pub depends: Vec<Pull>,
    /// Its defaults, in the order in which they are tried.
    pub defaults: Vec<Pull>,
    /// Who selects it.
    pub selected_by: Vec<Pull>,
    /// Who implies it.
    pub implied_by: Vec<Pull>,
    /// What it selects.
    pub selects: Vec<Pull>,
    /// Ranges that its number is kept in.
    pub ranges: Vec<Pull>,
    /// Its help text, without margin.
    pub help: String,
}

/// Something that is said, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// What, as it is written.
    pub what: String,
    /// Where.
    pub at: Place,
}

impl Tree {
    /// What the Kconfig files say of a symbol, named without `CONFIG_`; `None` when they do not define it.
    pub fn about(&self, symbol: &str) -> Option<About> {
        let found = self.symbols.get(symbol)?;
        let all = found.definitions.as_slice();
        Some(About {
            name: symbol.to_owned(),
            kind: found.kind,
            prompt: all.iter().find_map(|one| one.prompt.as_ref()).map(|prompt| prompt.text.clone()),
            defined: all.iter().map(|one| self.place(one.at)).collect(),
            depends: self.depends(found),
            defaults: self.said(
                all,
                |one| &one.defaults,
                |given| (conditional(given.value.to_string(), given.condition.as_ref()), given.at),
            ),
            selected_by: self.pulled_by(symbol, &self.selected, |one| &one.selects),
            implied_by: self.pulled_by(symbol, &self.implied, |one| &one.implies),
            selects: self.said(
                all,
                |one| &one.selects,
                |target| (conditional(target.name.clone(), target.condition.as_ref()), target.at),
            ),
            ranges: self.said(all, |one| &one.ranges, |range| (ranged(range), range.at)),
            help: all
                .iter()
                .map(|one| one.help.as_str())
                .find(|help| !help.is_empty())
                .unwrap_or("")
                .to_owned(),
        })
    }

    fn depends(&self, symbol: &Symbol) -> Vec<Pull> {
        let all = symbol.definitions.iter().flat_map(|one| self.dependencies(one));
        all.map(|condition| Pull { what: condition.expr.to_string(), at: self.place(condition.at) }).collect()
    }

    fn said<T>(
        &self,
        all: &[Definition],
        part: impl Fn(&Definition) -> &Vec<T>,
        text: impl Fn(&T) -> (String, super::tree::Spot),
    ) -> Vec<Pull> {
        let texts = all.iter().flat_map(|one| part(one).iter().map(&text));
        texts.map(|(what, at)| Pull { what, at: self.place(at) }).collect()
    }

    fn pulled_by(&self, name: &str, pulls: &Pulls, part: impl Fn(&Definition) -> &Vec<Target>) -> Vec<Pull> {
        let pull = |(other, definition, line): &(String, usize, usize)| {
            let target = part(self.symbols.get(other)?.definitions.get(*definition)?).get(*line)?;
            let what = conditional(other.clone(), target.condition.as_ref());
            Some(Pull { what, at: self.place(target.at) })
        };
        pulls.get(name).into_iter().flatten().filter_map(pull).collect()
    }
}

fn conditional(text: String, condition: Option<&Expr>) -> String {
    match condition {
        Some(condition) => format!("{text} if {condition}"),
        None => text,
    }
}

fn ranged(range: &Range) -> String {
    conditional(format!("{} to {}", range.low, range.high), range.condition.as_ref())
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map_or("no type".to_owned(), |kind| kind.to_string());
        let prompt = self.prompt.as_deref().map_or("no prompt".to_owned(), |prompt| format!("\"{prompt}\""));
        writeln!(f, "{}: {kind}, {prompt}", self.name)?;
        for at in &self.defined {
            writeln!(f, "  defined at {at}")?;
        }
        for (title, pulls) in [
            ("depends on", &self.depends),
            ("default", &self.defaults),
            ("range", &self.ranges),
            ("selects", &self.selects),
            ("selected by", &self.selected_by),
            ("implied by", &self.implied_by),
        ] {
            for pull in pulls {
                writeln!(f, "  {title} {} ({})", pull.what, pull.at)?;
            }
        }
        self.help.lines().try_for_each(|line| writeln!(f, "{}", format!("    {line}").trim_end()))
    }
}
