//! The two calls of the system that no safe function has: a mailbox's, and a restart with an argument.
//!
//! ```text
//!   /dev/vcio, _IOWR(100, 0, char *)    28, state, tag, room, length, value, 0     words of 32 bits
//!   reboot(2), RESTART2                 the argument, a text
//! ```
//!
//! Sources: `drivers/char/broadcom/vcio.c` and `include/soc/bcm2835/raspberrypi-firmware.h` of the vendor's
//! kernel; the wiki of raspberrypi/firmware, "Mailbox property interface"; reboot(2).

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::string::{String, ToString as _};

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use crate::Error;

/// `RPI_FIRMWARE_GET_REBOOT_FLAGS`.
const GET_REBOOT_FLAGS: u32 = 0x0003_0064;
/// `RPI_FIRMWARE_SET_REBOOT_FLAGS`.
const SET_REBOOT_FLAGS: u32 = 0x0003_8064;
/// The flag of a trial among them.
const TRYBOOT: u32 = 1;

/// Bytes of a message with one word of value.
const SIZE: u32 = 28;
/// What the state of a message becomes when the firmware has read it.
const SUCCESS: u32 = 0x8000_0000;

/// What an ioctl of `/dev/vcio` is called.
const PROPERTY: Opcode = opcode::read_write::<*mut u8>(100, 0);

/// The firmware's property mailbox.
#[derive(Debug)]
pub(super) struct Mailbox(File);

impl Mailbox {
    pub(super) fn open(device: &Path) -> Result<Self, Error> {
        let opened = OpenOptions::new().read(true).write(true).open(device);
        opened.map(Mailbox).map_err(|why| failed(std::format!("opening `{}`: {why}", device.display())))
    }

    /// Whether the flag is set; nothing from a firmware that does not say.
    pub(super) fn tryboot(&mut self) -> Result<Option<bool>, Error> {
        let answer = self.ask(GET_REBOOT_FLAGS, 0)?;
        Ok(answer.map(|flags| flags & TRYBOOT != 0))
    }

    /// Sets or clears the flag, and reads it back where the firmware says.
    pub(super) fn set_tryboot(&mut self, set: bool) -> Result<(), Error> {
        self.ask(SET_REBOOT_FLAGS, if set { TRYBOOT } else { 0 })?;
        match self.tryboot()? {
            Some(kept) if kept != set => Err(failed("the firmware does not keep it")),
            _ => Ok(()),
        }
    }

    /// Sends one tag with one word; the word of the answer, when the firmware gives one.
    fn ask(&mut self, tag: u32, value: u32) -> Result<Option<u32>, Error> {
        let mut message = [SIZE, 0, tag, 4, 0, value, 0];
        // SAFETY: the ioctl takes the address of a message whose first word is its length in bytes, and
        // writes an answer of that length over it. The message is 7 words and says so.
        unsafe {
            let call = Updater::<PROPERTY, [u32; 7]>::new(&mut message);
            ioctl(&self.0, call).map_err(|why| failed(std::format!("the mailbox: {why}")))?;
        }
        if message[1] != SUCCESS {
            return Err(failed(std::format!("the firmware refuses it ({:#010x})", message[1])));
        }
        Ok((message[4] == SUCCESS | 4).then_some(message[5]))
    }
}

/// Syncs and restarts the machine at once. Comes back only when that fails.
pub(super) fn restart(argument: Option<&CStr>) -> String {
    rustix::fs::sync();
    let command =
        if argument.is_some() { libc::LINUX_REBOOT_CMD_RESTART2 } else { libc::LINUX_REBOOT_CMD_RESTART };
    let argument = argument.map_or(std::ptr::null(), CStr::as_ptr);
    let (first, second) = (libc::LINUX_REBOOT_MAGIC1, libc::LINUX_REBOOT_MAGIC2);
    // SAFETY: reboot(2) takes two magic numbers, a command, and for RESTART2 a text that ends with a zero,
    // which a `CStr` does and which lives as long as this function.
    unsafe { libc::syscall(libc::SYS_reboot, first, second, command, argument) };
    std::io::Error::last_os_error().to_string()
}

fn failed(why: impl Into<String>) -> Error {
    Error::Tryboot(why.into())
}
