//! Extended attributes (Linux, `Documentation/filesystems/ext4/attributes.rst`).
//!
//! ```text
//!   | ea020000 | entry | entry | ... | 0 0 0 0 |  ...  values |     in an inode: offsets of values count
//!                |                                                from the first entry
//!                0 bytes of the name  2 offset of the value       in a block: from its start, and the
//!                1 what it begins with  8 bytes of the value      header has 32 bytes
//!                16 name
//! ```

use std::collections::BTreeMap;
use std::io;

use super::inode::Inode;
use super::layout::{Layout, u16_at, u32_at};

const MAGIC: u32 = 0xea02_0000;
const BLOCK_HEADER: usize = 32;
const ENTRY: usize = 16;

/// What a name begins with, by number.
const PREFIXES: [(u8, &str); 7] = [
    (1, "user."),
    (2, "system.posix_acl_access"),
    (3, "system.posix_acl_default"),
    (4, "trusted."),
    (6, "security."),
    (7, "system."),
    (8, "system.richacl"),
];

/// Names and values.
pub type Attributes = BTreeMap<String, Vec<u8>>;

impl Layout {
    /// The extended attributes of a file. Those whose values make no sense are left out.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn attributes(&self, inode: &Inode) -> io::Result<Attributes> {
        let mut found = Attributes::new();
        if let (Some(start), Some(at)) = (inode.extra, self.inode_at(inode.number)) {
            let bytes = self.region.read(at + start, self.inode_size - start)?;
            if bytes.len() > 4 && u32_at(&bytes, 0) == MAGIC {
                entries(&bytes[4..], &bytes[4..], &mut found);
            }
        }
        if inode.attributes != 0 {
            let bytes = self.region.read(self.offset(inode.attributes), self.block)?;
            if u32_at(&bytes, 0) == MAGIC {
                entries(&bytes[BLOCK_HEADER..], &bytes, &mut found);
            }
        }
        Ok(found)
    }
}

/// Notes what `entries` say, whose values are in `values`.
fn entries(mut entries: &[u8], values: &[u8], found: &mut Attributes) {
    while entries.len() >= ENTRY && entries[..4] != [0; 4] {
        let (name_len, prefix) = (usize::from(entries[0]), entries[1]);
        let Some(name) = entries.get(ENTRY..ENTRY + name_len) else { return };
        let (at, len) = (usize::from(u16_at(entries, 2)), u32_at(entries, 8) as usize);
        let prefix = PREFIXES.iter().find(|(number, _)| *number == prefix).map_or("?.", |(_, text)| text);
        if let Some(value) = at.checked_add(len).and_then(|end| values.get(at..end)) {
            found.insert(format!("{prefix}{}", String::from_utf8_lossy(name)), value.to_vec());
        }
        entries = entries.get((ENTRY + name_len).next_multiple_of(4)..).unwrap_or_default();
    }
}
