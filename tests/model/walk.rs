//! What happens when the wanted partition cannot boot, and how partitions are counted.

use factory::emulate::eeprom::Question;

use crate::disk::{AUTOBOOT, Card, Part, start4};
use crate::{board, check, pi4_of};

fn control() -> Part {
    Part::pi4().with("autoboot.txt", AUTOBOOT)
}

/// Slot A as it is when its firmware is gone.
fn broken() -> Part {
    Part::pi4().without("start4.elf")
}

#[test]
fn a_slot_without_firmware_is_left_for_the_next_that_has_some() {
    let card = Card::mbr(&[control(), broken(), Part::pi4(), Part::linux()]);
    check("walk-to-b", &card, &board("rpi4"), Some(3));
}

/// What keeps a slot from being booted that is being written, or that failed its trial.
#[test]
fn a_slot_whose_first_sector_is_empty_is_walked_past() {
    let card = Card::mbr(&[control(), broken(), Part::pi4(), Part::linux()]);
    card.replace(card.start(3), &[0; 512]);
    check("walk-past-hidden", &card, &board("rpi4"), Some(1));
    let control = Part::pi5().with("autoboot.txt", AUTOBOOT);
    let card = Card::mbr(&[control, Part::fat(), Part::pi5(), Part::linux()]);
    card.replace(card.start(3), &[0; 512]);
    check("walk-past-hidden-pi5", &card, &board("rpi5"), Some(1));
}

#[test]
fn a_broken_slot_b_leads_to_the_control_partition() {
    let card = Card::mbr(&[control(), Part::pi4(), broken(), Part::linux()]);
    let trial = Question { tryboot: true, ..board("rpi4") };
    check("walk-to-control", &card, &trial, Some(1));
}

/// The log of rpi-eeprom#818: `Trying partition` 2, 2, 3, 4 (which fails), 1, 0.
#[test]
fn the_walk_has_the_order_of_the_log() {
    let control = Part::fat().with("autoboot.txt", AUTOBOOT);
    let card = Card::mbr(&[control, Part::fat(), Part::fat(), Part::linux()]);
    let answer = check("log-818", &card, &board("cm5"), None);
    let tried: Vec<&str> = answer
        .steps
        .iter()
        .filter_map(|step| {
            let rest = step.what.strip_prefix("finds no config.txt in partition ");
            rest.or_else(|| step.what.strip_prefix("partition "))
        })
        .map(|rest| &rest[..1])
        .collect();
    assert_eq!(tried, ["2", "2", "3", "4", "1"]);
}

#[test]
fn before_the_walk_partition_1_takes_over() {
    let card = Card::mbr(&[control(), broken(), Part::pi4(), Part::linux()]);
    check("failover-2024", &card, &pi4_of("2024-04-15"), Some(1));
    check("no-failover-2021", &Card::mbr(&[control(), Part::pi4(), broken()]), &pi4_of("2021-04-29"), None);
}

/// rpi-eeprom#738: partition 2 is an empty FAT, and the firmware of partition 3 is not found.
#[test]
fn for_a_week_a_fat_without_firmware_hid_that_of_all_others() {
    let control = Part::fat().with("autoboot.txt", AUTOBOOT);
    let card = Card::mbr(&[control, Part::fat(), Part::pi4()]);
    check("log-738", &card, &pi4_of("2025-08-13"), None);
    check("log-738-fixed", &card, &pi4_of("2025-08-20"), Some(3));
}

#[test]
fn a_partition_that_is_not_there_is_walked_past() {
    let control = Part::pi4().with("autoboot.txt", "boot_partition=7\n");
    check("walk-from-7", &Card::mbr(&[control, Part::pi4()]), &board("rpi4"), Some(1));
}

#[test]
fn firmware_of_older_boards_holds_up_the_walk() {
    let other = broken().with("start.elf", "for another board");
    check("other-firmware", &Card::mbr(&[control(), other, Part::pi4()]), &board("rpi4"), None);
}

/// The comment of 2026-09-18 in rpi-eeprom#818: made as FAT32, but too small for one.
#[test]
fn a_fat32_with_too_few_clusters_loses_its_files() {
    let control = Part::pi5().with("autoboot.txt", AUTOBOOT.replace('2', "3")).with_clusters(64_496);
    let card = Card::gpt(&[control, Part::pi5(), Part::pi5()]);
    check("log-818-clusters", &card, &board("rpi5"), Some(2));
    let control = Part::pi5().with("autoboot.txt", AUTOBOOT.replace('2', "3")).with_clusters(65_525);
    check("fat32-clusters", &Card::gpt(&[control, Part::pi5(), Part::pi5()]), &board("rpi5"), Some(3));
}

/// rpi-eeprom#705: the second partition of the table lies behind the two slots. Slot 3 worked, and
/// slot 4 did not.
#[test]
fn a_table_out_of_order_confuses_the_second_stage() {
    let card = |number: u32| {
        let control = Part::pi4().with("autoboot.txt", format!("boot_partition={number}\n"));
        Card::mixed(&[control, Part::linux(), Part::pi4(), Part::pi4()], [1, 3, 4, 2])
    };
    check("log-705-works", &card(3), &board("rpi4"), Some(4));
    check("log-705", &card(4), &board("rpi4"), None);
    let control = Part::pi5().with("autoboot.txt", "boot_partition=4\n");
    let pi5 = Card::mixed(&[control, Part::linux(), Part::pi5(), Part::pi5()], [1, 3, 4, 2]);
    check("out-of-order-pi5", &pi5, &board("rpi5"), Some(4));
}

/// rpi-eeprom#668 and rpi-eeprom#854: GPT, a new EEPROM, and firmware from before.
#[test]
fn old_firmware_finds_nothing_on_a_gpt() {
    let old = || Part::pi4().with("start4.elf", start4("Nov 26 2024"));
    let card = Card::gpt(&[old(), old(), old()]);
    check("log-668", &card, &pi4_of("2025-02-11"), None);
    check("log-668-eeprom-before", &card, &pi4_of("2024-04-15"), Some(1));
    let new = Card::gpt(&[control(), Part::pi4(), Part::pi4()]);
    check("gpt", &new, &board("rpi4"), Some(2));
    check("gpt-before-numbers", &new, &pi4_of("2024-04-15"), Some(1));
    check("gpt-before-gpt", &new, &pi4_of("2020-04-16"), None);
}

#[test]
fn a_card_without_partitions_boots_nothing() {
    check("no-table", &Card::raw(&[0; 4096]), &board("rpi4"), None);
    check("not-a-card", &Card::raw(b"hello"), &board("rpi5"), None);
    check("no-fat", &Card::mbr(&[Part::linux()]), &board("rpi4"), None);
}
