//! What takes the space: a treemap for each partition that has files, as lists within lists.
//!
//! ```text
//!   +-- usr 150 MiB ------------------+-- Image --+    a directory has its name in a line of its own,
//!   | +-- lib -----------+ +-- bin -+ |  36 MiB   |    and what is in it below, where there is room
//!   | |                  | |        | |           |
//!   +---------------------------------+-----------+
//! ```

use super::disk::percent;
use super::escape::Text;
use super::palette;
use super::treemap::{self, SIDE, Shape, Tile};
use crate::inspect::model::{Inspection, Partition, Usage};
use crate::units::Bytes;

/// What a treemap is laid out for, in pixels, and one that is small beside others. They are drawn as wide as the
/// page is.
const FIELD: Shape = Shape { width: 1_080, height: 460 };
const LOW_FIELD: Shape = Shape { width: 1_080, height: 140 };

/// Small beside the largest is what has less than this part of it.
const LOW: u64 = 3;

/// Height of the line with a directory's name, and the gap around tiles, in pixels; as in the style sheet.
const HEAD: u32 = 22;
const GAP: u32 = 3;

/// Least room in which a directory is opened, in pixels.
const OPENED: Shape = Shape { width: 70, height: 44 };

/// Most levels that are opened.
const LEVELS: usize = 7;

/// All partitions with files; those that hold the same are one picture.
pub(super) fn section(found: &Inspection) -> String {
    let mut groups: Vec<(Vec<&Partition>, &Usage)> = Vec::new();
    for partition in &found.partitions {
        let Some(usage) = partition.usage.as_ref().filter(|usage| usage.bytes.0 > 0) else { continue };
        match groups.iter_mut().find(|(_, known)| *known == usage) {
            Some((holders, _)) => holders.push(partition),
            None => groups.push((vec![partition], usage)),
        }
    }
    let largest = groups.iter().map(|(_, usage)| usage.bytes.0).max().unwrap_or(0);
    groups.iter().map(|(holders, usage)| map(holders, usage, usage.bytes.0 < largest / LOW)).collect()
}

fn map(holders: &[&Partition], usage: &Usage, is_low: bool) -> String {
    let names: Vec<_> = holders.iter().map(|partition| Text(&partition.label()).to_string()).collect();
    let each = if holders.len() > 1 { " in each" } else { "" };
    let used = holders[0].filesystem.as_ref().map(|filesystem| format!("; {} in use", filesystem.used));
    let (class, field) = if is_low { (" low", LOW_FIELD) } else { ("", FIELD) };
    let place = Place { path: String::new(), hue: None, level: 0, whole: usage.bytes };
    format!(
        "<figure class=\"map{class}\"><figcaption><h3>{}</h3> <span>{} in {}{each}{}</span></figcaption>\n{}</figure>\n",
        names.join(", "),
        usage.bytes,
        files(usage.files),
        used.unwrap_or_default(),
        list(&parts(usage), field, &place)
    )
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn smaller(count: u64) -> String {
    if count == 1 { "a small one".to_owned() } else { format!("{count} small ones") }
}

/// A tile: what it is called, and what it holds. Directories with a single child share its tile.
struct Part<'a> {
    name: String,
    usage: &'a Usage,
    bytes: Bytes,
    is_nameless: bool,
}

/// What a directory is divided into. A file system in a file has its own tables, and free room.
fn parts(usage: &Usage) -> Vec<Part<'_>> {
    let mut parts: Vec<_> = usage.children.iter().map(part).collect();
    let inside = usage.children.iter().fold(0_u64, |sum, child| sum.saturating_add(child.bytes.0));
    if inside > 0 && inside < usage.bytes.0 {
        let (name, bytes) = ("its tables and free room".to_owned(), Bytes(usage.bytes.0 - inside));
        parts.push(Part { name, usage: &EMPTY, bytes, is_nameless: true });
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    parts
}

static EMPTY: Usage = Usage { name: None, bytes: Bytes(0), files: 0, children: Vec::new() };

