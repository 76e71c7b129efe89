//! Members of an initramfs. Their contents go by, and only digests are kept.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use sha2::Digest as _;

use super::findings::Findings;
use super::inside;
use super::model::Place;
use super::tree::{self, Content, Listing, Node, kind_of};
use crate::archive::cpio::{self, newc};
use crate::digest::Sha256;
use crate::files::fill;
use crate::interrupt::{self, Interrupted};
use crate::volume::{Region, time};

/// Most members that are listed.
const MOST_MEMBERS: usize = 400_000;
/// Longest target of a link, as `PATH_MAX`.
const LONGEST_TARGET: u32 = 4096;
const CHUNK: usize = 64 << 10;

pub(super) fn compare(found: &mut Findings, place: &Place, files: [&Region; 2]) -> Result<(), Interrupted> {
    match inside::both(found, place, files, listing)? {
        Some([a, b]) => tree::compare(found, place, &a, &b),
        None => Ok(()),
    }
}

/// All members; of those that are there twice the last, as the kernel unpacks them.
fn listing(packed: &mut impl BufRead) -> io::Result<Listing> {
    let mut listing = Listing::new();
    let mut buffer = vec![0; CHUNK];
    cpio::read(packed, |entry, content| {
        interrupt::check()?;
        if listing.len() >= MOST_MEMBERS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it has more members than are looked at"));
        }
        listing.insert(cpio::name(entry).to_owned(), node(entry, content, &mut buffer)?);
        Ok(())
    })?;
    Ok(listing)
}

fn node(entry: &newc::Entry, mut content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<Node> {
    let kind = kind_of(entry.mode());
    let mut fields = vec![
        ("mode", format!("{:04o}", entry.mode() & 0o7777)),
        ("owner", format!("{}:{}", entry.uid(), entry.gid())),
        ("mtime", time::of_seconds(entry.mtime().into())),
    ];
    let mut held = Content::None;
    match kind {
        "link" if entry.file_size() <= LONGEST_TARGET => {
            let mut target = Vec::new();
            content.read_to_end(&mut target)?;
            fields.push(("target", String::from_utf8_lossy(&target).into_owned()));
        }
        "character device" | "block device" => {
            fields.push(("device", format!("{}:{}", entry.rdev_major(), entry.rdev_minor())));
        }
        _ => {
            let mut hash = sha2::Sha256::new();
            loop {
                match fill(&mut content, buffer)? {
                    0 => break,
                    count => hash.update(&buffer[..count]),
                }
            }
            held = Content::Digest(Sha256::finish(hash));
        }
    }
    let size = entry.file_size().into();
    Ok(Node { kind, size, fields, attributes: BTreeMap::new(), content: held })
}
