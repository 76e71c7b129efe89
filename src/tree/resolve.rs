//! Following symbolic links inside a tree, as the system will that has it as its root.

use super::{FileTree, Kind, PathError, TreePath};

/// Links followed before a path counts as a loop; the limit of Linux (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Why a path leads nowhere in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// More than 40 symbolic links were followed.
    #[error("`{0}` leads through a loop of symbolic links")]
    Loop(String),
    /// A `..` climbs above the root of the tree.
    #[error("`{0}` leads out of the tree")]
    Outside(String),
    /// A component on the way is neither a directory nor a link.
    #[error("`{0}` leads through `{1}`, which is not a directory")]
    NotADirectory(String, TreePath),
    /// A component could stand in no tree.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl FileTree {
    /// Where `path` leads when symbolic links are followed, the last component included. An
    /// absolute path or link starts at the root of the tree. What is missing counts as a
    /// directory yet to be made, so the result may not exist.
    ///
    /// # Errors
    /// When links loop, or climb above the root with `..`, or pass through something that is not a
    /// directory.
    pub fn resolve(&self, path: &str) -> Result<TreePath, ResolveError> {
        self.follow(path, true)
    }

    /// Like [`FileTree::resolve`], but a link in the last component is not followed: where an entry
    /// of this name stands, or would be made.
    ///
    /// # Errors
    /// As for [`FileTree::resolve`].
    pub fn resolve_parent(&self, path: &str) -> Result<TreePath, ResolveError> {
        self.follow(path, false)
    }

    fn follow(&self, path: &str, last_too: bool) -> Result<TreePath, ResolveError> {
        let mut here = TreePath::root();
        let mut todo: Vec<String> = components(path);
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                here = here.parent().ok_or_else(|| ResolveError::Outside(path.to_owned()))?;
                continue;
            }
            let next = here.join(TreePath::parse(name.as_bytes())?.as_str());
            match self.get(&next).map(|node| &node.kind) {
                Some(Kind::Symlink(target)) if last_too || !todo.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(ResolveError::Loop(path.to_owned()));
                    }
                    if target.starts_with('/') {
                        here = TreePath::root();
                    }
                    todo.extend(components(target));
                }
                Some(Kind::Dir) | None => here = next,
                Some(_) if todo.is_empty() => here = next,
                Some(_) => return Err(ResolveError::NotADirectory(path.to_owned(), next)),
            }
        }
        Ok(here)
    }
}

/// The components of `path`, the last one first.
fn components(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).rev().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::extents::Extents;

    fn merged_usr() -> FileTree {
        let mut tree = FileTree::new();
        tree.file("usr/lib/systemd/systemd", 0o755, Extents::zeros(1));
        tree.dir("usr/sbin");
        tree.symlink("lib", "usr/lib");
        tree.symlink("sbin", "/usr/sbin");
        tree.symlink("usr/sbin/init", "../../lib/systemd/systemd");
        tree
    }

    #[test]
    fn links_are_followed_in_the_middle_and_at_the_end() {
        let resolve = |path: &str| merged_usr().resolve(path).map(|path| path.to_string());
        assert_eq!(resolve("/sbin/init"), Ok("/usr/lib/systemd/systemd".into()));
        assert_eq!(resolve("lib/./new//file"), Ok("/usr/lib/new/file".into()));
    }

    #[test]
    fn the_last_link_stays_when_only_the_place_is_asked_for() {
        let place = merged_usr().resolve_parent("/sbin/init");
        assert_eq!(place.map(|path| path.to_string()), Ok("/usr/sbin/init".into()));
    }

    #[test]
    fn loops_and_ways_out_are_refused() {
        let mut tree = merged_usr();
        tree.symlink("a", "b/x");
        tree.symlink("b", "a");
        tree.symlink("out", "../../etc");
        assert_eq!(tree.resolve("a/f"), Err(ResolveError::Loop("a/f".into())));
        assert_eq!(tree.resolve("out/passwd"), Err(ResolveError::Outside("out/passwd".into())));
        let through = tree.resolve("usr/lib/systemd/systemd/x");
        assert!(matches!(through, Err(ResolveError::NotADirectory(..))), "{through:?}");
    }
}
