//! Cards with random damage are answered about, whatever they say.

use std::collections::BTreeSet;

use factory::emulate::eeprom::{self, ModelError, Question};
use proptest::prelude::*;

use crate::board;
use crate::disk::{AUTOBOOT, Card, Part};

#[test]
fn questions_without_sense_are_refused() {
    let card = Card::mbr(&[Part::pi4()]);
    let ask = |question: Question| eeprom::ask(&card.disk(), &question).unwrap_err();
    let error = ask(Question { eeprom: "newest".to_owned(), ..board("rpi4") });
    assert!(matches!(error, ModelError::Date { .. }));
    let error = ask(Question { variant: Some("e1".to_owned()), ..board("rpi5") });
    assert!(error.to_string().contains("has no variant `e1`\n\nhint: it has d0"), "{error}");
    let error = ask(Question { reboot: Some(64), ..board("rpi4") });
    assert_eq!(error, ModelError::Reboot { number: 64 });
}

#[test]
fn a_card_that_ends_too_early_is_answered_about() {
    let card = Card::mbr(&[Part::pi4().with("autoboot.txt", AUTOBOOT), Part::pi4()]);
    let file = std::fs::OpenOptions::new().write(true).open(card.path()).unwrap();
    let rules: BTreeSet<&str> = [5 << 20, 4 << 20, 1 << 20, 700, 512, 100]
        .into_iter()
        .map(|length| {
            file.set_len(length).unwrap();
            eeprom::ask(&card.disk(), &board("rpi4")).unwrap().steps.last().unwrap().rule
        })
        .collect();
    // The slot is cut off first, and the control partition takes over as long as it is whole.
    assert_eq!(rules, BTreeSet::from(["boot-order", "initramfs"]));
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic_or_name_a_partition_that_is_not_there(
        hits in proptest::collection::vec((damaged_place(), any::<u8>()), 1..12),
        name in prop_oneof![Just("rpi4"), Just("rpi5"), Just("rpi3")],
        tryboot: bool,
    ) {
        let card = card();
        for (at, byte) in &hits {
            card.replace(*at, &[*byte]);
        }
        let answer = eeprom::ask(&card.disk(), &Question { tryboot, ..board(name) }).unwrap();
        prop_assert!(!answer.steps.is_empty());
        prop_assert!(answer.boots.is_none_or(|chosen| (1..=4).contains(&chosen.partition)));
    }
}

fn card() -> Card {
    let slot = || {
        let pi5 = crate::disk::tree("raspberrypi,5-model-b", "brcm,bcm2712");
        Part::pi4().with("bcm2712-rpi-5-b.dtb", pi5).with("overlays/x.dtbo", "x")
    };
    Card::mbr(&[slot().with("autoboot.txt", AUTOBOOT), slot()])
}

/// The table, a boot sector, the FATs, or the directory and the files behind them.
fn damaged_place() -> impl Strategy<Value = u64> {
    let partition = prop_oneof![Just(1_u64 << 20), Just(4_u64 << 20)];
    let inside = prop_oneof![0..64_u64, 500..20_000_u64, 8_000..60_000_u64];
    prop_oneof![446..512_u64, (partition, inside).prop_map(|(start, at)| start + at)]
}
