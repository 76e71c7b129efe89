//! A machine for the command line: a project, a store and an archive, and nothing of the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use factory::board;

use super::archive::{Archive, public};
use super::packages::{Member, deb, deb_of, tar_of, xz};
use super::{boot_files, elf, programs, server::Server, tools};

/// Release of the machine's kernel.
pub const RELEASE: &str = "9.9-arm64";
/// The package that its kernel is in.
pub const KERNEL: &str = "linux-image-9.9-arm64";
/// Where the archive's prebuilt GRUB is in its package.
pub const GRUB: &str = "usr/lib/grub/arm64-efi/monolithic/grubaa64.efi";
/// Modules that every image must have; one is part of the kernel.
const MODULES: [&str; 8] =
    ["overlay", "loop", "squashfs", "vfat", "nls_cp437", "nls_ascii", "virtio_blk", "virtio_net"];

/// Everything that one run of `factory` sees, in a directory of its own.
pub struct Machine {
    pub archive: Archive,
    dir: tempfile::TempDir,
}

impl Machine {
    /// A machine whose archive has all that an image of the default project needs.
    pub fn new() -> Self {
        let machine = Machine { archive: archive(), dir: scratch() };
        for dir in ["project", "tmp", "home"] {
            fs::create_dir(machine.path(dir)).unwrap();
        }
        fs::write(machine.path("keyring.gpg"), public(&machine.archive.key)).unwrap();
        machine
    }

    /// One with a project file.
    pub fn with(project_file: &str) -> Self {
        let machine = Machine::new();
        machine.write("factory.toml", project_file);
        machine
    }

    /// A path of the machine.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path of the project.
    pub fn project(&self, name: &str) -> PathBuf {
        self.path("project").join(name)
    }

    /// Puts a file into the project.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.project(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// `factory` with these arguments, in the project, to be started.
    pub fn factory(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
        command.args(arguments);
        self.surround(&mut command);
        command
    }

    /// The same as a user who owns nothing but this machine, and whom permissions hold back, with
    /// an unusual umask. Who is not root has to be that user.
    pub fn factory_as_nobody(&self) -> Command {
        // The directory of the build may be closed to others.
        let program = self.path("factory");
        // A copy made here would be open for writing in what other tests start meanwhile.
        tools::run("cp", [env!("CARGO_BIN_EXE_factory").as_ref(), program.as_path()]);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 077 && exec \"$@\"", "sh"]);
        if rustix::process::geteuid().is_root() {
            tools::run("chown", ["-R", "65534:65534", self.path("").to_str().unwrap()]);
            command.args(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        }
        command.arg(program);
        self.surround(&mut command);
        command
    }

    /// Puts a program into the machine's surroundings.
    pub fn surround(&self, command: &mut Command) {
        command
            .current_dir(self.path("project"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("FACTORY_STORE", self.path("store"))
            .env("FACTORY_DEBIAN_MIRROR", self.archive.mirror())
            .env("FACTORY_DEBIAN_KEYRING", self.path("keyring.gpg"))
            .env("FACTORY_DEBIAN_CHECK_VALID_UNTIL", "no")
            .env("FACTORY_HTTP_TRIES", "1")
            .env("FACTORY_HTTP_TIMEOUT", "0.5")
            .stdin(Stdio::null());
    }

    /// Runs `factory`, which must succeed; what it prints.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.factory(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "factory {arguments:?} ended with {}:\n{said}", output.status);
        output
    }

    /// Makes the image of the project.
    pub fn image(&self) -> PathBuf {
        self.image_of("generic")
    }

    /// Makes the project's image for a track.
    pub fn image_of(&self, track: &str) -> PathBuf {
        self.run(&["image", "--track", track, "-o", "disk.img"]);
        self.project("disk.img")
    }

    /// `text` without what differs from one test run to the next.
    pub fn without_places(&self, text: &str) -> String {
        let dir = self.dir.path().to_str().unwrap();
        text.replace(dir, "/MACHINE").replace(&self.archive.server.url, "http://HOST")
    }

    /// All that is in the project and among temporary files, with contents.
    pub fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for top in ["project", "tmp"] {
            list(&self.path(top), &mut files);
        }
        files.sort();
        files
    }

    pub fn server(&self) -> &Server {
        &self.archive.server
    }
}

/// A temporary directory, in memory where there is plenty: stores sync what they keep.
fn scratch() -> tempfile::TempDir {
    let memory = rustix::fs::statvfs("/dev/shm").is_ok_and(|fs| fs.f_bavail * fs.f_bsize > 4 << 30);
    if memory { tempfile::tempdir_in("/dev/shm") } else { tempfile::tempdir() }.unwrap()
}

