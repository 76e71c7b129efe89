//! What modules a kernel has. A kernel package lists neither dependencies nor aliases (`depmod`
//! makes those lists when it is installed), so they are read from the modules themselves.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::modinfo::{Modinfo, ModinfoError};
use super::name;
use crate::archive::compress;
use crate::image::extents::Extents;
use crate::interrupt;
use crate::parallel;
use crate::substrate::content::Stream;
use crate::tree::{FileTree, Kind, TreePath};

/// Where packages keep modules, below the root.
const MODULE_DIRS: [&str; 2] = ["usr/lib/modules", "lib/modules"];
/// Modules unpacked at once: each is held in memory, the largest with 28 MiB.
pub(super) const READERS: usize = 2;
/// The largest module that is taken, unpacked, and the largest list. Debian's largest module has
/// 28 MiB.
const MAX_MODULE: u64 = 128 << 20;
const MAX_LIST: u64 = 16 << 20;

/// The modules of one kernel, as files.
#[derive(Clone, Debug)]
pub struct ModuleDir {
    /// The kernel's release, as `uname -r` prints it: the name of the directory.
    pub release: String,
    files: BTreeMap<String, Arc<Extents>>,
}

/// What one kernel has, by name. Made once per kernel and kept as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The kernel's release.
    pub release: String,
    /// Modules in files, by canonical name.
    pub modules: BTreeMap<String, Module>,
    /// Modules that are part of the kernel itself, with their aliases.
    pub builtin: BTreeMap<String, Builtin>,
}

/// One module in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Path below the module directory as packaged: `kernel/fs/ext4/ext4.ko.xz`.
    pub path: String,
    /// Line in the kernel's `modules.order`, which says which of several modules for the same
    /// hardware comes first.
    pub order: usize,
    /// What it needs and answers to.
    #[serde(flatten)]
    pub info: Modinfo,
}

/// One module that is part of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builtin {
    /// Path in the kernel's tree: `kernel/fs/ext4/ext4.ko`.
    pub path: String,
    /// Names and patterns that stand for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// Why a kernel's modules cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The tree has no module directory.
    #[error("the kernel has no modules: there is no `/usr/lib/modules/<release>`")]
    NoModules,
    /// The tree has modules of several kernels.
    #[error("there are modules of several kernels: {}", .0.join(", "))]
    SeveralKernels(Vec<String>),
    /// A module cannot be read or unpacked.
    #[error("reading module `{path}`")]
    Read {
        /// Path below the module directory.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// A file is not a kernel module for the device.
    #[error("`{path}` is no kernel module for the device")]
    NoModule {
        /// Path below the module directory.
        path: String,
        /// What is wrong with it.
        source: ModinfoError,
    },
}

impl ModuleDir {
    /// Finds the one module directory of an unpacked kernel package.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(tree: &FileTree) -> Result<Self, IndexError> {
        let dirs = MODULE_DIRS.map(|dir| TreePath::root().join(dir));
        let is_dir = |kind: &Kind| matches!(kind, Kind::Dir);
        let mut found: Vec<TreePath> = dirs
            .iter()
            .flat_map(|dir| {
                tree.children(dir).filter(|(_, node)| is_dir(&node.kind)).map(|(name, _)| dir.join(name))
            })
            .collect();
        let dir = found.pop().ok_or(IndexError::NoModules)?;
        if !found.is_empty() {
            found.push(dir);
            return Err(IndexError::SeveralKernels(found.iter().map(|dir| dir.name().to_owned()).collect()));
        }
        let prefix = dir.as_str().len() + 1;
        let files = tree.below(&dir).filter_map(|(path, node)| match &node.kind {
            Kind::File(content) => Some((path.as_str()[prefix..].to_owned(), content.clone())),
            _ => None,
        });
        Ok(ModuleDir { release: dir.name().to_owned(), files: files.collect() })
    }

    /// Adds a file at `path`, below the module directory.
    pub fn insert(&mut self, path: &str, content: Extents) {
        self.files.insert(path.to_owned(), Arc::new(content));
    }

    /// The whole of a module, unpacked. Its signature stays valid, since the bytes stay the same.
    ///
    /// # Errors
    /// When the file is missing, damaged, or over 128 MiB.
    pub fn read(&self, module: &Module) -> Result<Vec<u8>, IndexError> {
        let mut bytes = Vec::new();
        self.read_into(&module.path, MAX_MODULE, &mut bytes)?;
        Ok(bytes)
    }

    fn read_into(&self, path: &str, limit: u64, into: &mut Vec<u8>) -> Result<(), IndexError> {
        let wrong = |source| IndexError::Read { path: path.to_owned(), source };
        let content = self.files.get(path).ok_or_else(|| wrong(io::ErrorKind::NotFound.into()))?;
        into.clear();
        let unpacked = compress::unpack(Stream::new(content)).map_err(wrong)?;
        unpacked.take(limit + 1).read_to_end(into).map_err(wrong)?;
        if into.len() as u64 > limit {
            return Err(wrong(io::Error::other(format!("it is larger than {} MiB", limit >> 20))));
        }
        Ok(())
    }

    /// The lines of one of the kernel's lists; none when it is missing.
    fn list(&self, name: &str) -> Result<String, IndexError> {
        let mut bytes = Vec::new();
        if self.files.contains_key(name) {
            self.read_into(name, MAX_LIST, &mut bytes)?;
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Index {
    /// Reads all modules of a kernel: some seconds for a distribution's kernel.
    ///
    /// # Errors
    /// When a module is damaged or for another architecture, or on an interrupt.
    pub fn build(dir: &ModuleDir) -> Result<Self, IndexError> {
        let order = dir.list("modules.order")?;
        let order: BTreeMap<String, usize> =
            order.lines().enumerate().filter_map(|(line, path)| Some((name::of_path(path)?, line))).collect();
        let paths: Vec<&String> = dir.files.keys().filter(|path| name::of_path(path).is_some()).collect();
        let infos = read_all(dir, &paths)?;
        let modules = infos.into_iter().filter_map(|(path, info)| {
            let name = name::of_path(path)?;
            let order = order.get(&name).copied().unwrap_or(usize::MAX);
            Some((name, Module { path: path.clone(), order, info }))
        });
        Ok(Index { release: dir.release.clone(), modules: modules.collect(), builtin: builtin(dir)? })
    }
}

/// Reads the modules at `paths`.
fn read_all<'a>(dir: &ModuleDir, paths: &[&'a String]) -> Result<Vec<(&'a String, Modinfo)>, IndexError> {
    parallel::map(paths, READERS, |bytes: &mut Vec<u8>, path| {
        let wrong = |source| IndexError::Read { path: path.to_string(), source };
        interrupt::check().map_err(|stop| wrong(stop.into()))?;
        dir.read_into(path, MAX_MODULE, bytes)?;
        let info = Modinfo::decode(bytes);
        let info = info.map_err(|source| IndexError::NoModule { path: path.to_string(), source })?;
        Ok((*path, info))
    })
}

