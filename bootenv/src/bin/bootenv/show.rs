//! Answers for people, and for the shell of init.

use std::fmt::Write as _;
use std::path::PathBuf;

use bootenv::calendar::date;
use bootenv::device::{Device, Found};
use bootenv::journal::{Journal, Record};
use bootenv::{BootFlow as _, Error, How, Slot};

/// How a slot was started, in the words of the kernel's command line.
pub(super) const fn how(how: How) -> &'static str {
    match how {
        How::Committed => "committed",
        How::Trial => "trial",
        How::HandOver => "handover",
    }
}

/// Words that a shell evaluates.
pub(super) fn find(found: &Found) -> String {
    let slot = found.booted.map_or("fallback".to_owned(), |booted| booted.slot.to_string());
    let state = found.booted.map_or("", |booted| how(booted.how));
    let path =
        |path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| path.display().to_string());
    let (system, data) = (quoted(&path(&found.system)), quoted(&path(&found.data)));
    format!("slot={slot}\nstate={state}\nsystem={system}\ndata_partition={data}\n")
}

/// In single quotes, which hold everything but themselves.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// All that is known, a line each.
pub(super) fn status(device: &mut Device) -> Result<String, Error> {
    let state = device.state()?;
    let slot = |slot: Option<Slot>| slot.map_or("unknown".to_owned(), |slot| slot.to_string());
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing into a string does not fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    row("track", device.track().name().to_owned());
    let booted = state.booted.map(|booted| format!("{} ({})", booted.slot, how(booted.how)));
    row("running", booted.unwrap_or("no slot of this disk".to_owned()));
    row("committed", slot(state.default));
    row("next", slot(state.next));
    let trial = state.trial.map(|trial| format!("slot {}, tries left: {}", trial.slot, trial.left));
    row("trial", trial.unwrap_or("none".to_owned()));
    let damaged = "a copy is damaged or behind: `bootenv repair`";
    row("copies", if state.whole { "good".to_owned() } else { damaged.to_owned() });
    row("reset", device.reset().word().to_owned());
    if let Err(why) = device.can_try() {
        row("no trial", why.to_string().replace("\n\n", "; "));
    }
    if let Some(why) = device.doubt() {
        row("doubt", why.to_owned());
    }
    if let Err(Error::Journal(why)) = device.history() {
        row("journal", why);
    }
    Ok(text)
}

/// The records that there are.
pub(super) fn history(journal: &Journal) -> String {
    let records = journal.records.iter().flatten();
    let lines: Vec<String> = records.map(line).collect();
    if lines.is_empty() { "nothing yet\n".to_owned() } else { lines.concat() }
}

fn line(record: &Record) -> String {
    let Record { number, event, slot, committed, reset, .. } = record;
    let trial =
        record.trial.map_or(String::new(), |trial| format!(", {} left of {}", trial.left, trial.slot));
    let (event, reset, day) = (event.word(), reset.word(), date(record.time));
    format!("{number}: slot {slot} {event}, committed {committed}{trial}; {day}, reset {reset}\n")
}
