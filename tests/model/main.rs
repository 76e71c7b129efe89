//! The model of the Raspberry Pi's boot chain, asked about small disks: one for each rule, and one
//! for each log that is known from real boards. The answers are texts that a person reviews;
//! `BLESS=1` rewrites them.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod command;
mod damage;
mod disk;
mod files;
mod machine;
mod selection;
mod walk;

use std::fs;
use std::path::Path;

use factory::board;
use factory::emulate::eeprom::{self, Answer, NEWEST, Question, RULES};

use disk::Card;

/// A board with the newest EEPROM, that nobody asked for anything.
fn board(name: &str) -> Question {
    let board = board::find(name).unwrap();
    Question { board, variant: None, eeprom: NEWEST.to_owned(), reboot: None, tryboot: false }
}

/// A Raspberry Pi 4 with an EEPROM of this date.
fn pi4_of(date: &str) -> Question {
    Question { eeprom: date.to_owned(), ..board("rpi4") }
}

/// Asks about a card, and compares the text. `boots` is the partition that must come out.
fn check(name: &str, card: &Card, question: &Question, boots: Option<u32>) -> Answer {
    let answer = eeprom::ask(&card.disk(), question).unwrap();
    assert_eq!(answer.boots.as_ref().map(|chosen| chosen.partition), boots, "{name}: {answer:#?}");
    for step in &answer.steps {
        assert!(RULES.iter().any(|rule| rule.name == step.rule), "`{}` is no rule", step.rule);
    }
    let actual = eeprom::render(question, &answer);
    let path = Path::new("tests/model/vectors").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} is no longer the answer, which is:\n{actual}", path.display());
    answer
}
