//! Which partition a board wants, and which it takes.

use bootenv::rpi;

use super::attempt::{Attempt, Started};
use super::media::{Media, Part};
use super::{Model, release};
use crate::board::Chip;
use crate::configtxt::autoboot::{self, Autoboot};

/// Largest autoboot.txt that the model looks at, of which the firmware reads the first sector.
const LARGEST_AUTOBOOT: u32 = 1 << 20;

/// Highest partition that a reboot can ask for; more are for EEPROMs that were told what they mean.
const HIGHEST: u32 = 31;

/// Highest partition of a walk.
const LAST_OF_WALK: u32 = 8;

/// The first build of `start4.elf` that finds partitions of a GPT by number.
const START4_FOR_GPT: &str = "2025-01-16";

/// What a board is to boot.
#[derive(Debug)]
pub(super) struct Wish {
    /// The partition; 0 for the first that can.
    pub(super) partition: u32,
    /// The file that configures it.
    pub(super) config: &'static str,
}

impl Model<'_> {
    /// What is asked for by the last reboot, by autoboot.txt, or by nobody.
    pub(super) fn wish(&mut self, media: &Media<'_>) -> Option<Wish> {
        self.tryboot = self.question.tryboot && self.release.has(release::TRYBOOT);
        if self.question.tryboot {
            let what = if self.tryboot {
                "clears the tryboot flag: this start is a trial"
            } else {
                "does not know the tryboot flag"
            };
            self.say("tryboot", what);
        }
        let autoboot = self.autoboot(media);
        let partition = self.wanted(autoboot)?;
        let config = if self.tryboot && !autoboot.tryboot_a_b { rpi::TRYBOOT } else { rpi::CONFIG };
        if self.tryboot {
            let flag = u8::from(autoboot.tryboot_a_b);
            self.say("tryboot-a-b", format!("reads {config} in this trial, since tryboot_a_b is {flag}"));
        }
        Some(Wish { partition: self.numbered(media, partition), config })
    }

    /// What autoboot.txt of the first FAT says; nothing when it is missing.
    fn autoboot(&mut self, media: &Media<'_>) -> Autoboot {
        let Some(number) = media.fats().first().copied() else {
            self.say("first-fat", "finds no FAT");
            return Autoboot::default();
        };
        let part = match media.part(number) {
            Ok(part) => part,
            Err(reason) => {
                self.say("first-fat", format!("cannot read autoboot.txt from partition {number}: {reason}"));
                return Autoboot::default();
            }
        };
        self.doubt(&part);
        let bytes = match part.read(rpi::AUTOBOOT, LARGEST_AUTOBOOT) {
            Ok(bytes) => bytes,
            Err(reason) => {
                self.say("first-fat", format!("finds no autoboot.txt in partition {number}: {reason}"));
                return Autoboot::default();
            }
        };
        self.say("first-fat", format!("reads autoboot.txt from partition {number}, {} bytes", bytes.len()));
        self.understand(&bytes)
    }

    fn understand(&mut self, bytes: &[u8]) -> Autoboot {
        let knows_sections = self.release.has(release::SECTIONS);
        let autoboot = autoboot::evaluate(bytes, self.tryboot, knows_sections);
        let mut says = match autoboot.boot_partition {
            Some(number) => format!("boot_partition is {number}"),
            None => "it names no partition".to_owned(),
        };
        if bytes.len() > autoboot::LARGEST {
            says.push_str("; only its first 512 bytes count");
        }
        if knows_sections {
            self.say("autoboot", says);
        } else {
            self.say("autoboot-sections", format!("passes over its filters: {says}"));
        }
        autoboot
    }

    /// The partition that the one with the highest rank asks for; none to halt.
    fn wanted(&mut self, autoboot: Autoboot) -> Option<u32> {
        match self.question.reboot.unwrap_or(0) {
            super::LARGEST_REBOOT => {
                self.say("halt", "the last reboot asked to halt: stays off");
                return None;
            }
            0 => {}
            number @ 1..=HIGHEST => {
                self.say("precedence", format!("takes partition {number}, which the last reboot asked for"));
                return Some(number);
            }
            number => {
                self.say(
                    "precedence",
                    format!("passes over partition {number} of the last reboot: it is over {HIGHEST}"),
                );
            }
        }
        Some(autoboot.boot_partition.unwrap_or(0))
    }

    /// The number as this release can count it: on a GPT, old ones only know the first FAT.
    fn numbered(&mut self, media: &Media<'_>, partition: u32) -> u32 {
        if partition == 0 || !media.is_gpt() || self.release.has(release::GPT_NUMBERS) {
            return partition;
        }
        self.say("gpt", format!("cannot find partition {partition} of a GPT, and takes the first FAT"));
        0
    }

    /// The first partition that boots, in the order of this release.
    pub(super) fn select(&mut self, media: &Media<'_>, wish: &Wish) -> Option<Started> {
        let mut rest = Vec::new();
        if wish.partition == 0 {
            self.say("default-partition", "no partition is named: takes the first FAT that can boot");
            rest = media.fats();
        } else {
            match self.attempt(media, wish.partition, wish.config) {
                Attempt::Starts(started) => return Some(*started),
                Attempt::Ends => return None,
                Attempt::Fails => rest.extend(self.others(media, wish.partition)),
            }
        }
        for number in rest {
            match self.attempt(media, number, wish.config) {
                Attempt::Starts(started) => return Some(*started),
                Attempt::Ends => return None,
                Attempt::Fails => {}
            }
        }
        self.say("boot-order", "no partition can boot: goes on with USB, and then with the SD card again");
        None
    }

    /// What is tried after a partition that does not boot.
    fn others(&mut self, media: &Media<'_>, failed: u32) -> Vec<u32> {
        if self.release.has(release::WALK) {
            let there = media.numbers();
            let order: Vec<u32> =
                (failed..=LAST_OF_WALK).chain(1..failed).filter(|number| there.contains(number)).collect();
            let names: Vec<String> = order.iter().map(ToString::to_string).collect();
            self.say("walk", "tries all partitions, without autoboot.txt");
            self.say("walk-order", format!("their order is {}, 0", names.join(", ")));
            return order;
        }
        if self.release.has(release::SECTIONS) && failed != 1 {
            self.say("failover", "tries partition 1 instead");
            return vec![1];
        }
        Vec::new()
    }

    /// The partition that `start4.elf` reads from, which need not be the one that it came from.
    pub(super) fn part_of_firmware(
        &mut self,
        media: &Media<'_>,
        part: Part,
        date: Option<&str>,
    ) -> Option<Part> {
        if self.chip() != Chip::Bcm2711 {
            return Some(part);
        }
        if media.is_gpt()
            && date.is_some_and(|date| date < START4_FOR_GPT)
            && self.release.has(release::GPT_NUMBERS)
        {
            self.say(
                "gpt-start4",
                "start4.elf is too old to find anything on a GPT: the light flashes seven times",
            );
            return None;
        }
        let by_address = media.by_address();
        let place = media.numbers().iter().position(|number| *number == part.number);
        let meant = place.and_then(|place| by_address.get(place)).copied().unwrap_or(part.number);
        if meant == part.number {
            return Some(part);
        }
        self.say("disk-order", format!("start4.elf takes partition {meant} for number {}", part.number));
        match media.part(meant) {
            Ok(part) => Some(part),
            Err(reason) => {
                self.say("disk-order", format!("start4.elf cannot read partition {meant}: {reason}"));
                None
            }
        }
    }

    /// Says why files of a partition will not be found.
    pub(super) fn doubt(&mut self, part: &Part) {
        if let Some(doubt) = &part.doubt {
            self.say(
                "fat-width",
                format!("looks for partition {}'s files in the wrong place: {doubt}", part.number),
            );
        }
    }
}
