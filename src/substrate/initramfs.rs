//! The initramfs: a tree as a `newc` cpio archive, compressed.
//!
//! ```text
//!   entry: header (110 bytes of hexadecimal text), name, NUL, pad to 4, content, pad to 4
//!   ... one for each entry of the tree, sorted; inode numbers 1, 2, 3 ...
//!   entry `TRAILER!!!`
//! ```
//!
//! The format is that of `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::str::FromStr;

use cpio::newc::{Builder, trailer};
use flate2::{Compression as GzipLevel, GzBuilder};

use crate::image::extents::Extents;
use crate::substrate::content::Stream;
use crate::tree::{FileTree, Kind, Node, TreePath};

/// Levels that cost about a tenth of a second for the usual 11 MB. Level 6 of zstd takes almost
/// three times as long as level 3 and saves 8 %.
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 3;

/// How an initramfs is compressed. Every distribution's kernel reads both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// RFC 8878.
    #[default]
    Zstd,
    /// RFC 1952, for kernels without zstd.
    Gzip,
}

/// Why a text is not a compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a compression of the initramfs; there are `zstd` and `gzip`")]
pub struct CompressionError(String);

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        match text {
            "zstd" => Ok(Compression::Zstd),
            "gzip" => Ok(Compression::Gzip),
            _ => Err(CompressionError(text.to_owned())),
        }
    }
}

/// Why an initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// A file does not fit into the format.
    #[error("`{path}` has {size} bytes, a file of an initramfs has at most 4 GiB")]
    TooLarge {
        /// Where it stands in the tree.
        path: TreePath,
        /// Its size in bytes.
        size: u64,
    },
    /// A file cannot be read.
    #[error("reading `{path}` for the initramfs")]
    Read {
        /// Where it stands in the tree.
        path: TreePath,
        /// The system's reason.
        source: io::Error,
    },
    /// The compressor failed.
    #[error("compressing the initramfs")]
    Compress(#[source] io::Error),
}

/// Packs `tree` with all times set to `epoch` (seconds since 1970). The result is held in memory;
/// contents stream through. The same tree gives the same bytes.
///
/// # Errors
/// When a file is 4 GiB or larger, or cannot be read.
pub fn pack(tree: &FileTree, epoch: u32, compression: Compression) -> Result<Extents, InitramfsError> {
    let packed = match compression {
        Compression::Zstd => {
            let mut out = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(InitramfsError::Compress)?;
            write(tree, epoch, &mut out)?;
            out.finish()
        }
        Compression::Gzip => {
            let mut out = GzBuilder::new().mtime(0).write(Vec::new(), GzipLevel::new(GZIP_LEVEL));
            write(tree, epoch, &mut out)?;
            out.finish()
        }
    };
    Ok(Extents::bytes(packed.map_err(InitramfsError::Compress)?))
}

/// Writes `tree` as an archive that is not compressed.
///
/// # Errors
/// When a file is 4 GiB or larger or cannot be read, or when `out` fails.
pub fn write(tree: &FileTree, epoch: u32, out: &mut impl Write) -> Result<(), InitramfsError> {
    let links = Links::count(tree);
    for (path, node) in tree.iter().filter(|(path, _)| **path != TreePath::root()) {
        entry(path, node, epoch, &links, out)?;
    }
    trailer(out).map(drop).map_err(InitramfsError::Compress)
}

/// Inode numbers by path, and how many names each inode has.
struct Links<'a> {
    inodes: BTreeMap<&'a TreePath, u32>,
    names: BTreeMap<u32, u32>,
}

impl<'a> Links<'a> {
    fn count(tree: &'a FileTree) -> Self {
        let mut links = Links { inodes: BTreeMap::new(), names: BTreeMap::new() };
        for (number, (path, _)) in (0..).zip(tree.iter()) {
            links.inodes.insert(path, number);
        }
        for (path, node) in tree.iter() {
            if let Kind::HardLink(target) = &node.kind
                && let Some(&inode) = links.inodes.get(target)
            {
                links.inodes.insert(path, inode);
            }
        }
        for &inode in links.inodes.values() {
            *links.names.entry(inode).or_default() += 1;
        }
        links
    }
}

