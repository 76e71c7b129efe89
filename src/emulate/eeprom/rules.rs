//! What the model goes by: one row for each rule, and where it comes from.

use std::fmt::{self, Write as _};

use serde::Serialize;

/// A rule of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its name, which steps carry.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Where it comes from: a document of raspberrypi/documentation, a release note of
    /// raspberrypi/rpi-eeprom, an issue, a measurement.
    pub source: &'static str,
    /// How sure it is.
    pub kind: Kind,
}

/// How sure a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The vendor says so.
    Documented,
    /// Somebody saw it on a board.
    Measured,
    /// It is the simplest that fits what is documented and measured.
    Inferred,
}

use Kind::{Documented, Inferred, Measured};

const fn rule(name: &'static str, kind: Kind, says: &'static str, source: &'static str) -> Rule {
    Rule { name, says, source, kind }
}

/// All rules, in the order in which they come up.
pub const RULES: &[Rule] = &[
    rule(
        "eeprom-defaults",
        Documented,
        "the EEPROM has its default configuration: PARTITION=0, no watchdog, PARTITION_WALK as its release has it",
        "raspberry-pi/eeprom-bootloader.adoc",
    ),
    rule(
        "stand-in",
        Inferred,
        "Raspberry Pi 3 has no EEPROM and knows no slots; here it chooses as Raspberry Pi 4 does, so that slots can be emulated",
        "none: QEMU has that board, and no boot ROM",
    ),
    rule(
        "table",
        Documented,
        "partitions are the primary ones of an MBR, 1 to 4, or those of a GPT",
        "config_txt/autoboot.adoc",
    ),
    rule(
        "gpt",
        Documented,
        "Raspberry Pi 4 reads a GPT from 2020-09 on; numbers in it count from 2025-02-11 on, on Raspberry Pi 5 from 2025-01-22 on, before that the first FAT is taken",
        "firmware-2711/release-notes.md, firmware-2712/release-notes.md, raspberrypi/firmware#1733",
    ),
    rule(
        "gpt-start4",
        Measured,
        "a start4.elf built before 2025-01-16 finds nothing on a GPT when a new EEPROM tells it the partition",
        "rpi-eeprom#668, rpi-eeprom#854",
    ),
    rule(
        "recovery-bin",
        Documented,
        "the boot ROM of Raspberry Pi 4 starts recovery.bin from any FAT before it looks at the EEPROM, where it is not switched off as on Compute Modules; in a slot it has stopped boards",
        "raspberry-pi/bootflow-eeprom.adoc, rpi-eeprom#499",
    ),
    rule(
        "first-fat",
        Measured,
        "autoboot.txt is read from the first FAT of the table, and from no other",
        "logs in rpi-eeprom#818 and rpi-eeprom#588",
    ),
    rule(
        "fat-width",
        Measured,
        "the number of clusters decides which FAT it is, so a FAT32 with fewer than 65,525 is read as FAT16, whose root directory is elsewhere (seen with a GPT; one report has it work with an MBR)",
        "comment of 2026-09-18 in rpi-eeprom#818",
    ),
    rule(
        "autoboot",
        Documented,
        "the first 512 bytes of autoboot.txt count, with the filters [all], [none] and [tryboot]",
        "config_txt/autoboot.adoc",
    ),
    rule(
        "autoboot-sections",
        Measured,
        "before 2022-10-18 filters in autoboot.txt are passed over, so that the last boot_partition wins",
        "firmware-2711/release-notes.md; measured with the release of 2021-04-29",
    ),
    rule(
        "precedence",
        Documented,
        "a partition from `reboot N`, 1 to 31, comes before boot_partition in autoboot.txt, and that before PARTITION in the EEPROM",
        "firmware-2711/release-notes.md, 2022-02-04; raspberry-pi/eeprom-bootloader.adoc",
    ),
    rule(
        "halt",
        Documented,
        "63 instead of a partition means to halt",
        "raspberry-pi/bootflow-eeprom.adoc; raspberrypi/linux, bcm2835_wdt.c",
    ),
    rule(
        "default-partition",
        Documented,
        "partition 0 is the first FAT that can boot",
        "config_txt/autoboot.adoc",
    ),
    rule(
        "tryboot",
        Documented,
        "the tryboot flag is cleared before anything is started: it holds for one start",
        "raspberry-pi/bootflow-eeprom.adoc; known from 2020-10-28 on",
    ),
    rule(
        "tryboot-a-b",
        Documented,
        "with tryboot_a_b=1 a trial reads the usual config.txt, else tryboot.txt of the same partition",
        "raspberry-pi/bootflow-eeprom.adoc",
    ),
    rule(
        "failover",
        Documented,
        "from 2022-10-18 on, partition 1 takes the place of one that cannot boot",
        "firmware-2711/release-notes.md, 2022-10-18",
    ),
    rule(
        "walk",
        Documented,
        "from 2025-08-13 on, all partitions are tried when one cannot boot, up to 8 and then from 1 on; autoboot.txt is not read again",
        "raspberry-pi/eeprom-bootloader.adoc, PARTITION_WALK",
    ),
    rule(
        "walk-order",
        Measured,
        "the walk starts with the partition that just failed: 2, 2, 3, 4, 1, 0",
        "log in rpi-eeprom#818",
    ),
    rule(
        "walk-state",
        Measured,
        "between 2025-08-13 and 2025-08-20, Raspberry Pi 4 finds no firmware anywhere after a FAT without",
        "rpi-eeprom#738, rpi-eeprom#741",
    ),
    rule(
        "bootable-2711",
        Documented,
        "Raspberry Pi 4 boots a FAT12, FAT16 or FAT32 with start4.elf",
        "config_txt/autoboot.adoc; raspberry-pi/eeprom-bootloader.adoc, PARTITION_WALK",
    ),
    rule(
        "bootable-2712",
        Documented,
        "Raspberry Pi 5 boots a FAT with config.txt and a device tree for its chip",
        "config_txt/autoboot.adoc; raspberry-pi/eeprom-bootloader.adoc, PARTITION_WALK",
    ),
    rule(
        "dt-match",
        Documented,
        "Raspberry Pi 5 wants brcm,bcm2712 in the device tree's `compatible`, unless os_check=0",
        "config_txt/boot.adoc; `dt-match` in its logs",
    ),
    rule(
        "other-firmware",
        Measured,
        "where start4.elf is missing and start.elf is not, Raspberry Pi 4 starts that, which is for older boards: it stays dark",
        "`fw: start.elf fixup.dat` in rpi-eeprom#738; tests T6b to T7 of the trimixxx tryboot design note",
    ),
    rule(
        "start-file",
        Documented,
        "start_file, start_x, start_debug and gpu_mem=16 in config.txt itself choose another firmware file",
        "config_txt/boot.adoc, config_txt/memory.adoc",
    ),
    rule(
        "fixup",
        Inferred,
        "without its fixup file the firmware starts, but does not know all memory",
        "config_txt/boot.adoc",
    ),
    rule(
        "self-update",
        Documented,
        "pieeprom.upd beside config.txt rewrites the EEPROM, and resets the board, unless it holds the same",
        "raspberry-pi/eeprom-bootloader.adoc, ENABLE_SELF_UPDATE",
    ),
    rule(
        "ramdisk",
        Documented,
        "with boot_ramdisk=1 everything comes out of boot.img; the model does not look inside",
        "raspberry-pi/bootflow-eeprom.adoc; rpi-eeprom#811, rpi-eeprom#812",
    ),
    rule(
        "config",
        Documented,
        "config.txt decides what is read next; Raspberry Pi 4 does without",
        "config_txt/what_is_config_txt.adoc",
    ),
    rule(
        "config-size",
        Measured,
        "Raspberry Pi 5 does not start with a config.txt of more than 16 KiB",
        "raspberrypi/firmware#1848, agherzan/meta-raspberrypi#1255",
    ),
    rule(
        "start4-date",
        Measured,
        "start4.elf says when it was built, in VC_BUILD_ID_TIME",
        "the text in start4.elf",
    ),
    rule(
        "partition-filters",
        Documented,
        "filters such as [boot_partition=2] are known from 2025-03-10 on: on Raspberry Pi 4 by start4.elf, on Raspberry Pi 5 by the EEPROM",
        "raspberrypi/firmware#1940, firmware-2712/release-notes.md",
    ),
    rule(
        "hardware-filters",
        Inferred,
        "filters for serial numbers, pins, monitors and counters are taken not to match",
        "config_txt/conditional.adoc",
    ),
    rule(
        "disk-order",
        Inferred,
        "start4.elf counts partitions in the order of their addresses, the EEPROM in that of the table",
        "rpi-eeprom#705, of which this explains both logs",
    ),
    rule(
        "os-prefix",
        Documented,
        "os_prefix is ignored unless kernel and device tree are found with it",
        "config_txt/boot.adoc",
    ),
    rule(
        "kernel",
        Documented,
        "the kernel is the one that config.txt names, else the first of the board's own names",
        "config_txt/boot.adoc",
    ),
    rule(
        "kernel-missing",
        Documented,
        "without a kernel the light flashes seven times; other partitions are not tried",
        "configuration/led_blink_warnings.adoc",
    ),
    rule(
        "dtb",
        Documented,
        "the device tree is the one that config.txt names, else the first of the board's own names",
        "config_txt/boot.adoc, configuration/device-tree.adoc",
    ),
    rule(
        "dtb-variant",
        Measured,
        "where the device tree of a variant is missing, that of the plain board is taken, with the vendor's overlay where it is there; without that a mainline kernel panics on the D0 stepping of Raspberry Pi 5",
        "raspberrypi/firmware#2018",
    ),
    rule(
        "dtb-missing",
        Inferred,
        "a 64-bit kernel does not start without a device tree",
        "Documentation/arch/arm64/booting.rst of Linux",
    ),
    rule(
        "initramfs",
        Documented,
        "the initramfs is the one that config.txt names; auto_initramfs=1 makes its name from the kernel's",
        "config_txt/boot.adoc",
    ),
    rule(
        "initramfs-missing",
        Inferred,
        "a kernel starts without an initramfs that is missing",
        "config_txt/boot.adoc",
    ),
    rule("cmdline", Documented, "the first line of cmdline.txt is the command line", "config_txt/boot.adoc"),
    rule(
        "overlays",
        Documented,
        "overlays are applied in order, and missing ones left out; os_prefix counts for them only where a README lies beside them",
        "config_txt/boot.adoc, configuration/device-tree.adoc",
    ),
    rule(
        "boot-order",
        Documented,
        "when a disk does not boot, the next boot mode of BOOT_ORDER follows, by default USB, and then the SD card again",
        "raspberry-pi/eeprom-bootloader.adoc, BOOT_ORDER",
    ),
];

