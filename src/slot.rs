//! `slot.json`: what a slot holds, so that it can be verified where it lies.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::{Digests, Sha256};
use crate::image::extents::Extents;

/// Name of the list of files in a slot.
pub const SLOT_FILE: &str = "slot.json";

/// Generation of the partition layout and of what init expects of it; an update for another one
/// does not fit.
pub const LAYOUT_GENERATION: u32 = 1;

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotJson {
    /// Generation of the layout.
    pub layout: u32,
    /// Name of the product.
    pub name: String,
    /// Version of the product.
    pub version: String,
    /// The build's id.
    pub build: String,
    /// Every file but this one, by path.
    pub files: Vec<SlotFile>,
}

/// A file of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFile {
    /// Path from the slot's root.
    pub path: String,
    /// Length in bytes, holes included.
    pub size: u64,
    /// Digest of its content, holes included.
    pub sha256: Sha256,
}

impl SlotJson {
    /// The file's content, made when the digests of all the others are known. Its length does not
    /// depend on them.
    pub fn late(self) -> Extents {
        let size = self.encode().len() as u64;
        Extents::late(size, Arc::new(move |digests: &Digests| self.clone().with(digests).encode()))
    }

    /// The same list with these digests.
    pub fn with(mut self, digests: &Digests) -> Self {
        for file in &mut self.files {
            if let Some(digest) = digests.get(&file.path) {
                file.sha256 = *digest;
            }
        }
        self
    }

    fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a list of files is plain data");
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_slot_list_is_known_before_its_digests() {
        let file = SlotFile { path: "Image".to_owned(), size: 3, sha256: Sha256([0; 32]) };
        let list = SlotJson {
            layout: LAYOUT_GENERATION,
            name: "kiosk".to_owned(),
            version: "1".to_owned(),
            build: "0".to_owned(),
            files: vec![file],
        };
        let digests = Digests::from([("Image".to_owned(), Sha256::of(b"abc"))]);
        let late = list.clone().late();
        assert_eq!(late.size(), list.with(&digests).encode().len() as u64);
    }
}
