//! ext4 file systems, through the crate `mkext4`, which decides where everything stands.
//!
//! ```text
//!   0       4 KiB                                                  size
//!   | super | group | bitmaps | inode  | journal | directories | files in order |
//!   | block | descr.|         | tables |         | and links   | of their paths |
//! ```
//! Copies of the superblock and bitmaps of later groups lie between the files. Only what is not
//! zero is kept in memory; the contents of files are never read here.

mod acl;
mod declare;
mod size;

use std::sync::Arc;

use mkext4::{InodeCount, RegionSink};

use crate::image::extents::{Extents, Source};
use crate::image::{Formatted, PlacedFile};
use crate::tree::{FileTree, TreePath};
use crate::units::Bytes;

use declare::{Declared, declare};
pub use size::needed;

const BLOCK: u64 = 4096;
/// Metadata kept in one piece: enough for few pieces, and little to hold twice while it grows.
const SEGMENT: usize = 256 << 10;
/// Block numbers have 32 bits, in a file and in the file system.
const LARGEST: u64 = BLOCK << 32;

/// What an ext4 file system is made with, besides its files.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of the file system; it is rounded down to whole 4 KiB blocks.
    pub size: Bytes,
    /// Identity; the seed of directory hashes is made of it.
    pub uuid: [u8; 16],
    /// Volume label, at most 16 bytes; empty for none.
    pub label: String,
    /// Time of the file system in seconds since 1970; no file is newer.
    pub epoch: i64,
    /// What it will be used for.
    pub usage: Usage,
}

/// What a file system will be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Mounted read-only: the smallest journal, and inodes for hardly more than the tree.
    ReadOnly,
    /// Written to: a journal by size, one inode for every 16 KiB, 5 % reserved for root.
    Writable,
}

