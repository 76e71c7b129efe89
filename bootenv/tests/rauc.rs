//! The real RAUC, with `bootenv` as its boot loader backend.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bootenv::{How, Slot};
use support::GenericMachine;

const BOOTENV: &str = env!("CARGO_BIN_EXE_bootenv");
const PATIENCE: Duration = Duration::from_secs(60);

/// A bus of nobody else's.
const BUS: &str = "<busconfig><listen>unix:dir=DIR</listen><auth>EXTERNAL</auth><policy context='default'>\
    <allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/></policy></busconfig>";

/// Where the README's configuration has its files, and the tests have theirs.
const PLACES: [(&str, &str); 6] = [
    ("/run/factory/mnt/data/rauc.status", "DIR/rauc.status"),
    ("/run/rauc", "DIR/mnt"),
    ("/etc/rauc/keyring.pem", "DIR/cert.pem"),
    ("/etc/rauc/bootenv", "DIR/backend"),
    ("/dev/disk/by-partlabel/system-a", "DIR/a.img"),
    ("/dev/disk/by-partlabel/system-b", "DIR/b.img"),
];

fn configuration() -> String {
    let (_, text) = include_str!("../README.md").split_once("```ini\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    PLACES.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// A process that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A machine with RAUC.
struct Rauc {
    dir: tempfile::TempDir,
    machine: GenericMachine,
    address: String,
    service: Option<Daemon>,
    _bus: Daemon,
}

impl Rauc {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = GenericMachine::new();
        let here = dir.path().to_str().unwrap();
        for (name, text) in [("bus.conf", BUS.to_owned()), ("system.conf", configuration())] {
            fs::write(dir.path().join(name), text.replace("DIR", here)).unwrap();
        }
        for (name, byte) in [("a.img", b'a'), ("b.img", b'b')] {
            fs::write(dir.path().join(name), vec![byte; 65536]).unwrap();
        }
        let backend = format!(
            "#!/bin/sh\necho \"$*\" >>{here}/asked\nexec {BOOTENV} --root {} rauc \"$@\"\n",
            machine.root().display()
        );
        fs::write(dir.path().join("backend"), backend).unwrap();
        succeeds(Command::new("chmod").arg("755").arg(dir.path().join("backend")));
        let mut bus = Command::new("dbus-daemon");
        bus.arg(format!("--config-file={here}/bus.conf")).args([
            "--nofork",
            "--nopidfile",
            "--print-address",
        ]);
        let log = fs::File::create(dir.path().join("bus.log")).unwrap();
        let mut bus = Daemon(start(bus.stdout(Stdio::piped()).stderr(log)));
        let mut address = String::new();
        BufReader::new(bus.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Rauc { dir, machine, address: address.trim().to_owned(), service: None, _bus: bus }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn rauc(&self, words: &[&str]) -> Command {
        let mut rauc = Command::new("rauc");
        rauc.arg("-c").arg(self.path("system.conf")).args(words);
        rauc.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        rauc
    }

    /// The machine starts, and with it RAUC's service, which is told the slot as the README has it.
    fn started(&mut self) {
        self.service = None;
        let current = ["--root", self.machine.root().to_str().unwrap(), "rauc", "get-current"];
        let slot = succeeds(Command::new(BOOTENV).args(current));
        let option = format!("--override-boot-slot={}", slot.trim());
        let log = fs::File::create(self.path("service.log")).unwrap();
        let mut service = self.rauc(&["service", &option]);
        self.service = Some(Daemon(start(service.stderr(log.try_clone().unwrap()).stdout(log))));
        let until = Instant::now() + PATIENCE;
        while !self.rauc(&["status"]).output().unwrap().status.success() {
            assert!(Instant::now() < until, "the service does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = fs::remove_file(self.path("asked"));
    }

    fn restart(&mut self) {
        self.machine.restart();
        self.started();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("service.log")).unwrap_or_default()
    }

    /// What RAUC has told its backend since it was looked last.
    fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("asked")).unwrap_or_default();
        let _ = fs::remove_file(self.path("asked"));
        text.lines().filter(|line| line.starts_with("set-")).map(str::to_owned).collect()
    }

    fn does(&self, words: &[&str]) {
        let output = self.rauc(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "rauc {words:?}: {said}\n{}", self.log());
    }

    fn refuses(&self, words: &[&str]) {
        assert!(!self.rauc(words).output().unwrap().status.success(), "rauc {words:?}");
    }

    /// Slot that runs, slot that is next, and what is said of each slot.
    fn status(&self) -> [String; 4] {
        let shown = succeeds(&mut self.rauc(&["status", "--output-format=shell"]));
        let value = |name: &str| {
            let line = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_else(|| panic!("no {name} in {shown}")).trim_matches('\'').to_owned()
        };
        let first = if value("RAUC_SLOT_BOOTNAME_1") == "a" { (1, 2) } else { (2, 1) };
        let state = |index: usize| value(&format!("RAUC_SLOT_BOOT_STATUS_{index}"));
        [value("RAUC_SYSTEM_BOOTED_BOOTNAME"), value("RAUC_BOOT_PRIMARY"), state(first.0), state(first.1)]
    }

    /// An update, signed by a key that this machine trusts.
    fn bundle(&self) -> String {
        let (key, cert) = (self.path("key.pem"), self.path("cert.pem"));
        let (key, cert) = (key.to_str().unwrap(), cert.to_str().unwrap());
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"];
        succeeds(Command::new("openssl").args(request).args(["-keyout", key, "-out", cert]));
        let content = self.path("content");
        fs::create_dir(&content).unwrap();
        fs::write(content.join("system.img"), vec![b'n'; 40_000]).unwrap();
        let manifest = "[update]\ncompatible=machine\nversion=2\n\n[image.system]\nfilename=system.img\n";
        fs::write(content.join("manifest.raucm"), manifest).unwrap();
        let bundle = self.path("update.raucb");
        let mut make = Command::new("rauc");
        make.arg("bundle").arg(format!("--cert={cert}")).arg(format!("--key={key}"));
        succeeds(make.arg(content).arg(&bundle).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"));
        bundle.to_str().unwrap().to_owned()
    }
}

fn start(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| panic!("{command:?} ({error}); run .ci/setup --tests"))
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} ({error}); run .ci/setup --tests"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How a slot is written.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `rauc install`, which mounts a bundle.
    Install,
    /// The same calls of the backend, one by one, by those who may not mount.
    ByHand,
}

fn ways() -> Vec<Way> {
    let root = succeeds(Command::new("id").arg("-u")).trim() == "0";
    if root { vec![Way::Install, Way::ByHand] } else { vec![Way::ByHand] }
}

impl Rauc {
    /// Updates the slot that does not run.
    fn update(&self, bundle: &str, way: Way) -> bool {
        let content = self.path("content/system.img");
        let other = if self.status()[0] == "a" { "system.1" } else { "system.0" };
        self.told();
        let write = ["write-slot", other, content.to_str().unwrap()];
        let steps: &[&[&str]] = match way {
            Way::Install => &[&["install", bundle]],
            Way::ByHand => &[&["status", "mark-bad", "other"], &write, &["status", "mark-active", "other"]],
        };
        steps.iter().all(|step| self.rauc(step).output().unwrap().status.success())
    }
}

#[test]
fn rauc_stages_writes_tries_and_commits() {
    for way in ways() {
        let mut rauc = Rauc::new();
        let bundle = rauc.bundle();
        rauc.started();
        assert_eq!(rauc.status(), ["a", "system.0", "good", "bad"]);
        assert!(rauc.update(&bundle, way), "{way:?}: {}", rauc.log());
        assert_eq!(rauc.told(), ["set-state b bad", "set-primary b"], "{way:?}");
        assert_eq!(fs::read(rauc.path("b.img")).unwrap()[39_999..=40_000], *b"nb");
        assert_eq!(rauc.status(), ["a", "system.1", "good", "good"]);
        // Whoever says again that the old system is well takes nothing back.
        rauc.does(&["status", "mark-good"]);
        assert_eq!(rauc.status(), ["a", "system.1", "good", "good"]);

        rauc.restart();
        assert_eq!(rauc.status(), ["b", "system.1", "good", "good"]);
        assert!(!rauc.update(&bundle, way), "{way:?}: the way back must not be written");
        assert_eq!(fs::read(rauc.path("a.img")).unwrap(), vec![b'a'; 65536]);
        rauc.told();
        rauc.does(&["status", "mark-good"]);
        assert_eq!(rauc.told(), ["set-state b good"]);
        rauc.restart();
        assert_eq!(rauc.status(), ["b", "system.1", "bad", "good"]);
        assert_eq!(rauc.machine.command_line(), (Slot::B, How::Committed));
    }
}

#[test]
fn a_slot_that_does_not_come_up_is_left() {
    let mut rauc = Rauc::new();
    let bundle = rauc.bundle();
    rauc.started();
    assert!(rauc.update(&bundle, Way::ByHand));
    for trial in 1..=3 {
        rauc.machine.restart();
        assert_eq!(rauc.machine.command_line(), (Slot::B, How::Trial), "{trial}");
    }
    rauc.restart();
    assert_eq!(rauc.status(), ["a", "system.0", "good", "bad"]);

    // It says itself that it is not well.
    assert!(rauc.update(&bundle, Way::ByHand));
    rauc.restart();
    rauc.does(&["status", "mark-bad"]);
    assert_eq!(rauc.status()[1], "system.0");
    rauc.restart();
    assert_eq!(rauc.status(), ["a", "system.0", "good", "bad"]);
}

#[test]
fn the_slot_that_runs_can_be_chosen_and_not_condemned() {
    let mut rauc = Rauc::new();
    let bundle = rauc.bundle();
    rauc.started();
    rauc.refuses(&["status", "mark-bad"]);
    for taken_back in [["status", "mark-active", "booted"], ["status", "mark-bad", "other"]] {
        assert!(rauc.update(&bundle, Way::ByHand));
        assert_eq!(rauc.status(), ["a", "system.1", "good", "good"]);
        rauc.does(&taken_back);
        assert_eq!(rauc.status(), ["a", "system.0", "good", "bad"]);
    }
    assert!(rauc.update(&bundle, Way::ByHand));
    rauc.restart();
    rauc.does(&["status", "mark-active", "booted"]);
    rauc.restart();
    assert_eq!(rauc.machine.command_line(), (Slot::B, How::Committed));
}
