//! The substrate against the tools that will read it, or that do the same work: cpio, kmod,
//! busybox, tar, squashfs-tools. A tool that is missing fails its test.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/elf.rs"]
#[allow(missing_docs, unreachable_pub, dead_code, reason = "other tests need the rest")]
mod elf;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use factory::image::extents::Extents;
use factory::substrate::contents::{self, Programs};
use factory::substrate::initramfs::{self, Compression};
use factory::substrate::modules::{self, Index, ModuleDir, Selection, parse_list};
use factory::substrate::rootfs::{self, Layer, Options, RootfsError, dir::Owner};
use factory::substrate::{self, Parts, Spec, settings::Settings};
use factory::tree::{FileTree, Kind, TreePath};
use tempfile::TempDir;

/// Runs a program that must be there and must succeed; what it printed.
fn run(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(dir).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("`{program}` is needed for this test: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Writes regular files, directories and links of a tree into `dir`.
fn unpack(tree: &FileTree, dir: &Path) {
    for (path, node) in tree.iter() {
        let to = dir.join(path.as_str());
        match &node.kind {
            Kind::Dir => fs::create_dir_all(&to).unwrap(),
            Kind::File(content) => fs::write(&to, bytes(content)).unwrap(),
            Kind::Symlink(target) => std::os::unix::fs::symlink(target, &to).unwrap(),
            _ => {}
        }
    }
}

fn bytes(content: &Extents) -> Vec<u8> {
    let mut bytes = vec![0; content.size() as usize];
    content.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A module: an ELF file with a `.modinfo`, and symbols as depmod finds dependencies by: it exports
/// one named after itself and uses those of the modules that it needs.
fn module(name: &str, needs: &[&str], modinfo: &str) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0.strtab\0.symtab\0__ksymtab_strings\0";
    let (mut strings, mut symbols) = (vec![0], vec![0; 24]);
    for needed in needs {
        symbols.extend((strings.len() as u32).to_le_bytes());
        // A global symbol without a type, of no section: to be found elsewhere.
        symbols.extend([0x10, 0].iter().chain(&[0; 18]));
        strings.extend(format!("symbol_{needed}\0").bytes());
    }
    let modinfo = format!("{modinfo}depends={}\0name={name}\0", needs.join(","));
    let export = format!("symbol_{name}\0");
    let parts: [&[u8]; 5] = [modinfo.as_bytes(), names, &strings, &symbols, export.as_bytes()];
    let mut file = vec![0; 64];
    let mut sections = vec![[0u8; 64]];
    let kinds: [(u32, u32, u32); 5] = [(1, 1, 0), (10, 3, 0), (20, 3, 0), (28, 2, 3), (36, 1, 0)];
    for (part, (name, kind, link)) in parts.into_iter().zip(kinds) {
        let mut section = [0; 64];
        section[..4].copy_from_slice(&name.to_le_bytes());
        section[4..8].copy_from_slice(&kind.to_le_bytes());
        section[24..32].copy_from_slice(&(file.len() as u64).to_le_bytes());
        section[32..40].copy_from_slice(&(part.len() as u64).to_le_bytes());
        section[40..44].copy_from_slice(&link.to_le_bytes());
        sections.push(section);
        file.extend(part);
        file.resize(file.len().next_multiple_of(8), 0);
    }
    file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    file[16..20].copy_from_slice(&[1, 0, 183, 0]);
    let at = file.len() as u64;
    file[40..48].copy_from_slice(&at.to_le_bytes());
    file[52..64].copy_from_slice(&[64, 0, 0, 0, 0, 0, 64, 0, sections.len() as u8, 0, 2, 0]);
    file.extend(sections.concat());
    file
}

/// A kernel with dependencies, soft ones, aliases and builtins of all sorts.
fn kernel() -> FileTree {
    let mut tree = FileTree::new();
    let modules: [(&str, &[&str], &str); 8] = [
        ("kernel/fs/ext4/ext4.ko", &["mbcache", "jbd2"], "softdep=pre: crc32c\0alias=fs-ext4\0"),
        ("kernel/fs/jbd2/jbd2.ko", &["crc16"], "softdep=pre: crypto-crc32c\0"),
        ("kernel/fs/mbcache.ko", &[], ""),
        ("kernel/lib/crc16.ko", &[], ""),
        ("kernel/crypto/crc32c-generic.ko", &[], "alias=crypto-crc32c\0alias=crc32c\0"),
        ("kernel/net/virtio-net.ko", &[], "alias=virtio:d00000001v*\0"),
        ("kernel/net/e1000-e.ko", &[], "alias=pci:v00008086d0000105[EF]sv*sd*bc*sc*i*\0"),
        ("kernel/net/e1000.ko", &[], "alias=pci:v00008086d*sv*sd*bc*sc*i*\0"),
    ];
    let mut order = String::new();
    for (path, needs, modinfo) in modules {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".ko").replace('-', "_");
        let content = Extents::bytes(module(&name, needs, modinfo));
        tree.file(&format!("usr/lib/modules/6.1-test/{path}"), 0o644, content);
        order.insert_str(0, &format!("{path}\n"));
    }
    for (name, text) in [
        ("modules.order", order.as_str()),
        ("modules.builtin", "kernel/drivers/virtio/virtio-pci.ko\n"),
        (
            "modules.builtin.modinfo",
            "virtio_pci.file=drivers/virtio/virtio-pci\0virtio_pci.alias=pci:v00001AF4d*\0",
        ),
    ] {
        tree.file(&format!("usr/lib/modules/6.1-test/{name}"), 0o644, Extents::bytes(text.as_bytes()));
    }
    tree
}

fn installed(list: &str) -> (Index, FileTree) {
    let tree = kernel();
    let dir = ModuleDir::find(&tree).unwrap();
    let index = Index::build(&dir).unwrap();
    let tree =
        modules::install(&dir, &index, &modules::select(&index, &parse_list(list, "list")).unwrap()).unwrap();
    (index, tree)
}

const ALL: &str = "ext4\nvirtio-net\ne1000-e\ne1000\n";

#[test]
fn the_lists_are_those_that_depmod_makes() {
    let (_, tree) = installed(ALL);
    let dir = TempDir::new().unwrap();
    unpack(&tree, dir.path());
    let lists = dir.path().join("lib/modules/6.1-test");
    let ours: Vec<(&str, Vec<u8>)> = [
        "modules.dep",
        "modules.dep.bin",
        "modules.alias.bin",
        "modules.builtin.bin",
        "modules.builtin.alias.bin",
    ]
    .map(|name| (name, fs::read(lists.join(name)).unwrap()))
    .into();
    let base = dir.path().to_str().unwrap();
    // depmod makes the builtins' aliases from this file, which the device does not need.
    fs::write(lists.join("modules.builtin.modinfo"), "virtio_pci.alias=pci:v00001AF4d*\0").unwrap();
    run(dir.path(), "depmod", &["-b", base, "6.1-test"]);
    for (name, ours) in ours {
        let theirs = fs::read(lists.join(name)).unwrap();
        assert!(ours == theirs, "{name}:\n{}\n{}", ours.escape_ascii(), theirs.escape_ascii());
    }
}

#[test]
fn modprobe_finds_all_that_it_needs_and_needs_nothing_that_we_leave_out() {
    let (index, tree) = installed(ALL);
    let dir = TempDir::new().unwrap();
    unpack(&tree, dir.path());
    for wanted in
        ["ext4", "virtio-net", "fs-ext4", "pci:v00008086d0000105Esv0sd0bc1sc0i0", "virtio:d00000001v1"]
    {
        let shown = run(
            dir.path(),
            "modprobe",
            &["-d", dir.path().to_str().unwrap(), "-S", "6.1-test", "--show-depends", wanted],
        );
        let theirs: BTreeSet<&str> = shown
            .lines()
            .filter_map(|line| line.strip_prefix("insmod ")?.trim().rsplit('/').next())
            .collect();
        assert!(!theirs.is_empty(), "{wanted}: {shown}");
        let Selection { all, .. } = modules::select(&index, &parse_list(wanted, "list")).unwrap();
        let ours: BTreeSet<&str> = all.iter().filter_map(|module| module.path.rsplit('/').next()).collect();
        assert!(ours.is_superset(&theirs), "{wanted}: {ours:?} lacks some of {theirs:?}");
    }
}

/// The layers as one tree that has been checked.
fn assembled(layers: &[Layer], options: &rootfs::Options) -> Result<FileTree, RootfsError> {
    let tree = rootfs::assemble(layers)?;
    rootfs::check(&tree, options)?;
    Ok(tree)
}

fn sample_settings() -> Settings {
    Settings {
        track: "generic".into(),
        version: "1.4.0".into(),
        build: "0123abcd".into(),
        hostname: "kiosk".into(),
        dhcp: true,
        shell: true,
        rootfs_init: None,
        numbers: None,
    }
}

/// Something that passes for the programs of an initramfs.
fn programs() -> Programs {
    let program = Arc::new(Extents::bytes(elf::program()));
    Programs { busybox: program.clone(), bootenv: program }
}

/// The tree of a whole initramfs.
fn initramfs_tree() -> FileTree {
    let (_, modules) = installed(ALL);
    let mut payload = FileTree::new();
    payload.file("run", 0o755, Extents::bytes(*b"#!/bin/sh\n"));
    payload.symlink("link", "run");
    contents::tree(&programs(), &modules, Some(&payload), &sample_settings()).unwrap()
}

#[test]
fn cpio_finds_the_same_tree_in_an_initramfs() {
    let tree = initramfs_tree();
    for (compression, program) in [(Compression::Zstd, "zstd"), (Compression::Gzip, "gzip")] {
        let dir = TempDir::new().unwrap();
        let packed = initramfs::pack(&tree, 1_700_000_000, compression).unwrap();
        fs::write(dir.path().join("initramfs"), bytes(&packed)).unwrap();
        run(dir.path(), "sh", &["-c", &format!("{program} -dc <initramfs >archive && mkdir out")]);
        let listed = run(dir.path(), "cpio", &["-t", "--quiet", "-F", "archive"]);
        let ours: Vec<&str> = tree.iter().skip(1).map(|(path, _)| path.as_str()).collect();
        assert_eq!(listed.lines().collect::<Vec<_>>(), ours);
        let devices = run(dir.path(), "cpio", &["-tvn", "--quiet", "-F", "archive", "dev/console"]);
        assert!(devices.starts_with("crw-------   1 0        0          5,   1 Nov 14  2023"), "{devices}");

        let out = dir.path().join("out");
        // Only root may make devices.
        run(
            &out,
            "cpio",
            &["-i", "-d", "-m", "--quiet", "--no-preserve-owner", "-F", "../archive", "-f", "dev/*"],
        );
        compare(&tree, &out);
    }
}

/// Checks kinds, contents, modes and links of a tree against files.
fn compare(tree: &FileTree, dir: &Path) {
    for (path, node) in tree.iter().skip(1).filter(|(path, _)| !path.as_str().starts_with("dev/")) {
        let at = dir.join(path.as_str());
        let found = fs::symlink_metadata(&at).unwrap_or_else(|error| panic!("{path}: {error}"));
        match &node.kind {
            Kind::File(content) => assert!(fs::read(&at).unwrap() == bytes(content), "{path}"),
            Kind::Symlink(target) => assert_eq!(fs::read_link(&at).unwrap(), Path::new(target), "{path}"),
            Kind::HardLink(target) => {
                assert_eq!(
                    found.ino(),
                    fs::symlink_metadata(dir.join(target.as_str())).unwrap().ino(),
                    "{path}"
                );
            }
            _ => assert!(found.is_dir(), "{path}"),
        }
        if !found.is_symlink() {
            assert_eq!(found.permissions().mode() & 0o7777, u32::from(node.meta.mode), "{path}");
        }
    }
}

#[test]
fn an_initramfs_is_the_same_twice() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let pack = || bytes(&initramfs::pack(&initramfs_tree(), 7, compression).unwrap());
        assert_eq!(pack(), pack());
    }
}