/// The rule of this name.
pub(super) fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

/// All rules as text: how sure each is, what it says and where it comes from.
pub fn rules_table() -> String {
    let mut text = String::new();
    let widest = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for Rule { name, says, source, kind } in RULES {
        let kind = kind.to_string();
        // Writing into a string does not fail.
        let _ = writeln!(text, "{name:widest$}  {kind:10}  {says}\n{:widest$}  {:10}  from {source}", "", "");
    }
    text
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Documented => "documented",
            Measured => "measured",
            Inferred => "inferred",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of the model that make steps.
    const SOURCES: [&str; 4] = [
        include_str!("mod.rs"),
        include_str!("select.rs"),
        include_str!("attempt.rs"),
        include_str!("load.rs"),
    ];

    #[test]
    fn rules_have_names_of_their_own_and_sources() {
        for rule in RULES {
            assert_eq!(find(rule.name), Some(rule));
            assert!(!rule.source.is_empty() && !rule.says.is_empty());
        }
    }

    #[test]
    fn each_rule_is_used_and_each_step_has_one() {
        let source = SOURCES.map(|text| text.split("#[cfg(test)]").next().unwrap()).concat();
        let say = regex::Regex::new(r#"\.say\(\s*"([^"]*)""#).unwrap();
        let used: Vec<&str> = say.captures_iter(&source).map(|found| found.extract::<1>().1[0]).collect();
        for name in &used {
            assert!(find(name).is_some(), "`{name}` is no rule");
        }
        for rule in RULES {
            assert!(used.contains(&rule.name), "`{}` is never used", rule.name);
        }
    }

    #[test]
    fn the_table_has_two_lines_for_each_rule() {
        assert_eq!(rules_table().lines().count(), 2 * RULES.len());
    }
}
