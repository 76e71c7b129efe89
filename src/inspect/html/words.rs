//! What was found, in words and in tables.

use std::fmt::Write as _;

use super::disk::{percent, share};
use super::escape::Text;
use super::palette;
use crate::inspect::model::{BootState, Filesystem, Inspection, Partition, Slot};
use crate::inspect::render;
use crate::units::Bytes;

/// What is wrong, as a list; nothing when nothing is.
pub(super) fn problems(found: &Inspection) -> String {
    let rows = render::problems(found);
    if rows.is_empty() {
        return String::new();
    }
    let rows: String = rows
        .iter()
        .map(|row| format!("<li><b><bdi>{}</bdi></b>: {}</li>\n", Text(&row[0]), Text(&row[1])))
        .collect();
    format!("<section class=\"card problems\"><h2>Problems</h2>\n<ul>\n{rows}</ul></section>\n")
}

/// What the loader will do, and what the slots hold.
pub(super) fn boot(found: &Inspection) -> String {
    if found.boot.is_none() && found.slots.is_empty() {
        return String::new();
    }
    let mut text = "<section class=\"card\"><h2>How it starts</h2>\n".to_owned();
    if let Some(boot) = &found.boot {
        let _ = write!(text, "<p>{} <span class=\"quiet\">So says <code>", sentence(boot));
        let _ = writeln!(text, "<bdi>{}</bdi></code>.</span></p>", Text(&boot.file));
    }
    let next = found.boot.as_ref().and_then(|boot| boot.next.as_deref());
    let slots: String = found.slots.iter().map(|slot| slot_card(slot, next)).collect();
    if !slots.is_empty() {
        let _ = write!(text, "<ul class=\"slots\">\n{slots}</ul>\n");
    }
    if let Some(boot) = found.boot.as_ref().filter(|boot| !boot.variables.is_empty()) {
        text.push_str(&variables(boot));
    }
    text + "</section>\n"
}

/// The state as people tell it.
fn sentence(boot: &BootState) -> String {
    let upper = |slot: &str| Text(&slot.to_uppercase()).to_string();
    match (&boot.next, &boot.committed) {
        (None, _) => "Nothing sound says which slot is started next.".to_owned(),
        (Some(next), Some(committed)) if next == committed => {
            format!("<b>Slot {}</b> is committed, and is started next.", upper(next))
        }
        (Some(next), Some(committed)) if boot.tries > 0 => {
            let starts =
                if boot.tries == 1 { "one start".to_owned() } else { format!("{} starts", boot.tries) };
            let (next, committed) = (upper(next), upper(committed));
            format!(
                "<b>Slot {next}</b> is under trial: it is started next, and has {starts} left. \
                 Slot {committed} is committed."
            )
        }
        (Some(next), Some(committed)) => {
            let (next, committed) = (upper(next), upper(committed));
            format!(
                "Slot {committed} is committed but could not be loaded: <b>slot {next}</b> is started next."
            )
        }
        (Some(next), None) => format!("<b>Slot {}</b> is started next.", upper(next)),
    }
}

fn slot_card(slot: &Slot, next: Option<&str>) -> String {
    let or_unknown = |text: &Option<String>| Text(text.as_deref().unwrap_or("unknown")).to_string();
    let is_next = if next == Some(&slot.slot) { " <span class=\"badge\">next</span>" } else { "" };
    let rootfs = slot.rootfs.as_ref().map(|rootfs| format!("<br>root: {}", filesystem(rootfs)));
    format!(
        "<li><h3>Slot {}{is_next}</h3><p><b><bdi>{}</bdi> <bdi>{}</bdi></b><br>build <code><bdi>{}</bdi></code>\
         <br>{} files, {}{}</p></li>\n",
        Text(&slot.slot.to_uppercase()),
        or_unknown(&slot.name),
        or_unknown(&slot.version),
        or_unknown(&slot.build),
        slot.files,
        slot.bytes,
        rootfs.unwrap_or_default(),
    )
}

fn filesystem(filesystem: &Filesystem) -> String {
    let share = share(filesystem.used, filesystem.size) / 100;
    let files = filesystem.files.map(|count| format!(", {count} files"));
    let name = filesystem.kind.name();
    format!("{name}, {} in use ({share} %){}", filesystem.used, files.unwrap_or_default())
}

fn variables(boot: &BootState) -> String {
    let row = |(name, value): &(String, String)| {
        format!(
            "<dt><code><bdi>{}</bdi></code></dt><dd><code><bdi>{}</bdi></code></dd>",
            Text(name),
            Text(value)
        )
    };
    let rows: String = boot.variables.iter().map(row).collect();
    format!("<details><summary>Variables</summary><dl>{rows}</dl></details>\n")
}

