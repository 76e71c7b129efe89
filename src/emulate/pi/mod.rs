//! The Raspberry Pi track's machine: a model of the board's firmware, and QEMU for what it starts.
//!
//! ```text
//!   image --copy--> card <------------- the machine writes
//!                    |                         ^
//!                    +--> model: which partition, kernel, device tree, command line?
//!                                |             |
//!                                +--> parts --> QEMU --reset--> the model again
//!                                                 |
//!                                                 +-- mailbox request: the tryboot flag
//! ```
//! QEMU has no firmware of the Pi, so its work is done here: it finds the files by the rules of
//! [`eeprom`], tells the kernel of its choice in `/chosen/bootloader`, and keeps
//! the tryboot flag over one reset.
//!
//! What QEMU leaves no trace of is not heard: the partition in a reboot's argument, and the value
//! of the mailbox request, so that every second request since the start is taken to clear the flag.
//! Overlays are not applied.

mod card;
pub mod machine;
mod parts;

use std::ffi::OsString;

use bootenv::rpi::{CONTROL_PARTITION, slot_of};
use serde::Serialize;

use super::chain::{Chain, refuse};
use super::eeprom::{self, Answer, Chosen, NEWEST, Question, Step};
use super::firmware;
use super::qemu::{Machine, drive};
use super::source::{Format, Source};
use super::{Boot, BootError};
use crate::volume::Disk;
use card::Card;
use machine::PiMachine;
use parts::Parts;

/// The request that sets or clears the tryboot flag (`RPI_FIRMWARE_SET_REBOOT_FLAGS` in
/// `include/soc/bcm2835/raspberrypi-firmware.h` of the vendor's kernel).
const SET_REBOOT_FLAGS: u32 = 0x0003_8064;

/// Emulated processors spin in the boot stub until Linux takes them, so one is all it gets; one
/// thread for all of them is then faster than one for each.
const MACHINE: &str = "-accel tcg,thread=single -d unimp";

/// How a Raspberry Pi is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnAPi {
    /// QEMU's machine that stands in for the board; the first of [`machine::ALL`] without.
    pub machine: Option<&'static PiMachine>,
    /// Release of its EEPROM, as `YYYY-MM-DD`; the newest without.
    pub eeprom: Option<String>,
    /// Partition that the last reboot before the start asked for.
    pub reboot: Option<u32>,
    /// Whether the tryboot flag is set at the start.
    pub tryboot: bool,
}

/// What the model of the board's firmware chose for one boot, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// QEMU's machine that stands in for the board.
    pub machine: &'static str,
    /// The board.
    pub board: String,
    /// The slot: `a`, `b`, or `fallback` for the control partition.
    pub slot: Option<String>,
    /// What it starts.
    #[serde(flatten)]
    pub chosen: Chosen,
    /// What it read and decided, in order.
    pub steps: Vec<Step>,
}

/// The chain EEPROM, `start4.elf`, kernel.
pub(super) struct Pi<'a> {
    boot: &'a Boot,
    machine: &'static PiMachine,
    card: Card,
    /// What the model is asked at the next start.
    question: Question,
    /// Whether the board was just switched on, and not reset.
    is_cold: bool,
    choice: Option<Choice>,
    /// QEMU opens them by our descriptors.
    parts: Option<Parts>,
}

impl<'a> Pi<'a> {
    /// Makes the card of the image.
    pub(super) fn new(boot: &'a Boot, source: Source) -> Result<Self, BootError> {
        refuse(&[
            (
                boot.firmware != firmware::Choice::Plain,
                "--secure-boot",
                "a Raspberry Pi has no UEFI firmware",
            ),
            (boot.memory.is_some(), "--memory", "the memory of an emulated Raspberry Pi is fixed"),
            (boot.cpus.is_some(), "--cpus", "an emulated Raspberry Pi has four processors and uses one"),
            (boot.network, "--network", "QEMU has no network card of a Raspberry Pi"),
        ])?;
        if source.format == Format::Qcow2 {
            let hint = "unpack it first: qemu-img convert -O raw IMAGE RAW-IMAGE";
            return Err(BootError::NotADisk { path: boot.image.clone(), what: "in QEMU's own format", hint });
        }
        let card = if boot.persist { Card::keep(&source.path)? } else { Card::copy(&source.path)? };
        let machine = boot.pi.machine.unwrap_or(&machine::ALL[0]);
        let question = Question {
            board: machine.board(),
            variant: None,
            eeprom: boot.pi.eeprom.clone().unwrap_or_else(|| NEWEST.to_owned()),
            reboot: boot.pi.reboot,
            tryboot: boot.pi.tryboot,
        };
        let is_cold = question.reboot.is_none() && !question.tryboot;
        Ok(Pi { boot, machine, card, question, is_cold, choice: None, parts: None })
    }

    /// Asks the model what the board starts from the card as it is now.
    fn ask(&self, disk: &Disk) -> Result<Choice, BootError> {
        let board = self.question.board;
        let Answer { steps, boots } = eeprom::ask(disk, &self.question)?;
        let Some(chosen) = boots else {
            let reason = steps.last().map_or_else(String::new, |step| step.what.clone());
            return Err(BootError::Dark { board: board.title.clone(), reason });
        };
        let slot = slot_name(chosen.partition);
        Ok(Choice { machine: self.machine.name, board: board.name.clone(), slot, chosen, steps })
    }

    fn arguments(&self, parts: &Parts, chosen: &Chosen) -> Vec<OsString> {
        let words = MACHINE.split_whitespace().chain(self.machine.serial.split_whitespace());
        let mut arguments: Vec<OsString> = words.map(OsString::from).collect();
        let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
        add("-machine", self.machine.name.into());
        add("-drive", drive("if=sd,format=raw,cache=writeback", self.card.path()));
        for (option, file) in parts.files() {
            add(option, file.into());
        }
        // The last console is the one that init gets.
        let console = self.machine.console;
        add("-append", format!("{} console={console},115200 maxcpus=1", chosen.cmdline).into());
        arguments.extend(self.boot.extra.iter().cloned());
        arguments
    }
}

impl Chain for Pi<'_> {
    fn start(&mut self) -> Result<Machine, BootError> {
        let disk = self.card.open()?;
        let choice = self.ask(&disk)?;
        let words = eeprom::words(self.question.board.chip, &self.question.eeprom)?;
        let parts = Parts::take(&disk, &choice.chosen, self.machine, words, self.is_cold)?;
        let machine = Machine::start(&self.arguments(&parts, &choice.chosen))?;
        (self.choice, self.parts) = (Some(choice), Some(parts));
        Ok(machine)
    }

    fn reset(&mut self, machine: &mut Machine) -> Result<(), BootError> {
        // Its end writes the card back, and all that it logged has then been read.
        machine.stop().map_err(BootError::Channel)?;
        self.question.tryboot = machine.messages.count(SET_REBOOT_FLAGS) % 2 == 1;
        self.question.reboot = None;
        self.is_cold = false;
        *machine = self.start()?;
        Ok(())
    }

    fn choice(&self) -> Option<Choice> {
        self.choice.clone()
    }
}

fn slot_name(partition: u32) -> Option<String> {
    let fallback = || (partition == CONTROL_PARTITION).then(|| "fallback".to_owned());
    slot_of(partition).map(|slot| slot.to_string()).or_else(fallback)
}
