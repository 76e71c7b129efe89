//! What the firmware loads into memory: kernel, initramfs and device tree.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};

use super::card::path_of;
use super::machine::PiMachine;
use crate::dtb::Dtb;
use crate::emulate::BootError;
use crate::emulate::eeprom::{Chosen, Words};
use crate::volume::Disk;
use crate::volume::fat::Fat;

/// Largest file that is loaded, in bytes. A Debian kernel has 50 MiB, unpacked.
const LARGEST: u32 = 256 << 20;

/// Where the firmware tells of its choice (Raspberry Pi documentation,
/// `configuration/device-tree.adoc`).
const BOOTLOADER: &str = "/chosen/bootloader";

/// `boot-mode` of an SD card.
const SD_CARD: u32 = 1;

/// `rsts` after the power came, and after a reset by the watchdog, which is how Linux reboots.
/// Measured on boards (raspberrypi/linux, issue 1586).
const POWER_ON: u32 = 0x1000;
const RESET: u32 = 0x20;

/// Files in memory, without names in the file system.
#[derive(Debug)]
pub(super) struct Parts {
    kernel: File,
    initramfs: Option<File>,
    dtb: File,
}

impl Parts {
    /// Takes what was chosen from the card, and makes the device tree fit `machine`.
    pub(super) fn take(
        disk: &Disk,
        chosen: &Chosen,
        machine: &PiMachine,
        eeprom: Words,
        is_cold: bool,
    ) -> Result<Parts, BootError> {
        let files = Files::open(disk, chosen.partition)?;
        let mut dtb = files.dtb(chosen)?;
        machine.patch(&mut dtb);
        tell(&mut dtb, chosen, eeprom, is_cold);
        let initramfs = chosen.initramfs.as_deref().map(|names| files.join(names)).transpose()?;
        let in_memory = |bytes: &[u8]| memory_file(bytes).map_err(BootError::Memory);
        Ok(Parts {
            kernel: in_memory(&files.read(&chosen.kernel)?)?,
            initramfs: initramfs.map(|bytes| in_memory(&bytes)).transpose()?,
            dtb: in_memory(&dtb.encode())?,
        })
    }

    /// The options of QEMU that take them, with their paths.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let initramfs = self.initramfs.iter().map(|file| ("-initrd", file));
        let all = [("-kernel", &self.kernel), ("-dtb", &self.dtb)].into_iter().chain(initramfs);
        all.map(|(option, file)| (option, path_of(file)))
    }
}

/// Tells the kernel what the firmware did, in words of four bytes.
fn tell(dtb: &mut Dtb, chosen: &Chosen, eeprom: Words, is_cold: bool) {
    let words = [
        ("partition", chosen.partition),
        ("tryboot", u32::from(chosen.tryboot)),
        ("boot-mode", SD_CARD),
        ("rsts", if is_cold { POWER_ON } else { RESET }),
        ("capabilities", eeprom.capabilities),
        ("build-timestamp", eeprom.build_timestamp),
    ];
    for (name, value) in words {
        dtb.set(BOOTLOADER, name, &value.to_be_bytes());
    }
}

/// The files of one partition.
struct Files {
    fat: Fat,
    partition: u32,
}

impl Files {
    fn open(disk: &Disk, partition: u32) -> Result<Files, BootError> {
        let table = disk.table()?.table;
        let entry = table.entries.iter().find(|entry| entry.number == partition);
        let entry = entry.ok_or(BootError::NoPartition { partition })?;
        let fat = Fat::open(disk.partition(entry)).map_err(|source| BootError::Fat { partition, source })?;
        Ok(Files { fat, partition })
    }

    fn dtb(&self, chosen: &Chosen) -> Result<Dtb, BootError> {
        let partition = self.partition;
        let name = chosen.dtb.as_deref().ok_or(BootError::NoDtb { partition })?;
        let named = |source| BootError::Dtb { partition, name: name.to_owned(), source };
        Dtb::decode(&self.read(name)?).map_err(named)
    }

    /// The files with these names, commas between them, one behind the other.
    fn join(&self, names: &str) -> Result<Vec<u8>, BootError> {
        let parts: Vec<Vec<u8>> = names.split(',').map(|name| self.read(name)).collect::<Result<_, _>>()?;
        Ok(parts.concat())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, BootError> {
        let partition = self.partition;
        let bytes = self.fat.read(name, LARGEST).map_err(|source| BootError::Fat { partition, source })?;
        bytes.ok_or_else(|| BootError::NoFile { partition, name: name.to_owned() })
    }
}

fn memory_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("boot-part", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}
