//! A root file system from all three kinds of layers, with all that makes one hard to copy.

use std::os::unix::fs::PermissionsExt as _;
use std::{fs, path::PathBuf};

use factory::digest::Sha256;

use super::disk::{Disk, text};
use super::support::elf;
use super::support::machine::{Machine, control};
use super::support::packages::{Member, deb_of, tar_of, xz, zstd};
use super::support::tools::{print, run};

/// `cap_net_raw=ep`, as `setcap` stores it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn base() -> Vec<Member> {
    vec![
        Member::dir("usr"),
        Member::dir("usr/bin"),
        Member::symlink("bin", "usr/bin"),
        Member::program("bin/su", elf::program()).mode(0o4755),
        Member::program("usr/bin/ping", elf::program())
            .record("SCHILY.xattr.security.capability", &CAPABILITY),
        Member::hard_link("usr/bin/ping6", "usr/bin/ping"),
        Member::program("usr/sbin/init", elf::program()),
        Member::symlink("sbin", "usr/sbin"),
        Member::dir("home/user").owner(1000, 1000).mode(0o2750),
        Member::file("home/user/old", "old").owner(1000, 100_000).mode(0o600).mtime(1_000_000_000),
        Member::file("home/user/tagged", "x").record("SCHILY.xattr.user.note", b"hello"),
        Member::dir("tmp").mode(0o1777),
        Member::char_device("dev/null", 1, 3).mode(0o666),
        Member::file("etc/motd", "from the archive"),
        Member::file("Ünïcödé", "x"),
    ]
}

/// A project with a tar, then packages, then a directory.
fn project() -> Machine {
    let layers = ["tar = \"base.tar.zst\"", "packages = [\"app\"]", "dir = \"overlay\""];
    let layers: String = layers.iter().map(|layer| format!("[[rootfs.layer]]\n{layer}\n")).collect();
    let mut machine = Machine::with(&layers);
    machine.write("base.tar.zst", zstd(&tar_of(&base())));
    for (name, depends) in [("app", "Depends: libapp\n"), ("libapp", "")] {
        let files = [Member::program(format!("./usr/bin/{name}"), elf::program())];
        let package = deb_of(&(control(name) + depends), &xz(&tar_of(&files)));
        machine.archive.add(name, "1", depends.trim_end(), &package);
    }
    machine.archive.publish();
    machine.write("overlay/etc/motd", "from the directory");
    machine.write("overlay/bin/run", "#!/bin/su\n");
    fs::set_permissions(machine.project("overlay/bin/run"), fs::Permissions::from_mode(0o750)).unwrap();
    machine
}

/// The `rootfs.ext4` of slot A.
fn rootfs(machine: &Machine) -> (Disk, PathBuf) {
    let disk = Disk::of(machine);
    let rootfs = disk.dump("system-a", "rootfs.ext4");
    (disk, rootfs)
}