fn list(path: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let metadata = path.symlink_metadata().unwrap();
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            list(&entry.unwrap().path(), files);
        }
    }
    // Contents of large files are holes, so their length tells as much.
    let small = metadata.is_file() && metadata.len() < 1 << 20;
    let content = if small { fs::read(path).unwrap() } else { metadata.len().to_le_bytes().to_vec() };
    files.push((path.to_owned(), content));
}

/// Boards whose device trees the kernel has.
const BOARDS: [&str; 4] = ["rpi3", "rpi4", "cm4", "rpi5"];

/// An archive with the packages of the default project of each track.
fn archive() -> Archive {
    let mut archive = Archive::new();
    archive.add("linux-image-arm64", "9.9-1", &format!("Depends: {KERNEL} (= 9.9-1)"), b"a metapackage");
    archive.add(KERNEL, "9.9-1", "", &deb_of(&control(KERNEL), &xz(&tar_of(&kernel()))));
    archive.add("busybox-static", "1:1.37-1", "", &deb(&[("./usr/bin/busybox", &elf::program())]));
    archive.add("grub-efi-arm64-unsigned", "2.12-9", "", &deb(&[(GRUB, &programs::program(2000))]));
    archive.publish();
    add_split_kernel(archive.beside("trixie-backports", "main"), &device_trees());
    add_firmware(archive.beside("forky", "non-free-firmware"), &boot_files::start4("Feb 11 2026"));
    archive
}

/// The same kernel in pieces, with device trees.
pub fn add_split_kernel(mut suite: Archive, device_trees: &[Member]) {
    let version = "10.0-1~bpo13+1";
    let (image, base, modules) =
        ("linux-image-10.0-arm64", "linux-base-10.0-arm64", "linux-modules-10.0-arm64");
    let pieces = format!("Depends: {base} (= {version}), {modules} (= {version}), linux-base (>= 4)");
    suite.add("linux-image-arm64", version, &format!("Depends: {image} (= {version})"), b"a metapackage");
    suite.add(image, version, &pieces, &deb_of(&control(image), &xz(&tar_of(&[]))));
    suite.add(modules, version, "", &deb_of(&control(modules), &xz(&tar_of(&kernel()))));
    suite.add(base, version, "", &deb_of(&control(base), &xz(&tar_of(device_trees))));
    // The kernel has `/dev/vcio` of its own, so nobody looks into its headers.
    suite.add("linux-headers-arm64", version, "", &deb(&[("./usr/share/doc/headers", b"empty")]));
    suite.publish();
}

/// The device trees of all boards that the kernel serves.
pub fn device_trees() -> Vec<Member> {
    let boards = BOARDS.into_iter().map(|name| board::find(name).unwrap());
    let trees = boards.flat_map(|board| board.dtb.iter().map(move |tree| (board, tree)));
    trees
        .map(|(board, tree)| {
            let bytes = boot_files::device_tree(&board.compatible, &board.chip.compatible());
            device_tree(&tree.from[0], &bytes)
        })
        .collect()
}

/// A file where the kernel's package has its device trees.
pub fn device_tree(name: &str, bytes: &[u8]) -> Member {
    Member::file(format!("./usr/lib/modules/{RELEASE}/dtb/broadcom/{name}"), bytes)
}

/// The firmware of the boards.
pub fn add_firmware(mut suite: Archive, start4: &[u8]) {
    let files = [
        ("./usr/lib/raspi-firmware/start4.elf", start4),
        ("./usr/lib/raspi-firmware/fixup4.dat", &[3; 2000]),
        ("./usr/lib/raspi-firmware/overlays/pi4-spidev.dtbo", &*boot_files::overlay()),
        ("./usr/share/doc/raspi-firmware/copyright", b"may be used with a Raspberry Pi"),
    ];
    suite.add("raspi-firmware", "1.20260408", "", &deb(&files));
    suite.publish();
}

/// The control file of a package.
pub fn control(package: &str) -> String {
    format!("Package: {package}\nVersion: 1\nArchitecture: arm64\nDescription: a test\n")
}

/// The kernel's package: an image, and modules that say what they need.
pub fn kernel() -> Vec<Member> {
    let dir = format!("./usr/lib/modules/{RELEASE}");
    let mut members = vec![
        Member::file(format!("./boot/vmlinuz-{RELEASE}"), programs::kernel(RELEASE)),
        Member::file(
            format!("{dir}/modules.builtin"),
            b"kernel/fs/ext4/ext4.ko\nkernel/drivers/char/broadcom/vcio.ko\n",
        ),
    ];
    for name in MODULES {
        let needs = if name == "vfat" { "fat" } else { "" };
        members.push(module(name, &format!("name={name}\0depends={needs}\0")));
    }
    members.push(module("fat", "name=fat\0depends=\0"));
    members
}

/// A module of the kernel's package.
pub fn module(name: &str, modinfo: &str) -> Member {
    let path = format!("./usr/lib/modules/{RELEASE}/kernel/{name}.ko");
    Member::file(path, elf::module(modinfo.as_bytes()))
}
