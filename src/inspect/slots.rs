//! A slot: what its list of files says, and what is there.

use std::error::Error;

use super::biggest::Biggest;
use super::model::{Filesystem, Partition, Slot};
use super::usage::Tree;
use crate::slot::{SLOT_FILE, SlotJson};
use crate::units::Bytes;
use crate::volume::ext4::{self, Nested};
use crate::volume::{Files, Opened, Volume};
use bootenv::Slot as Letter;

/// Largest list that is read, in bytes.
const LARGEST_LIST: u32 = 16 << 20;

/// Ending of the file in a slot that is a root file system.
const ROOTFS: &str = ".ext4";

/// Where the files of a partition are added up.
pub(super) struct Sums<'a> {
    pub(super) biggest: &'a mut Biggest,
    pub(super) tree: &'a mut Tree,
}

/// Reads the slot in a file system, and the root file system in it.
pub(super) fn read(
    letter: Letter,
    partition: &Partition,
    opened: &Opened,
    files: &Files,
    sums: Sums<'_>,
) -> Slot {
    let mut problems = Vec::new();
    let list = match list(opened) {
        Ok(list) => Some(list),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    problems.extend(list.iter().flat_map(|list| differences(list, files)));
    Slot {
        slot: letter.to_string(),
        partition: partition.number,
        name: list.as_ref().map(|list| list.name.clone()),
        version: list.as_ref().map(|list| list.version.clone()),
        build: list.map(|list| list.build),
        bytes: Bytes(files.sizes.iter().map(|(_, size)| size).sum()),
        files: files.sizes.len() as u64,
        rootfs: rootfs(opened, files, &partition.label(), sums, &mut problems),
        problems,
    }
}

fn list(opened: &Opened) -> Result<SlotJson, String> {
    let text = opened.read(SLOT_FILE, LARGEST_LIST).ok_or_else(|| format!("there is no `{SLOT_FILE}`"))?;
    serde_json::from_slice(&text).map_err(|error| format!("`{SLOT_FILE}`: {error}"))
}

/// Files that are missing, of another size, or not in the list.
fn differences(list: &SlotJson, files: &Files) -> Vec<String> {
    let wrong = list.files.iter().filter_map(|file| match files.size(&format!("/{}", file.path)) {
        None => Some(format!("`{}` is missing", file.path)),
        Some(size) if size != file.size => {
            Some(format!("`{}` has {size} bytes instead of {}", file.path, file.size))
        }
        Some(_) => None,
    });
    let is_listed = |path: &str| path == SLOT_FILE || list.files.iter().any(|file| file.path == path);
    let paths = files.sizes.iter().map(|(path, _)| path.trim_start_matches('/'));
    let unlisted = paths.filter(|path| !is_listed(path)).map(|path| format!("`{path}` is not in the list"));
    wrong.chain(unlisted).collect()
}

/// The first file of the slot's root directory that is a root file system.
fn rootfs(
    opened: &Opened,
    files: &Files,
    partition: &str,
    sums: Sums<'_>,
    problems: &mut Vec<String>,
) -> Option<Filesystem> {
    let is_rootfs = |path: &&str| path.ends_with(ROOTFS) && path.rfind('/') == Some(0);
    let path = files.sizes.iter().map(|(path, _)| path.as_str()).find(is_rootfs)?;
    match inside(opened, path) {
        Ok(volume) => {
            let volume = volume?;
            sums.biggest.add(partition, path, &volume.files);
            sums.tree.open(path, Tree::of(&volume.files));
            Some((&volume).into())
        }
        Err(error) => {
            problems.push(format!("`{path}`: {error}"));
            None
        }
    }
}

/// What an ext4 file system in a file holds; `None` where the file cannot be read at random.
fn inside(opened: &Opened, path: &str) -> Result<Option<Volume>, Box<dyn Error + Send + Sync>> {
    let volume = match opened {
        Opened::Ext4(outer) => Some(ext4::open(Nested(outer.open(path)?))?),
        Opened::Fat(outer) => outer.region(path.trim_start_matches('/'))?.map(ext4::open).transpose()?,
        Opened::Closed => None,
    };
    Ok(volume.map(|(volume, _)| volume))
}