/// The partitions as a table, which is a list of cards on a phone.
pub(super) fn partitions(found: &Inspection) -> String {
    let titles = ["Partition", "For", "Type", "From", "Size", "Stored", "In use", "Holds", "Identity"];
    let rows =
        found.partitions.iter().enumerate().map(|(index, partition)| partition_cells(index, partition));
    let rows: Vec<_> = rows.collect();
    table("Partitions", &titles, &rows)
}

fn partition_cells(index: usize, partition: &Partition) -> Vec<String> {
    let hue = palette::hue(index);
    let name = format!(
        "<i class=\"hue{hue} used\" aria-hidden=\"true\"></i> {} <b><bdi>{}</bdi></b>",
        partition.number,
        Text(&partition.label())
    );
    let stored = partition.mapped.map_or("not known".to_owned(), |mapped| mapped.to_string());
    let (used, holds) = contents(partition);
    vec![
        name,
        Text(partition.role.as_deref().unwrap_or("not known")).to_string(),
        Text(&partition.kind).to_string(),
        Bytes::to_string(&partition.start),
        partition.size.to_string(),
        stored,
        used,
        holds,
        format!("<code class=\"small\">{}</code>", Text(&partition.partuuid)),
    ]
}

/// How much of a partition is in use, and of what.
fn contents(partition: &Partition) -> (String, String) {
    let Some(filesystem) = &partition.filesystem else {
        let what = if partition.hidden {
            "hidden: not written to its end, or failed its trial"
        } else {
            "no known file system"
        };
        return ("not known".to_owned(), what.to_owned());
    };
    let width = percent(share(filesystem.used, filesystem.size));
    let used = format!(
        "{}<span class=\"meter\" aria-hidden=\"true\"><span style=\"width:{width}\"></span></span>",
        filesystem.used
    );
    let files = filesystem.files.map(|count| format!(", {count} files"));
    let label = filesystem.label.as_deref().map(|label| format!(", <bdi>{}</bdi>", Text(label)));
    let (files, label) = (files.unwrap_or_default(), label.unwrap_or_default());
    (used, format!("{}{files}{label}", filesystem.kind.name()))
}

/// The largest files of all partitions.
pub(super) fn biggest(found: &Inspection) -> String {
    let rows: Vec<_> = found
        .biggest
        .iter()
        .map(|file| {
            let path = format!("<bdi>{}</bdi>", Text(&file.path));
            vec![file.size.to_string(), path, Text(&file.partitions.join(", ")).to_string()]
        })
        .collect();
    table("Largest files", &["Size", "File", "Partitions"], &rows)
}

/// A table of cells that are markup already. The roles are said, since a phone's layout takes them away.
fn table(title: &str, titles: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head: String =
        titles.iter().map(|title| format!("<th role=\"columnheader\" scope=\"col\">{title}</th>")).collect();
    let row = |cells: &Vec<String>| {
        let cell = |(cell, title): (&String, &&str)| {
            format!("<td role=\"cell\" data-title=\"{title}\"><div>{cell}</div></td>")
        };
        let cells: String = cells.iter().zip(titles).map(cell).collect();
        format!("<tr role=\"row\">{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<section class=\"card\"><h2>{title}</h2>\n<table role=\"table\" aria-label=\"{title}\">\
         <thead role=\"rowgroup\"><tr role=\"row\">{head}</tr></thead>\n\
         <tbody role=\"rowgroup\">\n{rows}</tbody></table></section>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(next: &str, committed: &str, tries: u8) -> BootState {
        let [next, committed] = [next, committed].map(|slot| Some(slot.to_owned()));
        BootState { next, committed, tries, ..BootState::default() }
    }

    #[test]
    fn every_boot_state_has_its_sentence() {
        let plain = |state: &BootState| sentence(state).replace("<b>", "").replace("</b>", "");
        assert_eq!(plain(&state("a", "a", 0)), "Slot A is committed, and is started next.");
        assert!(
            plain(&state("b", "a", 2))
                .contains("Slot B is under trial: it is started next, and has 2 starts")
        );
        assert!(plain(&state("b", "a", 1)).contains("one start left"));
        assert!(plain(&state("b", "a", 0)).contains("could not be loaded: slot B"));
        assert!(plain(&BootState::default()).starts_with("Nothing sound"));
    }
}