#[test]
fn a_root_file_system_of_all_layers_keeps_what_they_hold() {
    let (disk, rootfs) = rootfs(&project());
    run("e2fsck", ["-f", "-n", text(&rootfs)]);
    let shows = |path: &str, wanted: &[&str]| {
        let stat = print("debugfs", ["-R", &format!("stat {path}"), text(&rootfs)]);
        let stat = stat.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in wanted {
            assert!(stat.contains(part), "{path}: no `{part}` in {stat}");
        }
    };
    shows("/usr/bin/su", &["Type: regular Mode: 04755", "User: 0 Group: 0"]);
    shows("/bin", &["Type: symlink", "\"usr/bin\""]);
    shows("/usr/bin/ping6", &["Links: 2"]);
    shows("/home/user", &["Mode: 02750", "User: 1000 Group: 1000"]);
    shows("/home/user/old", &["Mode: 0600", "User: 1000 Group: 100000", "mtime: 0x3b9aca00"]);
    shows("/tmp", &["Mode: 01777"]);
    shows("/dev/null", &["Type: character special", "Device major/minor number: 01:03"]);
    shows("/usr/bin/run", &["Mode: 0750", "User: 0 Group: 0"]);
    shows("/usr/bin/app", &["Mode: 0755"]);
    shows("/Ünïcödé", &["Type: regular"]);
    let inodes = ["ping", "ping6"].map(|name| {
        let stat = print("debugfs", ["-R", &format!("stat /usr/bin/{name}"), text(&rootfs)]);
        stat.split_whitespace().nth(1).unwrap().to_owned()
    });
    assert_eq!(inodes[0], inodes[1]);
    let attributes = |path: &str| print("debugfs", ["-R", &format!("ea_list {path}"), text(&rootfs)]);
    let ping = attributes("/usr/bin/ping");
    assert!(ping.contains("security.capability (20) = 01 00 00 02 00 20"), "{ping}");
    let tagged = attributes("/home/user/tagged");
    assert!(tagged.contains("user.note (5) = \"hello\""), "{tagged}");
    let read = |path: &str| {
        let out = disk.scratch("file");
        run("debugfs", ["-R", &format!("dump {path} {}", text(&out)), text(&rootfs)]);
        fs::read(out).unwrap()
    };
    assert_eq!(read("/etc/motd"), b"from the directory", "later layers replace earlier ones");
    assert_eq!(read("/usr/bin/ping"), elf::program());
    let status = String::from_utf8(read("/var/lib/dpkg/status")).unwrap();
    for package in ["app", "libapp"] {
        assert!(status.contains(&format!("Package: {package}\nStatus: install ok unpacked\n")), "{status}");
    }
}

#[test]
fn a_layer_from_the_web_is_pinned_and_then_needs_no_web() {
    let archive = xz(&tar_of(&base()));
    let sha256 = Sha256::of(&archive);
    let machine = Machine::new();
    machine.server().file("/base.tar.xz", archive);
    let url = format!("{}/base.tar.xz", machine.server().url);
    machine.write("factory.toml", format!("[[rootfs.layer]]\ntar = \"{url}\"\nsha256 = \"{sha256}\"\n"));
    let (_disk, rootfs) = rootfs(&machine);
    assert!(print("debugfs", ["-R", "cat /etc/motd", text(&rootfs)]).contains("from the archive"));
    assert!(fs::read_to_string(machine.project("factory.lock")).unwrap().contains(&url));
    machine.server().clear();
    machine.image();
}

#[test]
fn every_time_is_that_of_the_build_or_one_from_before() {
    let machine = project();
    let late = Member::file("late", "x").mtime(4_000_000_000);
    machine.write("base.tar.zst", zstd(&tar_of(&[base(), vec![late]].concat())));
    let (disk, rootfs) = rootfs(&machine);
    let epoch = disk.manifest["epoch"].as_u64().unwrap();
    assert_eq!(epoch, 1_763_200_841, "when the archive was published");
    for path in ["/late", "/etc/motd", "/usr/bin/run", "/usr/bin/app", "/"] {
        let stat = print("debugfs", ["-R", &format!("stat {path}"), text(&rootfs)]);
        let times = stat.lines().filter_map(|line| line.split_once("time: 0x"));
        for (which, rest) in times {
            let time = u64::from_str_radix(&rest[..8], 16).unwrap();
            assert!(time <= epoch, "{path} {which}time {time}");
        }
    }
}

#[test]
fn a_squashfs_holds_the_same_files() {
    let machine = project();
    let file = fs::read_to_string(machine.project("factory.toml")).unwrap();
    machine.write("factory.toml", format!("[rootfs]\nformat = \"squashfs\"\n{file}"));
    let disk = Disk::of(&machine);
    let rootfs = disk.dump("system-b", "rootfs.squashfs");
    let list = print("unsquashfs", ["-lln", "-d", "", text(&rootfs)]);
    for row in
        ["-rwsr-xr-x 0/0", "drwxrwxrwt 0/0", "-rw------- 1000/100000", "lrwxrwxrwx 0/0", "crw-rw-rw- 0/0"]
    {
        assert!(list.lines().any(|line| line.starts_with(row)), "no `{row}` in\n{list}");
    }
    assert!(list.contains("/usr/bin/app") && list.contains("/Ünïcödé"), "{list}");
}
