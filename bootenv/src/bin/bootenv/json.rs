//! Answers for programs: one JSON object, one line.

use std::fmt::Write as _;

use bootenv::device::Device;
use bootenv::journal::{Journal, Record};
use bootenv::{BootFlow as _, Error, Slot, Trial};

use super::show::how;

/// An object that is being written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Object(String::new())
    }

    /// Adds a member whose value is JSON already.
    fn raw(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing into a string does not fail.
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
        self
    }

    fn text(self, name: &str, value: Option<&str>) -> Self {
        let text = value.map_or("null".to_owned(), quoted);
        self.raw(name, text)
    }

    fn slot(self, name: &str, slot: Option<Slot>) -> Self {
        self.text(name, slot.map(|slot| slot.to_string()).as_deref())
    }

    fn end(self) -> String {
        format!("{{{}}}", self.0)
    }
}

/// A string (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '\0'..' ' => {
                let _ = write!(out, "\\u{:04x}", letter as u32);
            }
            _ => out.push(letter),
        }
    }
    out + "\""
}

/// All that is known.
pub(super) fn status(device: &mut Device) -> Result<String, Error> {
    let state = device.state()?;
    let why = device.can_try().err().map(|why| why.to_string());
    let newest = device.history().ok().and_then(|journal| journal.newest);
    let object = Object::new()
        .text("track", Some(device.track().name()))
        .slot("booted", state.booted.map(|booted| booted.slot))
        .text("state", state.booted.map(|booted| how(booted.how)))
        .slot("default", state.default)
        .slot("next", state.next)
        .raw("trial", trial(state.trial))
        .raw("whole", state.whole)
        .text("reset", Some(device.reset().word()))
        .text("no_trial", why.as_deref())
        .text("doubt", device.doubt())
        .raw("journal", newest.as_ref().map_or("null".to_owned(), record));
    Ok(object.end() + "\n")
}

/// Both records, the older first, and what is wrong with them.
pub(super) fn history(journal: &Journal) -> String {
    let records: Vec<String> = journal.records.iter().flatten().map(record).collect();
    let problems: Vec<String> =
        journal.problems.iter().flatten().map(|why| quoted(&why.to_string())).collect();
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    Object::new().raw("records", list(records)).raw("problems", list(problems)).end() + "\n"
}

fn trial(trial: Option<Trial>) -> String {
    trial.map_or("null".to_owned(), |trial| {
        Object::new().slot("slot", Some(trial.slot)).raw("left", trial.left).end()
    })
}

fn record(record: &Record) -> String {
    Object::new()
        .raw("number", record.number)
        .text("event", Some(record.event.word()))
        .slot("slot", Some(record.slot))
        .slot("committed", Some(record.committed))
        .raw("trial", trial(record.trial))
        .raw("time", record.time)
        .text("reset", Some(record.reset.word()))
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_quoted_as_json_has_it() {
        let object = Object::new().text("a", Some("\"\\\n\u{1}é")).text("b", None).raw("c", 3).end();
        assert_eq!(object, r#"{"a":"\"\\\n\u0001é","b":null,"c":3}"#);
    }
}
