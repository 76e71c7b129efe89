//! The generic track's machine: QEMU's own board with UEFI firmware and a virtio disk.

use std::ffi::OsString;
use std::fs::OpenOptions;

use super::chain::{Chain, refuse};
use super::firmware::Firmware;
use super::qemu::{Machine, drive};
use super::qmp::Command;
use super::source::{Format, Source};
use super::{Boot, BootError};
use crate::units::{Bytes, MIB};

/// Memory when nothing is said. A Debian kernel needs 384 MiB.
const MEMORY: Bytes = Bytes::mib(512);

/// What every machine has. The menu without a wait takes five idle seconds out of the firmware.
const MACHINE: &str = "-serial chardev:console -device virtio-rng-pci -boot menu=on,splash-time=0";

/// The chain UEFI, GRUB, kernel.
pub(super) struct Uefi<'a> {
    boot: &'a Boot,
    source: Source,
    firmware: Firmware,
}

impl<'a> Uefi<'a> {
    /// Finds the firmware.
    pub(super) fn new(boot: &'a Boot, source: Source) -> Result<Self, BootError> {
        let pi = &boot.pi;
        refuse(&[
            (pi.machine.is_some(), "--machine", "it has no MBR, as images for the Raspberry Pi have"),
            (pi.eeprom.is_some(), "--eeprom", "UEFI machines have none"),
            (pi.reboot.is_some(), "--reboot-partition", "UEFI machines have no way to pass it on"),
            (pi.tryboot, "--tryboot", "UEFI machines have no such flag; its boot state says what is tried"),
        ])?;
        Ok(Uefi { boot, source, firmware: boot.firmware.find()? })
    }
}

impl Chain for Uefi<'_> {
    fn start(&mut self) -> Result<Machine, BootError> {
        Machine::start(&arguments(self.boot, &self.source, &self.firmware))
    }

    fn reset(&mut self, machine: &mut Machine) -> Result<(), BootError> {
        machine.send(Command::Reset);
        Ok(())
    }

    fn firmware(&self) -> Option<Firmware> {
        Some(self.firmware.clone())
    }
}

/// The command line of QEMU for `boot`.
fn arguments(boot: &Boot, source: &Source, firmware: &Firmware) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = MACHINE.split_whitespace().map(OsString::from).collect();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    add(&processor(has_kvm()));
    add(&["-smp", &boot.cpus.unwrap_or(1).to_string()]);
    add(&["-m", &format!("{}M", boot.memory.unwrap_or(MEMORY).0.div_ceil(MIB))]);
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn there_is_no_network_unless_asked_for_and_no_way_out_of_it() {
        let boot = Boot::new("/disk.img");
        assert!(!command_line(&boot, Format::Raw).contains("netdev"));
        let boot = Boot { network: true, ..boot };
        assert!(command_line(&boot, Format::Raw).contains("-netdev user,id=net,restrict=on"));
    }

    #[test]
    fn memory_and_processors_are_as_asked_for_and_extra_words_come_last() {
        let extra = vec!["-device".into(), "i6300esb".into()];
        let boot = Boot { memory: Some(Bytes::mib(768)), cpus: Some(3), extra, ..Boot::new("/disk.img") };
        let line = command_line(&boot, Format::Raw);
        assert!(line.contains("-smp 3 -m 768M"), "{line}");
        assert!(line.ends_with("-device i6300esb"), "{line}");
    }
}
