//! A model of how a Raspberry Pi chooses what to boot: its EEPROM, and `start4.elf` where it has one.
//!
//! The firmware is closed. This is what its documentation, its release notes and measurements of
//! others say, as code; each step names the rule that it follows.

use serde::Serialize;

use crate::board::Board;

/// What the model is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The board.
    pub board: &'static Board,
    /// Its variant, such as a stepping; the plain board without.
    pub variant: Option<String>,
    /// Release of its EEPROM, as `YYYY-MM-DD`.
    pub eeprom: String,
    /// Partition that the last reboot asked for (`reboot 3`); 0 and none mean no wish.
    pub reboot: Option<u32>,
    /// Whether the tryboot flag is set.
    pub tryboot: bool,
}

/// What the board does.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// What it reads and decides, in order.
    pub steps: Vec<Step>,
    /// What it starts, if anything.
    pub boots: Option<Chosen>,
}

/// One thing that is read or decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What happens, for people.
    pub what: String,
    /// Name of the rule that it follows.
    pub rule: &'static str,
}

/// What a board starts. All paths are from the root of the partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// Number of the partition that everything is read from.
    pub partition: u32,
    /// Whether this start used the tryboot flag up.
    pub tryboot: bool,
    /// The file that configures it: `config.txt` or `tryboot.txt`.
    pub config: String,
    /// The kernel.
    pub kernel: String,
    /// The device tree; none when the firmware finds no file for the board.
    pub dtb: Option<String>,
    /// The initramfs.
    pub initramfs: Option<String>,
    /// The kernel command line, as in the file.
    pub cmdline: String,
    /// Overlays that are applied to the device tree, with their parameters.
    pub overlays: Vec<String>,
}
