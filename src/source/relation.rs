//! Relations between packages (Debian Policy 7.1): `libc6 (>= 2.38), awk | mawk`.

use std::cmp::Ordering;
use std::fmt;

use super::version;

/// One package by name, with a condition on its version or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// Name of a package or of something that packages provide.
    pub name: &'a str,
    /// Operator and version, as in `(>=, 2.38)`.
    pub condition: Option<(Operator, &'a str)>,
}

/// How a version is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    AtMost,
    /// `=`
    Exactly,
    /// `>=`
    AtLeast,
    /// `>>`
    Later,
}

/// The groups of a `Depends` field; each group has alternatives of which one will do.
pub fn parse_groups(field: &str) -> impl Iterator<Item = Vec<Relation<'_>>> {
    let groups = field.split(',').map(|group| group.split('|').filter_map(Relation::parse).collect());
    groups.filter(|group: &Vec<Relation>| !group.is_empty())
}

impl<'a> Relation<'a> {
    /// Reads one relation; `None` when there is no name.
    fn parse(text: &'a str) -> Option<Self> {
        // Architectures in brackets and build profiles are not in binary packages.
        let (name, condition) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.split_once(')').map(|(condition, _)| condition)),
            None => (text, None),
        };
        // `:any` and `:arm64` say what an archive of one architecture gives anyway.
        let name = name.split([':', '[', '<']).next().unwrap_or_default().trim();
        (!name.is_empty()).then(|| Relation { name, condition: condition.and_then(parse_condition) })
    }

    /// Whether the version is one that the condition wants.
    pub fn accepts(&self, version: &str) -> bool {
        self.condition.is_none_or(|(operator, wanted)| operator.accepts(version::compare(version, wanted)))
    }
}

fn parse_condition(text: &str) -> Option<(Operator, &str)> {
    let text = text.trim();
    let start = text.find(|c| !matches!(c, '<' | '=' | '>'))?;
    let operator = match &text[..start] {
        "<<" => Operator::Earlier,
        // A single sign is the old spelling of the inclusive ones.
        "<=" | "<" => Operator::AtMost,
        "=" => Operator::Exactly,
        ">=" | ">" => Operator::AtLeast,
        ">>" => Operator::Later,
        _ => return None,
    };
    Some((operator, text[start..].trim()))
}

impl Operator {
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Operator::Earlier => order.is_lt(),
            Operator::AtMost => order.is_le(),
            Operator::Exactly => order.is_eq(),
            Operator::AtLeast => order.is_ge(),
            Operator::Later => order.is_gt(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Earlier => "<<",
            Operator::AtMost => "<=",
            Operator::Exactly => "=",
            Operator::AtLeast => ">=",
            Operator::Later => ">>",
        })
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition {
            Some((operator, version)) => write!(f, "{} ({operator} {version})", self.name),
            None => f.write_str(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_alternatives_and_conditions_are_read() {
        let field = "libc6 (>= 2.38), awk | mawk:any (<< 2), python3:any,\n x [arm64] , ";
        let groups: Vec<String> = parse_groups(field)
            .map(|group| group.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | "))
            .collect();
        assert_eq!(groups, ["libc6 (>= 2.38)", "awk | mawk (<< 2)", "python3", "x"]);
    }

    #[test]
    fn conditions_compare_as_they_say() {
        let accepted = |condition: &str| -> Vec<&str> {
            let text = format!("x ({condition} 2-1)");
            let relation = Relation::parse(&text).unwrap();
            ["1-1", "2-1", "10-1"].into_iter().filter(|version| relation.accepts(version)).collect()
        };
        assert_eq!(accepted("<<"), ["1-1"]);
        assert_eq!(accepted("<="), ["1-1", "2-1"]);
        assert_eq!(accepted("="), ["2-1"]);
        assert_eq!(accepted(">="), ["2-1", "10-1"]);
        assert_eq!(accepted(">>"), ["10-1"]);
    }
}
