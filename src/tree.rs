//! A directory tree in memory: names, owners, modes and where the contents come from.
//!
//! Trees are sorted by path, so whatever is made of one is the same wherever it is made.

mod resolve;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::image::extents::Extents;

pub use resolve::ResolveError;

/// Where something stands in a tree: components joined by `/`, none of them empty, `.` or `..`,
/// without a slash in front. The root itself is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

/// Why a name cannot stand in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The name is not UTF-8, which the ext4 writer and the manifests need.
    #[error("`{0}` is not UTF-8")]
    NotUtf8(String),
    /// The name has a `..` component.
    #[error("`{0}` leads out of the tree with `..`")]
    Escapes(String),
    /// The name starts with a slash.
    #[error("`{0}` is an absolute path")]
    Absolute(String),
    /// A component is longer than 255 bytes, or the name holds a NUL.
    #[error("`{0}` has a component that no file system takes")]
    Component(String),
}

impl TreePath {
    /// The root of the tree.
    pub fn root() -> Self {
        TreePath::default()
    }

    /// Reads a relative path; `./` in front, `.` components and double slashes are dropped.
    ///
    /// # Errors
    /// When the path is absolute, has `..`, is not UTF-8, or has a component that is over 255
    /// bytes or holds a NUL.
    pub fn parse(path: &[u8]) -> Result<Self, PathError> {
        let shown = || path.escape_ascii().to_string();
        let text = std::str::from_utf8(path).map_err(|_| PathError::NotUtf8(shown()))?;
        if text.starts_with('/') {
            return Err(PathError::Absolute(shown()));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            return Err(PathError::Escapes(shown()));
        }
        if parts.iter().any(|part| part.len() > 255 || part.contains('\0')) {
            return Err(PathError::Component(shown()));
        }
        Ok(TreePath(parts.join("/")))
    }

    /// `name` below this path. `name` is one component or several, known to be sound.
    pub fn join(&self, name: &str) -> Self {
        if self.0.is_empty() { TreePath(name.to_owned()) } else { TreePath(format!("{}/{name}", self.0)) }
    }

