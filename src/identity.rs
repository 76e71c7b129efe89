//! Identities that follow from what is built: same inputs, same ids, whoever builds.

use std::fmt;

use serde::Serialize;
use sha2::Digest as _;
use uuid::Uuid;

use crate::digest::Sha256;

/// The digest over all that decides an image's bytes: the plan, the pins and this program's own
/// device files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildId(Sha256);

impl BuildId {
    /// The id of a build that follows from these `parts`, in this order.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = sha2::Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        BuildId(Sha256::finish(hash))
    }

    /// A UUID for `purpose`: version 8 (RFC 9562, section 5.8), from the digest of id and purpose.
    pub fn uuid(&self, purpose: &str) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.derive(purpose)[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// A 32-bit serial for `purpose`: a FAT volume's, or an MBR disk's.
    pub fn serial(&self, purpose: &str) -> u32 {
        let [a, b, c, d, ..] = self.derive(purpose);
        u32::from_le_bytes([a, b, c, d])
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut hash = sha2::Sha256::new();
        hash.update(self.0.0);
        hash.update(purpose);
        Sha256::finish(hash).0
    }
}

impl fmt::Display for BuildId {
    /// The first 16 hexadecimal digits, as the console shows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string()[..16])
    }
}

impl Serialize for BuildId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_purpose_and_by_build() {
        let (one, two) = (BuildId::of(&[b"plan", b"lock"]), BuildId::of(&[b"planl", b"ock"]));
        assert_ne!(one.uuid("disk"), two.uuid("disk"));
        assert_ne!(one.uuid("disk"), one.uuid("data"));
        assert_eq!(one.uuid("disk").get_version_num(), 8);
    }
}
