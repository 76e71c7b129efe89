//! Names of what a superblock and an inode say (Linux, `Documentation/filesystems/ext4`).

use crate::volume::{Field, Show};

const fn field(name: &'static str, at: usize, len: usize, show: Show) -> Field {
    Field::new(name, at, len, show)
}

const fn derived(name: &'static str, at: usize, len: usize) -> Field {
    Field::derived(name, at, len, Show::Number)
}

/// What a superblock says.
pub const SUPERBLOCK_FIELDS: &[Field] = &[
    field("inodes", 0x00, 4, Show::Number),
    field("blocks", 0x04, 4, Show::Number),
    field("reserved blocks", 0x08, 4, Show::Number),
    derived("free blocks", 0x0c, 4),
    derived("free inodes", 0x10, 4),
    field("first block", 0x14, 4, Show::Number),
    field("logarithm of the block size", 0x18, 4, Show::Number),
    field("logarithm of the cluster size", 0x1c, 4, Show::Number),
    field("blocks of a group", 0x20, 4, Show::Number),
    field("clusters of a group", 0x24, 4, Show::Number),
    field("inodes of a group", 0x28, 4, Show::Number),
    field("mount time", 0x2c, 4, Show::Time),
    field("write time", 0x30, 4, Show::Time),
    field("mounts", 0x34, 2, Show::Number),
    field("most mounts", 0x36, 2, Show::Number),
    field("state", 0x3a, 2, Show::Hex),
    field("what to do about errors", 0x3c, 2, Show::Number),
    field("minor revision", 0x3e, 2, Show::Number),
    field("time of the last check", 0x40, 4, Show::Time),
    field("check interval", 0x44, 4, Show::Number),
    field("creator", 0x48, 4, Show::Number),
    field("revision", 0x4c, 4, Show::Number),
    field("owner of reserved blocks", 0x50, 2, Show::Number),
    field("group of reserved blocks", 0x52, 2, Show::Number),
    field("first inode", 0x54, 4, Show::Number),
    field("bytes of an inode", 0x58, 2, Show::Number),
    field("compatible features", 0x5c, 4, Show::Hex),
    field("incompatible features", 0x60, 4, Show::Hex),
    field("features for reading only", 0x64, 4, Show::Hex),
    field("uuid", 0x68, 16, Show::Uuid),
    field("label", 0x78, 16, Show::Text),
    field("last mounted on", 0x88, 64, Show::Text),
    field("blocks kept for descriptors", 0xce, 2, Show::Number),
    field("uuid of the journal", 0xd0, 16, Show::Uuid),
    field("inode of the journal", 0xe0, 4, Show::Number),
    field("last orphan", 0xe8, 4, Show::Number),
    field("hash seed", 0xec, 16, Show::Uuid),
    field("hash version", 0xfc, 1, Show::Number),
    field("bytes of a descriptor", 0xfe, 2, Show::Number),
    field("mount options", 0x100, 4, Show::Hex),
    field("creation time", 0x108, 4, Show::Time),
    field("blocks, high half", 0x150, 4, Show::Number),
    derived("free blocks, high half", 0x158, 4),
    field("flags", 0x160, 4, Show::Hex),
    field("logarithm of groups together", 0x174, 1, Show::Number),
    derived("KiB written", 0x178, 8),
    field("errors", 0x194, 4, Show::Number),
    field("seed of checksums", 0x270, 4, Show::Hex),
    derived("checksum", 0x3fc, 4),
];

/// What an inode says, by offset: a name holds up to the next.
pub(super) const INODE_FIELDS: &[(u64, &str)] = &[
    (0x00, "mode"),
    (0x02, "owner"),
    (0x04, "size"),
    (0x08, "atime"),
    (0x0c, "ctime"),
    (0x10, "mtime"),
    (0x14, "dtime"),
    (0x18, "group"),
    (0x1a, "links"),
    (0x1c, "blocks"),
    (0x20, "flags"),
    (0x24, "version"),
    (0x28, "map of blocks"),
    (0x64, "generation"),
    (0x68, "block of attributes"),
    (0x6c, "size"),
    (0x70, "fragment"),
    (0x74, "blocks"),
    (0x76, "block of attributes"),
    (0x78, "owner"),
    (0x7a, "group"),
    (0x7c, "checksum"),
    (0x7e, "reserved bytes"),
    (0x80, "bytes in use"),
    (0x82, "checksum"),
    (0x84, "ctime"),
    (0x88, "mtime"),
    (0x8c, "atime"),
    (0x90, "crtime"),
    (0x98, "version"),
    (0x9c, "project"),
    (0xa0, "attributes"),
    (u64::MAX, ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_one_after_the_other() {
        for pair in SUPERBLOCK_FIELDS.windows(2) {
            assert!(pair[0].at + pair[0].len <= pair[1].at, "{}", pair[1].name);
        }
        assert!(INODE_FIELDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(SUPERBLOCK_FIELDS.iter().all(|field| matches!(field.len, 1 | 2 | 4 | 8 | 16 | 64)));
    }
}
