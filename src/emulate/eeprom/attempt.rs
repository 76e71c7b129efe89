//! Whether a partition boots: what the stage in the EEPROM reads from it.
//!
//! ```text
//!   Pi 4   FAT? config.txt, if there   boot.img?   start4.elf, fixup4.dat
//!   Pi 5   FAT? config.txt             boot.img?   device tree for the chip
//! ```

use bootenv::rpi;

use super::load::Names;
use super::media::{Media, Part};
use super::{Model, release};
use crate::board::Chip;
use crate::configtxt::{self, Context, Settings};
use crate::dtb::{self, Dtb};
use crate::videocore;

/// Largest config.txt that the model reads, in bytes.
pub(super) const LARGEST_CONFIG: u32 = 1 << 20;

/// What became of a partition.
pub(super) enum Attempt {
    /// It boots.
    Starts(Box<Started>),
    /// It does not, and others may be tried.
    Fails,
    /// It holds the board up.
    Ends,
}

/// A partition that boots.
pub(super) struct Started {
    /// The partition.
    pub(super) part: Part,
    /// When its `start4.elf` was built, if it has one that says so.
    pub(super) date: Option<String>,
}

impl Model<'_> {
    /// Tries to boot from a partition.
    pub(super) fn attempt(&mut self, media: &Media<'_>, number: u32, config: &str) -> Attempt {
        let part = match media.part(number) {
            Ok(part) => part,
            Err(reason) => {
                self.say_unreadable(number, &reason);
                return Attempt::Fails;
            }
        };
        self.doubt(&part);
        let bytes = part.read(config, LARGEST_CONFIG);
        match &bytes {
            Ok(bytes) => {
                self.say("config", format!("reads {config} from partition {number}, {} bytes", bytes.len()))
            }
            Err(reason) => self.say("config", format!("finds no {config} in partition {number}: {reason}")),
        }
        let settings = Settings::evaluate(
            bytes.as_deref().unwrap_or_default(),
            &self.early_context(number),
            &mut |_| None,
        );
        if part.has("pieeprom.upd") && self.release.has(release::SELF_UPDATE) {
            self.say(
                "self-update",
                format!("first writes pieeprom.upd of partition {number} into the EEPROM"),
            );
        }
        if settings.boot_ramdisk() {
            return self.attempt_ramdisk(&part, config);
        }
        match (self.chip(), bytes) {
            (Chip::Bcm2712, Ok(bytes)) => self.attempt_2712(part, config, &bytes),
            (Chip::Bcm2712, Err(_)) => Attempt::Fails,
            (Chip::Bcm2711 | Chip::Bcm2837, _) => self.attempt_2711(part, &settings),
        }
    }

    fn say_unreadable(&mut self, number: u32, reason: &str) {
        let what = format!("partition {number} cannot boot: {reason}");
        match self.chip() {
            Chip::Bcm2712 => self.say("bootable-2712", what),
            Chip::Bcm2711 | Chip::Bcm2837 => self.say("bootable-2711", what),
        }
    }

    /// What filters compare in the stage before `start4.elf`.
    fn early_context(&self, number: u32) -> Context<'static> {
        self.context(number, self.release.has(release::PARTITION_FILTERS))
    }

    pub(super) fn context(&self, number: u32, compares_partitions: bool) -> Context<'static> {
        Context {
            board: self.question.board,
            tryboot: self.tryboot,
            boot_partition: number,
            requested: self.question.reboot.unwrap_or(0),
            compares_partitions,
        }
    }

    fn attempt_ramdisk(&mut self, part: &Part, config: &str) -> Attempt {
        let image = if config == rpi::TRYBOOT { "tryboot.img" } else { "boot.img" };
        if part.has(image) {
            self.say(
                "ramdisk",
                format!("starts what is in {image} of partition {}, which is not looked into", part.number),
            );
            return Attempt::Ends;
        }
        self.say("ramdisk", format!("partition {} cannot boot: it has no {image}", part.number));
        if self.release.has(release::WALK_FOR_RAMDISK) { Attempt::Fails } else { Attempt::Ends }
    }

    fn attempt_2711(&mut self, part: Part, settings: &Settings) -> Attempt {
        let (start, fixup) = firmware(settings);
        if self.stale {
            self.say(
                "walk-state",
                format!("looks for start.elf in partition {}, and finds no firmware", part.number),
            );
            return Attempt::Fails;
        }
        let Some(size) = part.size(&start) else { return self.no_firmware(&part, &start) };
        if start != rpi::START {
            self.say("start-file", format!("config.txt asks for {start} and {fixup}"));
        }
        self.say("bootable-2711", format!("starts {start} of partition {}, {size} bytes", part.number));
        if !part.has(&fixup) {
            self.say("fixup", format!("finds no {fixup}: the system will not have all memory"));
        }
        let date = part.read(&start, videocore::LARGEST).ok().and_then(|bytes| videocore::built(&bytes));
        match &date {
            Some(date) => self.say("start4-date", format!("{start} was built on {date}")),
            None => self.say(
                "start4-date",
                format!("{start} does not say when it was built, and is taken for a new one"),
            ),
        }
        Attempt::Starts(Box::new(Started { part, date }))
    }

    /// A FAT without the firmware that is asked for.
    fn no_firmware(&mut self, part: &Part, start: &str) -> Attempt {
        if part.has("start.elf") {
            self.say(
                "other-firmware",
                format!(
                    "starts start.elf of partition {}, since {start} is missing: stays dark",
                    part.number
                ),
            );
            return Attempt::Ends;
        }
        self.say("bootable-2711", format!("partition {} cannot boot: it has no {start}", part.number));
        self.stale = self.release.has(release::WALK) && !self.release.has(release::WALK_WITHOUT_FIRMWARE);
        Attempt::Fails
    }

    fn attempt_2712(&mut self, part: Part, config: &str, bytes: &[u8]) -> Attempt {
        let number = part.number;
        if bytes.len() > configtxt::LARGEST {
            self.say(
                "config-size",
                format!("does not start: {config} of partition {number} has over 16 KiB"),
            );
            return Attempt::Ends;
        }
        let settings = self.settings(&part, bytes, None);
        let started = |part| Attempt::Starts(Box::new(Started { part, date: None }));
        if !settings.os_check() {
            self.say("dt-match", "does not look at the device tree, since os_check is 0");
            return started(part);
        }
        let names = Names::find(&part, &settings, self.question);
        let Some(path) = &names.dtb else {
            self.say(
                "bootable-2712",
                format!("partition {number} cannot boot: it has none of {}", names.dtbs.join(", ")),
            );
            return Attempt::Fails;
        };
        match self.mismatch(&part, path) {
            Some(reason) => {
                self.say("dt-match", format!("partition {number} cannot boot: {path}: {reason}"));
                Attempt::Fails
            }
            None => {
                self.say("dt-match", format!("{path} is for this chip"));
                self.say("bootable-2712", format!("takes partition {number}"));
                started(part)
            }
        }
    }

    /// Why a device tree is not for this chip.
    fn mismatch(&self, part: &Part, path: &str) -> Option<String> {
        let wanted = self.chip().compatible();
        let decoded = part
            .read(path, dtb::LARGEST as u32)
            .and_then(|bytes| Dtb::decode(&bytes).map_err(|error| error.to_string()));
        match decoded {
            Ok(dtb) if dtb.compatible().contains(&wanted) => None,
            Ok(dtb) => {
                Some(format!("it is compatible with {}, not with {wanted}", dtb.compatible().join(", ")))
            }
            Err(reason) => Some(reason),
        }
    }
}

/// The firmware that config.txt asks for, and what adapts it to the memory.
fn firmware(settings: &Settings) -> (String, String) {
    let variant = settings.firmware_variant();
    let or = |named: Option<&str>, usual: String| named.map_or(usual, str::to_owned);
    (
        or(settings.start_file(), format!("start4{variant}.elf")),
        or(settings.fixup_file(), format!("fixup4{variant}.dat")),
    )
}
