//! File systems: what they say of themselves, their files, and the structures that hold those.
//!
//! ```text
//!   superblock, boot sector --> fields      \
//!   directories, inodes     --> tree         > nothing of it differs, but bytes do --> names of structures
//!   contents of files       --> and inside  /
//! ```

use std::collections::BTreeMap;
use std::io;

use super::findings::Findings;
use super::model::{Place, Side};
use super::tree::{self, Content, Listing, Node, kind_of};
use super::{bytes, squashfs};
use crate::interrupt::Interrupted;
use crate::volume::ext4::{self, Attributes, Found, Layout, SUPERBLOCK_FIELDS, Walk};
use crate::volume::fat::{self, BOOT_FIELDS, BOOT_FIELDS_32, Bits, Fat};
use crate::volume::{Kind, Region, time};

/// The format of a file system; none where it is not known.
pub(super) fn kind(region: &Region) -> Option<Kind> {
    let head = region.read(0, region.size().min(512)).unwrap_or_default();
    match () {
        () if ext4::is_there(region) => Some(Kind::Ext4),
        () if head.starts_with(b"hsqs") => Some(Kind::Squashfs),
        () if fat::is_fat(&head) => Some(Kind::Fat),
        () => None,
    }
}

/// Compares two file systems whose bytes differ. What they hold is read as it lies on the disk.
pub(super) fn compare(found: &mut Findings, place: &Place, regions: [&Region; 2]) -> Result<(), Interrupted> {
    let before = found.differences.len();
    let kinds = regions.map(kind);
    let name = |kind: Option<Kind>| kind.map_or("none that is known", Kind::name);
    found.compare(place, "file system", name(kinds[0]), name(kinds[1]));
    match kinds {
        [Some(Kind::Ext4), Some(Kind::Ext4)] => both_ext4(found, place, regions)?,
        [Some(Kind::Fat), Some(Kind::Fat)] => both_fat(found, place, regions)?,
        [Some(Kind::Squashfs), Some(Kind::Squashfs)] => squashfs::compare(found, place, regions)?,
        _ => {}
    }
    if found.differences.len() == before
        && let Some(Some(at)) = found.tried(place, None, bytes::next(regions[0], regions[1], 0))?
    {
        found.bytes(place, "bytes", at, regions);
    }
    Ok(())
}

/// What `open` makes of both, when it can.
fn both<T>(
    found: &mut Findings,
    place: &Place,
    regions: [&Region; 2],
    open: impl Fn(&Region) -> io::Result<T>,
) -> Result<Option<[T; 2]>, Interrupted> {
    let a = found.tried(place, Side::A, open(regions[0]))?;
    let b = found.tried(place, Side::B, open(regions[1]))?;
    Ok(a.zip(b).map(|(a, b)| [a, b]))
}

fn both_ext4(found: &mut Findings, place: &Place, regions: [&Region; 2]) -> Result<(), Interrupted> {
    let before = found.differences.len();
    let Some([a, b]) = both(found, place, regions, Layout::read)? else { return Ok(()) };
    found.fields(place, SUPERBLOCK_FIELDS, [&a.superblock, &b.superblock], false);
    let walks = [a.walk()?, b.walk()?];
    let mut listings = [Listing::new(), Listing::new()];
    for ((side, layout), (walk, listing)) in
        Side::BOTH.into_iter().zip([&a, &b]).zip(walks.iter().zip(&mut listings))
    {
        for (path, problem) in &walk.problems {
            found.problem(place.inside(path.as_str()), side, problem.to_string());
        }
        *listing = ext4_listing(layout, walk);
    }
    tree::compare(found, place, &listings[0], &listings[1])?;
    if found.differences.len() == before {
        let areas = ext4::Areas::new(&a, &walks[0]);
        let spots = found.spots(place, regions, |at| areas.spot(at));
        found.tried(place, None, spots)?;
    }
    Ok(())
}

fn ext4_listing(layout: &Layout, walk: &Walk) -> Listing {
    walk.found.iter().map(|one| (one.path.clone(), ext4_node(layout, one))).collect()
}

