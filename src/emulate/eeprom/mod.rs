//! A model of how a Raspberry Pi chooses what to boot: its EEPROM, and `start4.elf` where it has one.
//!
//! ```text
//!   first FAT: autoboot.txt ----\
//!   reboot N, tryboot flag ------> partition --bootable? no: walk--> partition
//!   release of the EEPROM ------/                                        |
//!     config.txt --> firmware (Pi 4) --> config.txt again --> device tree, kernel, initramfs
//! ```
//! The firmware is closed. This is what its documentation, its release notes and measurements of
//! others say, as code; each step names the rule that it follows, and [`RULES`] where that is from.
//! Only what the real thing reads is read.

mod attempt;
mod load;
mod media;
mod release;
mod render;
mod rules;
mod select;

use serde::Serialize;

use crate::board::{Board, Chip};
use crate::volume::Disk;

pub use release::{NEWEST, Words, words};
pub use render::{Explained, render};
pub use rules::{Kind, RULES, Rule, rules_table};

use media::Media;
use release::Release;

/// Most that a reboot can ask for: the chip keeps six bits of it.
pub const LARGEST_REBOOT: u32 = 63;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What it reads and decides, in order.
    pub steps: Vec<Step>,
    /// What it starts, if anything; else the last step says why not.
    pub boots: Option<Chosen>,
}

/// One thing that is read or decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What happens, for people.
    pub what: String,
    /// Name of the rule that it follows, one of [`RULES`].
    pub rule: &'static str,
}

/// What a board starts. All paths are from the root of the partition, without a slash in front.
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
    /// The device tree; none when config.txt wants none, or Raspberry Pi 5 is told not to check.
    pub dtb: Option<String>,
    /// The initramfs; several parts, which are put behind each other, have commas between.
    pub initramfs: Option<String>,
    /// The kernel command line, as in the file.
    pub cmdline: String,
    /// Overlays that are applied to the device tree: path, and parameters after commas.
    pub overlays: Vec<String>,
}

/// Why the model cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Not the date of a release.
    #[error("`{text}` is not a date\n\nhint: write the EEPROM's release as YYYY-MM-DD, such as {NEWEST}")]
    Date {
        /// What was given.
        text: String,
    },
    /// The board has no such variant.
    #[error("board `{board}` has no variant `{variant}`\n\nhint: it has {known}")]
    Variant {
        /// The board.
        board: String,
        /// What was given.
        variant: String,
        /// The variants that it has.
        known: String,
    },
    /// No partition that a reboot can ask for.
    #[error(
        "a reboot cannot ask for partition {number}\n\nhint: it can for 0 to {LARGEST_REBOOT}, where 0 is the default"
    )]
    Reboot {
        /// What was given.
        number: u32,
    },
}

/// What the board does with this disk.
///
/// # Errors
/// When the question makes no sense. Whatever is wrong with the disk is part of the answer.
pub fn ask(disk: &Disk, question: &Question) -> Result<Answer, ModelError> {
    check(question)?;
    let release = Release::new(question.board.chip, &question.eeprom)?;
    let mut model = Model { question, release, tryboot: false, stale: false, steps: Vec::new() };
    let boots = model.run(disk);
    Ok(Answer { steps: model.steps, boots })
}

fn check(question: &Question) -> Result<(), ModelError> {
    let board = question.board;
    if let Some(variant) = question.variant.as_deref().filter(|variant| board.dtb(Some(variant)).is_none()) {
        let known: Vec<&str> = board.dtb.iter().filter_map(|dtb| dtb.variant.as_deref()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ModelError::Variant { board: board.name.clone(), variant: variant.to_owned(), known });
    }
    match question.reboot.filter(|number| *number > LARGEST_REBOOT) {
        Some(number) => Err(ModelError::Reboot { number }),
        None => Ok(()),
    }
}

/// A board that is starting.
struct Model<'a> {
    question: &'a Question,
    release: Release,
    /// Whether this start is a trial.
    tryboot: bool,
    /// Whether a FAT without firmware has left names behind that no other has.
    stale: bool,
    steps: Vec<Step>,
}

impl Model<'_> {
    fn say(&mut self, rule: &'static str, what: impl Into<String>) {
        self.steps.push(Step { what: what.into(), rule });
    }

    fn chip(&self) -> Chip {
        self.question.board.chip
    }

    /// From power on to the kernel; none when something ends it before.
    fn run(&mut self, disk: &Disk) -> Option<Chosen> {
        self.assume();
        let media = self.media(disk)?;
        self.look_for_recovery(&media);
        let wish = self.wish(&media)?;
        let started = self.select(&media, &wish)?;
        let part = self.part_of_firmware(&media, started.part, started.date.as_deref())?;
        self.load(&part, wish.config, started.date.as_deref())
    }

    fn assume(&mut self) {
        if self.question.board.emulated {
            self.say("stand-in", "chooses as Raspberry Pi 4 does, since it is only emulated");
        }
        self.say("eeprom-defaults", format!("the EEPROM of {} has its defaults", self.question.eeprom));
    }

    fn media<'d>(&mut self, disk: &'d Disk) -> Option<Media<'d>> {
        let media = match Media::open(disk) {
            Ok(media) => media,
            Err(error) => {
                self.say("table", format!("finds no partitions: {error}"));
                self.say("boot-order", "goes on with USB, and then with the SD card again");
                return None;
            }
        };
        if media.is_gpt() && !self.release.has(release::GPT) {
            self.say("gpt", "cannot read a GPT");
            return None;
        }
        let numbers: Vec<String> = media.numbers().iter().map(ToString::to_string).collect();
        self.say("table", format!("reads the {}; its partitions: {}", media.scheme(), numbers.join(", ")));
        Some(media)
    }

    /// The boot ROM is a stage of its own; what it finds runs before all else.
    fn look_for_recovery(&mut self, media: &Media<'_>) {
        if self.chip() != Chip::Bcm2711 {
            return;
        }
        let found = media
            .fats()
            .into_iter()
            .find(|number| media.part(*number).is_ok_and(|part| part.has("recovery.bin")));
        if let Some(number) = found {
            let what = format!(
                "the boot ROM first starts recovery.bin of partition {number}; what follows is only reached \
                 when that has written the EEPROM and is gone"
            );
            self.say("recovery-bin", what);
        }
    }
}
