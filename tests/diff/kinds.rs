//! File systems that `mke2fs` makes of a directory, in all ways in which files and directories are kept:
//! what is read of them is what is in the directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use factory::volume::Region;
use factory::volume::ext4::{Areas, Layout};
use factory::volume::fat::{self, Fat};

use super::image::text;
use super::support::tools::run;

/// Bytes that no compressor would make smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A directory whose file system has trees of extents, indirect blocks and hashed directories.
fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("many/deep")).unwrap();
    for number in 0..400 {
        fs::write(dir.join(format!("many/a-file-with-a-rather-long-name-{number}")), [number as u8; 3])
            .unwrap();
    }
    fs::write(dir.join("noise"), noise(3 << 20)).unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    let sparse = File::create(dir.join("sparse")).unwrap();
    // So many pieces do not fit into an inode.
    (0..30).for_each(|piece| sparse.write_all_at(&noise(5000), piece * 200_000).unwrap());
    sparse.set_len(8 << 20).unwrap();
    symlink("noise", dir.join("short")).unwrap();
    symlink("x/".repeat(200), dir.join("long")).unwrap();
    fs::hard_link(dir.join("noise"), dir.join("many/deep/again")).unwrap();
}

fn format(dir: &Path, image: &Path, options: &[&str]) -> Region {
    File::create(image).unwrap().set_len(24 << 20).unwrap();
    let all = [&["-q", "-F", "-d", text(dir)], options, &[text(image)]].concat();
    run("mke2fs", all);
    Region::new(Arc::new(File::open(image).unwrap()), 24 << 20)
}

const KINDS: [&[&str]; 6] = [
    &["-t", "ext2", "-b", "1024"],
    &["-t", "ext3", "-b", "4096"],
    &["-t", "ext4", "-b", "1024"],
    &["-t", "ext4", "-b", "4096", "-O", "^64bit,^metadata_csum"],
    &["-t", "ext4", "-b", "2048", "-I", "128", "-g", "2048"],
    &["-t", "ext4", "-O", "64bit,metadata_csum,^flex_bg,^has_journal"],
];

/// Looks at the directory and at the file system made of it in each way.
fn for_every_kind(look: impl Fn(&[&str], &Path, &Region)) {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, image) = (scratch.path().join("dir"), scratch.path().join("image"));
    tree(&dir);
    for options in KINDS {
        look(options, &dir, &format(&dir, &image, options));
    }
}

#[test]
fn every_kind_of_ext_is_read_as_what_it_was_made_of() {
    for_every_kind(|options, dir, region| {
        let layout = Layout::read(region).unwrap();
        let walk = layout.walk().unwrap();
        assert!(walk.problems.is_empty(), "{options:?}: {:?}", walk.problems);
        let mut names = BTreeMap::new();
        for found in &walk.found {
            names.insert(found.path.clone(), found.inode.number);
            let path = dir.join(&found.path);
            let Ok(about) = path.symlink_metadata() else { continue };
            if about.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                assert_eq!(layout.target(&found.inode).unwrap(), text(&target), "{options:?}");
            } else if about.is_file() {
                let content = layout.content(&found.inode).unwrap();
                let same = content.read(0, content.size()).unwrap() == fs::read(&path).unwrap();
                assert!(same, "{options:?}: {}", found.path);
            }
        }
        // Besides what was put there, the root and `lost+found`.
        assert_eq!(names.len(), 400 + 2 + 6 + 2, "{options:?}");
        assert_eq!(names["noise"], names["many/deep/again"]);
        let areas = Areas::new(&layout, &walk);
        let bytes = region.read(0, region.size()).unwrap();
        let needle = noise(3 << 20)[2_000_000..2_000_064].to_vec();
        let at = bytes.windows(64).position(|window| window == needle).unwrap() as u64;
        let structure = areas.spot(at).structure;
        assert!(["content of `noise`", "content of `many/deep/again`"].contains(&&*structure), "{structure}");
    });
}

#[test]
fn every_byte_of_a_file_system_belongs_to_something() {
    for_every_kind(|options, _, region| {
        let layout = Layout::read(region).unwrap();
        let walk = layout.walk().unwrap();
        let areas = Areas::new(&layout, &walk);
        let mut at = 0;
        while at < region.size() {
            let spot = areas.spot(at);
            assert!(spot.end > at && !spot.structure.is_empty(), "{options:?} at {at}: {spot:?}");
            let is_free = spot.structure == "blocks that nothing uses";
            let len = spot.end.min(region.size()) - at;
            let holds = region.read(at, len).unwrap().iter().any(|byte| *byte != 0);
            assert!(!(is_free && holds), "{options:?} at {at}: {spot:?}");
            at = spot.end;
        }
    });
}

#[test]
fn every_byte_of_a_fat_belongs_to_something() {
    let scratch = tempfile::tempdir().unwrap();
    let (image, file) = (scratch.path().join("image"), scratch.path().join("a long name.txt"));
    fs::write(&file, noise(70_001)).unwrap();
    for (bits, mib) in [("12", 2_u64), ("16", 16), ("32", 40)] {
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        run("mkfs.vfat", ["-F", bits, "-s", "1", "-n", "LABEL", text(&image)]);
        run("mmd", ["-i", text(&image), "::/sub"]);
        run("mcopy", ["-i", text(&image), text(&file), "::/sub/"]);
        let region = Region::new(Arc::new(File::open(&image).unwrap()), mib << 20);
        let fat = Fat::open(region.clone()).unwrap();
        let nodes = fat.nodes().unwrap();
        let areas = fat::Areas::new(&fat, &nodes);
        let (mut at, mut seen) = (0, Vec::new());
        while at < region.size() {
            let spot = areas.spot(at);
            assert!(spot.end > at, "FAT{bits} at {at}: {spot:?}");
            let len = spot.end.min(region.size()) - at;
            let holds = region.read(at, len).unwrap().iter().any(|byte| *byte != 0);
            assert!(!(spot.structure.starts_with("clusters that nothing") && holds), "FAT{bits} at {at}");
            seen.push(spot.structure);
            at = spot.end;
        }
        for structure in [
            "boot sector, serial",
            "FAT 2, cluster 9 of `sub/a long name.txt`",
            "directory `sub`, part of a long name",
            "directory `sub`, entry `ALONGN~1.TXT`, mtime",
            "content of `sub/a long name.txt`",
            "bytes behind the end of `sub/a long name.txt`",
        ] {
            assert!(seen.iter().any(|name| name == structure), "FAT{bits} has no {structure}");
        }
        let node = nodes.iter().find(|node| node.size == 70_001).unwrap();
        assert!(fat.content(node).unwrap().read(0, 70_001).unwrap() == noise(70_001), "FAT{bits}");
    }
}
