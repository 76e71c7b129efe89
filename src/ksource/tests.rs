use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::unpack::{Limits, unpack};
use super::*;
use crate::store::Store;

const MAKEFILE: &[u8] = b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\nEXTRAVERSION = -rc1\nNAME = x\n";
const FORK: &[u8] = b"one\ntwo\nthree\nfour\nfive\n";

/// One member of a tar.
#[derive(Clone)]
struct Member {
    name: &'static str,
    kind: u8,
    link: &'static str,
    content: Vec<u8>,
    mode: u32,
    time: u64,
}

fn member(name: &'static str, kind: u8, link: &'static str) -> Member {
    Member { name, kind, link, content: Vec::new(), mode: 0o755, time: 1_700_000_000 }
}

fn file(name: &'static str, content: &[u8]) -> Member {
    Member { content: content.to_vec(), mode: 0o644, ..member(name, b'0', "") }
}

/// The least that is the source of a kernel, in a directory of its own.
fn kernel() -> Vec<Member> {
    vec![
        member("linux-6.12.7/", b'5', ""),
        file("linux-6.12.7/Makefile", MAKEFILE),
        file("linux-6.12.7/Kconfig", b""),
        file("linux-6.12.7/arch/arm64/Makefile", b""),
        Member { time: 1_700_000_500, ..file("linux-6.12.7/kernel/fork.c", FORK) },
        Member { mode: 0o6755, ..file("linux-6.12.7/scripts/run", b"#!/bin/sh\n") },
        member("linux-6.12.7/scripts/again", b'2', "../scripts/run"),
        member("linux-6.12.7/scripts/same", b'1', "linux-6.12.7/scripts/run"),
    ]
}

