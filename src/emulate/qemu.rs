//! The emulated machine: how it is made up, and the process that it is.
//!
//! ```text
//!   factory                              qemu-system-aarch64 -M virt
//!   Qmp      <== socket pair ==> fd 0    control channel
//!   console  <== socket pair ==> fd 1    serial port
//!   messages <==   no name   === fd 2    what QEMU complains about
//! ```
//! Nothing of it has a name in the file system, and the throw-away overlays are files that QEMU
//! unlinks as soon as it has opened them (in `TMPDIR`, else `/var/tmp`): whatever dies, nothing
//! is left lying about.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use super::firmware::Firmware;
use super::qmp::{Command, Qmp};
use super::source::{Format, Source};
use super::{Boot, BootError};
use crate::tool::QEMU_AARCH64;
use crate::units::MIB;

/// How long QEMU may take to write its caches back before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a process that should end is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Most that is kept of what QEMU complains about, in bytes.
const MESSAGES: usize = 16 << 10;

/// What every machine has. The menu without a wait takes five idle seconds out of the firmware;
/// `-S` holds the machine until we listen, and a guest that panics goes on, so it can reset.
const MACHINE: &str = "-nodefaults -no-user-config -display none -S -action panic=none \
    -chardev socket,id=qmp,fd=0 -mon chardev=qmp,mode=control \
    -chardev socket,id=console,fd=1 -serial chardev:console \
    -device virtio-rng-pci -boot menu=on,splash-time=0";

/// The command line of QEMU for `boot`.
pub(super) fn arguments(boot: &Boot, source: &Source, firmware: &Firmware) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = MACHINE.split_whitespace().map(OsString::from).collect();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    add(&processor(has_kvm()));
    add(&["-smp", &boot.cpus.to_string()]);
    add(&["-m", &format!("{}M", boot.memory.0.div_ceil(MIB))]);
    if boot.network {
        add(&["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="]);
    }
    add(&["-device", "virtio-blk-pci,drive=disk"]);
    let drives = [
        drive("if=pflash,unit=0,format=raw,readonly=on", &firmware.code),
        drive("if=pflash,unit=1,format=raw,snapshot=on", &firmware.vars),
        drive(&disk(boot.persist, source.format), &source.path),
    ];
    for drive in drives {
        arguments.extend(["-drive".into(), drive]);
    }
    arguments.extend(boot.extra.iter().cloned());
    arguments
}

/// Hardware virtualisation where the host has the guest's processor and lets us use it.
fn has_kvm() -> bool {
    cfg!(target_arch = "aarch64") && OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
}

/// Emulated, a Cortex-A72 is the cheapest of the processors that matter here.
fn processor(kvm: bool) -> [&'static str; 6] {
    if kvm {
        ["-M", "virt,gic-version=host", "-accel", "kvm", "-cpu", "host"]
    } else {
        ["-M", "virt", "-accel", "tcg,thread=multi", "-cpu", "cortex-a72"]
    }
}

fn disk(persist: bool, format: Format) -> String {
    let snapshot = if persist { "off" } else { "on" };
    format!("if=none,id=disk,format={format},cache=writeback,snapshot={snapshot}")
}

/// A `-drive` with its file. QEMU splits options at commas, and takes two for one that is meant.
fn drive(options: &str, file: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut text = format!("{options},file=").into_bytes();
    for byte in file.as_os_str().as_bytes() {
        text.extend(std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
    }
    OsString::from_vec(text)
}

/// A file without a name and without a file system, so a wrong `TMPDIR` cannot spoil it.
fn memory_file() -> io::Result<File> {
    Ok(File::from(memfd_create("qemu-messages", MemfdFlags::CLOEXEC)?))
}

/// A running QEMU. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    /// The control channel.
    pub(super) qmp: Qmp,
    /// The serial port.
    pub(super) console: UnixStream,
    messages: File,
}

