use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use factory::image::extents::Extents;
use factory::image::fat::{FatError, Kind, Options, format, needed};
use factory::tree::{self, FileTree, Meta, Node, TreePath};
use factory::units::{Bytes, MIB, Sectors};
use proptest::prelude::*;

use crate::oracle::{FSCK_VFAT, MDIR, MTYPE, Written, run};
use crate::trees::{self, bytes, noise};

pub(crate) fn options(size: Bytes) -> Options {
    Options {
        size,
        serial: 0xfac7_0001,
        label: "ESP".into(),
        epoch: 1_700_000_001,
        hidden_sectors: Sectors(2048),
        kind: Kind::Auto,
    }
}

/// Long, short, clashing, foreign and numbered names; empty, odd and large files; deep and wide
/// directories.
fn hard_tree() -> FileTree {
    let mut tree = FileTree::new();
    let mut file = |path: &str, len: usize| tree.file(path, 0o644, Extents::bytes(noise(len as u64, len)));
    file("EFI/BOOT/BOOTAA64.EFI", 2_854_912);
    file("EFI/factory/grub.cfg", 5_123);
    file("EFI/factory/grubenv", 1024);
    file("EFI/factory/grubenv.2", 1024);
    file("EFI.d/x", 1);
    file("EFI-neighbour", 511);
    file("empty", 0);
    file("Ünï-名前-🦀.txt", 4096);
    file("LONGNA~1.TXT", 10);
    file("long name with spaces.text", 513);
    file(&"n".repeat(255), 3);
    file("one.two.three", 4097);
    file(".hidden", 12);
    file("deep/er/and/deeper/than/that/file", 77);
    for n in 0..1000 {
        file(&format!("many/a rather long name with the number {n}"), n % 3);
    }
    tree.dir("an empty directory");
    tree
}

fn check(tree: &FileTree, options: &Options) -> Written {
    let formatted = format(tree, options).unwrap();
    let image = Written::new(&formatted.extents);
    // Its version and its count of files; every complaint would be a line more.
    let report = run(&FSCK_VFAT, &["-n", &image.path()]);
    assert_eq!(report.lines().count(), 2, "{report}");
    assert_eq!(read_with_fatfs(&image), contents(tree));
    for file in &formatted.files {
        let Some(Node { kind: tree::Kind::File(content), .. }) = tree.get(&file.path) else { unreachable!() };
        assert_eq!(trees::placed(&formatted, file), bytes(content), "{}", file.path);
        assert!(file.runs.iter().all(|run| run.at % 4096 == 0), "{}", file.path);
    }
    image
}

/// Path and content; directories have none.
type Contents = BTreeMap<String, Option<Vec<u8>>>;

fn contents(tree: &FileTree) -> Contents {
    let entries = tree.iter().skip(1).map(|(path, node)| {
        let content = if let tree::Kind::File(content) = &node.kind { Some(bytes(content)) } else { None };
        (path.as_str().to_owned(), content)
    });
    entries.collect()
}

fn read_with_fatfs(image: &Written) -> Contents {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(image.path()).unwrap();
    let system = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).unwrap();
    let mut found = Contents::new();
    let mut open = vec![(String::new(), system.root_dir())];
    while let Some((path, dir)) = open.pop() {
        for entry in dir.iter().map(Result::unwrap).filter(|entry| !matches!(&*entry.file_name(), "." | ".."))
        {
            let path = format!("{path}{}", entry.file_name());
            if entry.is_dir() {
                open.push((format!("{path}/"), entry.to_dir()));
                found.insert(path, None);
            } else {
                let mut content = Vec::new();
                entry.to_file().read_to_end(&mut content).unwrap();
                found.insert(path, Some(content));
            }
        }
    }
    found
}

#[test]
fn a_tree_of_hard_cases_is_clean_at_every_cluster_size() {
    for mib in [16, 33, 64, 128, 256, 300, 9000] {
        check(&hard_tree(), &options(Bytes::mib(mib)));
    }
}

