//! A layer from a tar archive: names and metadata are read, contents stay where they are.
//!
//! Archives of container images mark what they take away from earlier layers (OCI image
//! specification, "Whiteouts"): a file `.wh.NAME` hides `NAME`, `.wh..wh..opq` hides all that the
//! directory held. Both are honoured.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::merge::{Directories, Merge, MergeError};
use crate::archive::tar::{self, TarError};
use crate::image::extents::Extents;
use crate::tree::{FileTree, Kind, Node, TreePath};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Why an archive cannot become a layer.
#[derive(Debug, thiserror::Error)]
pub enum TarLayerError {
    /// The file cannot be opened.
    #[error("opening `{path}`")]
    Open {
        /// The archive as it lies on the host.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The archive is damaged, or has members that cannot go into an image.
    #[error("archive `{name}` cannot be used")]
    Archive {
        /// What the archive is called.
        name: String,
        /// What is wrong with it.
        source: TarError,
    },
    /// A whiteout names nothing that could be hidden.
    #[error("archive `{name}` has a whiteout `{member}` that hides nothing")]
    Whiteout {
        /// What the archive is called.
        name: String,
        /// The whiteout.
        member: TreePath,
    },
    /// A member has no place in the tree.
    #[error("archive `{name}` cannot be unpacked")]
    Merge {
        /// What the archive is called.
        name: String,
        /// What is wrong with the member.
        source: MergeError,
    },
}

/// Reads an archive that is not compressed as a tree of its own. `name` is what the archive is
/// called in errors: it may have been unpacked to a place that says nothing.
///
/// # Errors
/// When it cannot be read, is damaged, or has members that contradict each other.
pub fn read(archive: &Path, name: &str) -> Result<FileTree, TarLayerError> {
    let mut merge = Merge::default();
    add(&mut merge, archive, name)?;
    Ok(merge.finish())
}

/// Adds an archive to the current layer of `merge`. The places that its members took, in the order
/// of the archive.
pub(super) fn add(merge: &mut Merge, archive: &Path, name: &str) -> Result<Vec<TreePath>, TarLayerError> {
    let wrong = |source| TarLayerError::Merge { name: name.to_owned(), source };
    let file =
        File::open(archive).map_err(|source| TarLayerError::Open { path: archive.to_owned(), source })?;
    let entries =
        tar::index(&file).map_err(|source| TarLayerError::Archive { name: name.to_owned(), source })?;
    let (marks, members): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.path.name().starts_with(WHITEOUT));
    for mark in &marks {
        hide(merge, &mark.path, name)?;
    }
    let shared: Arc<Path> = archive.into();
    let put = |entry: tar::Entry| {
        let node = Node { meta: entry.meta, kind: kind(entry.kind, &shared) };
        merge.put(&entry.path, node, Directories::Later).map_err(wrong)
    };
    members.into_iter().map(put).collect()
}

fn hide(merge: &mut Merge, mark: &TreePath, archive: &str) -> Result<(), TarLayerError> {
    let wrong = |source| TarLayerError::Merge { name: archive.to_owned(), source };
    let dir = mark.parent().unwrap_or_default();
    if mark.name() == OPAQUE {
        return merge.hide_content(&dir).map_err(wrong);
    }
    match TreePath::parse(&mark.name().as_bytes()[WHITEOUT.len()..]) {
        Ok(name) if name != TreePath::root() => merge.hide(&dir.join(name.as_str())).map_err(wrong),
        _ => Err(TarLayerError::Whiteout { name: archive.to_owned(), member: mark.clone() }),
    }
}