impl Machine {
    /// Starts QEMU with its machine stopped: [`Command::Continue`] sets it going.
    pub(super) fn start(arguments: &[OsString]) -> Result<Machine, BootError> {
        let channels = || -> io::Result<_> { Ok((UnixStream::pair()?, UnixStream::pair()?, memory_file()?)) };
        let (control, console, messages) = channels().map_err(BootError::Channel)?;
        let streams = [
            Stdio::from(OwnedFd::from(control.1)),
            Stdio::from(OwnedFd::from(console.1)),
            Stdio::from(messages.try_clone().map_err(BootError::Channel)?),
        ];
        let child = QEMU_AARCH64.spawn(arguments, streams)?;
        let qmp = Qmp::new(control.0).map_err(BootError::Channel)?;
        Ok(Machine { child, qmp, console: console.0, messages })
    }

    /// Ends QEMU, in order if it can, by force if it must. Returns how it ended.
    pub(super) fn stop(&mut self) -> io::Result<ExitStatus> {
        // Errors only mean that it has gone already. A full console would keep it from going.
        let _ = self.qmp.send(Command::Quit);
        let _ = self.console.shutdown(std::net::Shutdown::Both);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(TICK);
        }
        self.child.kill()?;
        self.child.wait()
    }

    /// What QEMU has complained about so far.
    pub(super) fn messages(&self) -> String {
        let mut buffer = [0; MESSAGES];
        match self.messages.read_at(&mut buffer, 0) {
            Ok(count) => String::from_utf8_lossy(&buffer[..count]).trim().to_owned(),
            Err(error) => format!("(its messages cannot be read: {error})"),
        }
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
    use crate::units::Bytes;

    fn command_line(boot: &Boot, format: Format) -> String {
        let firmware = Firmware { code: "/fw/code.fd".into(), vars: "/fw/vars.fd".into() };
        let source = Source { path: boot.image.clone(), format };
        let words: Vec<String> = arguments(boot, &source, &firmware)
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    #[test]
    fn the_image_is_written_only_when_writes_shall_persist() {
        let boot = Boot::new("/disk.img");
        assert!(
            command_line(&boot, Format::Raw)
                .contains("format=raw,cache=writeback,snapshot=on,file=/disk.img")
        );
        let boot = Boot { persist: true, ..boot };
        assert!(
            command_line(&boot, Format::Qcow2)
                .contains("format=qcow2,cache=writeback,snapshot=off,file=/disk.img")
        );
    }

    #[test]
    fn the_firmware_is_never_written() {
        let line = command_line(&Boot::new("/disk.img"), Format::Raw);
        assert!(line.contains("unit=0,format=raw,readonly=on,file=/fw/code.fd"), "{line}");
        assert!(line.contains("unit=1,format=raw,snapshot=on,file=/fw/vars.fd"), "{line}");
    }

    #[test]
    fn a_comma_in_a_path_is_not_an_option() {
        assert_eq!(drive("if=none", Path::new("/a,readonly=off,b")), "if=none,file=/a,,readonly=off,,b");
    }

    #[test]
    fn there_is_no_network_unless_asked_for_and_no_way_out_of_it() {
        let boot = Boot::new("/disk.img");
        assert!(!command_line(&boot, Format::Raw).contains("netdev"));
        let boot = Boot { network: true, ..boot };
        assert!(command_line(&boot, Format::Raw).contains("-netdev user,id=net,restrict=on"));
    }

    #[test]
    fn memory_and_processors_are_as_asked_for_and_extra_words_come_last() {
        let extra = vec!["-device".into(), "i6300esb".into()];
        let boot = Boot { memory: Bytes::mib(768), cpus: 3, extra, ..Boot::new("/disk.img") };
        let line = command_line(&boot, Format::Raw);
        assert!(line.contains("-smp 3 -m 768M"), "{line}");
        assert!(line.ends_with("-device i6300esb"), "{line}");
    }

    #[test]
    fn qemu_says_why_it_does_not_start() {
        let mut machine = Machine::start(&["-M".into(), "no-such-machine".into()]).expect("a process");
        assert!(!machine.stop().expect("an end").success());
        assert!(machine.messages().contains("unsupported machine type"), "{}", machine.messages());
    }
}
