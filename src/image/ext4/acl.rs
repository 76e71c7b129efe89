//! Access control lists, which ext4 stores in another form than programs see them.
//!
//! ```text
//!   as an attribute      2, then for each entry: tag (2 bytes), permissions (2), id (4)
//!   as stored            1, then the same; an entry that names nobody has no id
//! ```
//! Sources: `include/uapi/linux/posix_acl_xattr.h` and `fs/ext4/acl.h` of Linux 6.12.

use std::borrow::Cow;

const NAMES: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];
const SEEN_VERSION: [u8; 4] = [2, 0, 0, 0];
const STORED_VERSION: [u8; 4] = [1, 0, 0, 0];
/// Tags of entries for one named user, or one named group.
const NAMED: [u16; 2] = [0x02, 0x08];

/// The value of an attribute as ext4 stores it, or `None` for a list that makes no sense.
pub(super) fn stored<'a>(name: &str, value: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if !NAMES.contains(&name) {
        return Some(Cow::Borrowed(value));
    }
    let entries = value.strip_prefix(&SEEN_VERSION)?.chunks(8);
    let mut stored = STORED_VERSION.to_vec();
    for entry in entries {
        let [tag_low, tag_high, _, _, _, _, _, _] = *entry else { return None };
        let is_named = NAMED.contains(&u16::from_le_bytes([tag_low, tag_high]));
        stored.extend(if is_named { entry } else { &entry[..4] });
    }
    Some(Cow::Owned(stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_name_nobody_lose_their_id() {
        let seen = [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0];
        let expected = [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 232, 3, 0, 0];
        assert_eq!(stored(NAMES[0], &seen).as_deref(), Some(&expected[..]));
    }

    #[test]
    fn other_attributes_stay_and_broken_lists_are_refused() {
        assert_eq!(stored("user.x", b"abc").as_deref(), Some(&b"abc"[..]));
        assert_eq!(stored(NAMES[1], &[2, 0, 0, 0, 1]), None);
        assert_eq!(stored(NAMES[1], &[1, 0, 0, 0]), None);
    }
}
