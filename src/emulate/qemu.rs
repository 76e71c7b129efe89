//! The emulated machine as a process.
//!
//! ```text
//!   factory                              qemu-system-aarch64
//!   Qmp      <== socket pair ==> fd 0    control channel
//!   console  <== socket pair ==> fd 1    serial port
//!   messages <== socket pair === fd 2    what QEMU complains about
//! ```
//! Nothing of it has a name in the file system, and the throw-away overlays are files that QEMU
//! unlinks as soon as it has opened them (in `TMPDIR`, else `/var/tmp`): whatever dies, nothing
//! is left lying about.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::BootError;
use super::messages::Messages;
use super::qmp::{Command, Qmp};
use crate::tool::QEMU_AARCH64;

/// How long QEMU may take to write its caches back before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a process that should end is looked at.
const TICK: Duration = Duration::from_millis(5);

/// What every machine has. `-S` holds it until [`Command::Continue`], and a guest that panics
/// goes on, so it can reset. The serial port to use is the chardev `console`.
const MACHINE: &str = "-nodefaults -no-user-config -display none -S -action panic=none \
    -chardev socket,id=qmp,fd=0 -mon chardev=qmp,mode=control \
    -chardev socket,id=console,fd=1";

/// A `-drive` with its file. QEMU splits options at commas, and takes two for one that is meant.
pub(super) fn drive(options: &str, file: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut text = format!("{options},file=").into_bytes();
    for byte in file.as_os_str().as_bytes() {
        text.extend(std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
    }
    OsString::from_vec(text)
}

/// A running QEMU. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    /// The control channel.
    pub(super) qmp: Qmp,
    /// The serial port.
    pub(super) console: UnixStream,
    /// What QEMU says for itself.
    pub(super) messages: Messages,
    /// Whether it has ever run; until then QEMU only tells what it dislikes.
    pub(super) has_run: bool,
}

impl Machine {
    /// Starts QEMU with `arguments` beside those of every machine, and sets it going.
    pub(super) fn start(arguments: &[OsString]) -> Result<Machine, BootError> {
        let channels =
            || -> io::Result<_> { Ok([UnixStream::pair()?, UnixStream::pair()?, UnixStream::pair()?]) };
        let [control, console, messages] = channels().map_err(BootError::Channel)?;
        let streams = [control.1, console.1, messages.1].map(|end| Stdio::from(OwnedFd::from(end)));
        let mut all: Vec<OsString> = MACHINE.split_whitespace().map(OsString::from).collect();
        all.extend_from_slice(arguments);
        let child = QEMU_AARCH64.spawn(&all, streams)?;
        let qmp = Qmp::new(control.0).map_err(BootError::Channel)?;
        let messages = Messages::new(messages.0).map_err(BootError::Channel)?;
        let mut machine = Machine { child, qmp, console: console.0, messages, has_run: false };
        machine.send(Command::Negotiate);
        machine.send(Command::Continue);
        Ok(machine)
    }

    /// Sends QEMU a command.
    pub(super) fn send(&mut self, command: Command) {
        // Fails only when QEMU has gone, which the console tells, with the reason.
        let _: io::Result<()> = self.qmp.send(command);
    }

    /// Ends QEMU, in order if it can, by force if it must. Returns how it ended.
    pub(super) fn stop(&mut self) -> io::Result<ExitStatus> {
        self.send(Command::Quit);
        // A full console would keep it from going.
        let _ = self.console.shutdown(std::net::Shutdown::Both);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let ended = self.child.try_wait()?;
            self.messages.poll();
            if let Some(status) = ended {
                return Ok(status);
            }
            std::thread::sleep(TICK);
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // Nobody is left to hear of an error, and `stop` has tried its utmost.
            let _ = self.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_path_is_not_an_option() {
        assert_eq!(drive("if=none", Path::new("/a,readonly=off,b")), "if=none,file=/a,,readonly=off,,b");
    }

    #[test]
    fn qemu_says_why_it_does_not_start() {
        let mut machine = Machine::start(&["-M".into(), "no-such-machine".into()]).expect("a process");
        assert!(!machine.stop().expect("an end").success());
        let complaints = machine.messages.complaints();
        assert!(complaints.contains("unsupported machine type"), "{complaints}");
    }
}
