use std::collections::BTreeMap;
use std::sync::Arc;

use factory::image::ext4::{Ext4Error, Options, Usage, format, needed};
use factory::image::extents::Extents;
use factory::tree::{FileTree, Kind, Meta, Node, TreePath};
use factory::units::{Bytes, MIB};
use proptest::prelude::*;

use crate::oracle::{DEBUGFS, E2FSCK, Written, run};
use crate::trees::{self, bytes, noise};

const EPOCH: i64 = 1_700_000_000;

fn options(size: Bytes) -> Options {
    Options { size, uuid: [0xfa; 16], label: "system".into(), epoch: EPOCH, usage: Usage::ReadOnly }
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).unwrap()
}

fn insert(tree: &mut FileTree, at: &str, meta: Meta, kind: Kind) {
    tree.insert(path(at), Node { meta, kind });
}

/// Owners, modes, times, links of both kinds, devices, attributes, holes, and a directory large
/// enough for an index.
fn hard_tree() -> FileTree {
    let mut tree = FileTree::new();
    let content = |len: usize| Kind::File(Arc::new(Extents::bytes(noise(len as u64, len))));
    let meta = |mode, uid, gid| Meta { uid, gid, ..Meta::root(mode) };
    insert(&mut tree, "bin/su", meta(0o4755, 0, 0), content(70_001));
    insert(&mut tree, "home/user", meta(0o2750, 1000, 100_000), Kind::Dir);
    insert(&mut tree, "tmp", meta(0o1777, 0, 0), Kind::Dir);
    insert(
        &mut tree,
        "home/user/old",
        Meta { mtime: Some(1_000_000_000), ..meta(0o600, 1000, 65_534) },
        content(1),
    );
    insert(
        &mut tree,
        "home/user/new",
        Meta { mtime: Some(EPOCH + 5), ..meta(0o644, 1000, 1000) },
        content(0),
    );
    insert(&mut tree, "a-link-before-its-target", Meta::root(0o644), Kind::HardLink(path("bin/su")));
    insert(&mut tree, "z-link", Meta::root(0o644), Kind::HardLink(path("a-link-before-its-target")));
    tree.symlink("sh", "bin/su");
    tree.symlink("far", &"x/".repeat(100));
    insert(&mut tree, "dev/null", meta(0o666, 0, 0), Kind::CharDevice { major: 1, minor: 3 });
    insert(&mut tree, "dev/big", meta(0o660, 0, 6), Kind::BlockDevice { major: 300, minor: 70_000 });
    insert(&mut tree, "dev/pipe", meta(0o600, 0, 0), Kind::Fifo);
    insert(&mut tree, "dev/socket", meta(0o755, 0, 0), Kind::Socket);
    let capability = vec![1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let acl = vec![2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0];
    let xattrs = BTreeMap::from([
        ("security.capability".into(), capability),
        ("system.posix_acl_access".into(), acl),
        ("user.long".into(), vec![b'v'; 3000]),
    ]);
    insert(&mut tree, "bin/ping", Meta { xattrs, ..Meta::root(0o755) }, content(9000));
    let mut sparse = Extents::zeros(10 * MIB + 5);
    sparse.place(3 * MIB + 100, &Extents::bytes(noise(3, 5000)));
    sparse.place(10 * MIB, &Extents::bytes(*b"tail!"));
    tree.file("sparse", 0o644, sparse);
    tree.file("all-hole", 0o644, Extents::zeros(5 * MIB + 1));
    tree.file("Ünï 名前", 0o644, Extents::bytes(*b"name"));
    tree.file(&"n".repeat(255), 0o644, Extents::zeros(0));
    tree.dir("lost+found");
    for n in 0..1500 {
        tree.file(&format!("many/a file with a number in its name, {n}"), 0o644, Extents::bytes(noise(n, 3)));
    }
    tree
}

fn check(tree: &FileTree, options: &Options) -> Written {
    let formatted = format(tree, options).unwrap();
    let image = Written::new(&formatted.extents);
    run(&E2FSCK, &["-fn", &image.path()]);
    for file in &formatted.files {
        let Some(Node { kind: Kind::File(content), .. }) = tree.get(&file.path) else { unreachable!() };
        assert_eq!(trees::placed(&formatted, file), bytes(content), "{}", file.path);
    }
    image
}

fn debugfs(image: &Written, request: &str) -> String {
    run(&DEBUGFS, &["-R", request, &image.path()])
}

/// All contents as ext4-view reads them.
fn read_back(image: &Written, tree: &FileTree) {
    let system = ext4_view::Ext4::load_from_path(image.path()).unwrap();
    for (path, node) in tree.iter() {
        let full = path.to_string();
        match &node.kind {
            Kind::File(content) => assert_eq!(system.read(&*full).unwrap(), bytes(content), "{path}"),
            Kind::Symlink(target) => {
                assert_eq!(system.read_link(&*full).unwrap().to_str().unwrap(), target, "{path}");
            }
            Kind::Dir => assert!(system.metadata(&*full).unwrap().is_dir(), "{path}"),
            _ => assert!(system.symlink_metadata(&*full).is_ok(), "{path}"),
        }
    }
}

#[test]
fn a_tree_of_hard_cases_is_clean_and_complete() {
    for usage in [Usage::ReadOnly, Usage::Writable] {
        let image = check(&hard_tree(), &Options { usage, ..options(Bytes::mib(200)) });
        read_back(&image, &hard_tree());
    }
}

#[test]
fn debugfs_sees_owners_modes_times_and_devices() {
    let image = check(&hard_tree(), &options(Bytes::mib(64)));
    let stat = |path: &str| debugfs(&image, &format!("stat {path}"));
    let shows = |path: &str, wanted: &[&str]| {
        let text = stat(path);
        let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in wanted {
            assert!(squeezed.contains(part), "{path}: no `{part}` in {text}");
        }
    };
    shows("/bin/su", &["Type: regular Mode: 04755", "Links: 3", "Size: 70001"]);
    shows("/home/user", &["Type: directory Mode: 02750", "User: 1000 Group: 100000"]);
    shows("/tmp", &["Mode: 01777"]);
    shows("/home/user/old", &["Mode: 0600", "Group: 65534", "mtime: 0x3b9aca00"]);
    shows("/home/user/new", &["mtime: 0x6553f100", "ctime: 0x6553f100", "crtime: 0x6553f100"]);
    shows("/sh", &["Type: symlink", "Fast link dest: \"bin/su\""]);
    shows("/dev/null", &["Type: character special", "Device major/minor number: 01:03"]);
    shows("/dev/big", &["Type: block special", "Device major/minor number: 300:70000"]);
    shows("/dev/pipe", &["Type: FIFO"]);
    shows("/dev/socket", &["Type: socket"]);
    shows("/all-hole", &["Size: 5242881", "Blockcount: 0"]);
    shows("/sparse", &["Size: 10485765", "Blockcount: 24"]);
}

#[test]
fn debugfs_sees_extended_attributes() {
    let image = check(&hard_tree(), &options(Bytes::mib(64)));
    let list = debugfs(&image, "ea_list /bin/ping");
    assert!(list.contains("security.capability (20) = 01 00 00 02 00 20"), "{list}");
    assert!(list.contains("user.long (3000)"), "{list}");
    let acl = debugfs(&image, "ea_get -x /bin/ping system.posix_acl_access");
    assert!(acl.contains("02 00 00 00 01 00 06 00 00 00 00 00 02 00 04 00 e8 03 00 00"), "{acl}");
}

#[test]
fn identity_and_label_are_those_given() {
    let image = check(&FileTree::new(), &options(Bytes::mib(16)));
    let stats = debugfs(&image, "stats -h");
    for wanted in [
        "Filesystem volume name:   system",
        "Filesystem UUID:          fafafafa-fafa-fafa-fafa-fafafafafafa",
        "Directory Hash Seed:      fafafafa-fafa-fafa-fafa-fafafafafafa",
        "Filesystem created:       Tue Nov 14",
    ] {
        assert!(stats.contains(wanted), "no `{wanted}` in {stats}");
    }
}

#[test]
fn the_size_needed_is_the_smallest_that_holds_the_tree() {
    let mut big = hard_tree();
    let half = Extents::file(std::path::PathBuf::from("/dev/null"), 0, 700 * MIB);
    big.file("big", 0o644, half);
    for (tree, usage) in [
        (FileTree::new(), Usage::ReadOnly),
        (hard_tree(), Usage::ReadOnly),
        (hard_tree(), Usage::Writable),
        (big.clone(), Usage::ReadOnly),
        (big, Usage::Writable),
    ] {
        let size = needed(&tree, usage).unwrap();
        let at = |size| format(&tree, &Options { usage, ..options(size) });
        at(size).unwrap();
        match at(size - Bytes(MIB)) {
            Err(Ext4Error::DoesNotFit { needs, .. }) => assert_eq!(needs, size),
            other => panic!("{size}: {:?}", other.map(|formatted| formatted.extents.size())),
        }
    }
}

#[test]
fn a_large_empty_file_system_is_small_in_memory_and_clean() {
    let options = Options { usage: Usage::Writable, ..options(Bytes::mib(4096)) };
    let formatted = format(&FileTree::new(), &options).unwrap();
    assert!(formatted.extents.mapped() < MIB, "{}", formatted.extents.mapped());
    check(&FileTree::new(), &options);
}

#[test]
fn a_file_system_in_a_file_keeps_its_holes() {
    let inner = format(&hard_tree(), &options(Bytes::mib(64))).unwrap().extents;
    let mapped = inner.mapped();
    let mut tree = FileTree::new();
    tree.file("rootfs.ext4", 0o644, inner);
    let outer = format(&tree, &options(Bytes::mib(128))).unwrap();
    assert!(outer.extents.mapped() < mapped + MIB);
    check(&tree, &options(Bytes::mib(128)));
}

#[test]
fn what_ext4_cannot_hold_is_refused_by_name() {
    let refused = |at: &str, kind: Kind| {
        let mut tree = FileTree::new();
        insert(&mut tree, at, Meta::root(0o644), kind);
        format(&tree, &options(Bytes::mib(64))).unwrap_err().to_string()
    };
    let file = |len| Kind::File(Arc::new(Extents::zeros(len)));
    assert_eq!(
        refused("link", Kind::HardLink(path("nothing"))),
        "`/link` is a hard link to `/nothing`, which is no file of this tree"
    );
    assert_eq!(
        refused("loop", Kind::HardLink(path("loop"))),
        "`/loop` is a hard link to `/loop`, which is no file of this tree"
    );
    assert_eq!(
        refused("huge", file(1 << 60)),
        "`/huge` has 1048576 TiB, but a file on ext4 has less than 16 TiB"
    );
    assert_eq!(refused("lost+found", file(1)), "`/lost+found` belongs to ext4 itself\n\nhint: leave it out");
    assert_eq!(
        refused("dev/x", Kind::CharDevice { major: 1 << 20, minor: 0 }),
        "`/dev/x` cannot be stored on ext4"
    );
    assert_eq!(
        refused("large", Kind::File(Arc::new(Extents::bytes(vec![1; 70 << 20])))),
        "the files need 75 MiB, but the file system has 64 MiB\n\nhint: make the partition larger"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_is_clean(tree in trees::tree("[^/\0]{1,30}_"), writable in any::<bool>()) {
        let usage = if writable { Usage::Writable } else { Usage::ReadOnly };
        let size = needed(&tree, usage).unwrap();
        let image = check(&tree, &Options { usage, ..options(size) });
        read_back(&image, &tree);
    }
}
