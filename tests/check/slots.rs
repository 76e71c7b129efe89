//! Slots that are not what their lists say.

use bootenv::Slot;
use bootenv::bootsector::BootSector;
use bootenv::machine::rpi::Front;
use bootenv::medium::{Access, FileMedium};
use factory::digest::Sha256;
use factory::slot::{LAYOUT_GENERATION, SLOT_FILE};

use super::image::Recipe;
use super::{broken, expect, expect_all};

#[test]
fn an_empty_slot_is_told() {
    let image = Recipe::rpi().build();
    image.put(image.offset(3), &[7; 512]);
    expect(&image, "slot-empty", "boot-b: it holds no system");
}

#[test]
fn a_slot_that_is_hidden_is_noted_and_not_called_broken() {
    let image = Recipe::rpi().build();
    image.put(image.offset(3), &[0; 512]);
    expect(&image, "slot-hidden", "boot-b: it is hidden: it was not written to its end, or failed its trial");
    let image = Recipe::rpi().build();
    image.put(image.offset(2), &[0; 512]);
    expect(&image, "slot-committed", "boot-a: its first sector is empty, and autoboot.txt names it");
}

/// The builder's slots have what they are shown from again.
#[test]
fn a_slot_is_hidden_and_shown_again_without_a_trace() {
    let image = Recipe::rpi().build();
    let before = Sha256::of(&std::fs::read(&image.path).unwrap());
    for slot in Slot::ALL {
        let mut medium = FileMedium::open(&image.path, Access::Write).unwrap();
        let mut sector = |front| {
            let sector = BootSector::read(&mut medium, slot).unwrap();
            assert_eq!(sector.front(), front);
            if front == Front::SHOWN { sector.hide(&mut medium) } else { sector.show(&mut medium) }.unwrap();
        };
        sector(Front::SHOWN);
        sector(Front::HIDDEN);
    }
    assert_eq!(Sha256::of(&std::fs::read(&image.path).unwrap()), before);
    assert_eq!(broken(&image), []);
}

#[test]
fn a_list_that_is_missing_or_no_list_is_told() {
    let image = Recipe::rpi().build();
    image.mtool("mdel", 2, &["::slot.json"]);
    expect_all(&image, &[("slot-list", "boot-a: slot.json: there is none")]);
    let mut recipe = Recipe::generic();
    recipe.slot.insert(SLOT_FILE.into(), b"{\"layout\": ".to_vec());
    expect(&recipe.build(), "slot-list", "system-a: slot.json, system-b: slot.json: EOF while parsing");
}

#[test]
fn another_generation_of_the_layout_is_told() {
    let mut recipe = Recipe::rpi();
    recipe.generation = LAYOUT_GENERATION + 1;
    expect(&recipe.build(), "slot-generation", "it was made for layout 2, and this is 1");
}

#[test]
fn files_that_are_missing_or_of_another_size_are_told() {
    let mut recipe = Recipe::rpi();
    recipe.slot.insert("notes.txt".into(), b"about".to_vec());
    let image = recipe.build();
    image.mtool("mdel", 3, &["::notes.txt"]);
    expect(&image, "slot-files", "boot-b: notes.txt: it is missing");
    let list = recipe.list(&recipe.slot);
    recipe.slot.insert(SLOT_FILE.into(), list);
    recipe.slot.insert("notes.txt".into(), b"about it".to_vec());
    expect(&recipe.build(), "slot-files", "notes.txt: it has 8 bytes instead of 5");
}

#[test]
fn a_file_that_nobody_listed_is_told() {
    let mut recipe = Recipe::rpi();
    let list = recipe.list(&recipe.slot);
    recipe.slot.insert(SLOT_FILE.into(), list);
    recipe.slot.insert("stray.txt".into(), b"hello".to_vec());
    expect(&recipe.build(), "slot-unlisted", "stray.txt: it is not listed, and has 5 B");
}

#[test]
fn a_file_of_other_bytes_is_told_in_the_slot_that_has_it() {
    let mut recipe = Recipe::rpi();
    recipe.slot.insert("notes.txt".into(), b"about a thing".to_vec());
    let image = recipe.build();
    let at = image.file_at(2, b"about a thing");
    image.put(at, b"A");
    expect(&image, "slot-digests", "boot-a: notes.txt: its sha256 is ");
}

#[test]
fn slots_of_two_versions_are_noted() {
    let mut recipe = Recipe::rpi();
    let mut other = recipe.slot.clone();
    other.insert("notes.txt".into(), b"new".to_vec());
    recipe.slot_b = Some(other);
    expect(&recipe.build(), "slots-differ", "boot-b: it holds kiosk 1, and the other slot kiosk 1");
}
