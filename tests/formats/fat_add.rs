//! Directories that are added to a FAT, judged by the tools that everybody else uses.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use factory::image::extents::Extents;
use factory::image::fat::{Kind, format, needed};
use factory::tool::Tool;
use factory::tree::FileTree;
use factory::units::Bytes;
use factory::volume::Region;
use factory::volume::fat::add::{AddError, Patch, add};
use factory::volume::fat::{Bits, Fat};
use proptest::prelude::*;

use crate::fat::options;
use crate::oracle::{FSCK_VFAT, MDIR, MTYPE, run};
use crate::trees::noise;

const MKFS: Tool = Tool { program: "mkfs.vfat", package: "dosfstools" };
const MCOPY: Tool = Tool { program: "mcopy", package: "mtools" };
const MDEL: Tool = Tool { program: "mdel", package: "mtools" };

/// The bytes of a file system of ours.
fn volume(tree: &FileTree, size: Bytes) -> Vec<u8> {
    let extents = format(tree, &options(size)).unwrap().extents;
    let mut bytes = vec![0; extents.size() as usize];
    extents.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A tree with so many short names in its root.
fn tree(names: usize) -> FileTree {
    let mut tree = FileTree::new();
    tree.file("EFI/factory/grubenv", 0o644, Extents::bytes(noise(1, 1024)));
    for n in 1..names {
        tree.file(&format!("FILE{n}"), 0o644, Extents::bytes(noise(n as u64, n * 100)));
    }
    tree
}

/// Of every size that matters: none, less than a cluster, and many clusters.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let lengths = [("hostname", 9), ("empty", 0), ("user-data", 70_001), ("10-seed-eth0.network", 512)];
    lengths.map(|(name, len)| (name, noise(len as u64, len))).into()
}

/// What must be written for them.
fn patches(volume: &[u8]) -> Result<Vec<Patch>, AddError> {
    let files = files();
    patches_of(volume, &files.iter().map(|(name, content)| (*name, &content[..])).collect::<Vec<_>>())
}

