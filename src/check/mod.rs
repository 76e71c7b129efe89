//! Whether an image or a device will boot: a table of rules, one for each known way to brick one.
//!
//! ```text
//!   image --open--> Scene: table, partitions, file systems
//!                     |
//!                     +--read--> Contents: digests, kernels, initramfs (on several threads)
//!                     v
//!                   rules: &Scene -> findings --> Report
//! ```
//! A rule looks at one thing and says nothing about what another rule reports. Whatever is
//! damaged is a finding; only a disk that cannot be opened is an error.

mod autoboot;
mod config;
mod content;
mod dtb;
mod ext4;
mod fat;
mod firmware;
mod gpt;
mod grub;
mod initramfs;
mod kernel;
mod readable;
mod render;
mod report;
mod scene;
mod slot;
mod systems;
mod table;

use std::path::Path;

pub use render::{render, render_rules};
pub use report::{Report, Severity, State, Verdict};

use crate::image::layout::Scheme;
use crate::interrupt::Interrupted;
use crate::volume::OpenError;
use scene::Scene;

/// The rules by what they look at, in the order in which they run.
const TOPICS: &[&[Rule]] = &[
    table::RULES,
    gpt::RULES,
    fat::RULES,
    ext4::RULES,
    autoboot::RULES,
    grub::RULES,
    slot::RULES,
    firmware::RULES,
    config::RULES,
    kernel::RULES,
    dtb::RULES,
    initramfs::RULES,
    readable::RULES,
];

/// A known way to brick a machine, or to have a slot that does not boot.
#[derive(Debug)]
pub struct Rule {
    /// Its name, which does not change.
    pub name: &'static str,
    /// How bad it is to break it.
    pub severity: Severity,
    /// Which disks it is for.
    pub scope: Scope,
    /// What has to hold.
    pub title: &'static str,
    /// What happens where it does not.
    pub why: &'static str,
    /// A public issue or document that says so.
    pub link: &'static str,
    /// What to do about it.
    pub way_out: &'static str,
    check: fn(&Scene) -> Vec<Finding>,
}

/// Which disks a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, even those without a partition table.
    Any,
    /// Those with a partition table.
    Table,
    /// Those of the generic track, which have a GPT.
    Generic,
    /// Those of the Raspberry Pi track, which have an MBR.
    Rpi,
}

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Partitions, or files as `partition: path`; several when the same holds for each.
    pub places: Vec<String>,
    /// What is wrong there.
    pub what: String,
}

/// How much to look at.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether all files of the slots are read and compared with their lists. Not worth the time
    /// right after they were written.
    pub digests: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { digests: true }
    }
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// An image that was just made has errors.
    #[error("the image would not boot, and was not kept\n\n{}", render(.0).trim_end())]
    Unsound(Box<Report>),
}

/// All rules, in the order in which they run.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    TOPICS.iter().flat_map(|rules| rules.iter())
}

/// Told, from several threads, how many more bytes of the slots were read, and of how many in all.
pub type Progress<'a> = dyn Fn(u64, u64) + Sync + 'a;

/// Checks the image or device at `path`, which is only read.
///
/// # Errors
/// When it cannot be opened, or the user interrupts.
pub fn check(path: &Path, options: Options, progress: &Progress<'_>) -> Result<Report, CheckError> {
    let scene = Scene::open(path, options, progress)?;
    let verdicts = rules().map(|rule| rule.judge(&scene)).collect();
    Ok(Report::new(path, scene.scheme(), verdicts))
}

/// Checks an image that was just written: the same rules, but for what the writer has compared.
/// Warnings go to the log.
///
/// # Errors
/// As [`check`], and when a rule finds an error.
pub fn image(path: &Path) -> Result<Report, CheckError> {
    let report = check(path, Options { digests: false }, &|_, _| {})?;
    if !report.is_sound() {
        return Err(CheckError::Unsound(Box::new(report)));
    }
    for verdict in report.broken(Severity::Warning) {
        for finding in &verdict.findings {
            tracing::warn!("{}: {}", finding.places.join(", "), finding.what);
        }
    }
    Ok(report)
}

impl Rule {
    fn judge(&'static self, scene: &Scene) -> Verdict {
        let is_skipped = self.name == slot::DIGESTS && !scene.options.digests;
        if !self.scope.holds(scene.scheme()) || is_skipped {
            return Verdict { rule: self, state: State::NotApplicable, findings: Vec::new() };
        }
        let findings = report::joined((self.check)(scene));
        let state = if findings.is_empty() { State::Passed } else { State::Broken };
        Verdict { rule: self, state, findings }
    }
}

impl Scope {
    fn holds(self, scheme: Option<Scheme>) -> bool {
        match self {
            Scope::Any => true,
            Scope::Table => scheme.is_some(),
            Scope::Generic => scheme == Some(Scheme::Gpt),
            Scope::Rpi => scheme == Some(Scheme::Mbr),
        }
    }

    /// The tracks it is for, as words.
    pub fn tracks(self) -> &'static str {
        match self {
            Scope::Any | Scope::Table => "generic, rpi",
            Scope::Generic => "generic",
            Scope::Rpi => "rpi",
        }
    }
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Finding { places: vec![place.into()], what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own_and_says_why() {
        let names: BTreeSet<&str> = rules().map(|rule| rule.name).collect();
        assert_eq!(names.len(), rules().count());
        for rule in rules() {
            assert!(
                rule.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{}",
                rule.name
            );
            for text in [rule.title, rule.why, rule.link, rule.way_out] {
                assert!(!text.is_empty() && !text.ends_with('.') && !text.contains("  "), "{}", rule.name);
            }
        }
    }
}
