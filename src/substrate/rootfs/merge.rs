//! Putting the members of layers into one tree, as unpacking them one after the other would.
//!
//! | there is           | comes        | result                                             |
//! |--------------------|--------------|----------------------------------------------------|
//! | a directory        | a directory  | one, with both contents and the later metadata     |
//! | a link to one      | a directory  | the link stays, the content goes where it leads    |
//! | a directory        | a file, link | it replaces what earlier layers have there         |
//! | anything else      | anything     | the later one                                      |
//!
//! A member whose path leads through links goes where they lead inside the tree, as in systems
//! whose `/bin` is a link to `usr/bin`.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{FileTree, Kind, Node, ResolveError, TreePath};

/// What happens when a directory comes where a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directories {
    /// It takes the mode, owner and time of the later one.
    Later,
    /// It stays as it is.
    Earlier,
}

/// Why a member cannot be put into a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The links on its path lead nowhere.
    #[error("member `{member}` cannot be placed")]
    Place {
        /// The member.
        member: TreePath,
        /// Where its path leads.
        source: ResolveError,
    },
    /// A hard link points to nothing, or to something that is not a file.
    #[error("member `{member}` is a hard link to `{target}`, which is not a file of the tree")]
    NoTarget {
        /// The member.
        member: TreePath,
        /// What it points to.
        target: TreePath,
    },
    /// A file would take away a directory of the same layer.
    #[error("member `{member}` would replace a directory with files of the same layer")]
    OverDirectory {
        /// The member.
        member: TreePath,
    },
}

/// A tree that grows by layers.
#[derive(Default)]
pub(super) struct Merge {
    tree: FileTree,
    /// The other names of files that have several.
    links: BTreeMap<TreePath, BTreeSet<TreePath>>,
    /// What the current layer has brought.
    fresh: BTreeSet<TreePath>,
}

impl Merge {
    /// The tree of all layers.
    pub(super) fn finish(self) -> FileTree {
        self.tree
    }

    /// The tree so far.
    pub(super) fn tree(&self) -> &FileTree {
        &self.tree
    }

    /// All that comes from now on belongs to the next layer.
    pub(super) fn next_layer(&mut self) {
        self.fresh.clear();
    }

    /// Puts a member at `path`. The place that it takes, which differs where links lead elsewhere.
    pub(super) fn put(
        &mut self,
        path: &TreePath,
        mut node: Node,
        directories: Directories,
    ) -> Result<TreePath, MergeError> {
        let place = self.place(path)?;
        if let Kind::HardLink(target) = &node.kind {
            let target = self.target(path, &place, target)?;
            if target == place {
                return Ok(place);
            }
            node.meta = self.tree.get(&target).expect("the target was just found").meta.clone();
            node.kind = Kind::HardLink(target);
        }
        match (self.tree.get(&place).map(|there| &there.kind), &node.kind) {
            (Some(Kind::Dir), Kind::Dir) if directories == Directories::Earlier => return Ok(place),
            (Some(Kind::Symlink(_)), Kind::Dir) if self.leads_to_directory(&place) => return Ok(place),
            (Some(Kind::Dir), Kind::Dir) => {}
            (Some(Kind::Dir), _) => self.replace_directory(path, &place)?,
            _ => self.forget(&place),
        }
        if let Kind::HardLink(target) = &node.kind {
            self.links.entry(target.clone()).or_default().insert(place.clone());
        }
        self.tree.insert(place.clone(), node);
        self.fresh.insert(place.clone());
        Ok(place)
    }

    /// Takes away what earlier layers have at `path`.
    pub(super) fn hide(&mut self, path: &TreePath) -> Result<(), MergeError> {
        let place = self.place(path)?;
        self.remove(&place);
        Ok(())
    }

    /// Takes away all that earlier layers have in the directory `path`.
    pub(super) fn hide_content(&mut self, path: &TreePath) -> Result<(), MergeError> {
        let place = self.tree.resolve(path.as_str());
        let place = place.map_err(|source| MergeError::Place { member: path.clone(), source })?;
        let children: Vec<TreePath> = self.tree.children(&place).map(|(name, _)| place.join(name)).collect();
        children.iter().for_each(|child| self.remove(child));
        Ok(())
    }

    fn place(&self, path: &TreePath) -> Result<TreePath, MergeError> {
        let place = self.tree.resolve_parent(path.as_str());
        place.map_err(|source| MergeError::Place { member: path.clone(), source })
    }

