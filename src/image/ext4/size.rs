//! How large a file system must be, and what it has besides files.

use std::collections::BTreeMap;

use super::declare::{Declared, segments};
use super::{BLOCK, Ext4Error, LARGEST, Options, Usage, seal};
use crate::tree::{FileTree, Kind, TreePath};
use crate::units::{Bytes, MIB};

/// The smallest journal that Linux takes, and the share of a file system that it may be.
const SMALLEST_JOURNAL: u32 = 1024;
const JOURNAL_SHARE: u64 = 4;
/// Blocks of the journal for file systems of fewer blocks than so many, as `mke2fs` has them.
const JOURNALS: [(u64, u32); 5] =
    [(1 << 15, 1024), (1 << 18, 4096), (1 << 19, 8192), (1 << 22, 16_384), (u64::MAX, 32_768)];

/// Inodes that every file system has of its own, up to the one of `lost+found`.
const OWN_INODES: usize = 11;
/// Inodes left over in a file system that nobody is meant to write.
const SPARE_INODES: usize = 16;

/// The smallest whole number of mebibytes that holds `tree`.
///
/// # Errors
/// When the tree holds what ext4 cannot, at any size.
pub fn needed(tree: &FileTree, usage: Usage) -> Result<Bytes, Ext4Error> {
    let options = Options { size: Bytes(0), uuid: [0; 16], label: String::new(), epoch: 0, usage };
    smallest(tree, &options).map(|(size, ..)| size)
}

/// `tree` laid out in the smallest whole number of mebibytes that holds it, whatever size the
/// options say.
pub(super) fn smallest<'a>(
    tree: &'a FileTree,
    options: &Options,
) -> Result<(Bytes, mkext4::Layout, Vec<Declared<'a>>), Ext4Error> {
    let usage = options.usage;
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
        match seal(tree, &Options { size, ..options.clone() })? {
            Ok((layout, files)) => return Ok((size, layout, files)),
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

/// Blocks that no file can have in a file system of this size: at least that many.
fn overhead(size: Bytes, tree: &FileTree, usage: Usage) -> u64 {
    let groups = (size.0 / BLOCK).div_ceil(BLOCK * 8);
    let inode_blocks = u64::from(inodes(tree, size, usage)).div_ceil(BLOCK / 256);
    2 + 2 * groups + inode_blocks + u64::from(journal(size, usage))
}

/// Blocks of the journal, which `mkext4` cannot do without.
pub(super) fn journal(size: Bytes, usage: Usage) -> u32 {
    let by_size = JOURNALS.iter().find(|(below, _)| size.0 / BLOCK < *below);
    match usage {
        Usage::ReadOnly => SMALLEST_JOURNAL,
        Usage::Writable => by_size.map_or(SMALLEST_JOURNAL, |(_, blocks)| *blocks),
    }
}

/// Inodes in a file system of this size.
pub(super) fn inodes(tree: &FileTree, size: Bytes, usage: Usage) -> u32 {
    let used = tree.len() + OWN_INODES + SPARE_INODES;
    let by_size = if usage == Usage::Writable { size.0 / (16 << 10) } else { 0 };
    u32::try_from(by_size.max(used as u64)).unwrap_or(u32::MAX)
}
