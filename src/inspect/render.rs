//! An inspection as text for a terminal.

use std::fmt::Write as _;

use super::model::{BootState, Filesystem, Inspection, Partition, Slot};
use crate::units::Bytes;

/// Narrowest text that is laid out, in columns.
const NARROWEST: usize = 40;

const USED: char = '█';
const FREE: char = '░';
/// A partition whose use is not known.
const UNKNOWN: char = '▒';
/// Bytes of the disk that belong to no partition.
const OUTSIDE: char = '·';

/// The whole inspection, `width` columns wide where it can choose, without colours.
pub fn render(found: &Inspection, width: usize) -> String {
    let mut text = header(found);
    if !found.partitions.is_empty() {
        text.push_str(&bar(found, width.max(NARROWEST)));
        text.push_str(&section("", &found.partitions.iter().map(partition_row).collect::<Vec<_>>()));
    }
    text.push_str(&section("slots", &found.slots.iter().map(slot_row).collect::<Vec<_>>()));
    if let Some(boot) = &found.boot {
        text.push_str(&section("boot state", &boot_rows(boot)));
    }
    let biggest = found.biggest.iter();
    let rows = biggest.map(|file| vec![right(&file.size), file.path.clone(), file.partitions.join(", ")]);
    text.push_str(&section("biggest files", &rows.collect::<Vec<_>>()));
    text.push_str(&section("problems", &problems(found)));
    text
}

fn header(found: &Inspection) -> String {
    let mut text = format!("{}: {}", clean(&found.path), found.size);
    if let Some(mapped) = found.mapped {
        let _ = write!(text, ", {mapped} of it not holes");
    }
    if let Some(table) = &found.table {
        let _ = write!(text, "\n{} {}", table.scheme, table.id);
    }
    text + "\n"
}

/// The disk from left to right, and the names of its partitions above it.
///
/// ```text
///   esp     system-a      system-b      data
/// ·|█░░░░░░|████████░░░░░|████████░░░░░|██░░░░░░░░·
/// ```
fn bar(found: &Inspection, width: usize) -> String {
    let disk = found.size.0.max(1);
    let column = |bytes: u64| (u128::from(bytes.min(disk)) * width as u128 / u128::from(disk)) as usize;
    let (mut names, mut cells) = (vec![' '; width], vec![OUTSIDE; width]);
    for partition in &found.partitions {
        let first = column(partition.start.0);
        let last = column(partition.start.0.saturating_add(partition.size.0)).max(first + 1).min(width);
        for (at, cell) in cells.iter_mut().enumerate().take(last).skip(first) {
            *cell = if at == first { '|' } else { fill(partition, at - first, last - first) };
        }
        let name = clean(&partition.label());
        let room = names.iter_mut().take(last).skip(first + 1);
        room.zip(name.chars()).for_each(|(cell, letter)| *cell = letter);
    }
    let line = |cells: Vec<char>| cells.into_iter().collect::<String>().trim_end().to_owned();
    format!("\n{}\n{}\n", line(names), line(cells))
}

/// What stands in one of the `cells` cells of a partition.
fn fill(partition: &Partition, cell: usize, cells: usize) -> char {
    match &partition.filesystem {
        None => UNKNOWN,
        Some(filesystem) => {
            let used = u128::from(filesystem.used.0) * cells as u128;
            if used > u128::from(partition.size.0) * cell as u128 { USED } else { FREE }
        }
    }
}

fn partition_row(partition: &Partition) -> Vec<String> {
    let mut row = vec![
        partition.number.to_string(),
        partition.name.clone(),
        partition.kind.clone(),
        right(&partition.size),
    ];
    match &partition.filesystem {
        Some(filesystem) => row.extend(filesystem_cells(filesystem)),
        None if partition.hidden => {
            row.push("hidden: not written to its end, or failed its trial".to_owned())
        }
        None => row.push("no known file system".to_owned()),
    }
    row
}

fn filesystem_cells(filesystem: &Filesystem) -> [String; 4] {
    let share = 100 * u128::from(filesystem.used.0) / u128::from(filesystem.size.0.max(1));
    let files = filesystem.files.map(|count| format!("{count} files"));
    [
        filesystem.kind.name().to_owned(),
        format!("{} used ({share} %)", filesystem.used),
        files.unwrap_or_default(),
        filesystem.label.clone().unwrap_or_default(),
    ]
}

fn slot_row(slot: &Slot) -> Vec<String> {
    let unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let rootfs = slot.rootfs.as_ref().map(|rootfs| {
        let [kind, used, files, _] = filesystem_cells(rootfs);
        format!("root: {kind}, {used}, {files}")
    });
    vec![
        slot.slot.clone(),
        format!("{} {}", unknown(&slot.name), unknown(&slot.version)),
        format!("build {}", unknown(&slot.build)),
        format!("{} files, {}", slot.files, slot.bytes),
        rootfs.unwrap_or_default(),
    ]
}