    /// The file that a hard link to `target` stands for, when it takes the place `link`.
    fn target(&self, member: &TreePath, link: &TreePath, target: &TreePath) -> Result<TreePath, MergeError> {
        let place = self.place(target)?;
        let file = match self.tree.get(&place).map(|node| &node.kind) {
            Some(Kind::File(_)) => Some(place),
            Some(Kind::HardLink(first)) => Some(first.clone()),
            _ => None,
        };
        // A file below `link` would go when the link takes its directory's place.
        file.filter(|file| file == link || !file.is_within(link))
            .ok_or_else(|| MergeError::NoTarget { member: member.clone(), target: target.clone() })
    }

    fn leads_to_directory(&self, place: &TreePath) -> bool {
        let target = self.tree.resolve(place.as_str());
        target.is_ok_and(|target| self.tree.get(&target).is_some_and(|node| matches!(node.kind, Kind::Dir)))
    }

    fn replace_directory(&mut self, member: &TreePath, place: &TreePath) -> Result<(), MergeError> {
        if self.tree.below(place).any(|(path, _)| self.fresh.contains(path)) {
            return Err(MergeError::OverDirectory { member: member.clone() });
        }
        self.remove(place);
        Ok(())
    }

    fn remove(&mut self, place: &TreePath) {
        let below: Vec<TreePath> = self.tree.below(place).map(|(path, _)| path.clone()).collect();
        for path in below.iter().chain([place]) {
            self.forget(path);
        }
        self.tree.remove(place);
    }

