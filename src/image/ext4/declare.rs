//! Telling `mkext4` what a tree holds.

use std::collections::BTreeMap;

use mkext4::{FsBuilder, InodeHandle, ROOT, SparseSeg, SpecialKind};

use super::{BLOCK, Ext4Error, LARGEST, acl};
use crate::image::Run;
use crate::image::extents::Extents;
use crate::tree::{FileTree, Kind, Meta, Node, TreePath};
use crate::units::Bytes;

const LOST_FOUND: &str = "lost+found";

/// A regular file that has been declared.
pub(super) struct Declared<'a> {
    pub(super) path: &'a TreePath,
    pub(super) content: &'a Extents,
    handle: InodeHandle,
}

/// Everything in `tree`, ready to be laid out, and its regular files.
pub(super) fn declare<'a>(
    tree: &'a FileTree,
    options: mkext4::Options,
) -> Result<(FsBuilder, Vec<Declared<'a>>), Ext4Error> {
    let epoch = options.epoch;
    let builder = FsBuilder::new(options).map_err(Ext4Error::Layout)?;
    let mut declaration = Declaration { builder, epoch, handles: BTreeMap::new(), files: Vec::new() };
    declaration.all(tree)?;
    Ok((declaration.builder, declaration.files))
}

struct Declaration<'a> {
    builder: FsBuilder,
    epoch: i64,
    handles: BTreeMap<&'a TreePath, InodeHandle>,
    files: Vec<Declared<'a>>,
}

impl<'a> Declaration<'a> {
    fn all(&mut self, tree: &'a FileTree) -> Result<(), Ext4Error> {
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
            let stored = acl::stored(name, value).ok_or_else(|| Ext4Error::Acl { path: path.clone() })?;
            self.builder.set_xattr(handle, name, &stored).map_err(refused)?;
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
pub(super) fn segments(content: &Extents) -> Vec<(u64, u64)> {
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
    /// Where the parts that are not holes stand. The layout splits them, but never has the end of
    /// one and the start of the next in one extent.
    pub(super) fn runs(&self, layout: &mkext4::Layout) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut placed = layout.extents(self.handle).into_iter();
        for (start, len) in segments(self.content) {
            let mut in_file = start;
            while in_file < start + len {
                let Some((at, len)) = placed.next() else { break };
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