/// The modules that are part of the kernel: `modules.builtin` has their paths,
/// `modules.builtin.modinfo` records such as `ext4.alias=fs-ext4`.
fn builtin(dir: &ModuleDir) -> Result<BTreeMap<String, Builtin>, IndexError> {
    let paths = dir.list("modules.builtin")?;
    let mut builtin: BTreeMap<String, Builtin> = paths
        .lines()
        .filter_map(|path| {
            Some((name::of_path(path)?, Builtin { path: path.to_owned(), aliases: Vec::new() }))
        })
        .collect();
    for record in dir.list("modules.builtin.modinfo")?.split('\0') {
        if let Some((key, alias)) = record.split_once('=')
            && let Some((module, "alias")) = key.rsplit_once('.')
            && let Some(module) = builtin.get_mut(&name::canonical(module))
        {
            module.aliases.push(name::canonical(alias));
        }
    }
    Ok(builtin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::elf::sample;

    fn tree(release: &str, modules: &[(&str, &[u8])]) -> FileTree {
        let mut tree = FileTree::new();
        for (path, modinfo) in modules {
            tree.file(
                &format!("usr/lib/modules/{release}/{path}"),
                0o644,
                Extents::bytes(sample::module(modinfo)),
            );
        }
        tree
    }

    #[test]
    fn packed_and_plain_modules_are_indexed_alike() {
        let mut tree = tree("6.1", &[("kernel/a.ko", b"depends=b-c\0")]);
        let packed = zstd::encode_all(&*sample::module(b"alias=x-*\0"), 3).unwrap();
        tree.file("usr/lib/modules/6.1/kernel/b-c.ko.zst", 0o644, Extents::bytes(packed));
        tree.file(
            "usr/lib/modules/6.1/modules.order",
            0o644,
            Extents::bytes(*b"kernel/b-c.ko\nkernel/a.ko\n"),
        );
        tree.file("usr/lib/modules/6.1/modules.builtin", 0o644, Extents::bytes(*b"kernel/d.ko\n"));
        let records = Extents::bytes(*b"d.alias=fs-d\0d.license=GPL\0");
        tree.file("usr/lib/modules/6.1/modules.builtin.modinfo", 0o644, records);

        let dir = ModuleDir::find(&tree).unwrap();
        let index = Index::build(&dir).unwrap();
        assert_eq!(index.release, "6.1");
        assert_eq!(index.modules["a"].info.depends, ["b_c"]);
        assert_eq!(index.modules["b_c"].info.aliases, ["x_*"]);
        assert_eq!((index.modules["a"].order, index.modules["b_c"].order), (1, 0));
        assert_eq!(index.builtin["d"].aliases, ["fs_d"]);
        assert_eq!(dir.read(&index.modules["b_c"]).unwrap(), sample::module(b"alias=x-*\0"));
        let json = serde_json::to_string(&index).unwrap();
        assert_eq!(serde_json::from_str::<Index>(&json).unwrap(), index);
    }

    #[test]
    fn a_damaged_module_is_named() {
        let tree = tree("6.1", &[("kernel/a.ko", b"")]);
        let mut cut = tree.clone();
        cut.file("usr/lib/modules/6.1/kernel/b.ko.xz", 0o644, Extents::bytes(*b"\xfd7zXZ\0\0\x01"));
        let error = Index::build(&ModuleDir::find(&cut).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "reading module `kernel/b.ko.xz`");
        let mut text = tree;
        text.file("usr/lib/modules/6.1/kernel/b.ko", 0o644, Extents::bytes(*b"hello"));
        let error = Index::build(&ModuleDir::find(&text).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "`kernel/b.ko` is no kernel module for the device");
    }

    #[test]
    fn there_must_be_one_kernel() {
        assert!(matches!(ModuleDir::find(&FileTree::new()), Err(IndexError::NoModules)));
        let mut two = tree("6.1", &[("a.ko", b"")]);
        two.file("lib/modules/6.2/a.ko", 0o644, Extents::zeros(0));
        let error = ModuleDir::find(&two).unwrap_err();
        assert_eq!(error.to_string(), "there are modules of several kernels: 6.1, 6.2");
    }
}