    /// Prepares for the entry at `place` to go: when it is a file with other names, the next of
    /// them becomes the file.
    fn forget(&mut self, place: &TreePath) {
        let Some(node) = self.tree.get(place) else { return };
        if let Kind::HardLink(target) = &node.kind {
            if let Some(names) = self.links.get_mut(target) {
                names.remove(place);
            }
            return;
        }
        let Some(mut names) = self.links.remove(place) else { return };
        let node = node.clone();
        let Some(heir) = names.pop_first() else { return };
        for name in &names {
            if let Some(other) = self.tree.get_mut(name) {
                other.kind = Kind::HardLink(heir.clone());
            }
        }
        self.tree.insert(heir.clone(), node);
        self.links.insert(heir, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::extents::Extents;
    use crate::tree::Meta;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn path(path: &str) -> TreePath {
        TreePath::parse(path.as_bytes()).unwrap()
    }

    fn file(size: u64) -> Kind {
        Kind::File(Arc::new(Extents::zeros(size)))
    }

    fn put(merge: &mut Merge, at: &str, mode: u16, kind: Kind) -> Result<TreePath, MergeError> {
        merge.put(&path(at), Node { meta: Meta::root(mode), kind }, Directories::Later)
    }

    fn show(merge: &Merge) -> Vec<String> {
        let kind = |kind: &Kind| match kind {
            Kind::Dir => "dir".to_owned(),
            Kind::File(content) => content.size().to_string(),
            Kind::Symlink(target) => format!("-> {target}"),
            Kind::HardLink(target) => format!("= {target}"),
            _ => "other".into(),
        };
        let entries = merge.tree().iter().skip(1);
        entries.map(|(path, node)| format!("{path} {:o} {}", node.meta.mode, kind(&node.kind))).collect()
    }

    #[test]
    fn members_go_where_links_lead() {
        let mut merge = Merge::default();
        put(&mut merge, "usr/lib", 0o755, Kind::Dir).unwrap();
        put(&mut merge, "lib", 0o777, Kind::Symlink("/usr/lib".into())).unwrap();
        put(&mut merge, "lib", 0o700, Kind::Dir).unwrap();
        assert_eq!(put(&mut merge, "lib/x/y", 0o644, file(1)), Ok(path("usr/lib/x/y")));
        assert_eq!(
            show(&merge),
            [
                "/lib 777 -> /usr/lib",
                "/usr 755 dir",
                "/usr/lib 755 dir",
                "/usr/lib/x 755 dir",
                "/usr/lib/x/y 644 1"
            ]
        );
    }

    #[test]
    fn links_that_lead_outside_or_loop_are_refused_naming_the_member() {
        let mut merge = Merge::default();
        put(&mut merge, "out", 0o777, Kind::Symlink("../../etc".into())).unwrap();
        put(&mut merge, "loop", 0o777, Kind::Symlink("loop".into())).unwrap();
        let message = |error: MergeError| {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!("{error}: {source}")
        };
        assert_eq!(
            message(put(&mut merge, "out/passwd", 0o644, file(1)).unwrap_err()),
            "member `/out/passwd` cannot be placed: `out/passwd` leads out of the tree"
        );
        assert_eq!(
            message(put(&mut merge, "loop/x", 0o644, file(1)).unwrap_err()),
            "member `/loop/x` cannot be placed: `loop/x` leads through a loop of symbolic links"
        );
    }

    #[test]
    fn a_file_replaces_a_directory_of_an_earlier_layer_only() {
        let mut merge = Merge::default();
        put(&mut merge, "a/b", 0o644, file(1)).unwrap();
        assert_eq!(
            put(&mut merge, "a", 0o644, file(2)),
            Err(MergeError::OverDirectory { member: path("a") })
        );
        merge.next_layer();
        put(&mut merge, "a", 0o644, file(2)).unwrap();
        assert_eq!(show(&merge), ["/a 644 2"]);
    }

    #[test]
    fn directories_are_merged_and_the_later_mode_counts_unless_told_otherwise() {
        let mut merge = Merge::default();
        put(&mut merge, "tmp/x", 0o644, file(1)).unwrap();
        put(&mut merge, "tmp", 0o1777, Kind::Dir).unwrap();
        let node = Node { meta: Meta::root(0o700), kind: Kind::Dir };
        merge.put(&path("tmp"), node, Directories::Earlier).unwrap();
        assert_eq!(show(&merge), ["/tmp 1777 dir", "/tmp/x 644 1"]);
    }

    #[test]
    fn a_file_lives_on_under_its_other_names() {
        let mut merge = Merge::default();
        put(&mut merge, "a", 0o640, file(7)).unwrap();
        put(&mut merge, "b", 0, Kind::HardLink(path("a"))).unwrap();
        put(&mut merge, "c", 0, Kind::HardLink(path("b"))).unwrap();
        merge.next_layer();
        put(&mut merge, "a", 0o644, file(9)).unwrap();
        assert_eq!(show(&merge), ["/a 644 9", "/b 640 7", "/c 640 = /b"]);
        merge.hide(&path("b")).unwrap();
        assert_eq!(show(&merge), ["/a 644 9", "/c 640 7"]);
    }

    #[test]
    fn a_hard_link_cannot_replace_the_directory_of_its_file() {
        let mut merge = Merge::default();
        put(&mut merge, "a/b", 0o644, file(1)).unwrap();
        merge.next_layer();
        let expected = MergeError::NoTarget { member: path("a"), target: path("a/b") };
        assert_eq!(put(&mut merge, "a", 0, Kind::HardLink(path("a/b"))), Err(expected));
    }

    #[test]
    fn a_hard_link_needs_a_file() {
        let mut merge = Merge::default();
        put(&mut merge, "d", 0o755, Kind::Dir).unwrap();
        for target in ["d", "absent"] {
            let expected = MergeError::NoTarget { member: path("x"), target: path(target) };
            assert_eq!(put(&mut merge, "x", 0, Kind::HardLink(path(target))), Err(expected));
        }
    }

    proptest! {
        /// Whatever comes in whatever order: no panic, parents are directories, links have files.
        #[test]
        fn the_tree_stays_sound(members in prop::collection::vec((0usize..9, 0usize..9, 0u8..6), 0..40)) {
            const PATHS: [&str; 9] = ["a", "b", "a/b", "a/b/c", "b/a", "l", "l/x", "a/l", "c"];
            let mut merge = Merge::default();
            for (at, to, kind) in members {
                let kind = match kind {
                    0 => Kind::Dir,
                    1 => file(to as u64),
                    2 => Kind::Symlink(PATHS[to].into()),
                    3 => Kind::HardLink(path(PATHS[to])),
                    4 => { merge.next_layer(); continue }
                    _ => { let _ = merge.hide(&path(PATHS[at])); continue }
                };
                let _ = put(&mut merge, PATHS[at], 0o644, kind);
            }
            let tree = merge.finish();
            for (path, node) in tree.iter() {
                if let Some(parent) = path.parent() {
                    prop_assert!(matches!(tree.get(&parent).map(|node| &node.kind), Some(Kind::Dir)), "{}", path);
                }
                if let Kind::HardLink(target) = &node.kind {
                    prop_assert!(matches!(tree.get(target).map(|node| &node.kind), Some(Kind::File(_))), "{}", path);
                }
            }
        }
    }
}
