//! ext4 file systems, through the crate `mkext4`, which decides where everything stands.
//!
//! ```text
//!   0       4 KiB                                                  size
//!   | super | group | bitmaps | inode  | journal | directories | files in order |
//!   | block | descr.|         | tables |         | and links   | of their paths |
//! ```
//! Copies of the superblock and bitmaps of later groups lie between the files. Only what is not
//! zero is kept in memory; the contents of files are never read here.

use std::collections::BTreeMap;

use mkext4::{FsBuilder, InodeCount, InodeHandle, ROOT, RegionSink, SparseSeg, SpecialKind};

use crate::image::extents::{Extents, Source};
use crate::image::{Formatted, PlacedFile, Run};
use crate::tree::{FileTree, Kind, Meta, Node, TreePath};
use crate::units::{Bytes, MIB};

const BLOCK: u64 = 4096;
/// The smallest journal that Linux takes, and the share of a file system that it may be.
const SMALLEST_JOURNAL: u32 = 1024;
const JOURNAL_SHARE: u64 = 4;
/// Block numbers have 32 bits, in a file and in the file system.
const LARGEST: u64 = BLOCK << 32;
/// Inodes that every file system has of its own, up to the one of `lost+found`.
const OWN_INODES: usize = 11;
/// Inodes left over in a file system that nobody is meant to write.
const SPARE_INODES: usize = 16;
const LOST_FOUND: &str = "lost+found";

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
    let mut metadata = Recorder::default();
    layout.writer(&mut metadata).map_err(Ext4Error::Layout)?;
    let mut extents = Extents::zeros(options.size.0 / BLOCK * BLOCK);
    for (at, bytes) in metadata.segments {
        extents.push(at, bytes.len() as u64, Source::Bytes { buffer: bytes.into(), start: 0 });
    }
    let files = files.into_iter().map(|file| {
        let runs = file.runs(&layout.extents(file.handle));
        for run in &runs {
            extents.place_part(run.at, file.content, run.in_file, run.len);
        }
        PlacedFile { path: file.path.clone(), size: file.content.size(), runs }
    });
    let files = files.collect();
    extents.sort();
    Ok(Formatted { extents, files })
}

/// The smallest whole number of mebibytes that holds `tree`.
///
/// # Errors
/// When the tree holds what ext4 cannot, at any size.
pub fn needed(tree: &FileTree, usage: Usage) -> Result<Bytes, Ext4Error> {
    let content = content_blocks(tree);
    let least = |size: Bytes| Bytes((content + overhead(size, tree, usage)) * BLOCK).round_up(MIB);
    let mut size = Bytes(u64::from(SMALLEST_JOURNAL) * JOURNAL_SHARE * BLOCK);
    while least(size) > size {
        size = least(size);
    }
    // What the sum leaves out (copies of the superblock, trees of extents, blocks of attributes)
    // is little, so that the first or the second try fits.
    let most = Bytes(size.0.saturating_add(size.0 / 4 + 64 * MIB).min(LARGEST - BLOCK));
    loop {
        let options = Options { size, uuid: [0; 16], label: String::new(), epoch: 0, usage };
        match seal(tree, &options)? {
            Ok(_) => return Ok(size),
            Err(source) if size >= most => return Err(Ext4Error::Layout(source)),
            Err(_) => size = Bytes(size.0 + MIB),
        }
    }
}

/// Blocks of files, directories and long symbolic links: at least that many.
fn content_blocks(tree: &FileTree) -> u64 {
    let mut entries: BTreeMap<TreePath, u64> = BTreeMap::new();
    let mut blocks = 4; // lost+found
    for (path, node) in tree.iter() {
        if let Some(parent) = path.parent() {
            *entries.entry(parent).or_default() += (8 + path.name().len() as u64).next_multiple_of(4);
        }
        blocks += match &node.kind {
            Kind::File(content) => segments(content).iter().map(|(_, len)| len.div_ceil(BLOCK)).sum(),
            Kind::Symlink(target) if target.len() > 59 => 1,
            Kind::Dir => 1,
            _ => 0,
        };
    }
    blocks + entries.values().map(|bytes| bytes / BLOCK).sum::<u64>()
}

/// Blocks that no file can have in a file system of this size.
fn overhead(size: Bytes, tree: &FileTree, usage: Usage) -> u64 {
    let blocks = size.0 / BLOCK;
    let inodes = u64::from(inode_count(tree, size, usage));
    let groups = blocks.div_ceil(BLOCK * 8);
    let journal = match usage {
        Usage::ReadOnly => SMALLEST_JOURNAL.into(),
        // The smallest that mkext4 chooses for this size, by tiers of its own.
        Usage::Writable => {
            if blocks < 32_768 {
                1024
            } else {
                4096
            }
        }
    };
    1 + journal + 3 * groups + inodes.div_ceil(BLOCK / 256)
}