    /// The directory that holds this, or `None` for the root.
    pub fn parent(&self) -> Option<TreePath> {
        if self.0.is_empty() {
            return None;
        }
        Some(TreePath(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned()))
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The whole path, without a slash in front.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `self` is `other` or lies below it.
    pub fn is_within(&self, other: &TreePath) -> bool {
        other.0.is_empty()
            || self.0.strip_prefix(&other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

/// Owner, mode, time and extended attributes of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky (`0o7777`); the type is in [`Kind`].
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in seconds since 1970, or `None` for the build's one time.
    pub mtime: Option<i64>,
    /// Extended attributes by full name, such as `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

impl Meta {
    /// Owned by root, with the build's time.
    pub fn root(mode: u16) -> Self {
        Meta { mode, uid: 0, gid: 0, mtime: None, xattrs: BTreeMap::new() }
    }
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file with its content.
    File(Arc<Extents>),
    /// A symbolic link and its target, as it is stored.
    Symlink(String),
    /// Another name of the regular file at this path of the same tree.
    HardLink(TreePath),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// One entry of a tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// Owner, mode, time, extended attributes.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

/// A directory tree, sorted by path. The root directory is an entry as well (the empty path).
#[derive(Clone, Debug)]
pub struct FileTree {
    nodes: BTreeMap<TreePath, Node>,
}

impl Default for FileTree {
    fn default() -> Self {
        let root = Node { meta: Meta::root(0o755), kind: Kind::Dir };
        FileTree { nodes: BTreeMap::from([(TreePath::root(), root)]) }
    }
}

impl FileTree {
    /// A tree with only its root directory (`root:root`, mode 755).
    pub fn new() -> Self {
        FileTree::default()
    }

    /// Puts an entry at `path`, in place of what was there; directories on the way that are
    /// missing are made (`root:root`, mode 755).
    pub fn insert(&mut self, path: TreePath, node: Node) {
        let mut above = path.parent();
        while let Some(dir) = above {
            above = dir.parent();
            self.nodes.entry(dir).or_insert_with(|| Node { meta: Meta::root(0o755), kind: Kind::Dir });
        }
        self.nodes.insert(path, node);
    }

    /// A regular file of root's at `path` (a sound path of the builder's own).
    pub fn file(&mut self, path: &str, mode: u16, content: Extents) {
        let node = Node { meta: Meta::root(mode), kind: Kind::File(Arc::new(content)) };
        self.insert(TreePath(path.to_owned()), node);
    }

    /// A directory of root's, mode 755, at `path`.
    pub fn dir(&mut self, path: &str) {
        self.insert(TreePath(path.to_owned()), Node { meta: Meta::root(0o755), kind: Kind::Dir });
    }

    /// A symbolic link of root's at `path`.
    pub fn symlink(&mut self, path: &str, target: &str) {
        let kind = Kind::Symlink(target.to_owned());
        self.insert(TreePath(path.to_owned()), Node { meta: Meta::root(0o777), kind });
    }

    /// Puts all entries of `branch` below `at`, whose own metadata becomes that of the branch's root
    /// unless it is the root of this tree.
    pub fn graft(&mut self, at: &TreePath, branch: &FileTree) {
        let below = |path: &TreePath| if path.0.is_empty() { at.clone() } else { at.join(&path.0) };
        let skipped = usize::from(at.0.is_empty());
        for (path, node) in branch.iter().skip(skipped) {
            let mut node = node.clone();
            if let Kind::HardLink(target) = &mut node.kind {
                *target = below(target);
            }
            self.insert(below(path), node);
        }
    }

    /// Takes away `path` and all below it.
    pub fn remove(&mut self, path: &TreePath) {
        let below: Vec<TreePath> = self.below(path).map(|(at, _)| at.clone()).collect();
        for at in below.iter().chain([path]) {
            self.nodes.remove(at);
        }
    }

    /// The entry at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The entry at `path`, to be changed in place.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// All entries in order of their paths, the root first; a directory comes before what it holds.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter()
    }

    /// All entries below `dir`, without `dir` itself, in order of their paths.
    pub fn below<'a>(&'a self, dir: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Node)> {
        // `a-b` sorts between `a` and `a/x`, so the search starts behind the slash.
        let first = if dir.0.is_empty() { TreePath("\x01".into()) } else { TreePath(format!("{}/", dir.0)) };
        self.nodes.range(first..).take_while(|(path, _)| path.is_within(dir))
    }

    /// Names directly in `dir`, sorted, with their entries.
    pub fn children<'a>(&'a self, dir: &'a TreePath) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.below(dir)
            .filter(|(path, _)| path.parent().as_ref() == Some(dir))
            .map(|(path, node)| (path.name(), node))
    }

    /// Number of entries, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root directory.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_out_of_the_tree_are_refused() {
        let parse = |text: &[u8]| TreePath::parse(text);
        assert_eq!(parse(b"a/../../b"), Err(PathError::Escapes("a/../../b".into())));
        assert_eq!(parse(b"/etc/passwd"), Err(PathError::Absolute("/etc/passwd".into())));
        assert_eq!(parse(b"caf\xe9"), Err(PathError::NotUtf8("caf\\xe9".into())));
        assert!(matches!(parse(&[b'x'; 256]), Err(PathError::Component(_))));
    }

    #[test]
    fn dots_and_double_slashes_are_dropped() {
        assert_eq!(
            TreePath::parse(b"./usr//bin/./sh").map(|path| path.to_string()),
            Ok("/usr/bin/sh".into())
        );
        assert_eq!(TreePath::parse(b"./"), Ok(TreePath::root()));
    }

    #[test]
    fn a_grafted_branch_keeps_its_links() {
        let mut branch = FileTree::new();
        branch.file("x", 0o644, Extents::zeros(1));
        let link = Kind::HardLink(TreePath("x".to_owned()));
        branch.insert(TreePath("y".to_owned()), Node { meta: Meta::root(0o644), kind: link });
        let mut tree = FileTree::new();
        tree.graft(&TreePath("a/b".to_owned()), &branch);
        let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/a/b", "/a/b/x", "/a/b/y"]);
        let Kind::HardLink(target) = &tree.get(&TreePath("a/b/y".to_owned())).unwrap().kind else {
            panic!("no link");
        };
        assert_eq!(target.as_str(), "a/b/x");
    }

    #[test]
    fn missing_directories_are_made_on_the_way() {
        let mut tree = FileTree::new();
        tree.file("a/b/c", 0o644, Extents::bytes(*b"x"));
        let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/a/b", "/a/b/c"]);
    }

    #[test]
    fn children_are_found_past_names_that_sort_between_a_directory_and_what_it_holds() {
        let mut tree = FileTree::new();
        for path in ["a/x", "a/y/z", "a-b/c", "b"] {
            tree.file(path, 0o644, Extents::zeros(0));
        }
        let names = |dir: &str| -> Vec<String> {
            tree.children(&TreePath::root().join(dir)).map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(names("a"), ["x", "y"]);
        assert_eq!(
            tree.children(&TreePath::root()).map(|(name, _)| name).collect::<Vec<_>>(),
            ["a", "a-b", "b"]
        );
    }

    #[test]
    fn removing_a_directory_spares_its_neighbours() {
        let mut tree = FileTree::new();
        for path in ["a/x", "a-b", "b"] {
            tree.file(path, 0o644, Extents::zeros(0));
        }
        tree.remove(&TreePath::join(&TreePath::root(), "a"));
        let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["/", "/a-b", "/b"]);
    }
}
