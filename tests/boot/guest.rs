//! A machine that a test sits at: it types commands, reads what they print, and cuts the power.
//!
//! ```text
//!   test --keys--> pseudo-terminal --> factory boot --persist --> QEMU
//!        <--------- console ---------- its standard output <------'
//! ```
//! That is what a person has in front of them, and the same on both tracks. The image needs the root
//! shell of a usual project.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use factory::emulate::timeline::Marker;
use regex::{Captures, Regex};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Image, Project, log_file};

/// How long anything may take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Takes lines without echo and says how each one ended. The kernel keeps silent meanwhile.
const READER: &str = "dmesg -n 1; stty -echo; exec sh -c \
    'while IFS= read -r line; do eval \"$line\" </dev/null; echo \"@@ $?\"; done'";

/// A running machine. It is switched off when this is dropped.
pub(super) struct Guest {
    factory: Child,
    keys: File,
    console: Receiver<Vec<u8>>,
    log: File,
    /// What was said and not looked at yet.
    unread: String,
    /// The last of what was looked at, for messages.
    read: String,
    is_shell: bool,
}

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) code: i32,
    /// Both of its outputs, without the last line break.
    pub(super) said: String,
}

impl Guest {
    /// Switches the machine on.
    pub(super) fn start(image: &Image) -> Guest {
        Guest::start_with(image, &[])
    }

    /// The same with more arguments for QEMU.
    pub(super) fn start_with(image: &Image, qemu: &[&str]) -> Guest {
        let (keys, terminal) = pseudo_terminal();
        let mut factory = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(["boot", image.str(), "--persist", "--"])
            .args(qemu)
            .stdin(terminal)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let console = listen(factory.stdout.take().unwrap());
        let log = File::create(log_file(&image.path)).unwrap();
        let (unread, read) = (String::new(), String::new());
        Guest { factory, keys, console, log, unread, read, is_shell: false }
    }

    /// Waits until the system is up, and returns what it says then.
    pub(super) fn up(&mut self) -> Marker {
        self.is_shell = false;
        let line = self.expect(r"factory: up [^\r\n]*[\r\n]");
        Marker::parse(&line[0]).unwrap()
    }

    /// Runs a command line in the root shell, which must succeed, and returns what it prints.
    pub(super) fn run(&mut self, command: &str) -> String {
        let done = self.try_run(command);
        assert_eq!(done.code, 0, "`{command}` says: {}", done.said);
        done.said
    }

    /// Runs a command line, whatever it does.
    pub(super) fn try_run(&mut self, command: &str) -> Done {
        if !self.is_shell {
            // The shell may ask where the cursor is, which no terminal here answers.
            self.expect(r"# (\x1b\[6n)?$");
            self.send(READER);
            self.send("true");
            self.expect(r"@@ 0\r\n");
            self.is_shell = true;
        }
        self.send(command);
        let found = self.expect(r"(?s)\A(.*?)\r?\n?@@ (\d+)\r\n");
        Done { code: found[2].parse().unwrap(), said: found[1].replace("\r\n", "\n") }
    }

    /// Restarts the system in order, and waits until it is up again.
    pub(super) fn restart(&mut self) -> Marker {
        self.run("true");
        self.send("reboot");
        self.up()
    }

    /// Types a line.
    pub(super) fn send(&mut self, line: &str) {
        assert!(line.len() < 4000, "longer than a terminal takes");
        self.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits until the console says this, and returns it. What it said before is passed over.
    pub(super) fn expect(&mut self, pattern: &str) -> Vec<String> {
        let pattern = Regex::new(pattern).unwrap();
        let texts = |found: Captures| {
            let end = found.get(0).map_or(0, |all| all.end());
            let groups = found.iter().map(|group| group.map_or("", |group| group.as_str()).to_owned());
            (end, groups.collect())
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((end, groups)) = pattern.captures(&self.unread).map(texts) {
                self.read = self.unread.drain(..end).collect();
                return groups;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.console.recv_timeout(left) else { self.complain(&pattern) };
            self.log.write_all(&bytes).unwrap();
            self.unread.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn complain(&mut self, pattern: &Regex) -> ! {
        let mut stderr = String::new();
        if self.factory.try_wait().unwrap().is_some() {
            self.factory.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        }
        panic!("no `{pattern}` in {:?}, after {:?}\n{stderr}", tail(&self.unread), tail(&self.read));
    }

    /// Whatever the console has said up to now and nobody looked at.
    pub(super) fn unread(&mut self) -> &str {
        while let Ok(bytes) = self.console.try_recv() {
            self.log.write_all(&bytes).unwrap();
            self.unread.push_str(&String::from_utf8_lossy(&bytes));
        }
        &self.unread
    }

    /// Cuts the power: QEMU is killed, and nobody writes anything back. Returns what the console still
    /// said.
    pub(super) fn cut_power(mut self) -> String {
        let qemu = self.qemu();
        kill_process(qemu, Signal::KILL).unwrap();
        // It notices, tidies up after itself, and fails.
        assert!(!self.factory.wait().unwrap().success());
        self.unread().to_owned()
    }

    /// The process id of the machine, which is the one child of `factory`.
    fn qemu(&self) -> Pid {
        let parent = self.factory.id().to_string();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let mut processes = fs::read_dir("/proc").unwrap();
            let child = processes.find_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                let stat = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
                // proc(5): `pid (name) state ppid`; the name may hold anything.
                let (_, fields) = stat.rsplit_once(") ")?;
                (fields.split(' ').nth(1)? == parent).then(|| name.parse().ok())?
            });
            if let Some(child) = child {
                return Pid::from_raw(child).unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("`factory boot` has no QEMU");
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // On SIGTERM it ends the machine and puts the image right.
        if let Ok(None) = self.factory.try_wait() {
            let factory = Pid::from_raw(self.factory.id().cast_signed()).unwrap();
            let _ = kill_process(factory, Signal::TERM);
            let _ = self.factory.wait();
        }
    }
}

/// Its last lines.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// Both ends of a new terminal.
fn pseudo_terminal() -> (File, File) {
    let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keys).unwrap();
    unlockpt(&keys).unwrap();
    let name = ptsname(&keys, Vec::new()).unwrap().into_string().unwrap();
    (File::from(keys), File::options().read(true).write(true).open(name).unwrap())
}

/// Reads on a thread, which ends with the program.
fn listen(mut output: impl std::io::Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The helper itself, with all that it can do.
fn drive(track: &str) {
    let image = Project::new(&[]);
    let image = image.image_of(track);
    let length = fs::metadata(&image.path).unwrap().len();
    let mut guest = Guest::start(&image);
    assert_eq!(guest.up().track, track);
    assert_eq!(guest.run("cat /run/factory/slot"), "a");
    let done = guest.try_run("echo two; echo lines; (exit 7)");
    assert_eq!(done, Done { code: 7, said: "two\nlines".to_owned() });
    guest.run("echo kept >/data/kept && sync");
    guest.restart();
    assert_eq!(guest.run("cat /data/kept"), "kept");
    guest.cut_power();
    let mut guest = Guest::start(&image);
    guest.up();
    assert_eq!(guest.run("cat /data/kept"), "kept");
    drop(guest);
    assert_eq!(fs::metadata(&image.path).unwrap().len(), length);
}

#[test]
fn a_uefi_machine_is_driven_restarted_and_cut_off() {
    drive("generic");
}

#[test]
fn a_raspberry_pi_is_driven_restarted_and_cut_off() {
    drive("rpi");
}
