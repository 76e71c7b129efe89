//! Which partition is wanted: autoboot.txt, trials, the last reboot.

use factory::emulate::eeprom::Question;

use crate::disk::{AUTOBOOT, Card, Part};
use crate::{board, check, pi4_of};

/// The usual card: control partition, two slots, data.
fn card(autoboot: impl Into<Vec<u8>>) -> Card {
    let control = Part::pi4().with("autoboot.txt", autoboot);
    Card::mbr(&[control, Part::pi4(), Part::pi4(), Part::linux()])
}

fn trial(name: &str) -> Question {
    Question { tryboot: true, ..board(name) }
}

#[test]
fn the_default_slot_boots() {
    let answer = check("slot-a", &card(AUTOBOOT), &board("rpi4"), Some(2));
    let chosen = answer.boots.unwrap();
    assert_eq!((chosen.kernel.as_str(), chosen.initramfs.as_deref()), ("kernel8.img", Some("initramfs8")));
    assert_eq!((chosen.dtb.as_deref(), chosen.tryboot), (Some("bcm2711-rpi-4-b.dtb"), false));
    assert_eq!(chosen.cmdline, "quiet panic=10");
}

#[test]
fn a_committed_slot_b_boots() {
    let committed = AUTOBOOT.replace('2', "x").replace('3', "2").replace('x', "3");
    check("slot-b-committed", &card(committed), &board("rpi4"), Some(3));
}

#[test]
fn a_trial_takes_the_other_slot_and_the_usual_config() {
    let answer = check("trial", &card(AUTOBOOT), &trial("rpi4"), Some(3));
    let chosen = answer.boots.unwrap();
    assert!(chosen.tryboot && chosen.config == "config.txt");
}

#[test]
fn what_the_builder_writes_is_what_the_vendor_documents() {
    let written = bootenv::rpi::Autoboot::initial().encode();
    check("slot-a-padded", &card(written), &board("rpi4"), Some(2));
    check("trial-padded", &card(written), &trial("rpi4"), Some(3));
}

#[test]
fn a_lost_autoboot_leads_to_the_control_partition() {
    let card = Card::mbr(&[Part::pi4(), Part::pi4(), Part::pi4(), Part::linux()]);
    check("autoboot-lost", &card, &board("rpi4"), Some(1));
}

#[test]
fn an_empty_or_damaged_autoboot_leads_to_the_control_partition() {
    check("autoboot-empty", &card(""), &board("rpi4"), Some(1));
    check("autoboot-garbage", &card(b"\xff\xfe\x01\x02".repeat(128)), &board("rpi4"), Some(1));
    let torn = [b"[all]\ntryboot_a_b=1\nboot_parti".as_slice(), &[0; 480]].concat();
    check("autoboot-torn", &card(torn), &board("rpi4"), Some(1));
}

#[test]
fn only_the_first_512_bytes_of_autoboot_count() {
    let text = format!("{AUTOBOOT}{}[all]\nboot_partition=3\n", "\n".repeat(450));
    check("autoboot-too-long", &card(text), &board("rpi4"), Some(2));
}

#[test]
fn autoboot_counts_only_in_the_first_fat() {
    let elsewhere = Part::pi4().with("autoboot.txt", AUTOBOOT);
    let card = Card::mbr(&[Part::pi4(), elsewhere, Part::pi4(), Part::linux()]);
    check("autoboot-in-a-slot", &card, &board("rpi4"), Some(1));
}

/// Measured with the EEPROM of 2021-04-29: the last `boot_partition` wins, whatever the section.
#[test]
fn an_old_eeprom_takes_the_last_partition_named() {
    check("eeprom-2021", &card(AUTOBOOT), &pi4_of("2021-04-29"), Some(3));
}

#[test]
fn an_old_eeprom_reads_tryboot_txt_in_a_trial() {
    let slot = Part::pi4().with("tryboot.txt", "kernel=kernel8.img\n");
    let card = Card::mbr(&[Part::pi4().with("autoboot.txt", AUTOBOOT), Part::pi4(), slot]);
    let question = Question { tryboot: true, ..pi4_of("2021-04-29") };
    let answer = check("eeprom-2021-trial", &card, &question, Some(3));
    assert_eq!(answer.boots.unwrap().config, "tryboot.txt");
    let before = Question { tryboot: true, ..pi4_of("2020-09-03") };
    let answer = check("eeprom-2020-trial", &card, &before, Some(3));
    assert!(!answer.boots.unwrap().tryboot);
}

#[test]
fn without_tryboot_a_b_a_trial_reads_tryboot_txt_of_the_same_partition() {
    let control = Part::pi4().with("autoboot.txt", "[all]\nboot_partition=2\n");
    let slot = Part::pi4().with("tryboot.txt", "kernel=new.img\n").with("new.img", "new");
    let card = Card::mbr(&[control, slot, Part::pi4()]);
    let answer = check("tryboot-txt", &card, &trial("rpi4"), Some(2));
    let chosen = answer.boots.unwrap();
    assert_eq!((chosen.config.as_str(), chosen.kernel.as_str()), ("tryboot.txt", "new.img"));
}

#[test]
fn a_trial_without_autoboot_stays_on_the_control_partition() {
    let card = Card::mbr(&[Part::pi4(), Part::pi4(), Part::pi4()]);
    let answer = check("trial-autoboot-lost", &card, &trial("rpi4"), Some(1));
    assert_eq!(answer.boots.unwrap().config, "tryboot.txt");
}

#[test]
fn the_last_reboot_comes_before_autoboot() {
    let asked = |number| Question { reboot: Some(number), ..board("rpi4") };
    check("reboot-3", &card(AUTOBOOT), &asked(3), Some(3));
    check("reboot-0", &card(AUTOBOOT), &asked(0), Some(2));
    check("reboot-62", &card(AUTOBOOT), &asked(62), Some(2));
    check("reboot-halt", &card(AUTOBOOT), &asked(63), None);
}

#[test]
fn partition_0_is_the_first_that_can_boot() {
    let control = Part::fat().with("autoboot.txt", "boot_partition=0\n");
    let card = Card::mbr(&[control, Part::linux(), Part::pi4()]);
    check("partition-0", &card, &board("rpi4"), Some(3));
}

/// The course of an upgrade, each answer from the same card.
#[test]
fn a_trial_holds_for_one_start() {
    let card = card(AUTOBOOT);
    let asks = [board("rpi4"), trial("rpi4"), board("rpi4")];
    let boots = asks.map(|question| {
        let answer = factory::emulate::eeprom::ask(&card.disk(), &question).unwrap();
        answer.boots.unwrap().partition
    });
    assert_eq!(boots, [2, 3, 2]);
}

/// From a log in the wild: `autoboot.txt not found`, then `result 1`, `Trying partition: 1`.
#[test]
fn a_plain_card_of_a_raspberry_pi_5_boots_its_first_partition() {
    check("log-plain-pi5", &Card::mbr(&[Part::pi5(), Part::linux()]), &board("rpi5"), Some(1));
}

#[test]
fn the_emulated_board_chooses_as_raspberry_pi_4_does() {
    let tree = crate::disk::tree("raspberrypi,3-model-b", "brcm,bcm2837");
    let slot = || Part::pi4().with("bcm2837-rpi-3-b.dtb", tree.clone());
    let control = slot().with("autoboot.txt", AUTOBOOT);
    let card = Card::mbr(&[control, slot(), slot()]);
    let answer = check("stand-in", &card, &trial("rpi3"), Some(3));
    assert_eq!(answer.boots.unwrap().dtb.as_deref(), Some("bcm2837-rpi-3-b.dtb"));
}
