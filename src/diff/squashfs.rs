//! squashfs, taken apart by `unsquashfs` (its manual: squashfs-tools, `USAGE`, "pseudo file definitions").
//!
//! ```text
//!   etc/a R 1700000000 644 0 0 12 4096 0     name, type, time, mode, owner, group; length and offset
//!   etc/b L etc/a                            another name of a file
//!   #
//!   # START OF DATA - DO NOT MODIFY
//!   #
//!   contents of all files
//! ```

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::findings::Findings;
use super::model::{Place, Side};
use super::tree::{self, Content, Listing, Node};
use crate::interrupt::{self, Interrupted};
use crate::tool::{ToolError, UNSQUASHFS};
use crate::volume::{Field, Region, Show, Spot, time};

const MARK: &[u8] = b"# START OF DATA - DO NOT MODIFY";
/// Longest line: a name and a target, with a backslash before each letter.
const LONGEST_LINE: u64 = 32 << 10;
const MOST_NAMES: usize = 400_000;
const CHUNK: u64 = 1 << 20;
const SUPERBLOCK: u64 = 96;

/// What a superblock says (squashfs 4.0).
const FIELDS: &[Field] = &[
    Field::derived("inodes", 4, 4, Show::Number),
    Field::new("creation time", 8, 4, Show::Time),
    Field::new("block size", 12, 4, Show::Number),
    Field::derived("fragments", 16, 4, Show::Number),
    Field::new("compression", 20, 2, Show::Number),
    Field::new("flags", 24, 2, Show::Hex),
    Field::derived("owners", 26, 2, Show::Number),
    Field::new("version", 28, 2, Show::Number),
    Field::derived("inode of the root", 32, 8, Show::Hex),
    Field::derived("bytes", 40, 8, Show::Number),
];

/// Where the superblock says that tables begin.
const TABLES: [(usize, &str); 6] = [
    (48, "table of owners"),
    (56, "table of attributes"),
    (64, "table of inodes"),
    (72, "table of directories"),
    (80, "table of fragments"),
    (88, "table of numbers of inodes"),
];

pub(super) fn compare(found: &mut Findings, place: &Place, regions: [&Region; 2]) -> Result<(), Interrupted> {
    let before = found.differences.len();
    let heads = regions.map(|region| region.read(0, SUPERBLOCK).unwrap_or_default());
    found.fields(place, FIELDS, [&heads[0], &heads[1]], false);
    let listing = |region| listing(region).or_else(told);
    let a = found.tried(place, Side::A, listing(regions[0]))?;
    let b = found.tried(place, Side::B, listing(regions[1]))?;
    if let (Some(a), Some(b)) = (a, b) {
        tree::compare(found, place, &a, &b)?;
    }
    if found.differences.len() == before {
        let spots = found.spots(place, regions, |at| spot(&heads[0], at));
        found.tried(place, None, spots)?;
    }
    Ok(())
}

/// Why a squashfs could not be taken apart, without the hint.
fn told(error: Failure) -> io::Result<Listing> {
    match error {
        Failure::Io(error) => Err(error),
        Failure::Tool(error) => {
            let text = error.to_string();
            Err(io::Error::other(text.split("\n\n").next().unwrap_or_default().to_owned()))
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// Takes a squashfs apart. Contents are in a file that is gone when the last of them is.
fn listing(region: &Region) -> Result<Listing, Failure> {
    let dir = tempfile::tempdir()?;
    let (packed, list) = (dir.path().join("squashfs"), dir.path().join("list"));
    copy(region, &File::create(&packed)?)?;
    let words = ["-quiet", "-no-progress", "-pf"].map(OsStr::new);
    UNSQUASHFS.run_alone(&[&words[..], &[list.as_os_str(), packed.as_os_str()]].concat())?;
    let file = File::open(&list)?;
    let size = file.metadata()?.len();
    Ok(read(&Region::new(Arc::new(file), size))?)
}

fn copy(region: &Region, to: &File) -> io::Result<()> {
    to.set_len(region.size())?;
    let mut at = 0;
    while let Some(data) = region.next_data(at) {
        interrupt::check()?;
        let len = CHUNK.min(data.end - data.start);
        to.write_all_at(&region.read(data.start, len)?, data.start)?;
        at = data.start + len;
    }
    Ok(())
}

/// Reads what `unsquashfs` wrote.
fn read(file: &Region) -> io::Result<Listing> {
    let mut text = BufReader::with_capacity(256 << 10, file.reader());
    let (mut listing, mut links, mut at) = (Listing::new(), Vec::new(), 0);
    let mut line = Vec::new();
    let mut contents = Vec::new();
    loop {
        line.clear();
        let count = text.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? as u64;
        at += count;
        if count == 0 || count == LONGEST_LINE || listing.len() > MOST_NAMES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "`unsquashfs` said something else"));
        }
        if line.starts_with(MARK) {
            break;
        }
        match entry(&words(&line)) {
            Some(Entry::Link(name, target)) => links.push((name, target)),
            Some(Entry::Node(name, node, range)) => {
                contents.extend(range.map(|range| (name.clone(), range)));
                listing.insert(name, node);
            }
            None => {}
        }
    }
    // A line with nothing but `#` follows the mark.
    let start = at + 2;
    for (name, (offset, len)) in contents {
        let region = file.part(start.saturating_add(offset), len);
        if let Some(node) = listing.get_mut(&name) {
            node.content = Content::Bytes(region);
        }
    }
    for (name, target) in links {
        if let Some(node) = listing.get(&target).cloned() {
            listing.insert(name, node);
        }
    }
    Ok(listing)
}