fn patches_of(volume: &[u8], files: &[(&str, &[u8])]) -> Result<Vec<Patch>, AddError> {
    let read = |at: u64, buffer: &mut [u8]| {
        let bytes = volume.get(at as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    };
    add(&read, volume.len() as u64, "seed", files)
}

fn patched(volume: &[u8], patches: &[Patch]) -> Vec<u8> {
    let mut bytes = volume.to_vec();
    for patch in patches {
        bytes[patch.at as usize..][..patch.bytes.len()].copy_from_slice(&patch.bytes);
    }
    bytes
}

fn open(path: &Path) -> Fat {
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    Fat::open(Region::new(Arc::new(file), size)).unwrap()
}

/// Every file and directory with all of its clusters.
fn places(fat: &Fat) -> BTreeMap<String, Vec<u32>> {
    let chain = |first: u32| std::iter::successors(Some(first), |cluster| fat.after(*cluster)).collect();
    fat.nodes().unwrap().into_iter().map(|node| (node.path, chain(node.first))).collect()
}

/// Adds the files, and checks all that others can see.
fn check(before: &[u8], bits: Bits) {
    let after = patched(before, &patches(before).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    fs::write(&old, before).unwrap();
    fs::write(&new, &after).unwrap();
    let path = new.to_str().unwrap();
    let report = run(&FSCK_VFAT, &["-n", path]);
    assert_eq!(report.lines().count(), 2, "{report}");
    let fat = open(&new);
    assert_eq!(fat.bits(), bits);
    assert_eq!(fat.tables_differ().unwrap(), None);
    let now = places(&fat);
    for (name, clusters) in places(&open(&old)) {
        // The root may have grown.
        assert!(now[&name].starts_with(&clusters), "`{name}` was moved");
        assert!(name == "/" || now[&name] == clusters, "`{name}` has other clusters");
        let read = |fat: &Fat| fat.read(name.trim_start_matches('/'), u32::MAX).unwrap();
        assert!(read(&open(&old)) == read(&fat), "`{name}` has another content");
    }
    for (name, content) in files() {
        let typed = MTYPE.run(&["-i", path, &format!("::/seed/{name}")]).unwrap();
        assert!(typed.stdout == content, "`{name}`");
    }
    let listed = run(&MDIR, &["-b", "-i", path, "::/seed"]);
    let expected: Vec<String> = files().iter().map(|(name, _)| format!("::/seed/{name}")).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn files_are_added_whatever_room_the_root_has_and_nothing_else_moves() {
    // A cluster of the smaller one holds sixteen entries, one of which is the label.
    for names in [1, 12, 13, 14, 15, 16, 31] {
        check(&volume(&tree(names), Bytes::mib(36)), Bits::ThirtyTwo);
    }
    check(&volume(&tree(40), Bytes::mib(300)), Bits::ThirtyTwo);
    check(&volume(&tree(200), Bytes::mib(16)), Bits::Sixteen);
}

#[test]
fn a_file_system_of_others_with_deleted_names_gets_them_too() {
    let dir = tempfile::tempdir().unwrap();
    for (width, size, bits) in
        [("12", "2880", Bits::Twelve), ("16", "16384", Bits::Sixteen), ("32", "40960", Bits::ThirtyTwo)]
    {
        let path = dir.path().join(width);
        let path = path.to_str().unwrap();
        run(&MKFS, &["-F", width, "-C", path, size]);
        for (name, len) in [("first", 5), ("a second one", 9_000), ("third", 40_000), ("last", 1)] {
            let file = dir.path().join("file");
            fs::write(&file, noise(len, len as usize)).unwrap();
            run(&MCOPY, &["-i", path, file.to_str().unwrap(), &format!("::/{name}")]);
        }
        for name in ["first", "a second one"] {
            run(&MDEL, &["-i", path, &format!("::/{name}")]);
        }
        check(&fs::read(path).unwrap(), bits);
    }
}

#[test]
fn what_was_added_has_the_time_of_the_rest_and_is_not_added_twice() {
    let before = volume(&tree(3), Bytes::mib(36));
    let after = patched(&before, &patches(&before).unwrap());
    assert!(patched(&before, &patches(&before).unwrap()) == after);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("volume");
    fs::write(&path, &after).unwrap();
    let listed = run(&MDIR, &["-i", path.to_str().unwrap(), "::/seed"]);
    assert!(listed.contains("HOSTNAME             9 2023-11-14  22:13  hostname"), "{listed}");
    assert!(matches!(patches(&after), Err(AddError::Exists(name)) if name == "seed"));
}

#[test]
fn a_name_that_only_looks_the_same_is_in_the_way() {
    for name in ["SEED", "Seed", "seed/x"] {
        let mut tree = tree(2);
        tree.file(name, 0o644, Extents::zeros(0));
        assert!(matches!(patches(&volume(&tree, Bytes::mib(36))), Err(AddError::Exists(_))), "{name}");
    }
}

#[test]
fn what_does_not_fit_changes_nothing() {
    // FAT16 has room for 512 names in its root.
    assert!(matches!(patches(&volume(&tree(511), Bytes::mib(16))), Err(AddError::RootFull)));
    let smallest = volume(&tree(2), needed(&tree(2), Kind::Auto).unwrap());
    let large = vec![1; smallest.len()];
    let error = patches_of(&smallest, &[("small", b"x"), ("large", &large)]).unwrap_err();
    assert!(matches!(error, AddError::Full { .. }), "{error}");
}

/// Where patches may go besides clusters that were free: tables, the sector of counts, and the root.
fn is_sound(before: &[u8], patches: &[Patch]) -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), before).unwrap();
    let fat = open(file.path());
    let geometry = *fat.geometry();
    let root = fat.nodes().unwrap().into_iter().find(|node| node.path == "/");
    let mut root: Vec<u32> = root.map(|root| root.first).into_iter().collect();
    while let Some(next) = root.last().and_then(|last| fat.after(*last)).filter(|_| root.len() < 5000) {
        root.push(next);
    }
    patches.iter().all(|patch| {
        let end = patch.at + patch.bytes.len() as u64;
        let Some(in_data) = patch.at.checked_sub(geometry.data_at) else { return end <= geometry.data_at };
        let cluster = 2 + (in_data / geometry.cluster_size) as u32;
        end <= before.len() as u64 && (!fat.is_taken(cluster) || root.contains(&cluster))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Damage goes to the boot sector, the tables and the root.
    #[test]
    fn no_damage_makes_it_panic_or_write_over_files(
        is_wide: bool,
        changes in proptest::collection::vec((0..40_960_usize, any::<u8>()), 1..8),
    ) {
        let mut bytes = volume(&tree(14), Bytes::mib(if is_wide { 34 } else { 4 }));
        for (at, byte) in changes {
            // Half of them where every byte has a meaning.
            let at = if at % 2 == 0 { at / 2 % 64 } else { at };
            bytes[at] = byte;
        }
        if let Ok(patches) = patches(&bytes) {
            prop_assert!(is_sound(&bytes, &patches));
        }
    }
}
