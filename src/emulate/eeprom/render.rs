//! An answer as text, and as a value for machines.

use std::fmt::Write as _;

use serde::Serialize;

use super::rules::{self, Kind};
use super::{Answer, Chosen, Question};

/// An answer with its question and the sources of its steps, for `--json`.
#[derive(Debug, Serialize)]
pub struct Explained<'a> {
    /// Says that this is no measurement.
    pub model: &'static str,
    /// The board.
    pub board: &'a str,
    /// Its variant.
    pub variant: Option<&'a str>,
    /// Release of its EEPROM.
    pub eeprom: &'a str,
    /// Partition that the last reboot asked for.
    pub reboot: Option<u32>,
    /// Whether the tryboot flag was set.
    pub tryboot: bool,
    /// What it reads and decides, in order.
    pub steps: Vec<ExplainedStep<'a>>,
    /// What it starts, if anything.
    pub boots: Option<&'a Chosen>,
}

/// A step with what is known about its rule.
#[derive(Debug, Serialize)]
pub struct ExplainedStep<'a> {
    /// What happens.
    pub what: &'a str,
    /// The rule's name.
    pub rule: &'static str,
    /// How sure the rule is.
    pub kind: Option<Kind>,
    /// Where it comes from.
    pub source: Option<&'static str>,
}

/// What both forms say about themselves.
const LABEL: &str =
    "a model of the firmware, from documentation, release notes and measurements; not the firmware";

impl<'a> Explained<'a> {
    /// Puts question and answer together.
    pub fn new(question: &'a Question, answer: &'a Answer) -> Self {
        let step = |step: &'a super::Step| {
            let rule = rules::find(step.rule);
            let (kind, source) = (rule.map(|rule| rule.kind), rule.map(|rule| rule.source));
            ExplainedStep { what: &step.what, rule: step.rule, kind, source }
        };
        Explained {
            model: LABEL,
            board: &question.board.name,
            variant: question.variant.as_deref(),
            eeprom: &question.eeprom,
            reboot: question.reboot,
            tryboot: question.tryboot,
            steps: answer.steps.iter().map(step).collect(),
            boots: answer.boots.as_ref(),
        }
    }
}

/// The answer for a terminal: each step with its rule, and what comes of it.
pub fn render(question: &Question, answer: &Answer) -> String {
    let explained = Explained::new(question, answer);
    let variant = question.variant.as_ref().map_or(String::new(), |variant| format!(", {variant}"));
    // Writing into a string does not fail.
    let mut text = format!("{}{variant}\n{LABEL}\n\n", question.board.title);
    for (number, ExplainedStep { what, rule, kind, .. }) in (1..).zip(&explained.steps) {
        let kind = kind.map_or(String::new(), |kind| format!("{kind}: "));
        let _ = writeln!(text, "{number:3}  {}  [{kind}{rule}]", clean(what));
    }
    text.push('\n');
    match &answer.boots {
        Some(chosen) => text.push_str(&render_chosen(chosen)),
        None => {
            let why = answer.steps.last().map_or("", |step| step.what.as_str());
            let _ = writeln!(text, "boots nothing: {}", clean(why));
        }
    }
    text
}

fn render_chosen(chosen: &Chosen) -> String {
    let trial = if chosen.tryboot { ", as a trial" } else { "" };
    let none = || "none".to_owned();
    let overlays = if chosen.overlays.is_empty() { none() } else { chosen.overlays.join(" ") };
    let rows = [
        ("config", chosen.config.clone()),
        ("kernel", chosen.kernel.clone()),
        ("device tree", chosen.dtb.clone().unwrap_or_else(none)),
        ("overlays", overlays),
        ("initramfs", chosen.initramfs.clone().unwrap_or_else(none)),
        ("command line", chosen.cmdline.clone()),
    ];
    let mut text = format!("boots partition {}{trial}\n", chosen.partition);
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:12}  {}", clean(&value));
    }
    text
}

/// Text from a disk, without what a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