fn entry(
    path: &TreePath,
    node: &Node,
    epoch: u32,
    links: &Links,
    out: &mut impl Write,
) -> Result<(), InitramfsError> {
    let (format, rdev) = kind(&node.kind);
    let inode = links.inodes[path];
    let header = Builder::new(path.as_str())
        .ino(inode)
        .mode(format | u32::from(node.meta.mode))
        .uid(node.meta.uid)
        .gid(node.meta.gid)
        .nlink(links.names[&inode])
        .mtime(epoch)
        .rdev_major(rdev.0)
        .rdev_minor(rdev.1);
    match &node.kind {
        Kind::File(content) => {
            let size = u32::try_from(content.size())
                .map_err(|_| InitramfsError::TooLarge { path: path.clone(), size: content.size() })?;
            let mut writer = header.write(out, size);
            copy(path, content, &mut writer)?;
            writer.finish().map(drop)
        }
        Kind::Symlink(target) => {
            let mut writer = header.write(out, target.len() as u32);
            writer.write_all(target.as_bytes()).and_then(|()| writer.finish()).map(drop)
        }
        // The kernel and cpio take the content of a hard link from the name that has one.
        _ => header.write(out, 0).finish().map(drop),
    }
    .map_err(InitramfsError::Compress)
}

fn copy(path: &TreePath, content: &Extents, out: &mut impl Write) -> Result<(), InitramfsError> {
    io::copy(&mut io::BufReader::with_capacity(256 << 10, Stream::new(content)), out)
        .map(drop)
        .map_err(|source| InitramfsError::Read { path: path.clone(), source })
}

/// The type bits of `st_mode`, and the numbers of a device.
fn kind(kind: &Kind) -> (u32, (u32, u32)) {
    match kind {
        Kind::Dir => (0o040_000, (0, 0)),
        Kind::File(_) | Kind::HardLink(_) => (0o100_000, (0, 0)),
        Kind::Symlink(_) => (0o120_000, (0, 0)),
        Kind::CharDevice { major, minor } => (0o020_000, (*major, *minor)),
        Kind::BlockDevice { major, minor } => (0o060_000, (*major, *minor)),
        Kind::Fifo => (0o010_000, (0, 0)),
        Kind::Socket => (0o140_000, (0, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(tree: &FileTree) -> Vec<u8> {
        let mut out = Vec::new();
        write(tree, 7, &mut out).unwrap();
        out
    }

    #[test]
    fn a_small_tree_has_exactly_these_bytes() {
        let mut tree = FileTree::new();
        tree.file("init", 0o755, Extents::bytes(*b"#!"));
        let bytes = plain(&tree);
        let header = "07070100000001000081ed000000000000000000000001000000070000000200000000000000000000000000000000\
                      0000000500000000";
        assert_eq!(&bytes[..120], [header.as_bytes(), b"init\0\0#!\0\0"].concat());
        assert!(bytes[120..].windows(10).any(|window| window == b"TRAILER!!!"));
    }

    #[test]
    fn hard_links_share_an_inode_and_its_count() {
        let mut tree = FileTree::new();
        tree.file("b", 0o644, Extents::bytes(*b"x"));
        let target = TreePath::root().join("b");
        let meta = tree.get(&target).unwrap().meta.clone();
        tree.insert(TreePath::root().join("a"), Node { meta, kind: Kind::HardLink(target) });
        let bytes = plain(&tree);
        let mut entry = cpio::newc::Reader::new(&*bytes).unwrap();
        assert_eq!((entry.entry().name(), entry.entry().ino(), entry.entry().nlink()), ("a", 2, 2));
        entry = cpio::newc::Reader::new(entry.finish().unwrap()).unwrap();
        assert_eq!((entry.entry().name(), entry.entry().ino(), entry.entry().nlink()), ("b", 2, 2));
        assert_eq!(entry.entry().file_size(), 1);
    }

    #[test]
    fn a_file_of_four_gibibytes_is_refused_by_name() {
        let mut tree = FileTree::new();
        tree.file("payload/big", 0o644, Extents::zeros(4 << 30));
        let error = write(&tree, 0, &mut io::sink()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/payload/big` has 4294967296 bytes, a file of an initramfs has at most 4 GiB"
        );
    }

    #[test]
    fn both_compressions_hold_the_same_archive() {
        let mut tree = FileTree::new();
        tree.file("a", 0o600, Extents::zeros(5000));
        for compression in [Compression::Zstd, Compression::Gzip] {
            let packed = pack(&tree, 7, compression).unwrap();
            let mut out = Vec::new();
            io::copy(&mut crate::archive::compress::unpack(Stream::new(&packed)).unwrap(), &mut out).unwrap();
            assert_eq!(out, plain(&tree));
        }
    }
}
