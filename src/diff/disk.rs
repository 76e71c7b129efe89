//! Disks: their tables, partition by partition, and what belongs to no partition.
//!
//! ```text
//!   | boot code, table | gap | partition 1 | gap | partition 2 | ... | second table |
//! ```
//! Both slots hold the same: what differs in both alike is told once.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use super::findings::Findings;
use super::model::{First, Place};
use super::table;
use super::{bytes, filesystem};
use crate::image::layout::{Entry, PartitionTable, PartitionType, Scheme};
use crate::interrupt::Interrupted;
use crate::track;
use crate::volume::{Disk, Region, Table};

/// The place of what belongs to the disk as a whole.
pub(super) const DISK: &str = "disk";

/// What a partition is called: its number, and its name where it has one.
pub(super) fn label(scheme: Scheme, entry: &Entry) -> String {
    let known = || track::row(scheme, entry).map_or("", |row| row.name);
    let name = if entry.name.is_empty() { known() } else { &entry.name };
    format!("p{} {name}", entry.number).trim_end().to_owned()
}

/// Compares two disks that have tables.
pub(super) fn compare(
    found: &mut Findings,
    disks: [&Disk; 2],
    tables: [&Table; 2],
) -> Result<(), Interrupted> {
    let place = Place::new(DISK);
    let [a, b] = tables.map(|table| &table.table);
    found.compare(&place, "size", disks[0].size(), disks[1].size());
    found.compare(&place, "table", a.scheme, b.scheme);
    found.compare(&place, "id", a.disk_id(), b.disk_id());
    let in_tables = table::compare(found, &place, disks, [a, b]);
    found.tried(&place, None, in_tables)?;
    gaps(found, disks, [a, b])?;
    partitions(found, disks, [a, b])
}

/// The entries of both tables, by their numbers.
fn pairs<'a>(a: &'a PartitionTable, b: &'a PartitionTable) -> Vec<(Option<&'a Entry>, Option<&'a Entry>)> {
    let numbers: BTreeSet<u32> = a.entries.iter().chain(&b.entries).map(|entry| entry.number).collect();
    let find = |table: &'a PartitionTable, number| table.entries.iter().find(|entry| entry.number == number);
    numbers.into_iter().map(|number| (find(a, number), find(b, number))).collect()
}

/// What the tables say of a partition.
fn entry(found: &mut Findings, [a, b]: [&PartitionTable; 2], pair: (Option<&Entry>, Option<&Entry>)) {
    match pair {
        (Some(one), Some(other)) => {
            let place = Place::new(label(a.scheme, one));
            found.compare(&place, "name", &one.name, &other.name);
            found.compare(&place, "start", one.offset().0, other.offset().0);
            found.compare(&place, "length", one.size().0, other.size().0);
            found.compare(&place, "type", kind(one.kind), kind(other.kind));
            if a.scheme == Scheme::Gpt && b.scheme == Scheme::Gpt {
                found.compare(&place, "id", one.id, other.id);
            }
        }
        (Some(one), None) => found.removed(Place::new(label(a.scheme, one)), about(one)),
        (None, Some(other)) => found.added(Place::new(label(b.scheme, other)), about(other)),
        (None, None) => {}
    }
}

fn about(entry: &Entry) -> String {
    format!("partition, {}, at {}", entry.size(), entry.offset())
}

fn kind(kind: PartitionType) -> String {
    match kind {
        PartitionType::Esp => "EFI system".to_owned(),
        PartitionType::Fat => "FAT32".to_owned(),
        PartitionType::Linux => "Linux".to_owned(),
        PartitionType::Guid(guid) => guid.to_string(),
        PartitionType::Byte(byte) => format!("{byte:#04x}"),
    }
}

fn range(entry: &Entry) -> Range<u64> {
    entry.offset().0..entry.offset().0.saturating_add(entry.size().0)
}