fn boot_rows(boot: &BootState) -> Vec<Vec<String>> {
    let next = boot.next.as_ref().map_or("nothing sound".to_owned(), |slot| format!("slot {slot} is next"));
    let variables = boot.variables.iter().map(|(name, value)| vec![format!("{name}={value}")]);
    std::iter::once(vec![format!("{next}, by {}", boot.file)]).chain(variables).collect()
}

/// Where something is wrong, and what.
pub(super) fn problems(found: &Inspection) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |place: &str, problem: &str| rows.push(vec![place.to_owned(), problem.to_owned()]);
    found.problems.iter().for_each(|problem| add("image", problem));
    found.table.iter().filter_map(|table| table.problem.as_ref()).for_each(|problem| add("table", problem));
    for partition in &found.partitions {
        let inside = partition.filesystem.as_ref().and_then(|filesystem| filesystem.problem.as_ref());
        partition.problem.iter().chain(inside).for_each(|problem| add(&partition.label(), problem));
    }
    for slot in &found.slots {
        let inside = slot.rootfs.as_ref().and_then(|rootfs| rootfs.problem.as_ref());
        slot.problems.iter().chain(inside).for_each(|problem| add(&format!("slot {}", slot.slot), problem));
    }
    found.boot.iter().flat_map(|boot| &boot.problems).for_each(|problem| add("boot state", problem));
    rows
}

/// A size that lines up with those above and below it.
fn right(size: &Bytes) -> String {
    format!("{:>9}", size.to_string())
}

/// Rows in columns below a title; nothing at all when there are none.
fn section(title: &str, rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).map(|text| clean(text)).unwrap_or_default();
    // The last column of a row takes the room it needs, so it does not widen the others.
    let inner = |column: usize| rows.iter().filter(move |row| row.len() > column + 1);
    let widths: Vec<usize> = (0..columns)
        .map(|column| inner(column).map(|row| cell(row, column).chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = if title.is_empty() { "\n".to_owned() } else { format!("\n{title}\n") };
    for row in rows {
        let cells: Vec<String> =
            (0..row.len()).map(|column| format!("{:<1$}", cell(row, column), widths[column])).collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
    text
}

/// Names come from the image: none may steer the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Kind;

    fn partition(name: &str, start: u64, size: u64, used: Option<u64>) -> Partition {
        let filesystem = used.map(|used| Filesystem {
            kind: Kind::Ext4,
            label: None,
            uuid: None,
            size: Bytes::mib(size),
            used: Bytes::mib(used),
            files: Some(3),
            problem: None,
        });
        Partition {
            number: 1,
            role: None,
            name: name.to_owned(),
            kind: "Linux".to_owned(),
            partuuid: String::new(),
            start: Bytes::mib(start),
            size: Bytes::mib(size),
            filesystem,
            mapped: None,
            usage: None,
            hidden: false,
            problem: None,
        }
    }

    #[test]
    fn a_slot_that_is_hidden_is_said_to_be() {
        let hidden = Partition { hidden: true, ..partition("boot-b", 0, 100, None) };
        let row = partition_row(&hidden).pop().unwrap();
        assert!(
            row.starts_with("hidden: ") && partition_row(&partition("x", 0, 1, None))[4].starts_with("no ")
        );
    }

    #[test]
    fn the_bar_is_to_scale() {
        let partitions =
            vec![partition("one", 10, 40, Some(10)), partition("two-has-a-long-name", 50, 20, None)];
        let found = Inspection { size: Bytes::mib(100), partitions, ..Inspection::default() };
        let expected = "
      one                 two-has-a
·····|████░░░░░░░░░░░░░░░|▒▒▒▒▒▒▒▒▒···············
";
        assert_eq!(bar(&found, 50), expected);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let found = Inspection {
            size: Bytes::mib(100),
            partitions: vec![partition("\x1b[2Jx", 0, 100, None)],
            ..Inspection::default()
        };
        assert!(!render(&found, 80).contains('\x1b'));
    }

    #[test]
    fn partitions_outside_of_the_disk_are_drawn_at_its_end() {
        let partitions =
            vec![partition("far", u64::MAX >> 20, 1, None), partition("x", 99, 1 << 30, Some(1))];
        let found = Inspection { size: Bytes::mib(100), partitions, ..Inspection::default() };
        for width in [0, 1, 40, 200] {
            assert!(render(&found, width).contains("far"));
        }
    }
}