/// Why a tree cannot become an ext4 file system.
#[derive(Debug, thiserror::Error)]
pub enum Ext4Error {
    /// The tree needs more than there is.
    #[error("the files need {needs}, but the file system has {size}\n\nhint: make the partition larger")]
    DoesNotFit {
        /// The smallest file system that holds the tree.
        needs: Bytes,
        /// The size asked for.
        size: Bytes,
    },
    /// ext4 does not take an entry.
    #[error("`{path}` cannot be stored on ext4")]
    Entry {
        /// The entry.
        path: TreePath,
        /// What is wrong with it.
        source: mkext4::Error,
    },
    /// An access control list that makes no sense.
    #[error("`{path}` has an access control list that makes no sense")]
    Acl {
        /// The entry.
        path: TreePath,
    },
    /// A file of 16 TiB or more.
    #[error("`{path}` has {size}, but a file on ext4 has less than 16 TiB")]
    FileTooLarge {
        /// The file.
        path: TreePath,
        /// Its size.
        size: Bytes,
    },
    /// A hard link to nothing, to a directory or to itself.
    #[error("`{path}` is a hard link to `{target}`, which is no file of this tree")]
    LinkTarget {
        /// The link.
        path: TreePath,
        /// What it names.
        target: TreePath,
    },
    /// Something lies below an entry that is not a directory.
    #[error("`{path}` lies below something that is not a directory")]
    Orphan {
        /// The entry below.
        path: TreePath,
    },
    /// The directory that every ext4 has of its own is not an empty directory.
    #[error("`/lost+found` belongs to ext4 itself\n\nhint: leave it out")]
    LostFound,
    /// A volume label that is too long.
    #[error("the label `{label}` has more than 16 bytes\n\nhint: shorten it")]
    Label {
        /// The label as it was given.
        label: String,
    },
    /// A time before 1970 or after 2106.
    #[error("{epoch} is no time for an ext4 file system, which takes 0 to 4294967295")]
    Epoch {
        /// The time as it was given.
        epoch: i64,
    },
    /// Any other reason of the layout's.
    #[error("laying out an ext4 file system")]
    Layout(#[source] mkext4::Error),
}

/// Lays out `tree` as an ext4 file system. No file's content is read.
///
/// # Errors
/// When the tree holds what ext4 cannot, or does not fit.
pub fn format(tree: &FileTree, options: &Options) -> Result<Formatted, Ext4Error> {
    check(options)?;
    let (layout, files) = match seal(tree, options)? {
        Ok(sealed) => sealed,
        Err(source) => return Err(misfit(tree, options, source)),
    };
    record(&layout, &files, options.size)
}

/// Lays out `tree` as the smallest ext4 file system that holds it, in whole mebibytes, for one that
/// nobody is meant to write. The size in `options` does not count.
///
/// # Errors
/// When the tree holds what ext4 cannot.
pub fn format_smallest(tree: &FileTree, options: &Options) -> Result<Formatted, Ext4Error> {
    check(options)?;
    let (size, layout, files) = size::smallest(tree, options)?;
    record(&layout, &files, size)
}

/// The file system of a layout.
fn record(layout: &mkext4::Layout, files: &[Declared<'_>], size: Bytes) -> Result<Formatted, Ext4Error> {
    let mut metadata = Recorder::default();
    layout.writer(&mut metadata).map_err(Ext4Error::Layout)?;
    let mut extents = Extents::zeros(size.0 / BLOCK * BLOCK);
    for (at, buffer) in metadata.finish() {
        extents.push(at, buffer.len() as u64, Source::Bytes { buffer, start: 0 });
    }
    let files = files.iter().map(|file| {
        let runs = file.runs(layout);
        for run in &runs {
            extents.place_part(run.at, file.content, run.in_file, run.len);
        }
        PlacedFile { path: file.path.clone(), size: file.content.size(), runs }
    });
    let files = files.collect();
    extents.sort();
    Ok(Formatted { extents, files })
}

fn check(options: &Options) -> Result<(), Ext4Error> {
    if options.label.len() > 16 {
        return Err(Ext4Error::Label { label: options.label.clone() });
    }
    if u32::try_from(options.epoch).is_err() {
        return Err(Ext4Error::Epoch { epoch: options.epoch });
    }
    Ok(())
}

/// The reason of a layout that failed: nearly always the size.
fn misfit(tree: &FileTree, options: &Options, source: mkext4::Error) -> Ext4Error {
    match needed(tree, options.usage) {
        Ok(needs) if needs > options.size => Ext4Error::DoesNotFit { needs, size: options.size },
        Ok(_) => Ext4Error::Layout(source),
        Err(error) => error,
    }
}

/// A layout with its regular files, or the reason against the layout as a whole.
type Sealed<'a> = Result<(mkext4::Layout, Vec<Declared<'a>>), mkext4::Error>;

/// Decides where everything stands.
fn seal<'a>(tree: &'a FileTree, options: &Options) -> Result<Sealed<'a>, Ext4Error> {
    let size = options.size.0 / BLOCK * BLOCK;
    let mut own = mkext4::Options::new(size, options.uuid, options.epoch);
    own.label = Some(options.label.clone()).filter(|label| !label.is_empty());
    own.inodes = InodeCount::Exact(size::inodes(tree, options.size, options.usage));
    own.journal_blocks = Some(size::journal(options.size, options.usage));
    own.reserved_percent = if options.usage == Usage::ReadOnly { 0 } else { 5 };
    let (builder, files) = declare(tree, own)?;
    Ok(builder.seal().map(|layout| (layout, files)))
}

/// Keeps the blocks that are not zero; neighbours become one segment, up to [`SEGMENT`].
#[derive(Default)]
struct Recorder {
    segments: Vec<(u64, Arc<[u8]>)>,
    start: u64,
    open: Vec<u8>,
}

impl Recorder {
    fn finish(mut self) -> Vec<(u64, Arc<[u8]>)> {
        self.close();
        self.segments
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.segments.push((self.start, self.open.as_slice().into()));
            self.open.clear();
        }
    }
}

impl RegionSink for &mut Recorder {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let blocks = (offset..).step_by(BLOCK as usize).zip(bytes.chunks(BLOCK as usize));
        for (at, block) in blocks.filter(|(_, block)| block.iter().any(|byte| *byte != 0)) {
            if self.start + self.open.len() as u64 != at || self.open.len() >= SEGMENT {
                self.close();
                self.start = at;
            }
            self.open.extend(block);
        }
        Ok(())
    }

    fn zeros(&mut self, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}
