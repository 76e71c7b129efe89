//! What came out of a check.

use std::path::Path;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use super::{Finding, Rule};
use crate::image::layout::Scheme;

/// How bad it is to break a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The image does not boot, or will not after an update; it is not to be used.
    Error,
    /// It works, but not on every machine, or not for ever.
    Warning,
    /// Worth knowing.
    Note,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It holds.
    Passed,
    /// It does not.
    Broken,
    /// It is for other disks.
    NotApplicable,
}

/// A rule, and whether it holds.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The rule.
    pub rule: &'static Rule,
    /// What became of it.
    pub state: State,
    /// What breaks it.
    pub findings: Vec<Finding>,
}

/// All rules, and whether they hold.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// What was checked.
    pub image: String,
    /// Format of its partition table.
    pub scheme: Option<String>,
    /// Findings that are errors.
    pub errors: usize,
    /// Findings that are warnings.
    pub warnings: usize,
    /// The rules, in the order in which they ran.
    pub rules: Vec<Verdict>,
}

impl Report {
    pub(super) fn new(path: &Path, scheme: Option<Scheme>, rules: Vec<Verdict>) -> Self {
        let count = |severity| {
            let of = |verdict: &&Verdict| verdict.rule.severity == severity;
            rules.iter().filter(of).map(|verdict| verdict.findings.len()).sum()
        };
        Report {
            image: path.display().to_string(),
            scheme: scheme.map(|scheme| scheme.to_string()),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            rules,
        }
    }

    /// Whether there is no error.
    pub fn is_sound(&self) -> bool {
        self.errors == 0
    }

    /// The rules of one severity that do not hold.
    pub fn broken(&self, severity: Severity) -> impl Iterator<Item = &Verdict> {
        let is_broken = |verdict: &&Verdict| verdict.state == State::Broken;
        self.rules.iter().filter(is_broken).filter(move |verdict| verdict.rule.severity == severity)
    }

    /// How many rules came to this state.
    pub fn count(&self, state: State) -> usize {
        self.rules.iter().filter(|verdict| verdict.state == state).count()
    }
}

/// Findings that say the same of several places become one.
pub(super) fn joined(findings: Vec<Finding>) -> Vec<Finding> {
    let mut joined: Vec<Finding> = Vec::new();
    for finding in findings {
        match joined.iter_mut().find(|known| known.what == finding.what) {
            Some(known) => known.places.extend(finding.places),
            None => joined.push(finding),
        }
    }
    joined
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Verdict", 9)?;
        row.serialize_field("name", self.rule.name)?;
        row.serialize_field("severity", &self.rule.severity)?;
        row.serialize_field("tracks", self.rule.scope.tracks())?;
        row.serialize_field("state", &self.state)?;
        row.serialize_field("title", self.rule.title)?;
        row.serialize_field("why", self.rule.why)?;
        row.serialize_field("link", self.rule.link)?;
        row.serialize_field("way_out", self.rule.way_out)?;
        row.serialize_field("findings", &self.findings)?;
        row.end()
    }
}