#[test]
fn busybox_and_posix_shells_can_parse_the_init_stages() {
    for (name, text) in contents::SCRIPTS {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap();
        for shell in [&["busybox", "sh"][..], &["dash"]] {
            let arguments: Vec<&str> = shell[1..].iter().copied().chain(["-n", path]).collect();
            let output = Command::new(shell[0]).args(&arguments).output();
            let output =
                output.unwrap_or_else(|error| panic!("`{}` is needed for this test: {error}", shell[0]));
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn the_slot_stage_reads_partuuids_as_sfdisk_writes_them() {
    let dir = TempDir::new().unwrap();
    let disk = dir.path().join("disk");
    for (label, id, partuuid) in [
        ("gpt", "FAC70000-1234-4567-89AB-0000000000EF", "fac70000-1234-4567-89ab-0000000000ef"),
        ("dos", "", "0a0b0c0d-02"),
    ] {
        fs::write(&disk, "").unwrap();
        fs::File::options().write(true).open(&disk).unwrap().set_len(64 << 20).unwrap();
        let second = if id.is_empty() { String::new() } else { format!(", uuid={id}") };
        let script = format!("label: {label}\nlabel-id: 0x0a0b0c0d\n\nsize=2048\nsize=2048{second}\n");
        let script = if label == "gpt" { script.replace("label-id: 0x0a0b0c0d\n", "") } else { script };
        pipe("sfdisk", &["-q", disk.to_str().unwrap()], &script);
        // The functions of the stage, over a /sys and /dev of our own.
        let sys = dir.path().join(label);
        let block = sys.join("devices/disk");
        for (name, number) in [("disk1", "1"), ("disk2", "2")] {
            fs::create_dir_all(block.join(name)).unwrap();
            fs::write(block.join(name).join("partition"), number).unwrap();
        }
        fs::create_dir_all(block.join("queue")).unwrap();
        fs::write(block.join("queue/logical_block_size"), "512\n").unwrap();
        fs::create_dir_all(sys.join("class/block")).unwrap();
        for (link, to) in [("disk", "disk"), ("disk1", "disk/disk1"), ("disk2", "disk/disk2")] {
            std::os::unix::fs::symlink(block.parent().unwrap().join(to), sys.join("class/block").join(link))
                .unwrap();
        }
        let (_, stage) = contents::SCRIPTS.iter().find(|(name, _)| name.ends_with("40-slot")).unwrap();
        let functions = stage.split("\nslot=$(booted_slot)").next().unwrap();
        let functions = functions
            .replace("/sys/", &format!("{}/", sys.display()))
            .replace("/dev/", &format!("{}/", dir.path().display()));
        let shell = |ask: &str| pipe("busybox", &["sh"], &format!("set -u\n{functions}\n{ask}\n"));
        assert_eq!(shell(&format!("with_partuuid {partuuid}")), "disk2\n", "{label}");
        assert_eq!(shell(&format!("with_partuuid {}", partuuid.to_uppercase())), "disk2\n", "{label}");
        assert_eq!(shell("with_partuuid fac70000-1234-4567-89ab-0000000000ee"), "", "{label}");
    }
}

/// Runs a program with `input` on its standard input; what it printed.
fn pipe(program: &str, arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("`{program}` is needed for this test: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A directory with most of what a file system can hold, packed by GNU tar.
fn archive(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    fs::write(root.join("usr/bin/tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("usr/bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/alias")).unwrap();
    fs::write(root.join("usr/bin").join("long".repeat(40)), "long").unwrap();
    fs::create_dir(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    run(&root, "mkfifo", &["-m", "600", "fifo"]);
    run(
        dir,
        "tar",
        &[
            "--owner=7",
            "--group=8",
            "--sort=name",
            "--mtime=@1600000000",
            "-cf",
            "root.tar",
            "-C",
            "root",
            ".",
        ],
    );
    dir.join("root.tar")
}

#[test]
fn an_archive_becomes_the_tree_that_tar_packed() {
    let dir = TempDir::new().unwrap();
    let tree = rootfs::tar::read(&archive(dir.path()), "base.tar").unwrap();
    for (path, node) in tree.iter() {
        assert_eq!((node.meta.uid, node.meta.gid, node.meta.mtime), (7, 8, Some(1_600_000_000)), "{path}");
    }
    assert!(matches!(tree.get(&TreePath::parse(b"fifo").unwrap()).unwrap().kind, Kind::Fifo));
    let mut plain = tree.clone();
    plain.remove(&TreePath::parse(b"fifo").unwrap());
    compare(&plain, &dir.path().join("root"));
    let count = run(&dir.path().join("root"), "find", &["."]).lines().count();
    assert_eq!(tree.len(), count);
}

#[test]
fn unsquashfs_finds_the_same_tree() {
    let dir = TempDir::new().unwrap();
    let mut tree = rootfs::tar::read(&archive(dir.path()), "base.tar").unwrap();
    let tool = tree.get_mut(&TreePath::parse(b"usr/bin/alias").unwrap()).unwrap();
    tool.meta.xattrs.insert("user.colour".into(), b"blue\0green".to_vec());
    let out = dir.path().join("out.squashfs");
    let first = bytes(&rootfs::squashfs::write(&tree, 1_700_000_000, &out).unwrap());
    let second = bytes(&rootfs::squashfs::write(&tree, 1_700_000_000, &out).unwrap());
    assert!(first == second, "two runs differ");
    let listed = run(dir.path(), "unsquashfs", &["-lln", "-UTC", "out.squashfs"]);
    let listed: Vec<String> =
        listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "drwxr-xr-x 0/0 60 2023-11-14 22:13 squashfs-root",
        "-rwsr-xr-x 7/8 10 2023-11-14 22:13 squashfs-root/usr/bin/tool",
        "prw------- 7/8 0 2023-11-14 22:13 squashfs-root/fifo",
    ] {
        assert!(listed.iter().any(|listed| listed == line), "{line}: {listed:#?}");
    }
    run(dir.path(), "unsquashfs", &["-q", "-n", "-user-xattrs", "-d", "unpacked", "out.squashfs"]);
    tree.remove(&TreePath::parse(b"fifo").unwrap());
    compare(&tree, &dir.path().join("unpacked"));
    let colour = xattr::get(dir.path().join("unpacked/usr/bin/alias"), "user.colour").unwrap();
    assert_eq!(colour.as_deref(), Some(&b"blue\0green"[..]));
}

#[test]
fn layers_become_one_root_file_system_that_can_start() {
    let dir = TempDir::new().unwrap();
    let base = archive(dir.path());
    let overlay = dir.path().join("overlay");
    fs::create_dir_all(overlay.join("bin")).unwrap();
    fs::create_dir_all(overlay.join("tmp")).unwrap();
    fs::write(overlay.join("bin/init"), "#!/bin/tool\n").unwrap();
    let layers = [
        Layer::Tar { path: base, name: "base.tar".into() },
        Layer::Dir { path: overlay.clone(), owner: Owner::Root },
    ];
    let options = Options { init: "/bin/init".into(), ..Options::default() };
    let error = assembled(&layers, &options).unwrap_err();
    assert!(matches!(error, RootfsError::NoInit { .. }), "a file that is not executable was taken");
    assert_eq!(
        error.to_string(),
        "the root file system has no `/bin/init` that can be started\n\nhint: add a package that ships one, such as \
         `systemd-sysv` or `busybox`, or set `rootfs.init`"
    );

    fs::set_permissions(overlay.join("bin/init"), fs::Permissions::from_mode(0o755)).unwrap();
    let tree = assembled(&layers, &options).unwrap();
    let at = |path: &str| tree.get(&TreePath::parse(path.as_bytes()).unwrap()).unwrap();
    assert!(
        matches!(at("bin").kind, Kind::Symlink(_)),
        "the directory of the second layer replaced the link"
    );
    assert_eq!(at("usr/bin/init").meta.uid, 0);
    assert_eq!(at("tmp").meta.mode, 0o1777);
}

#[test]
fn an_initramfs_is_made_from_its_parts() {
    let kernel = kernel();
    let module_dir = ModuleDir::find(&kernel).unwrap();
    let index = Index::build(&module_dir).unwrap();
    let spec = Spec {
        settings: sample_settings(),
        modules: parse_list(ALL, "list"),
        compression: Compression::default(),
        epoch: 7,
        allow: Default::default(),
    };
    let parts = Parts {
        programs: programs(),
        module_dir: &module_dir,
        index: &index,
        sources: &FileTree::new(),
        payload: None,
    };
    let packed = substrate::initramfs(&spec, &parts).unwrap();
    assert_eq!(bytes(&packed)[..4], [0x28, 0xb5, 0x2f, 0xfd]);

    let unknown = Spec { modules: parse_list("ext5", "factory.toml"), ..spec };
    let error = substrate::initramfs(&unknown, &parts).unwrap_err();
    assert_eq!(
        error.to_string(),
        "kernel 6.1-test has no module `ext5`\n  --> factory.toml:1\n\nhint: did you mean `ext4`?"
    );
}
