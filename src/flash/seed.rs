//! Putting a seed onto the partition that is read first: when all pieces are there, and before the table is.
//!
//! ```text
//!   head, in memory --> partition
//!   its FAT, from the target --> patches --> blocks of 4 KiB --> written, flushed, read back
//! ```
//! A run that goes on after an interruption finds blocks that differ from the image, writes the image's, and
//! comes here again: so the end is the same.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::Path;

use super::FlashError;
use super::buffer::{ALIGN, Buffer};
use super::head;
use super::target::Target;
use super::write::Written;
use crate::digest::Sha256;
use crate::formats;
use crate::image::layout::Role;
use crate::seed::{DIRECTORY, Seed};
use crate::track;
use crate::units::MIB;
use crate::volume::fat::add::{AddError, Patch, ReadAt, add};

/// Why a seed does not go onto an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SowError {
    /// The image is not of a known track.
    #[error(
        "`{0}` has no partition that a seed could go on\n\nhint: images that `factory image` makes have one; \
         others have ways of their own"
    )]
    NoPartition(String),
    /// The partition's file system does not take it.
    #[error("the seed does not go onto the first partition")]
    Add(#[source] AddError),
}

/// A seed, and where it goes.
pub struct Sowing {
    start: u64,
    size: u64,
    files: Vec<(String, Vec<u8>)>,
}

impl Sowing {
    /// Finds the place by the head of an image, which is called `image`.
    ///
    /// # Errors
    /// When no track has a partition like those that are there.
    pub fn plan(image: &str, head: &[u8], seed: &Seed) -> Result<Sowing, SowError> {
        let place = head::table(head).and_then(|table| {
            let mut entries = table.entries.iter();
            let entry = entries.find(|entry| track::role(&table, entry) == Some(Role::Selector))?;
            Some((entry.offset().0, entry.size().0))
        });
        // What is not behind the head would be overwritten by it.
        let (start, size) = place
            .filter(|(start, size)| *start >= MIB && start.checked_add(*size).is_some())
            .ok_or_else(|| SowError::NoPartition(image.to_owned()))?;
        Ok(Sowing { start, size, files: seed.files() })
    }

    /// Tries it on an image that can be read in any order. What is wrong with one that comes in a row turns
    /// out when it is there.
    ///
    /// # Errors
    /// When the partition does not take the seed.
    pub fn rehearse(&self, image: &Path) -> Result<(), SowError> {
        let parts = formats::read::open(image).and_then(|source| source.parts());
        let Ok(Some(parts)) = parts else { return Ok(()) };
        let read = |at: u64, buffer: &mut [u8]| parts.read_at(self.start.saturating_add(at), buffer);
        self.patches(&read).map(|_| ()).map_err(SowError::Add)
    }

    /// Names of the files, with their directory.
    pub(super) fn names(&self) -> Vec<String> {
        self.files.iter().map(|(name, _)| format!("{DIRECTORY}/{name}")).collect()
    }

    /// The byte of the disk behind the partition.
    pub(super) fn end(&self) -> u64 {
        self.start + self.size
    }

    fn patches(&self, read: ReadAt<'_>) -> Result<Vec<Patch>, AddError> {
        let files: Vec<(&str, &[u8])> =
            self.files.iter().map(|(name, content)| (&**name, &**content)).collect();
        add(read, self.size, DIRECTORY, &files)
    }

    /// Writes it, but does not wait for the medium.
    pub(super) fn sow(&self, target: &impl Target) -> Result<Vec<Written>, FlashError> {
        let read = |at: u64, buffer: &mut [u8]| {
            let (block, skip) = split(self.start + at);
            let bytes = read(target, block, skip + buffer.len())?;
            buffer.copy_from_slice(&bytes.bytes()[skip..skip + buffer.len()]);
            Ok(())
        };
        let patches = self.patches(&read).map_err(|error| FlashError::Seed(SowError::Add(error)))?;
        let mut blocks = BTreeMap::new();
        for patch in &patches {
            self.apply(patch, target, &mut blocks)?;
        }
        let mut written = Vec::new();
        for (at, block) in blocks {
            target.write(at, block.bytes()).map_err(|source| FlashError::Write { at, source })?;
            written.push(Written { at, len: block.bytes().len(), digest: Sha256::of(block.bytes()) });
        }
        Ok(written)
    }

    /// Puts the bytes of a patch into the blocks that they are in.
    fn apply(
        &self,
        patch: &Patch,
        target: &impl Target,
        blocks: &mut BTreeMap<u64, Buffer>,
    ) -> Result<(), FlashError> {
        let mut at = self.start + patch.at;
        let mut bytes = &patch.bytes[..];
        while !bytes.is_empty() {
            let (block, skip) = split(at);
            let buffer = match blocks.entry(block) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let old = read(target, block, ALIGN);
                    new.insert(old.map_err(|source| FlashError::ReadBack { at: block, source })?)
                }
            };
            let (now, rest) = bytes.split_at(bytes.len().min(ALIGN - skip));
            buffer.room(ALIGN)[skip..skip + now.len()].copy_from_slice(now);
            at += now.len() as u64;
            bytes = rest;
        }
        Ok(())
    }
}

/// The block that a byte is in, and its place there.
fn split(at: u64) -> (u64, usize) {
    (at & !(ALIGN as u64 - 1), at as usize % ALIGN)
}

/// At least so many bytes from a block on.
fn read(target: &impl Target, at: u64, len: usize) -> io::Result<Buffer> {
    let len = len.next_multiple_of(ALIGN);
    let mut bytes = Buffer::zeros(len);
    target.read(at, bytes.room(len))?;
    Ok(bytes)
}
