//! A report, and the table of rules, as text for a terminal.

use std::fmt::Write as _;

use super::{Report, Severity, State, Verdict, rules};

/// The report: what is wrong, the worst first, and how much is not.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        report.broken(severity).for_each(|verdict| text.push_str(&broken(verdict)));
    }
    text + &summary(report)
}

/// ```text
/// error: autoboot-size
///   control: autoboot.txt: it has 513 bytes, of which 512 are read
///   why: ... (raspberrypi/documentation, autoboot.adoc)
///   way out: ...
/// ```
fn broken(verdict: &Verdict) -> String {
    let rule = verdict.rule;
    let mut text = format!("{}: {}\n", word(rule.severity), rule.name);
    for finding in &verdict.findings {
        let _ = writeln!(text, "  {}: {}", clean(&finding.places.join(", ")), clean(&finding.what));
    }
    let _ = writeln!(text, "  why: {} ({})", rule.why, rule.link);
    let _ = writeln!(text, "  way out: {}\n", rule.way_out);
    text
}

fn summary(report: &Report) -> String {
    let found = match (report.errors, report.warnings) {
        (0, 0) => "no errors, no warnings".to_owned(),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    let (passed, other) = (report.count(State::Passed), report.count(State::NotApplicable));
    format!("{}: {found}; {passed} rules hold, {other} are for other disks\n", clean(&report.image))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// The table of rules.
pub fn render_rules() -> String {
    let mut text = String::new();
    for rule in rules() {
        let (severity, tracks) = (word(rule.severity), rule.scope.tracks());
        let _ = writeln!(text, "{:<20} {severity:<8} {tracks:<13} {}", rule.name, rule.title);
        let _ = writeln!(text, "{:<20} why: {} ({})", "", rule.why, rule.link);
    }
    text
}

/// Names on a disk may have characters that move the cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