#[test]
fn mtools_read_names_contents_and_times() {
    let image = check(&hard_tree(), &options(Bytes::mib(64)));
    let dir = run(&MDIR, &["-i", &image.path(), "::/EFI/factory"]);
    assert!(dir.contains("Volume in drive : is ESP"), "{dir}");
    assert!(dir.contains("Volume Serial Number is FAC7-0001"), "{dir}");
    assert!(dir.contains("GRUB     CFG      5123 2023-11-14  22:13  grub.cfg"), "{dir}");
    let typed = factory::tool::Tool::run(&MTYPE, &["-i", &image.path(), "::/EFI/BOOT/BOOTAA64.EFI"]).unwrap();
    assert_eq!(typed.stdout, noise(2_854_912, 2_854_912));
}

#[test]
fn the_size_needed_is_the_smallest_that_holds_the_tree() {
    let mut big = hard_tree();
    big.file("big", 0o644, Extents::zeros(300 * MIB + 1));
    for (tree, kind) in
        [(hard_tree(), Kind::Auto), (hard_tree(), Kind::Fat32), (big.clone(), Kind::Auto), (big, Kind::Fat32)]
    {
        let size = needed(&tree, kind).unwrap();
        let at = |size| format(&tree, &Options { kind, ..options(size) });
        at(size).unwrap();
        let below = at(size - Bytes(MIB));
        assert!(matches!(below, Err(FatError::DoesNotFit { .. } | FatError::Size { .. })), "{size}");
    }
}

#[test]
fn an_empty_tree_becomes_an_empty_file_system() {
    check(&FileTree::new(), &Options { label: String::new(), ..options(Bytes::mib(40)) });
}

#[test]
fn what_fat_cannot_hold_is_refused_by_name() {
    let refused = |path: &str, kind: tree::Kind| {
        let mut tree = FileTree::new();
        tree.insert(TreePath::parse(path.as_bytes()).unwrap(), Node { meta: Meta::root(0o644), kind });
        format(&tree, &options(Bytes::mib(64))).unwrap_err().to_string()
    };
    let file = |len| tree::Kind::File(Arc::new(Extents::zeros(len)));
    assert_eq!(
        refused("boot/link", tree::Kind::Symlink("x".into())),
        "`/boot/link` is a symbolic link, which FAT cannot hold\n\nhint: leave it out, or copy what it stands for"
    );
    assert_eq!(
        refused("boot/huge", file(4 << 30)),
        "`/boot/huge` has 4 GiB, but a file on FAT has less than 4 GiB\n\nhint: put it on an ext4 partition"
    );
    assert!(refused("", file(1)).starts_with("`/` is a root that is not a directory"));
    assert_eq!(
        refused("a:b", file(0)),
        "`/a:b` has a name that FAT does not take: it holds one of \" * / : < > ? \\ |\n\nhint: rename it"
    );
    assert_eq!(
        refused("large", file(100 << 20)),
        "the files need 100.0 MiB, but only 63.0 MiB are left\n\nhint: make the partition larger"
    );
}

#[test]
fn a_directory_with_more_names_than_fat_can_list_is_refused() {
    let mut tree = FileTree::new();
    for n in 0..33_000 {
        tree.file(&format!("d/lower{n}"), 0o644, Extents::zeros(0));
    }
    let path = TreePath::root().join("d");
    assert_eq!(format(&tree, &options(Bytes::mib(64))).unwrap_err(), FatError::DirectoryTooLarge { path });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_is_clean(tree in trees::tree("[A-Za-zé ][a-zA-Z0-9 .+~]{0,20}_"), mib in 8u64..80) {
        let tree = tree;
        check(&tree, &options(Bytes::mib(mib)));
        needed(&tree, Kind::Auto).unwrap();
    }
}