fn inode_count(tree: &FileTree, size: Bytes, usage: Usage) -> u32 {
    let used = tree.len() + OWN_INODES + SPARE_INODES;
    let by_size = if usage == Usage::Writable { size.0 / (16 << 10) } else { 0 };
    u32::try_from(by_size.max(used as u64)).unwrap_or(u32::MAX)
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

/// A regular file that has been declared.
struct Declared<'a> {
    path: &'a TreePath,
    content: &'a Extents,
    handle: InodeHandle,
}

type Sealed<'a> = (mkext4::Layout, Vec<Declared<'a>>);

/// Decides where everything stands. The inner error is that of the whole layout.
fn seal<'a>(tree: &'a FileTree, options: &Options) -> Result<Result<Sealed<'a>, mkext4::Error>, Ext4Error> {
    let size = options.size.0 / BLOCK * BLOCK;
    let mut own = mkext4::Options::new(size, options.uuid, options.epoch);
    own.label = Some(options.label.clone()).filter(|label| !label.is_empty());
    own.inodes = InodeCount::Exact(inode_count(tree, options.size, options.usage));
    if options.usage == Usage::ReadOnly {
        own.journal_blocks = Some(SMALLEST_JOURNAL);
        own.reserved_percent = 0;
    }
    let builder = match FsBuilder::new(own) {
        Ok(builder) => builder,
        Err(source) => return Ok(Err(source)),
    };
    let mut declaration =
        Declaration { builder, epoch: options.epoch, handles: BTreeMap::new(), files: Vec::new() };
    declaration.declare(tree)?;
    let Declaration { builder, files, .. } = declaration;
    Ok(builder.seal().map(|layout| (layout, files)))
}

struct Declaration<'a> {
    builder: FsBuilder,
    epoch: i64,
    handles: BTreeMap<&'a TreePath, InodeHandle>,
    files: Vec<Declared<'a>>,
}

impl<'a> Declaration<'a> {
    fn declare(&mut self, tree: &'a FileTree) -> Result<(), Ext4Error> {
        let mut links = Vec::new();
        for (path, node) in tree.iter() {
            match &node.kind {
                // A link can stand before what it names.
                Kind::HardLink(target) => links.push((path, target)),
                _ if path.as_str() == LOST_FOUND => check_lost_found(tree, path, node)?,
                _ => self.entry(path, node)?,
            }
        }
        links.into_iter().try_for_each(|(path, target)| self.link(tree, path, target))
    }

    fn entry(&mut self, path: &'a TreePath, node: &'a Node) -> Result<(), Ext4Error> {
        let refused = |source| Ext4Error::Entry { path: path.clone(), source };
        let meta = self.meta(&node.meta);
        let handle = match path.parent() {
            None => self.builder.set_meta(ROOT, meta).map(|()| ROOT).map_err(refused)?,
            Some(above) => {
                let parent = *self.handles.get(&above).ok_or(Ext4Error::Orphan { path: path.clone() })?;
                self.node(parent, path, &node.kind, meta)?
            }
        };
        for (name, value) in &node.meta.xattrs {
            self.builder.set_xattr(handle, name, value).map_err(refused)?;
        }
        self.handles.insert(path, handle);
        Ok(())
    }

    fn node(
        &mut self,
        parent: InodeHandle,
        path: &'a TreePath,
        kind: &'a Kind,
        meta: mkext4::Meta,
    ) -> Result<InodeHandle, Ext4Error> {
        let (builder, name) = (&mut self.builder, path.name());
        let handle = match kind {
            Kind::Dir => builder.mkdir(parent, name, meta),
            Kind::Symlink(target) => builder.symlink(parent, name, target, meta),
            Kind::CharDevice { major, minor } => {
                builder.mknod(parent, name, meta, SpecialKind::Char { major: *major, minor: *minor })
            }
            Kind::BlockDevice { major, minor } => {
                builder.mknod(parent, name, meta, SpecialKind::Block { major: *major, minor: *minor })
            }
            Kind::Fifo => builder.mknod(parent, name, meta, SpecialKind::Fifo),
            Kind::Socket => builder.mknod(parent, name, meta, SpecialKind::Socket),
            Kind::File(content) => return self.file(parent, path, content, meta),
            Kind::HardLink(target) => {
                return Err(Ext4Error::LinkTarget { path: path.clone(), target: target.clone() });
            }
        };
        handle.map_err(|source| Ext4Error::Entry { path: path.clone(), source })
    }