/// Bytes that belong to no partition and to no table, of neither disk.
fn gaps(found: &mut Findings, disks: [&Disk; 2], tables: [&PartitionTable; 2]) -> Result<(), Interrupted> {
    let mut owned: Vec<(Range<u64>, String)> = Vec::new();
    for (disk, table) in disks.into_iter().zip(tables) {
        owned.extend(table::areas(disk, table.scheme).into_iter().map(|area| (area, "the table".to_owned())));
        owned.extend(table.entries.iter().map(|entry| (range(entry), label(table.scheme, entry))));
    }
    owned.sort_by_key(|(range, _)| (range.start, range.end));
    let size = disks[0].size().min(disks[1].size());
    let (mut free, mut before) = (0, "the start".to_owned());
    for (range, name) in owned.into_iter().chain([(size..size, "the end".to_owned())]) {
        if range.start > free {
            let place = Place::new(format!("gap between {before} and {name}"));
            gap(found, &place, disks, free..range.start)?;
        }
        if range.end > free {
            (free, before) = (range.end, name);
        }
    }
    Ok(())
}

fn gap(found: &mut Findings, place: &Place, disks: [&Disk; 2], range: Range<u64>) -> Result<(), Interrupted> {
    let parts = disks.map(|disk| disk.region().part(range.start, range.end - range.start));
    if let Some(Some(at)) = found.tried(place, None, bytes::next(&parts[0], &parts[1], 0))? {
        found.bytes(place, "bytes", at, [&parts[0], &parts[1]]);
    }
    Ok(())
}

/// Partitions that hold the same in each disk, and other bytes in the other; or one that does not.
struct Group<'a> {
    members: Vec<(Option<&'a Entry>, Option<&'a Entry>)>,
    content: Option<[Region; 2]>,
}

impl Group<'_> {
    fn is_like(&self, other: &[Region; 2]) -> io::Result<bool> {
        let Some([a, b]) = &self.content else { return Ok(false) };
        Ok(bytes::same(a, &other[0])? && bytes::same(b, &other[1])?)
    }

    fn name(&self, scheme: Scheme) -> String {
        let first =
            |(one, other): &(Option<&Entry>, Option<&Entry>)| one.or(*other).map(|it| label(scheme, it));
        self.members.iter().filter_map(first).collect::<Vec<_>>().join(" and ")
    }
}

fn partitions(
    found: &mut Findings,
    disks: [&Disk; 2],
    tables: [&PartitionTable; 2],
) -> Result<(), Interrupted> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for pair in pairs(tables[0], tables[1]) {
        let content = changed(found, disks, tables[0].scheme, pair)?;
        let twin =
            |regions: &[Region; 2]| groups.iter().position(|group| group.is_like(regions).unwrap_or(false));
        match content.as_ref().and_then(twin) {
            Some(twin) => groups[twin].members.push(pair),
            None => groups.push(Group { members: vec![pair], content }),
        }
    }
    for group in &groups {
        group.members.iter().for_each(|pair| entry(found, tables, *pair));
        if let Some([a, b]) = &group.content {
            filesystem::compare(found, &Place::new(group.name(tables[0].scheme)), [a, b])?;
        }
    }
    Ok(())
}

/// The bytes of a partition that both disks have, when they are not the same.
fn changed(
    found: &mut Findings,
    disks: [&Disk; 2],
    scheme: Scheme,
    pair: (Option<&Entry>, Option<&Entry>),
) -> Result<Option<[Region; 2]>, Interrupted> {
    let (Some(one), Some(other)) = pair else { return Ok(None) };
    let regions = [disks[0].partition(one), disks[1].partition(other)];
    let same = bytes::same(&regions[0], &regions[1]);
    let same = found.tried(&Place::new(label(scheme, one)), None, same)?;
    Ok((same == Some(false)).then_some(regions))
}

/// What is at an offset of a disk, and the offset in that.
pub(super) fn first(disk: &Disk, table: Option<&Table>, at: u64) -> First {
    let Some(table) = table.map(|table| &table.table) else { return First { at, place: Place::new(DISK) } };
    let holder = table.entries.iter().find(|entry| range(entry).contains(&at));
    let is_table = || table::areas(disk, table.scheme).iter().any(|area| area.contains(&at));
    let name = match holder {
        Some(entry) => label(table.scheme, entry),
        None if is_table() => "partition table".to_owned(),
        None => "bytes of no partition".to_owned(),
    };
    First { at, place: Place::new(name) }
}
