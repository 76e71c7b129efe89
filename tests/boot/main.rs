//! Images as a user gets them, booted in QEMU through real firmware, GRUB and kernel.
//!
//! Parts come from the archive that the host uses, through the user's store; the serial console of
//! every boot is kept in `target/boot-logs`.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::print_stdout, reason = "figures and seeds, for `--nocapture`")]

mod built;
mod command;
mod fallback;
mod flashed;
mod grub;
mod guest;
mod kills;
mod life;
mod modules;
mod pi;
mod power;
mod rootfs;
mod seed;
mod start;
mod trial;
mod vcio;
#[path = "../../bootenv/tests/support/vectors.rs"]
mod vectors;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// How long one boot may take on a slow and busy machine, in seconds. A usual one takes 5.
const PATIENCE: &str = "240";

/// Offset of the ESP, the first partition.
const ESP: &str = "1M";

/// A check that no trial passes, since one without a check is committed as soon as it is up.
const NEVER_WELL: &str = "[health]\ncheck = \"/payload/health\"\n";
const SICK: (&str, &str) = ("payload/health", "#!/bin/sh\necho sick\nexit 1\n");

/// A project in a directory of its own, with its image.
struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    /// A project with these files, of which `factory.toml` is one or missing, and scripts are executable.
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        Project { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Builds the image of the generic track.
    fn image(&self) -> Image {
        self.image_of("generic")
    }

    /// Builds the image of a track.
    fn image_of(&self, track: &str) -> Image {
        let path = self.path("disk.img");
        let project = self.dir.path().to_str().unwrap();
        factory(&["image", "--track", track, "-C", project, "-o", path.to_str().unwrap()]);
        Image { path }
    }
}

/// A disk image on its way through life.
struct Image {
    path: PathBuf,
}

impl Image {
    fn str(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// A copy of its own, holes kept.
    fn copy(&self, name: &str) -> Image {
        let path = self.path.with_file_name(name);
        tool("cp", &["--sparse=always", self.str(), path.to_str().unwrap()]);
        Image { path }
    }

    /// Boots until a line matches, and returns the report. What the system writes stays.
    fn boot(&self, until: &str) -> Value {
        self.run(&["--persist", "--until", until])
    }

    /// Boots with these arguments, and returns the report.
    fn run(&self, arguments: &[&str]) -> Value {
        let log = log_file(&self.path);
        let mut all =
            vec!["boot", self.str(), "--json", "--timeout", PATIENCE, "--log", log.to_str().unwrap()];
        all.extend(arguments);
        let output = factory(&all);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Sets variables of a grubenv on the ESP with GRUB's own tool.
    fn set_grubenv(&self, variables: &[&str]) {
        let file = self.path.with_extension("grubenv");
        self.read_esp("EFI/factory/grubenv", &file);
        tool("grub-editenv", &[&[file.to_str().unwrap(), "set"], variables].concat());
        self.write_esp(&file, "EFI/factory/grubenv");
    }

    /// GRUB's own view of the state.
    fn grubenv(&self) -> String {
        let file = self.path.with_extension("grubenv");
        self.read_esp("EFI/factory/grubenv", &file);
        String::from_utf8(tool("grub-editenv", &[file.to_str().unwrap(), "list"]).stdout).unwrap()
    }

    fn read_esp(&self, name: &str, into: &Path) {
        let esp = format!("{}@@{ESP}", self.str());
        tool("mcopy", &["-n", "-o", "-i", &esp, &format!("::{name}"), into.to_str().unwrap()]);
    }

    fn write_esp(&self, from: &Path, name: &str) {
        let esp = format!("{}@@{ESP}", self.str());
        tool("mcopy", &["-o", "-i", &esp, from.to_str().unwrap(), &format!("::{name}")]);
    }

    /// Changes the file system of a partition with debugfs.
    fn debugfs(&self, partition: usize, request: &str) {
        let device = format!("{}?offset={}", self.str(), self.start(partition));
        tool("debugfs", &["-w", "-R", request, &device]);
    }

    /// Offset of a partition in bytes.
    fn start(&self, partition: usize) -> u64 {
        let table = tool("sfdisk", &["--json", self.str()]);
        let table: Value = serde_json::from_slice(&table.stdout).unwrap();
        table["partitiontable"]["partitions"][partition - 1]["start"].as_u64().unwrap() * 512
    }
}

/// The marker that init printed in the last boot of a report.
fn marker(report: &Value) -> &Value {
    &report["boots"].as_array().unwrap().last().unwrap()["marker"]
}

/// What the machine of a report printed.
fn console(report: &Value) -> String {
    let log = fs::read(report["log"].as_str().unwrap()).unwrap();
    String::from_utf8_lossy(&log).into_owned()
}

/// Runs `factory`, which must succeed.
fn factory(arguments: &[&str]) -> Output {
    tool(env!("CARGO_BIN_EXE_factory"), arguments)
}

/// Runs a program, which must be there and succeed.
fn tool(program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let output =
        Command::new(program).args(arguments).env("PATH", path).env("MTOOLS_SKIP_CHECK", "1").output();
    let output =
        output.unwrap_or_else(|error| panic!("`{program}` does not start ({error}); run .ci/setup --tests"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} ended with {}:\n{said}", output.status);
    output
}

/// A new file in `target/boot-logs` for the console of one boot.
fn log_file(image: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot-logs");
    fs::create_dir_all(&dir).unwrap();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = image.file_stem().unwrap().to_string_lossy().into_owned();
    let test = std::thread::current().name().unwrap_or("boot").replace("::", "-");
    dir.join(format!("{test}-{number:02}-{name}.log"))
}