    fn file(
        &mut self,
        parent: InodeHandle,
        path: &'a TreePath,
        content: &'a Extents,
        meta: mkext4::Meta,
    ) -> Result<InodeHandle, Ext4Error> {
        let (name, size) = (path.name(), content.size());
        if size > LARGEST - BLOCK {
            return Err(Ext4Error::FileTooLarge { path: path.clone(), size: Bytes(size) });
        }
        let declared = match segments(content).as_slice() {
            [] if size == 0 => self.builder.file(parent, name, meta, 0),
            [(0, len)] if *len == size => self.builder.file(parent, name, meta, size),
            segments => self.builder.file_sparse(parent, name, meta, &with_holes(segments, size)),
        };
        let handle = declared.map_err(|source| Ext4Error::Entry { path: path.clone(), source })?;
        self.files.push(Declared { path, content, handle });
        Ok(handle)
    }

    fn link(&mut self, tree: &FileTree, path: &TreePath, target: &'a TreePath) -> Result<(), Ext4Error> {
        let wrong = || Ext4Error::LinkTarget { path: path.clone(), target: target.clone() };
        let handle = *self.handles.get(final_target(tree, target)).ok_or_else(wrong)?;
        let above = path.parent().and_then(|above| self.handles.get(&above).copied());
        let parent = above.ok_or(Ext4Error::Orphan { path: path.clone() })?;
        let linked = self.builder.hardlink(parent, path.name(), handle);
        linked.map_err(|source| Ext4Error::Entry { path: path.clone(), source })
    }

    fn meta(&self, meta: &Meta) -> mkext4::Meta {
        // The oldest time is what 32 bits can say; the newest is the build's, so that a file
        // touched today does not make today's image another one.
        let mtime = meta.mtime.unwrap_or(self.epoch).min(self.epoch).max(i32::MIN.into());
        mkext4::Meta::new(meta.mode, meta.uid, meta.gid, (mtime, 0))
    }
}

/// What a chain of hard links ends in; a loop ends in one of its links.
fn final_target<'a>(tree: &'a FileTree, mut target: &'a TreePath) -> &'a TreePath {
    for _ in 0..tree.len() {
        match tree.get(target).map(|node| &node.kind) {
            Some(Kind::HardLink(next)) => target = next,
            _ => break,
        }
    }
    target
}

fn check_lost_found(tree: &FileTree, path: &TreePath, node: &Node) -> Result<(), Ext4Error> {
    let is_empty_dir = matches!(node.kind, Kind::Dir) && tree.below(path).next().is_none();
    if is_empty_dir { Ok(()) } else { Err(Ext4Error::LostFound) }
}

/// The parts of a content that are not holes, widened to whole blocks: offset and length.
fn segments(content: &Extents) -> Vec<(u64, u64)> {
    let mut segments: Vec<(u64, u64)> = Vec::new();
    for piece in content.pieces() {
        let start = piece.at / BLOCK * BLOCK;
        let end = (piece.at + piece.len).next_multiple_of(BLOCK).min(content.size());
        match segments.last_mut() {
            Some((first, len)) if *first + *len >= start => *len = end - *first,
            _ => segments.push((start, end - start)),
        }
    }
    segments
}

fn with_holes(segments: &[(u64, u64)], size: u64) -> Vec<SparseSeg> {
    let mut all = Vec::new();
    let mut at = 0;
    for (start, len) in segments {
        if *start > at {
            all.push(SparseSeg::Hole(start - at));
        }
        all.push(SparseSeg::Data(*len));
        at = start + len;
    }
    if at < size {
        all.push(SparseSeg::Hole(size - at));
    }
    all
}

impl Declared<'_> {
    /// Where the parts that are not holes stand. `placed` has their offsets in the file system and
    /// lengths, and cuts none of them in two but by ending it.
    fn runs(&self, placed: &[(u64, u64)]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut placed = placed.iter();
        for (start, len) in segments(self.content) {
            let mut in_file = start;
            while in_file < start + len {
                let Some(&(at, len)) = placed.next() else { break };
                match runs.last_mut() {
                    Some(last) if last.in_file + last.len == in_file && last.at + last.len == at => {
                        last.len += len
                    }
                    _ => runs.push(Run { in_file, at, len }),
                }
                in_file += len;
            }
        }
        runs
    }
}

/// Keeps the blocks that are not zero; neighbours become one segment.
#[derive(Default)]
struct Recorder {
    segments: Vec<(u64, Vec<u8>)>,
}

impl RegionSink for &mut Recorder {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let blocks = (offset..).step_by(BLOCK as usize).zip(bytes.chunks(BLOCK as usize));
        for (at, block) in blocks.filter(|(_, block)| block.iter().any(|byte| *byte != 0)) {
            match self.segments.last_mut() {
                Some((start, bytes)) if *start + bytes.len() as u64 == at => bytes.extend(block),
                _ => self.segments.push((at, block.to_vec())),
            }
        }
        Ok(())
    }

    fn zeros(&mut self, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}
