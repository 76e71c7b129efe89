//! Files and directories of two trees, side by side.

use std::collections::BTreeMap;

use super::bytes;
use super::findings::Findings;
use super::inside;
use super::model::{Place, Side};
use crate::digest::Sha256;
use crate::interrupt::Interrupted;
use crate::units::Bytes;
use crate::volume::Region;

/// All names of a tree, without a slash in front; the root's is empty.
pub(super) type Listing = BTreeMap<String, Node>;

/// What is called by a name.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// `file`, `directory`, and so on.
    pub(super) kind: &'static str,
    /// Length of its content in bytes.
    pub(super) size: u64,
    /// Everything else that is known of it, by name, in the order in which it is told.
    pub(super) fields: Vec<(&'static str, String)>,
    /// Its extended attributes.
    pub(super) attributes: BTreeMap<String, String>,
    /// What it holds.
    pub(super) content: Content,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Nothing of its own.
    None,
    /// Bytes that can be read.
    Bytes(Region),
    /// Bytes that went by.
    Digest(Sha256),
    /// Bytes that cannot be read.
    Broken(String),
}

/// What a file's mode says that it is.
pub(super) fn kind_of(mode: u32) -> &'static str {
    match mode & 0o170_000 {
        0o040_000 => "directory",
        0o120_000 => "link",
        0o100_000 => "file",
        0o020_000 => "character device",
        0o060_000 => "block device",
        0o010_000 => "pipe",
        0o140_000 => "socket",
        _ => "unknown",
    }
}

/// Compares all names, and looks into files that are not the same.
pub(super) fn compare(
    found: &mut Findings,
    place: &Place,
    a: &Listing,
    b: &Listing,
) -> Result<(), Interrupted> {
    let mut names: Vec<&String> = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))).collect();
    names.sort_unstable();
    for name in names {
        let at = place.inside(name.as_str());
        match (a.get(name), b.get(name)) {
            (Some(node), None) => found.removed(at, node.about()),
            (None, Some(node)) => found.added(at, node.about()),
            (Some(one), Some(other)) => nodes(found, &at, name, one, other)?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn nodes(found: &mut Findings, place: &Place, name: &str, a: &Node, b: &Node) -> Result<(), Interrupted> {
    found.compare(place, "type", a.kind, b.kind);
    if a.kind != b.kind {
        return Ok(());
    }
    for (field, value) in &a.fields {
        let other = b.fields.iter().find(|(of, _)| of == field);
        found.compare(place, *field, value.as_str(), other.map_or("none", |(_, value)| value));
    }
    for (field, value) in b.fields.iter().filter(|(field, _)| a.fields.iter().all(|(of, _)| of != field)) {
        found.compare(place, *field, "none", value);
    }
    attributes(found, place, a, b);
    if a.kind == "file" {
        found.compare(place, "size", a.size, b.size);
        content(found, place, name, a, b)?;
    }
    Ok(())
}

fn attributes(found: &mut Findings, place: &Place, a: &Node, b: &Node) {
    let new = b.attributes.keys().filter(|name| !a.attributes.contains_key(*name));
    for name in a.attributes.keys().chain(new) {
        let value = |node: &Node| node.attributes.get(name).cloned().unwrap_or_else(|| "none".to_owned());
        found.compare(place, name, value(a), value(b));
    }
}

fn content(found: &mut Findings, place: &Place, name: &str, a: &Node, b: &Node) -> Result<(), Interrupted> {
    let broken = Side::BOTH.into_iter().zip([a, b]).filter_map(|(side, node)| match &node.content {
        Content::Broken(problem) => Some((side, problem.clone())),
        _ => None,
    });
    broken.for_each(|(side, problem)| found.problem(place.clone(), side, problem));
    match (&a.content, &b.content) {
        (Content::Digest(one), Content::Digest(other)) => found.compare(place, "content", *one, *other),
        (Content::Bytes(one), Content::Bytes(other)) => {
            let first = found.tried(place, None, bytes::next(one, other, 0))?.flatten();
            if let Some(at) = first {
                found.bytes(place, "content", at, [one, other]);
            }
            if first.is_some() || one.size() != other.size() {
                inside::compare(found, place, name, [one, other])?;
            }
        }
        _ => {}
    }
    Ok(())
}

impl Node {
    /// What it is, for people.
    fn about(&self) -> String {
        let size = if self.kind == "file" { format!(", {}", Bytes(self.size)) } else { String::new() };
        let told = |(name, value): &(&str, String)| match *name {
            "mode" => Some(format!(", {value}")),
            "target" => Some(format!(" to {value}")),
            _ => None,
        };
        let more: String = self.fields.iter().filter_map(told).collect();
        format!("{}{size}{more}", self.kind)
    }
}