enum Entry {
    Node(String, Node, Option<(u64, u64)>),
    Link(String, String),
}

fn entry(words: &[String]) -> Option<Entry> {
    let word = |at: usize| words.get(at).map(String::as_str);
    let name = match word(0)? {
        "/" => String::new(),
        name => name.to_owned(),
    };
    let number = |at: usize| word(at)?.parse::<u64>().ok();
    let kind = match word(1)? {
        "L" => return Some(Entry::Link(name, word(2)?.to_owned())),
        "D" => "directory",
        "R" => "file",
        "S" => "link",
        "C" => "character device",
        "B" => "block device",
        "I" => match word(6)? {
            "s" => "socket",
            _ => "pipe",
        },
        _ => return None,
    };
    let mode = u32::from_str_radix(word(3)?, 8).ok()?;
    let mut fields = vec![
        ("mode", format!("{mode:04o}")),
        ("owner", format!("{}:{}", word(4)?, word(5)?)),
        ("mtime", time::of_seconds(word(2)?.parse().ok()?)),
    ];
    match kind {
        "link" => fields.push(("target", word(6)?.to_owned())),
        "character device" | "block device" => fields.push(("device", format!("{}:{}", word(6)?, word(7)?))),
        _ => {}
    }
    let range = if kind == "file" { Some((number(7)?, number(6)?)) } else { None };
    let size = range.map_or(0, |(_, len)| len);
    let node = Node { kind, size, fields, attributes: BTreeMap::new(), content: Content::None };
    Some(Entry::Node(name, node, range))
}

/// Words of a line; a backslash takes the meaning from the next letter.
fn words(line: &[u8]) -> Vec<String> {
    let mut words = vec![Vec::new()];
    let mut letters = line.iter().copied().filter(|letter| *letter != b'\n');
    while let Some(letter) = letters.next() {
        match letter {
            b'\\' => words.last_mut().into_iter().for_each(|word| word.extend(letters.next())),
            b' ' => words.push(Vec::new()),
            _ => words.last_mut().into_iter().for_each(|word| word.push(letter)),
        }
    }
    words.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect()
}

/// What the byte at `at` belongs to, by the superblock.
fn spot(superblock: &[u8], at: u64) -> Spot {
    if at < SUPERBLOCK {
        return Spot::in_fields("superblock", FIELDS, at, SUPERBLOCK);
    }
    let start = |place: usize| {
        let bytes = superblock.get(place..place + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or([0xff; 8]))
    };
    let mut tables: Vec<(u64, &str)> = TABLES.iter().map(|(place, name)| (start(*place), *name)).collect();
    tables.sort_unstable();
    let next = tables.partition_point(|(start, _)| *start <= at);
    let name = next.checked_sub(1).map_or("packed contents", |before| tables[before].1);
    Spot::new(name, tables.get(next).map_or(u64::MAX, |(start, _)| *start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_with_what_was_escaped() {
        assert_eq!(words(b"q\\\"\\\\w\\ x R 12\n"), ["q\"\\w x", "R", "12"]);
    }

    proptest! {
        #[test]
        fn no_list_makes_it_panic(
            lines in prop::collection::vec("[a/]{0,3} [LDRSCBI] [0-9]{0,20} [0-9]{0,9} 0 0 [0-9s]{0,20} [0-9]{0,20}", 0..5),
            has_mark: bool,
        ) {
            let mark = if has_mark { "\n#\n# START OF DATA - DO NOT MODIFY\n#\ndata" } else { "" };
            let text = lines.join("\n") + mark;
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(text.as_bytes(), 0).unwrap();
            let _ = read(&Region::new(Arc::new(file), text.len() as u64));
        }
    }
}