fn part(child: &Usage) -> Part<'_> {
    let bytes = child.bytes;
    let Some(name) = &child.name else {
        return Part { name: smaller(child.files), usage: child, bytes, is_nameless: true };
    };
    let (mut name, mut usage) = (name.clone(), child);
    while let [Usage { name: Some(only), bytes, .. }] = usage.children.as_slice()
        && *bytes == usage.bytes
    {
        name = format!("{name}/{only}");
        usage = &usage.children[0];
    }
    Part { name, usage, bytes, is_nameless: false }
}

/// Where a directory stands: its path, its colours if they are its own, and what it is a part of.
struct Place {
    path: String,
    hue: Option<usize>,
    level: usize,
    whole: Bytes,
}

impl Place {
    /// The place of a part. Who has most of everything leaves colours to its children.
    fn of(&self, part: &Part<'_>, hue: usize) -> Place {
        let has_most = part.bytes.0 > self.whole.0 / 2;
        let hue = (self.hue.is_some() || !has_most).then_some(hue);
        Place { path: format!("{}/{}", self.path, part.name), hue, level: self.level + 1, whole: self.whole }
    }
}

/// The tiles of a directory.
fn list(parts: &[Part<'_>], shape: Shape, place: &Place) -> String {
    let weights: Vec<_> = parts.iter().map(|part| part.bytes.0).collect();
    let mut text = "<ul>".to_owned();
    for (index, (part, tile)) in parts.iter().zip(treemap::tiles(&weights, shape)).enumerate() {
        let hue = match place.hue {
            _ if part.is_nameless => palette::NAMELESS,
            Some(hue) => hue,
            None => palette::hue(index),
        };
        if tile.width > 0 && tile.height > 0 {
            text.push_str(&item(part, tile, shape, hue, &place.of(part, hue)));
        }
    }
    text + "</ul>"
}

fn item(part: &Part<'_>, tile: Tile, shape: Shape, hue: usize, place: &Place) -> String {
    let inner = Shape {
        width: (tile.width * shape.width / SIDE).saturating_sub(3 * GAP),
        height: (tile.height * shape.height / SIDE).saturating_sub(HEAD + 2 * GAP),
    };
    let has_room = inner.width >= OPENED.width && inner.height >= OPENED.height && place.level <= LEVELS;
    let is_open = has_room && !part.usage.children.is_empty();
    let mut text = format!(
        "<li class=\"hue{hue}{}\" style=\"left:{};top:{};width:{};height:{}\" title=\"{}: {}\">\
         <p><bdi>{}</bdi> <small>{}</small></p>",
        if is_open { " open" } else { "" },
        percent(tile.x),
        percent(tile.y),
        percent(tile.width),
        percent(tile.height),
        Text(&place.path),
        part.bytes,
        Text(&part.name),
        part.bytes,
    );
    if is_open {
        text.push_str(&list(&parts(part.usage), inner, place));
    }
    text + "</li>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(name: &str, bytes: u64, children: Vec<Usage>) -> Usage {
        Usage { name: Some(name.to_owned()), bytes: Bytes(bytes), files: 1, children }
    }

    #[test]
    fn a_file_system_in_a_file_has_room_of_its_own() {
        let found = usage("rootfs.ext4", 100, vec![usage("usr", 60, vec![]), usage("etc", 10, vec![])]);
        let parts = parts(&found);
        let named: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.bytes.0)).collect();
        assert_eq!(named, [("usr", 60), ("its tables and free room", 30), ("etc", 10)]);
    }

    #[test]
    fn directories_with_a_single_child_are_one_tile() {
        let found = usage("EFI", 9, vec![usage("BOOT", 9, vec![usage("a.efi", 5, vec![])])]);
        assert_eq!(part(&found).name, "EFI/BOOT");
    }

    #[test]
    fn colours_of_a_directory_go_to_its_bottom_and_names_are_escaped() {
        let inner = usage("usr", 90, vec![usage("<b>", 50, vec![]), usage("lib", 40, vec![])]);
        let whole = usage("", 200, vec![inner, usage("x", 110, vec![])]);
        let place = Place { path: String::new(), hue: None, level: 0, whole: whole.bytes };
        let text = list(&parts(&whole), FIELD, &place);
        assert_eq!((text.matches("hue0").count(), text.matches("hue1").count()), (1, 3), "{text}");
        assert!(text.contains("title=\"/usr/&lt;b&gt;: 50 B\"") && !text.contains("<b>"), "{text}");
    }
}
