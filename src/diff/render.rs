//! A comparison as text for a terminal.
//!
//! ```text
//!   a.img and b.img differ from byte 1049088 on, in p1 esp
//!
//!   p2 system-a and p3 system-b
//!     ~ Image: size 5 B -> 6 B, content from byte 4 on
//!     + lib/x.ko (file, 12 KiB, 0644)
//!     - etc/old (directory, 0755), with 3 in it
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::model::{Comparison, Difference, Place, Problem, Side, What};
use crate::units::Bytes;

/// Longest value that is shown whole, in letters.
const LONGEST: usize = 72;

/// The whole comparison, without colours.
pub fn render(found: &Comparison) -> String {
    if found.identical {
        return format!("{} and {} are identical\n", clean(&found.a), clean(&found.b));
    }
    let mut text = format!("{} and {} differ", clean(&found.a), clean(&found.b));
    if let Some(first) = &found.first {
        let _ = write!(text, " from byte {} on, in {}", first.at, clean(&first.place.to_string()));
    }
    text.push('\n');
    let added = whole_directories(&found.differences, true);
    let removed = whole_directories(&found.differences, false);
    let mut group = None;
    for of_place in found.differences.chunk_by(|one, other| one.place == other.place) {
        let place = &of_place[0].place;
        let is_below =
            |known: &BTreeMap<Place, usize>| parents(place).any(|parent| known.contains_key(&parent));
        match &of_place[0].what {
            What::Added { .. } if is_below(&added) => continue,
            What::Removed { .. } if is_below(&removed) => continue,
            _ => {}
        }
        let (head, rest) = split(place);
        if group.as_ref() != Some(&head) {
            let _ = writeln!(text, "\n{}", clean(&head));
            group = Some(head);
        }
        let _ = writeln!(text, "  {}", clean(&line(&rest, of_place, &added, &removed)));
    }
    text + &problems(&found.problems)
}

/// The partition, and what is in it.
fn split(place: &Place) -> (String, String) {
    match place.names() {
        [] => ("image".to_owned(), String::new()),
        [head, rest @ ..] => (head.clone(), rest.join(" / ")),
    }
}

/// Directories that only one image has, and how many names are below them.
fn whole_directories(differences: &[Difference], is_added: bool) -> BTreeMap<Place, usize> {
    let mut directories = BTreeMap::new();
    let mut others = BTreeSet::new();
    for Difference { place, what } in differences {
        let about = match what {
            What::Added { about } if is_added => about,
            What::Removed { about } if !is_added => about,
            _ => continue,
        };
        others.insert(place);
        if about.starts_with("directory") {
            directories.insert(place.clone(), 0);
        }
    }
    for place in others {
        for parent in parents(place) {
            if let Some(count) = directories.get_mut(&parent) {
                *count += 1;
            }
        }
    }
    directories
}

/// The directories that lead to a place.
fn parents(place: &Place) -> impl Iterator<Item = Place> {
    let last = place.names().last().cloned().unwrap_or_default();
    let above = place.up_to(place.names().len().saturating_sub(1));
    let slashes: Vec<usize> = last.match_indices('/').map(|(at, _)| at).collect();
    slashes.into_iter().map(move |at| above.inside(&last[..at]))
}

fn line(
    name: &str,
    of_place: &[Difference],
    added: &BTreeMap<Place, usize>,
    removed: &BTreeMap<Place, usize>,
) -> String {
    let with = |known: &BTreeMap<Place, usize>| match known.get(&of_place[0].place) {
        None | Some(0) => String::new(),
        Some(count) => format!(", with {count} in it"),
    };
    let followed_by = |end: &str| if name.is_empty() { String::new() } else { format!("{name}{end}") };
    match &of_place[0].what {
        What::Added { about } => format!("+ {}({about}){}", followed_by(" "), with(added)),
        What::Removed { about } => format!("- {}({about}){}", followed_by(" "), with(removed)),
        What::Changed { .. } => {
            let fields: Vec<String> = of_place.iter().map(|one| field(&one.what)).collect();
            format!("~ {}{}", followed_by(": "), fields.join(", "))
        }
    }
}

fn field(what: &What) -> String {
    match what {
        What::Changed { field, at: Some(at), .. } if field == "content" => {
            format!("content from byte {at} on")
        }
        What::Changed { field, from, to, at: Some(at) } => {
            format!("{field} at byte {at}: {from} -> {to}")
        }
        What::Changed { field, from, to, at: None } => match field.as_str() {
            "content" => format!("content {} -> {}", start(from), start(to)),
            "size" | "length" | "start" => format!("{field} {}", sizes(from, to)),
            _ => format!("{field} {} -> {}", short(from), short(to)),
        },
        What::Added { about } | What::Removed { about } => about.clone(),
    }
}

/// The beginning of a digest.
fn start(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Two numbers of bytes; exactly, where they look the same otherwise.
fn sizes(from: &str, to: &str) -> String {
    let bytes = |text: &str| text.parse().map_or_else(|_| text.to_owned(), |count| Bytes(count).to_string());
    match (bytes(from), bytes(to)) {
        (one, other) if one == other => format!("{from} B -> {to} B"),
        (one, other) => format!("{one} -> {other}"),
    }
}

fn short(value: &str) -> String {
    match value.chars().count() {
        0 => "none".to_owned(),
        count if count > LONGEST => value.chars().take(LONGEST).chain("...".chars()).collect(),
        _ => value.to_owned(),
    }
}

fn problems(problems: &[Problem]) -> String {
    let mut text = String::new();
    for Problem { place, image, problem } in problems {
        if text.is_empty() {
            text.push_str("\ncould not be looked into\n");
        }
        let of = match image {
            Some(Side::A) => ", in the first",
            Some(Side::B) => ", in the second",
            None => "",
        };
        let _ = writeln!(text, "  {}", clean(&format!("{place}{of}: {problem}")));
    }
    text
}

/// Names come from the images: none may steer the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}
