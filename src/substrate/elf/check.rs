//! One pass over a tree: every ELF file that can be started or loaded is looked at.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;

use super::header::{self, Header};
use super::linkage::{Linkage, LinkageError};
use crate::image::extents::Extents;
use crate::substrate::content::Peek;
use crate::tree::{FileTree, Kind, TreePath};

/// Where Debian's dynamic loader looks when nothing else is said (ld.so(8)).
const LIBRARY_DIRS: [&str; 6] =
    ["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib", "usr/lib", "lib64", "usr/lib64"];
/// Firmware for other processors is often an ELF file.
const FIRMWARE: [&str; 2] = ["lib/firmware/", "usr/lib/firmware/"];
/// A configuration of the loader is a few lines; what is larger is not one.
const MAX_CONFIGURATION: u64 = 64 << 10;
/// Missing libraries that an error lists.
const MAX_LISTED: usize = 20;

/// Exceptions from the check, by project.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    /// Paths without a slash in front; a file at or below one of them is not looked at.
    pub paths: Vec<String>,
    /// Names of libraries, and paths of loaders, that may be missing.
    pub libraries: Vec<String>,
}

/// Something that could not run on the device.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// A file is for another kind of machine.
    #[error("`{path}` is made for {found}, the device runs AArch64{HINT_FOREIGN}")]
    Foreign {
        /// Where it stands in the tree.
        path: TreePath,
        /// What it was made for.
        found: String,
    },
    /// A file's headers are damaged.
    #[error("`{path}` is a damaged ELF file")]
    Damaged {
        /// Where it stands in the tree.
        path: TreePath,
        /// What is wrong with it.
        source: LinkageError,
    },
    /// A file cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// Where it stands in the tree.
        path: TreePath,
        /// The system's reason.
        source: io::Error,
    },
    /// A program that must be static is not there, no program, or needs a loader or libraries.
    #[error("`{0}` is no static program\n\nhint: link it statically")]
    NotStatic(TreePath),
    /// Loaders or libraries are missing.
    #[error("{}", list(.0))]
    Missing(Vec<Missing>),
}

const HINT_FOREIGN: &str = "\n\nhint: take the file for arm64";

/// A loader or library that is not in the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The file that needs it.
    pub path: TreePath,
    /// What it needs.
    pub needs: String,
}

fn list(missing: &[Missing]) -> String {
    let mut text = format!("{} needed libraries or loaders are not in the tree", missing.len());
    for Missing { path, needs } in missing.iter().take(MAX_LISTED) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  `{path}` needs `{needs}`");
    }
    if missing.len() > MAX_LISTED {
        let _ = write!(text, "\n  and {} more", missing.len() - MAX_LISTED);
    }
    text + "\n\nhint: add the packages that ship them, link without them, or name them in `rootfs.allow_missing`"
}

/// A program or library of the tree.
struct Object<'a> {
    path: &'a TreePath,
    linkage: Linkage,
}

/// Checks every program, shared library and kernel module of `tree`, except below its firmware
/// directories and in what `allow` names.
///
/// A program must find its loader, and its libraries where the loader will look. A library that
/// has no loader of its own may also find one anywhere in the tree: the program that loads it may
/// have loaded the other before, from a place of its own.
///
/// # Errors
/// [`ElfError::Foreign`] for the first file of another architecture; else [`ElfError::Missing`]
/// with all that is missing; or when a file is damaged or unreadable.
pub fn check(tree: &FileTree, allow: &Allow) -> Result<(), ElfError> {
    let mut peek = Peek::default();
    let mut objects = Vec::new();
    for (path, node) in tree.iter() {
        if let Kind::File(content) = &node.kind
            && !is_exempt(path, allow)
            && let Some(linkage) = examine(path, content, &mut peek)?
        {
            objects.push(Object { path, linkage });
        }
    }
    let missing = missing(tree, &objects, allow, &mut peek)?;
    if missing.is_empty() { Ok(()) } else { Err(ElfError::Missing(missing)) }
}

/// Checks that the file at `path` is a program for AArch64 that needs no loader and no libraries.
///
/// # Errors
/// [`ElfError::NotStatic`] when it is none; as [`check`] when it is damaged or unreadable.
pub fn check_static(tree: &FileTree, path: &str) -> Result<(), ElfError> {
    let path = TreePath::root().join(path);
    let linkage = match tree.get(&path).map(|node| &node.kind) {
        Some(Kind::File(content)) => examine(&path, content, &mut Peek::default())?,
        _ => None,
    };
    match linkage {
        Some(Linkage { interpreter: None, needed, .. }) if needed.is_empty() => Ok(()),
        _ => Err(ElfError::NotStatic(path)),
    }
}

