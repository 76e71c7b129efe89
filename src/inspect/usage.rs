//! What takes the space: the lengths of all files, summed up for every directory.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::model::Usage;
use crate::units::Bytes;
use crate::volume::Files;

/// Levels that are told apart. What is deeper is called by the rest of its path.
const LEVELS: usize = 12;

/// Whoever has at least this part of everything is told by itself, the others of its directory together:
/// so there are never more than so many on a level.
const PART: u64 = 400;

/// A directory with what is below it; a file is one without children.
#[derive(Debug, Default)]
pub(super) struct Tree {
    bytes: u64,
    files: u64,
    children: BTreeMap<String, Tree>,
}

impl Tree {
    /// The tree of these files.
    pub(super) fn of(files: &Files) -> Tree {
        let mut tree = Tree::default();
        for (path, size) in &files.sizes {
            tree.add(path, *size);
        }
        tree
    }

    fn add(&mut self, path: &str, size: u64) {
        let mut at = self;
        at.count(size);
        for name in path.trim_start_matches('/').splitn(LEVELS, '/') {
            at = at.children.entry(name.to_owned()).or_default();
            at.count(size);
        }
    }

    fn count(&mut self, size: u64) {
        self.bytes = self.bytes.saturating_add(size);
        self.files += 1;
    }

    /// Puts what a file system image holds below the file in the root directory that it is.
    pub(super) fn open(&mut self, path: &str, inside: Tree) {
        if let Some(file) = self.children.get_mut(path.trim_start_matches('/')) {
            file.children = inside.children;
        }
    }

    /// What is large in it; `None` when it has no files.
    pub(super) fn told(&self) -> Option<Usage> {
        (self.files > 0).then(|| self.tell("", (self.bytes / PART).max(1)))
    }

    fn tell(&self, name: &str, least: u64) -> Usage {
        let (large, small): (Vec<_>, Vec<_>) =
            self.children.iter().partition(|(_, child)| child.bytes >= least);
        let mut children: Vec<_> = large.iter().map(|(name, child)| child.tell(name, least)).collect();
        // Those of the same size stay in the order of their names.
        children.sort_by_key(|child| Reverse(child.bytes));
        children.extend(together(&small));
        Usage { name: Some(name.to_owned()), bytes: Bytes(self.bytes), files: self.files, children }
    }
}

/// The small ones of a directory.
fn together(small: &[(&String, &Tree)]) -> Option<Usage> {
    let mut sum = Tree::default();
    for (_, child) in small {
        sum.bytes = sum.bytes.saturating_add(child.bytes);
        sum.files += child.files;
    }
    let children = Vec::new();
    (sum.files > 0).then_some(Usage { name: None, bytes: Bytes(sum.bytes), files: sum.files, children })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(sizes: &[(&str, u64)]) -> Files {
        let mut files = Files::default();
        sizes.iter().for_each(|(path, size)| assert!(files.add(path, *size, true)));
        files
    }

    fn names(usage: &Usage) -> Vec<(Option<&str>, u64)> {
        usage.children.iter().map(|child| (child.name.as_deref(), child.bytes.0)).collect()
    }

    #[test]
    fn directories_are_summed_up_and_small_ones_are_told_together() {
        let sizes = [
            ("/usr/lib/a", 5000),
            ("/usr/lib/b", 3000),
            ("/usr/c", 1),
            ("/etc/d", 2000),
            ("/e", 2),
            ("/f", 3),
        ];
        let told = Tree::of(&files(&sizes)).told().unwrap();
        assert_eq!((told.bytes, told.files), (Bytes(10_006), 6));
        assert_eq!(names(&told), [(Some("usr"), 8001), (Some("etc"), 2000), (None, 5)]);
        assert_eq!(names(&told.children[0]), [(Some("lib"), 8000), (None, 1)]);
        assert!(Tree::of(&Files::default()).told().is_none());
    }

    #[test]
    fn a_file_system_in_a_file_stands_below_it() {
        let mut tree = Tree::of(&files(&[("/Image", 50), ("/rootfs.ext4", 100)]));
        tree.open("/rootfs.ext4", Tree::of(&files(&[("/bin/sh", 70)])));
        let told = tree.told().unwrap();
        assert_eq!(names(&told), [(Some("rootfs.ext4"), 100), (Some("Image"), 50)]);
        assert_eq!(names(&told.children[0]), [(Some("bin"), 70)]);
    }

    proptest! {
        #[test]
        fn no_names_and_sizes_make_a_deep_or_an_endless_tree(
            paths in prop::collection::vec(("(/[a-c]{0,2}){0,60}", any::<u64>()), 0..60),
        ) {
            fn look(usage: &Usage, level: usize) -> usize {
                assert!(level <= LEVELS);
                1 + usage.children.iter().map(|child| look(child, level + 1)).sum::<usize>()
            }
            let sizes: Vec<_> = paths.iter().map(|(path, size)| (path.as_str(), *size)).collect();
            let told = Tree::of(&files(&sizes)).told();
            prop_assert!(told.is_none_or(|told| look(&told, 0) <= 60 * (LEVELS + 1) + LEVELS));
        }
    }
}
