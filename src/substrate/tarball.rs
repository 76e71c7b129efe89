//! A tree as tar stream.
//!
//! ```text
//!   a/  a/b  a/d  c  ...  a/e -> a/b    each: [pax header: xattrs] header [content, padded to 512 bytes]
//!   \____ by path ____/  \_hard links_/
//! ```
//! The same tree gives the same bytes. A hard link comes after its file, whatever their names.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};

use tar::{Builder, EntryType, Header};

use super::content::Stream;
use crate::interrupt;
use crate::tree::{FileTree, Kind, Node, TreePath};

/// Why a tree cannot be written as tar.
#[derive(Debug, thiserror::Error)]
#[error("writing `{path}` into an archive")]
pub struct TarballError {
    /// The entry; the root at the end of the archive.
    path: TreePath,
    source: io::Error,
}

/// Writes all entries of `tree` but its root, with their time set to `epoch` (seconds since 1970).
///
/// # Errors
/// When `out` does not take the bytes, a content cannot be read, an entry is a socket, or the user asked
/// to stop.
pub fn write(tree: &FileTree, epoch: u32, out: impl Write) -> Result<(), TarballError> {
    let mut builder = Builder::new(out);
    let is_link = |node: &Node| matches!(node.kind, Kind::HardLink(_));
    let files = tree.iter().skip(1).filter(|(_, node)| !is_link(node));
    for (path, node) in files.chain(tree.iter().filter(|(_, node)| is_link(node))) {
        append(&mut builder, path, node, epoch)
            .map_err(|source| TarballError { path: path.clone(), source })?;
    }
    let end = |source| TarballError { path: TreePath::root(), source };
    builder.into_inner().map_err(end)?.flush().map_err(end)
}

fn append(builder: &mut Builder<impl Write>, path: &TreePath, node: &Node, epoch: u32) -> io::Result<()> {
    interrupt::check()?;
    let xattrs: BTreeMap<String, &Vec<u8>> =
        node.meta.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), value)).collect();
    builder.append_pax_extensions(xattrs.iter().map(|(name, value)| (name.as_str(), value.as_slice())))?;
    let mut header = Header::new_gnu();
    header.set_mode(node.meta.mode.into());
    header.set_uid(node.meta.uid.into());
    header.set_gid(node.meta.gid.into());
    header.set_mtime(epoch.into());
    header.set_size(0);
    let (kind, target) = match &node.kind {
        Kind::Dir => (EntryType::Directory, None),
        Kind::File(content) => {
            header.set_size(content.size());
            return builder.append_data(
                &mut header,
                path.as_str(),
                Stream::new(content).take(content.size()),
            );
        }
        Kind::Symlink(target) => (EntryType::Symlink, Some(target.as_str())),
        Kind::HardLink(target) => (EntryType::Link, Some(target.as_str())),
        Kind::CharDevice { major, minor } => (device(&mut header, EntryType::Char, *major, *minor)?, None),
        Kind::BlockDevice { major, minor } => (device(&mut header, EntryType::Block, *major, *minor)?, None),
        Kind::Fifo => (EntryType::Fifo, None),
        Kind::Socket => return Err(io::Error::other("a socket has no place in an archive")),
    };
    header.set_entry_type(kind);
    match target {
        Some(target) => builder.append_link(&mut header, path.as_str(), target),
        None => builder.append_data(&mut header, path.as_str(), io::empty()),
    }
}

fn device(header: &mut Header, kind: EntryType, major: u32, minor: u32) -> io::Result<EntryType> {
    header.set_device_major(major)?;
    header.set_device_minor(minor)?;
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use super::*;
    use crate::archive::tar;
    use crate::image::extents::Extents;
    use crate::tree::Meta;

    #[test]
    fn the_reader_of_archives_finds_what_was_written_with_one_time_and_links_last() {
        let mut tree = FileTree::new();
        let long = format!("deep/{}", "n".repeat(150));
        tree.file(&long, 0o755, Extents::bytes(*b"hello"));
        let link = Kind::HardLink(TreePath::root().join(&long));
        tree.insert(TreePath::root().join("a"), Node { meta: Meta::root(0o755), kind: link });
        tree.symlink("b", "a");
        let file = tempfile::NamedTempFile::new().unwrap();
        write(&tree, 1_790_000_000, file.as_file()).unwrap();
        file.as_file().rewind().unwrap();
        let entries = tar::index(file.as_file()).unwrap();
        let names: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(names, ["b", "deep", &long, "a"]);
        assert!(entries.iter().all(|entry| entry.meta.mtime == Some(1_790_000_000)));
    }
}