fn is_exempt(path: &TreePath, allow: &Allow) -> bool {
    let below = |prefix: &String| {
        path.as_str()
            .strip_prefix(prefix.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    FIRMWARE.iter().any(|prefix| path.as_str().starts_with(prefix)) || allow.paths.iter().any(below)
}

/// What the file asks of a loader; `None` for what is not an ELF file, or asks for nothing.
fn examine(path: &TreePath, content: &Extents, peek: &mut Peek) -> Result<Option<Linkage>, ElfError> {
    let read = |source| ElfError::Read { path: path.clone(), source };
    let Some(header) =
        peek.read(content, 0, header::SIZE).map_err(read)?.and_then(|head| Header::decode(&head))
    else {
        return Ok(None);
    };
    if header.machine == header::BPF {
        return Ok(None);
    }
    if !header.is_aarch64() {
        return Err(ElfError::Foreign { path: path.clone(), found: header.architecture() });
    }
    if !matches!(header.kind, header::EXECUTABLE | header::SHARED) {
        return Ok(None);
    }
    match Linkage::read(&header, content, peek) {
        Ok(linkage) => Ok(Some(linkage)),
        Err(LinkageError::Read(source)) => Err(read(source)),
        Err(source) => Err(ElfError::Damaged { path: path.clone(), source }),
    }
}

fn missing(
    tree: &FileTree,
    objects: &[Object],
    allow: &Allow,
    peek: &mut Peek,
) -> Result<Vec<Missing>, ElfError> {
    let dirs = library_dirs(tree, peek)?;
    let anywhere: BTreeSet<&str> = objects
        .iter()
        .flat_map(|object| [Some(object.path.name()), object.linkage.soname.as_deref()])
        .flatten()
        .collect();
    let mut missing = Vec::new();
    for Object { path, linkage } in objects {
        let is_program = linkage.interpreter.is_some();
        let search = linkage.search.iter().map(|dir| expand(dir, path)).chain(dirs.iter().cloned());
        let search: Vec<String> = search.collect();
        let is_found = |name: &&String| {
            allow.libraries.contains(name)
                || (name.contains('/') && exists(tree, name))
                || search.iter().any(|dir| exists(tree, &format!("{dir}/{name}")))
                || (!is_program && anywhere.contains(name.as_str()))
        };
        let is_allowed = |loader: &&String| allow.libraries.contains(loader) || exists(tree, loader);
        let loader = linkage.interpreter.iter().filter(|loader| !is_allowed(loader));
        let libraries = linkage.needed.iter().filter(|name| !is_found(name));
        let needs = loader.chain(libraries);
        missing.extend(needs.map(|needs| Missing { path: TreePath::clone(path), needs: needs.clone() }));
    }
    Ok(missing)
}

fn exists(tree: &FileTree, path: &str) -> bool {
    let node = tree.resolve(path).ok().and_then(|path| tree.get(&path));
    node.is_some_and(|node| matches!(node.kind, Kind::File(_) | Kind::HardLink(_)))
}

/// A directory of a search path, as seen from the file at `path` (ld.so(8), "Dynamic string
/// tokens").
fn expand(dir: &str, path: &TreePath) -> String {
    let origin = path.parent().unwrap_or_default().to_string();
    ["$ORIGIN", "${ORIGIN}"]
        .iter()
        .fold(dir.to_owned(), |dir, token| dir.replace(token, &origin))
        .replace("$LIB", "lib/aarch64-linux-gnu")
        .replace("${LIB}", "lib/aarch64-linux-gnu")
}

/// The loader's own directories, and those that the tree's `ld.so.conf.d` adds.
fn library_dirs(tree: &FileTree, peek: &mut Peek) -> Result<Vec<String>, ElfError> {
    let mut dirs: Vec<String> = LIBRARY_DIRS.map(str::to_owned).into();
    let configurations = TreePath::root().join("etc/ld.so.conf.d");
    for (name, node) in tree.children(&configurations) {
        let Kind::File(content) = &node.kind else { continue };
        if content.size() > MAX_CONFIGURATION {
            continue;
        }
        let read = |source| ElfError::Read { path: configurations.join(name), source };
        let text = peek.read(content, 0, content.size() as usize).map_err(read)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        dirs.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(str::to_owned));
    }
    Ok(dirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::elf::sample::Sample;

    const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

    fn file(tree: &mut FileTree, path: &str, sample: &Sample) {
        tree.file(path, 0o755, Extents::bytes(sample.encode()));
    }

    /// A merged-usr tree: `/lib` is a link, libraries live in the multiarch directory.
    fn system() -> FileTree {
        let mut tree = FileTree::new();
        tree.symlink("lib", "usr/lib");
        tree.symlink("usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu/ld-linux-aarch64.so.1");
        file(&mut tree, "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1", &Sample::default());
        file(&mut tree, "usr/lib/aarch64-linux-gnu/libc.so.6", &Sample::default());
        file(&mut tree, "usr/bin/true", &program(&["libc.so.6"], None));
        tree
    }

    fn program(needed: &[&'static str], runpath: Option<&'static str>) -> Sample {
        Sample { interpreter: Some(LOADER), needed: needed.to_vec(), runpath, soname: None }
    }

    fn message(tree: &FileTree, allow: &Allow) -> String {
        check(tree, allow).unwrap_err().to_string()
    }

    #[test]
    fn a_sound_system_passes() {
        check(&system(), &Allow::default()).unwrap();
    }

    #[test]
    fn a_file_of_another_architecture_is_named_with_what_it_is() {
        let mut tree = system();
        let mut foreign = program(&[], None).encode();
        foreign[18] = 62;
        tree.file("opt/tool", 0o755, Extents::bytes(foreign));
        assert_eq!(
            message(&tree, &Allow::default()),
            "`/opt/tool` is made for x86-64, the device runs AArch64\n\n\
             hint: take the file for arm64"
        );
        check(&tree, &Allow { paths: vec!["opt".into()], ..Allow::default() }).unwrap();
    }

    #[test]
    fn a_static_program_needs_nothing() {
        let mut tree = system();
        file(&mut tree, "bin/static", &Sample::default());
        tree.file("bin/script", 0o755, Extents::bytes(*b"#!/bin/sh\n"));
        check_static(&tree, "bin/static").unwrap();
        for path in ["usr/bin/true", "bin/script", "bin/missing"] {
            let error = check_static(&tree, path).unwrap_err().to_string();
            assert_eq!(error, format!("`/{path}` is no static program\n\nhint: link it statically"));
        }
    }

    #[test]
    fn missing_libraries_and_loaders_are_all_listed() {
        let mut tree = system();
        file(&mut tree, "usr/bin/ssh", &program(&["libc.so.6", "libz.so.1"], None));
        let musl = Sample { interpreter: Some("/lib/ld-musl-aarch64.so.1"), ..Sample::default() };
        file(&mut tree, "usr/bin/zz", &musl);
        assert_eq!(
            message(&tree, &Allow::default()),
            "2 needed libraries or loaders are not in the tree\n  \
             `/usr/bin/ssh` needs `libz.so.1`\n  `/usr/bin/zz` needs `/lib/ld-musl-aarch64.so.1`\n\n\
             hint: add the packages that ship them, link without them, or name them in `rootfs.allow_missing`"
        );
        tree.remove(&TreePath::root().join("usr/bin/zz"));
        check(&tree, &Allow { libraries: vec!["libz.so.1".into()], ..Allow::default() }).unwrap();
    }

    #[test]
    fn libraries_are_found_beside_the_program_and_where_the_tree_configures_it() {
        let mut tree = system();
        file(&mut tree, "opt/app/lib/liba.so", &Sample::default());
        file(&mut tree, "opt/app/bin/app", &program(&["liba.so"], Some("$ORIGIN/../lib")));
        check(&tree, &Allow::default()).unwrap();
        file(&mut tree, "usr/bin/other", &program(&["liba.so"], None));
        assert!(check(&tree, &Allow::default()).is_err());
        tree.file("etc/ld.so.conf.d/app.conf", 0o644, Extents::bytes(*b"# app\n/opt/app/lib\n"));
        check(&tree, &Allow::default()).unwrap();
    }

    #[test]
    fn a_plugin_may_rely_on_what_its_program_has_loaded() {
        let mut tree = system();
        let private = Sample { soname: Some("libprivate.so.1"), ..Sample::default() };
        file(&mut tree, "usr/lib/app/libprivate-1.2.so", &private);
        file(
            &mut tree,
            "usr/lib/app/plugin.so",
            &Sample { needed: vec!["libprivate.so.1"], ..Sample::default() },
        );
        check(&tree, &Allow::default()).unwrap();
    }

    #[test]
    fn firmware_and_programs_for_the_kernel_are_no_business_of_the_processor() {
        let mut tree = system();
        let mut foreign = Sample::default().encode();
        foreign[18] = 164;
        tree.file("usr/lib/firmware/dsp.mbn", 0o644, Extents::bytes(foreign.clone()));
        foreign[18] = 247;
        tree.file("usr/lib/x.bpf.o", 0o644, Extents::bytes(foreign));
        check(&tree, &Allow::default()).unwrap();
    }
}
