//! Trees to make file systems of.

use factory::image::extents::Extents;
use factory::image::{Formatted, PlacedFile};
use factory::tree::FileTree;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that differ from file to file and within each.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| step()).collect()
}

/// All bytes of a content that is in memory.
pub(crate) fn bytes(content: &Extents) -> Vec<u8> {
    let mut bytes = vec![0; content.size() as usize];
    content.read_at(0, &mut bytes).unwrap();
    bytes
}

/// The bytes of a placed file, read from where it was placed.
pub(crate) fn placed(formatted: &Formatted, file: &PlacedFile) -> Vec<u8> {
    let mut bytes = vec![0; file.size as usize];
    for run in &file.runs {
        let range = run.in_file as usize..(run.in_file + run.len) as usize;
        formatted.extents.read_at(run.at, &mut bytes[range]).unwrap();
    }
    bytes
}

/// Directories and files of odd sizes, nested at random; no two names differ only in case.
pub(crate) fn tree(names: &'static str) -> impl Strategy<Value = FileTree> {
    let entry = (any::<Index>(), names, prop_oneof![Just(None), (0usize..20_000).prop_map(Some)]);
    proptest::collection::vec(entry, 0..60).prop_map(|entries| {
        let mut tree = FileTree::new();
        let mut dirs = vec![String::new()];
        for (n, (place, name, size)) in entries.into_iter().enumerate() {
            let dir = place.get(&dirs);
            let slash = if dir.is_empty() { "" } else { "/" };
            let path = format!("{dir}{slash}{name}{n}");
            match size {
                Some(size) => tree.file(&path, 0o644, Extents::bytes(noise(n as u64, size))),
                None => {
                    tree.dir(&path);
                    dirs.push(path);
                }
            }
        }
        tree
    })
}