/// An archive of `members`, as the `tar` crate writes it, with names as they are.
fn tar(members: &[Member]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for member in members {
        let mut header = ::tar::Header::new_gnu();
        header.as_mut_bytes()[..member.name.len()].copy_from_slice(member.name.as_bytes());
        header.as_mut_bytes()[157..157 + member.link.len()].copy_from_slice(member.link.as_bytes());
        header.set_entry_type(::tar::EntryType::new(member.kind));
        header.set_mode(member.mode);
        header.set_mtime(member.time);
        header.set_size(member.content.len() as u64);
        header.set_cksum();
        builder.append(&header, &member.content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A package with one file.
fn deb(name: &'static str, content: &[u8]) -> Vec<u8> {
    let data = tar(&[file(name, content)]);
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &tar(&[])), ("data.tar", &data)]
    {
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len());
        bytes.extend(header.bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

fn xz(content: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// A store, and beside it a place for archives.
struct Bench {
    dir: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Bench { dir, store }
    }

    fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn source(&self, bytes: &[u8], patches: &[PathBuf]) -> Result<SourceTree, String> {
        let path = self.put("linux.tar", bytes);
        of_archive(&self.store, "linux.tar", &path, Sha256::of(bytes), patches).map_err(|error| chain(&error))
    }

    fn patched(&self, patch: &str) -> Result<SourceTree, String> {
        let patch = self.put("my.patch", patch.as_bytes());
        let result = self.source(&tar(&kernel()), &[patch]);
        result.map_err(|text| text.replace(&*self.dir.path().to_string_lossy(), "DIR"))
    }

    /// All that is left of trees in the store.
    fn left(&self) -> Vec<PathBuf> {
        let trees = fs::read_dir(self.dir.path().join("store/trees")).unwrap();
        trees.map(|entry| entry.unwrap().path()).collect()
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[test]
fn a_kernel_is_unpacked_once_with_its_times_and_without_its_outer_directory() {
    let bench = Bench::new();
    let bytes = tar(&kernel());
    let tree = bench.source(&bytes, &[]).unwrap();
    assert_eq!((tree.version.as_str(), tree.epoch), ("6.12.7-rc1", 1_700_000_500));
    let metadata = |name: &str| fs::symlink_metadata(tree.path.join(name)).unwrap();
    assert_eq!(fs::read(tree.path.join("kernel/fork.c")).unwrap(), FORK);
    assert_eq!(metadata("kernel/fork.c").mtime(), 1_700_000_500);
    assert_eq!(metadata("Makefile").mtime(), 1_700_000_000);
    assert_eq!(metadata("Makefile").mode() & 0o7111, 0);
    assert_eq!(metadata("scripts/run").mode() & 0o7700, 0o700, "no set-id bits");
    assert_eq!(metadata("scripts/run").ino(), metadata("scripts/same").ino());
    assert_eq!(fs::read(tree.path.join("scripts/again")).unwrap(), b"#!/bin/sh\n");
    let gone = bench.dir.path().join("no.tar");
    let again = of_archive(&bench.store, "linux.tar", &gone, Sha256::of(&bytes), &[]).unwrap();
    assert_eq!(again, tree, "the archive is not read again");
}

#[test]
fn every_packing_and_debians_package_give_the_same_tree() {
    let flat: Vec<Member> = kernel().into_iter().filter(|member| member.kind == b'0').collect();
    let flat =
        flat.into_iter().map(|member| Member { name: &member.name["linux-6.12.7/".len()..], ..member });
    let plain = tar(&kernel());
    let gzip = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    let package = deb("usr/src/linux-source-6.12.tar.xz", &xz(&plain));
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for bytes in [plain.clone(), tar(&flat.collect::<Vec<_>>()), gzip, xz(&plain), zstd, package] {
        let tree = Bench::new();
        let tree = (tree.source(&bytes, &[]).unwrap(), tree).0;
        assert_eq!((tree.version.as_str(), tree.epoch), ("6.12.7-rc1", 1_700_000_500));
    }
}

#[test]
fn a_damaged_tree_is_made_anew() {
    let bench = Bench::new();
    let bytes = tar(&kernel());
    let tree = bench.source(&bytes, &[]).unwrap();
    let damages: [fn(&Path); 4] = [
        |tree| fs::remove_file(tree.join("Makefile")).unwrap(),
        |tree| fs::remove_file(tree.join("../facts.json")).unwrap(),
        |tree| fs::write(tree.join(".config"), b"").unwrap(),
        |tree| fs::create_dir(tree.parent().unwrap().with_extension("making")).unwrap(),
    ];
    for damage in damages {
        damage(&tree.path);
        fs::write(tree.path.join("kernel/fork.c"), b"damaged").unwrap();
        let is_only_leftover = tree.path.join("../facts.json").exists()
            && tree.path.join("Makefile").exists()
            && !tree.path.join(".config").exists();
        assert_eq!(bench.source(&bytes, &[]).unwrap(), tree);
        let content = fs::read(tree.path.join("kernel/fork.c")).unwrap();
        assert_eq!(content == FORK, !is_only_leftover, "a leftover of another build is no damage");
    }
}

#[test]
fn members_that_have_no_place_in_a_tree_are_refused_and_leave_nothing() {
    let outside = "`linux.tar` links to";
    let cases: [(&[Member], &str); 11] = [
        (&[member("beside", b'2', "linux-6.12.7/Makefile")], "is not the source of a kernel"),
        (&[file("linux-6.12.7/../../x", b"x")], "leads out of the tree with `..`"),
        (&[file("/tmp/factory-x", b"x")], "`/tmp/factory-x` is an absolute path"),
        (
            &[member("linux-6.12.7/l", b'2', "/etc"), file("linux-6.12.7/l/x", b"x")],
            "`/etc`, which may be outside",
        ),
        (
            &[member("linux-6.12.7/l", b'2', "."), file("linux-6.12.7/l/x", b"x")],
            "stands where another member does",
        ),
        (&[member("linux-6.12.7/l", b'2', "../x")], outside),
        (&[member("linux-6.12.7/l", b'2', "scripts/../../..")], outside),
        (
            &[member("linux-6.12.7/null", b'3', "")],
            "member `linux-6.12.7/null` of `linux.tar` is a device or a pipe",
        ),
        (&[file("linux-6.12.7/Makefile", b"")], "stands where another member does"),
        (&[file("linux-6.12.7/Makefile/x", b"")], "stands where another member does"),
        (&[member("linux-6.12.7/h", b'1', "etc/passwd")], "second name of `etc/passwd`, which is not there"),
    ];
    for (added, expected) in cases {
        let bench = Bench::new();
        let text = bench.source(&tar(&[&kernel(), added].concat()), &[]).unwrap_err();
        assert!(text.contains(expected), "{text}");
        assert_eq!(bench.left(), [] as [PathBuf; 0]);
        assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 2, "the store and the archive");
    }
}

#[test]
fn an_archive_that_is_cut_off_or_damaged_leaves_nothing() {
    let plain = tar(&kernel());
    let packed = xz(&plain);
    let mut wrong = packed.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    for bytes in [&plain[..3000], &packed[..packed.len() - 20], &wrong, b"", b"BZh91AY"] {
        let bench = Bench::new();
        let text = bench.source(bytes, &[]).unwrap_err();
        assert!(text.starts_with("archive `linux.tar` cannot be used: "), "{text}");
        assert_eq!(bench.left(), [] as [PathBuf; 0]);
    }
}

#[test]
fn what_is_no_kernel_is_told_by_what_it_is() {
    let bench = Bench::new();
    let other = [
        file("hello-1.0/configure", b""),
        file("hello-1.0/Makefile", b"all:\n"),
        file("hello-1.0/src/a.c", b""),
    ];
    assert_eq!(
        bench.source(&tar(&other), &[]).unwrap_err(),
        "`linux.tar` is not the source of a kernel for arm64: it has no top `Makefile` with a kernel's \
         version; in it are `Makefile`, `configure`, `src`"
    );
    let other: Vec<Member> = kernel().into_iter().filter(|member| !member.name.contains("arm64")).collect();
    let text = bench.source(&tar(&other), &[]).unwrap_err();
    assert!(text.contains("it has no `arch/arm64/Makefile`"), "{text}");
    let text = bench.source(&deb("usr/bin/hello", b""), &[]).unwrap_err();
    assert!(text.starts_with("package `linux.tar` has no `usr/src/linux-source-*.tar.*`"), "{text}");
    assert_eq!(bench.left(), [] as [PathBuf; 0]);
}

#[test]
fn more_than_any_kernel_has_is_not_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |limits| {
        let place = dir.path().join("tree");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        chain(&unpack("big.tar", &tar(&kernel())[..], &place, limits).unwrap_err())
    };
    let most = Limits { members: 8, links: 2, bytes: 1 << 20 };
    let tail = "which no kernel's source does; in it are";
    assert_eq!(
        refusal(Limits { members: 3, ..most }),
        format!("`big.tar` holds more than 3 members, {tail} `Kconfig`, `Makefile`")
    );
    assert!(refusal(Limits { bytes: 80, ..most }).contains("more than 80 B"));
    assert!(refusal(Limits { links: 1, ..most }).contains("more than 1 links"));
    let place = dir.path().join("fits");
    fs::create_dir(&place).unwrap();
    unpack("big.tar", &tar(&kernel())[..], &place, most).unwrap();
}

#[test]
fn a_patch_is_applied_and_its_files_get_the_sources_time() {
    let bench = Bench::new();
    let plain = bench.source(&tar(&kernel()), &[]).unwrap();
    let patch = "\
From: somebody\n\n--- a/kernel/fork.c\t2024-01-01\n+++ b/kernel/fork.c\n@@ -2,3 +2,3 @@ x\n two\n-three\n+--- /3\n four\n\
--- /dev/null\n+++ b/kernel/new.c\n@@ -0,0 +1 @@\n+new\n";
    let tree = bench.patched(patch).unwrap();
    assert_eq!(fs::read(tree.path.join("kernel/fork.c")).unwrap(), b"one\ntwo\n--- /3\nfour\nfive\n");
    assert_eq!(fs::read(tree.path.join("kernel/new.c")).unwrap(), b"new\n");
    for name in ["kernel/fork.c", "kernel/new.c"] {
        assert_eq!(fs::metadata(tree.path.join(name)).unwrap().mtime(), i64::from(tree.epoch));
    }
    assert_ne!(tree.id, plain.id);
    assert_eq!(fs::read(plain.path.join("kernel/fork.c")).unwrap(), FORK, "the source without it stays");
}

#[test]
fn a_patch_that_does_not_apply_is_named_with_file_and_hunk() {
    let bench = Bench::new();
    let good = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,2 @@\n-one\n+1\n two\n";
    let text = bench.patched(&format!("{good}@@ -3,3 +3,3 @@\n three\n-FOUR\n+4\n five\n")).unwrap_err();
    let hint = "\n\nhint: it may be for another version, or be in this one already";
    let refusal = "patch `DIR/my.patch` does not apply to 6.12.7-rc1: ";
    assert_eq!(text, format!("{refusal}hunk 2 of `kernel/fork.c` does not fit at line 3{hint}"));
    let text = bench.patched(&good.replace("fork", "knife")).unwrap_err();
    assert_eq!(text, format!("{refusal}there is no file `kernel/knife.c`{hint}"));
    let reversed = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,2 @@\n-1\n+one\n two\n";
    let text = bench.patched(reversed).unwrap_err();
    assert!(text.contains("hunk 1 of `kernel/fork.c` does not fit"), "{text}");
    assert_eq!(bench.left(), [] as [PathBuf; 0]);
}

#[test]
fn patches_that_are_not_safe_are_refused_before_anything_is_unpacked() {
    let hunk = "@@ -0,0 +1 @@\n+x\n";
    for (patch, expected) in [
        (
            format!("--- /dev/null\n+++ b/../../x\n{hunk}"),
            "line 2: `b/../../x` leads out of the tree with `..`",
        ),
        (format!("--- /dev/null\n+++ /etc/x\n{hunk}"), "line 2: `/etc/x` is an absolute path"),
        (format!("--- /dev/null\n+++ x\n{hunk}"), "line 2: `x` has no directory in front"),
        ("rename from a\nrename to ../b\n".to_owned(), "line 2: `../b` leads out"),
        (
            "--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-x\n-y\n".to_owned(),
            "line 5: a hunk has other lines than its head says",
        ),
        ("--- a/x\n+++ b/x\n@@ -1,9 +1,8 @@\n-x".to_owned(), "line 4: it ends within a hunk"),
        ("new file mode 120000\n--- /dev/null\n+++ b/x\n".to_owned(), "line 1: it makes a symbolic link"),
        ("hello".to_owned(), "line 1: it is no unified diff"),
        ("--- a/x\n+++ b/x\nGIT binary patch\n".to_owned(), "line 3: it changes a binary file"),
    ] {
        let bench = Bench::new();
        let text = bench.patched(&patch).unwrap_err();
        assert!(text.starts_with(&format!("patch `DIR/my.patch`, {expected}")), "{text}");
        assert_eq!(bench.left(), [] as [PathBuf; 0]);
    }
}

proptest! {
    #[test]
    fn no_patch_is_too_strange_to_be_read(lines in proptest::collection::vec(any::<(u8, u8, String)>(), 0..30)) {
        let heads = ["--- a/", "+++ ", "@@ -1,2 +3,4 @@", "@@ -", " ", "-", "+", "\\ ", "rename to ", ""];
        let line = |(head, count, rest): &(u8, u8, String)| {
            format!("{}{count}{rest}\n", heads[*head as usize % heads.len()])
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.patch");
        fs::write(&path, lines.iter().map(line).collect::<String>()).unwrap();
        match patch::Patch::read(&path) {
            Ok(_) | Err(SourceTreeError::BadPatch { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_link_that_is_let_through_never_steps_out(
        steps in proptest::collection::vec(prop_oneof![Just(".."), Just("."), Just(""), Just("d")], 1..8),
        depth in 0..4_usize,
    ) {
        let target = steps.join("/");
        if unpack::stays_inside(&target, depth) {
            prop_assert!(!target.starts_with('/'));
            let mut level = depth as i64;
            for step in steps {
                level += match step { ".." => -1, "d" => 1, _ => 0 };
                prop_assert!(level >= 0, "{target}");
            }
        }
    }
}

/// The kernel as a directory of somebody.
fn own_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for member in kernel().iter().filter(|member| member.kind == b'0') {
        let path = dir.path().join(member.name.strip_prefix("linux-6.12.7/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &member.content).unwrap();
    }
    symlink("../kernel/fork.c", dir.path().join("scripts/link")).unwrap();
    dir
}

#[test]
fn the_id_of_a_directory_follows_its_content_and_nothing_else() {
    let (bench, dir) = (Bench::new(), own_dir());
    let id = || of_dir(&bench.store, dir.path()).unwrap().id;
    let first = id();
    let tree = of_dir(&bench.store, own_dir().path()).unwrap();
    assert_eq!((tree.id, tree.version.as_str(), tree.epoch), (first, "6.12.7-rc1", 315_532_800));
    let fork = dir.path().join("kernel/fork.c");
    fs::File::open(&fork).unwrap().set_modified(unpack::system_time(1)).unwrap();
    fs::create_dir(dir.path().join(".git")).unwrap();
    fs::write(dir.path().join(".git/HEAD"), b"x").unwrap();
    assert_eq!(id(), first, "times and git's files do not count");
    let mut seen = vec![first];
    let mut must_differ = |what: &str| {
        let id = id();
        assert!(!seen.contains(&id), "{what}");
        seen.push(id);
    };
    fs::write(&fork, b"one\ntwo\nthree\nfour\nFIVE\n").unwrap();
    must_differ("content");
    fs::set_permissions(&fork, Permissions::from_mode(0o755)).unwrap();
    must_differ("who may execute it");
    fs::rename(&fork, dir.path().join("kernel/spoon.c")).unwrap();
    must_differ("name");
    fs::remove_file(dir.path().join("scripts/link")).unwrap();
    symlink("../kernel/spoon.c", dir.path().join("scripts/link")).unwrap();
    must_differ("target of a link");
}

#[test]
fn a_change_that_does_not_look_newer_is_found() {
    let dir = own_dir();
    let mark = tempfile::NamedTempFile::new().unwrap();
    let since = mark.as_file().metadata().unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let fork = dir.path().join("kernel/fork.c");
    fs::write(&fork, b"changed\n").unwrap();
    let later = std::time::SystemTime::now();
    assert!(!hides_changes(dir.path(), later + std::time::Duration::from_secs(1)).unwrap());
    fs::File::open(&fork).unwrap().set_modified(unpack::system_time(1)).unwrap();
    assert!(hides_changes(dir.path(), since).unwrap());
}

#[test]
fn a_directory_that_cannot_be_built_from_is_refused() {
    let (bench, dir) = (Bench::new(), own_dir());
    let refusal = || {
        chain(&of_dir(&bench.store, dir.path()).unwrap_err()).replace(&*dir.path().to_string_lossy(), "DIR")
    };
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), dir.path().join("drivers")).unwrap();
    assert!(refusal().starts_with("`DIR/drivers` leads out of the source tree\n\nhint: "), "{}", refusal());
    fs::write(dir.path().join(".config"), b"").unwrap();
    assert_eq!(
        refusal(),
        "`DIR` was built in: it has `.config`, with which it cannot be built elsewhere\n\nhint: `make -C DIR \
         ARCH=arm64 mrproper` cleans it; that removes its `.config` too"
    );
    fs::remove_file(dir.path().join("Kconfig")).unwrap();
    assert!(
        refusal().contains("it has no `Kconfig`; in it are `.config`, `Makefile`, `arch`"),
        "{}",
        refusal()
    );
}