fn kind(kind: tar::Kind, archive: &Arc<Path>) -> Kind {
    match kind {
        tar::Kind::Dir => Kind::Dir,
        tar::Kind::File { offset, size } => {
            Kind::File(Arc::new(Extents::file(archive.clone(), offset, size)))
        }
        tar::Kind::Symlink(target) => Kind::Symlink(target),
        tar::Kind::HardLink(target) => Kind::HardLink(target),
        tar::Kind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
        tar::Kind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
        tar::Kind::Fifo => Kind::Fifo,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ResolveError;
    use ::tar::{Builder, EntryType, Header};
    use tempfile::NamedTempFile;

    struct Archive(Builder<Vec<u8>>);

    impl Archive {
        fn new() -> Self {
            Archive(Builder::new(Vec::new()))
        }

        fn member(mut self, path: &str, kind: EntryType, target: &str, content: &str) -> Self {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
            header.set_uid(0);
            header.set_gid(42);
            header.set_mtime(1);
            header.set_size(content.len() as u64);
            if !target.is_empty() {
                header.set_link_name_literal(target).unwrap();
            }
            self.0.append_data(&mut header, path, content.as_bytes()).unwrap();
            self
        }

        fn file(self, path: &str, content: &str) -> Self {
            self.member(path, EntryType::Regular, "", content)
        }

        fn dir(self, path: &str) -> Self {
            self.member(path, EntryType::Directory, "", "")
        }

        fn link(self, path: &str, target: &str) -> Self {
            self.member(path, EntryType::Symlink, target, "")
        }

        fn hard_link(self, path: &str, target: &str) -> Self {
            self.member(path, EntryType::Link, target, "")
        }

        fn finish(self) -> NamedTempFile {
            let file = NamedTempFile::new().unwrap();
            std::fs::write(file.path(), self.0.into_inner().unwrap()).unwrap();
            file
        }
    }

    fn content(tree: &FileTree, path: &str) -> Option<String> {
        let Kind::File(content) = &tree.get(&TreePath::root().join(path))?.kind else { return None };
        let mut bytes = vec![0; content.size() as usize];
        content.read_at(0, &mut bytes).unwrap();
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn contents_are_ranges_of_the_archive_and_metadata_is_kept() {
        let archive = Archive::new()
            .dir("usr/bin")
            .link("bin", "usr/bin")
            .file("bin/x", "hello")
            .hard_link("y", "bin/x");
        let archive = archive.finish();
        let tree = read(archive.path(), "base.tar").unwrap();
        assert_eq!(content(&tree, "usr/bin/x").as_deref(), Some("hello"));
        let hard = tree.get(&TreePath::root().join("y")).unwrap();
        assert!(matches!(&hard.kind, Kind::HardLink(target) if target.as_str() == "usr/bin/x"));
        assert_eq!((hard.meta.mode, hard.meta.gid, hard.meta.mtime), (0o644, 42, Some(1)));
    }

    #[test]
    fn a_later_layer_can_take_away_what_an_earlier_one_brought() {
        let lower = Archive::new().file("a/1", "").file("a/2", "").file("b/1", "").file("c", "").finish();
        let upper =
            Archive::new().file("b/new", "").file("b/.wh..wh..opq", "").file("a/.wh.1", "").file(".wh.c", "");
        let upper = upper.finish();
        let mut merge = Merge::default();
        add(&mut merge, lower.path(), "lower").unwrap();
        merge.next_layer();
        add(&mut merge, upper.path(), "upper").unwrap();
        let paths: Vec<String> = merge.finish().iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/a/2", "/b", "/b/new"]);
    }

    #[test]
    fn a_whiteout_of_nothing_is_refused() {
        for name in [".wh.", "a/.wh..", "a/.wh..."] {
            let archive = Archive::new().file("a/b", "").file(name, "").finish();
            let result = read(archive.path(), "base.tar");
            assert!(matches!(result, Err(TarLayerError::Whiteout { .. })), "{name}: {result:?}");
        }
    }

    #[test]
    fn a_member_behind_a_link_that_leads_outside_is_refused_by_name() {
        let archive = Archive::new().link("etc", "../../etc").file("etc/passwd", "x").finish();
        let Err(TarLayerError::Merge { source: MergeError::Place { member, source }, .. }) =
            read(archive.path(), "base.tar")
        else {
            panic!("it was placed")
        };
        assert_eq!(member.to_string(), "/etc/passwd");
        assert_eq!(source, ResolveError::Outside("etc/passwd".into()));
    }
}