fn ext4_node(layout: &Layout, Found { inode, .. }: &Found) -> Node {
    let moment = |time: ext4::Time| match time.nanoseconds {
        0 => time::of_seconds(time.seconds),
        nanoseconds => format!("{}.{nanoseconds:09}", time::of_seconds(time.seconds)),
    };
    let mut fields = vec![
        ("mode", format!("{:04o}", inode.mode & 0o7777)),
        ("owner", format!("{}:{}", inode.uid, inode.gid)),
        ("mtime", moment(inode.mtime)),
    ];
    if !inode.is_dir() {
        fields.push(("names", inode.links.to_string()));
    }
    if inode.is_symlink() {
        fields.push(("target", layout.target(inode).unwrap_or_else(|error| error.to_string())));
    }
    if let Some((major, minor)) = inode.device() {
        fields.push(("device", format!("{major}:{minor}")));
    }
    let content = match layout.content(inode) {
        _ if !inode.is_file() => Content::None,
        Ok(region) => Content::Bytes(region),
        Err(error) => Content::Broken(error.to_string()),
    };
    let attributes = layout.attributes(inode).unwrap_or_default();
    Node {
        kind: kind_of(inode.mode.into()),
        size: inode.size,
        fields,
        attributes: shown(&attributes),
        content,
    }
}

/// Values that are text as it is, others in hexadecimal digits.
fn shown(attributes: &Attributes) -> BTreeMap<String, String> {
    let value = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => hex::encode(bytes),
    };
    attributes.iter().map(|(name, bytes)| (format!("attribute {name}"), value(bytes))).collect()
}

fn both_fat(found: &mut Findings, place: &Place, regions: [&Region; 2]) -> Result<(), Interrupted> {
    let before = found.differences.len();
    let open = |region: &Region| Fat::open(region.clone()).map_err(io::Error::from);
    let Some([a, b]) = both(found, place, regions, open)? else { return Ok(()) };
    let bits = |fat: &Fat| match fat.bits() {
        Bits::Twelve => "FAT12",
        Bits::Sixteen => "FAT16",
        Bits::ThirtyTwo => "FAT32",
    };
    found.compare(place, "kind", bits(&a), bits(&b));
    let fields = if a.bits() == Bits::ThirtyTwo { BOOT_FIELDS_32 } else { BOOT_FIELDS };
    found.fields(place, fields, [a.boot(), b.boot()], false);
    let label = |fat: &Fat| fat.root_label().unwrap_or_else(|| "none".to_owned());
    found.compare(place, "label in the root", label(&a), label(&b));
    let mut nodes = |side, fat: &Fat| found.tried(place, side, fat.nodes().map_err(io::Error::from));
    let (Some(nodes_a), Some(nodes_b)) = (nodes(Side::A, &a)?, nodes(Side::B, &b)?) else { return Ok(()) };
    let listings = [fat_listing(&a, &nodes_a), fat_listing(&b, &nodes_b)];
    tree::compare(found, place, &listings[0], &listings[1])?;
    if found.differences.len() == before {
        let areas = fat::Areas::new(&a, &nodes_a);
        let spots = found.spots(place, regions, |at| areas.spot(at));
        found.tried(place, None, spots)?;
    }
    Ok(())
}

fn fat_listing(fat: &Fat, nodes: &[fat::Node]) -> Listing {
    let named = nodes.iter().filter(|node| node.path != "/");
    named.map(|node| (node.path.trim_start_matches('/').to_owned(), fat_node(fat, node))).collect()
}

fn fat_node(fat: &Fat, node: &fat::Node) -> Node {
    let (date, time_of_day) = node.stamps.modified;
    let fields =
        vec![("flags", format!("{:#04x}", node.attributes)), ("mtime", time::of_fat(date, time_of_day))];
    let content = match fat.content(node) {
        _ if node.is_dir => Content::None,
        Ok(region) => Content::Bytes(region),
        Err(error) => Content::Broken(error.to_string()),
    };
    let kind = if node.is_dir { "directory" } else { "file" };
    Node { kind, size: node.size.into(), fields, attributes: BTreeMap::new(), content }
}
