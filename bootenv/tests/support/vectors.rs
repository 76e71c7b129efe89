//! The vectors of the generic track, `vectors/grub.txt`, and their words for states and steps.

#![allow(dead_code, reason = "every test takes what it needs")]

use bootenv::grub::GrubState;
use bootenv::machine::grub::{Copies, Copy, Step, World, start};
use bootenv::{How, Slot};

const TEXT: &str = include_str!("../../vectors/grub.txt");

/// One row.
pub(crate) struct Vector {
    /// The row as it is written.
    pub(crate) row: &'static str,
    /// What the blocks hold.
    pub(crate) copies: Copies,
    /// What GRUB meets.
    pub(crate) world: World,
    /// What it does.
    pub(crate) steps: &'static str,
}

/// All rows.
pub(crate) fn all() -> Vec<Vector> {
    TEXT.lines().filter(|line| !line.starts_with('#')).map(parse).collect()
}

fn parse(row: &'static str) -> Vector {
    let columns: Vec<&str> = row.split('|').map(str::trim).collect();
    let [primary, spare, loads, steps] = columns[..] else { panic!("{row}") };
    let copies = Copies { primary: parse_state(primary), spare: parse_state(spare) };
    let world = World { a_loads: loads.contains('a'), b_loads: loads.contains('b'), saves: true };
    Vector { row, copies, world, steps }
}

fn parse_state(text: &str) -> Option<GrubState> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [default, tries, good, failed] = words[..] else {
        assert_eq!(words, ["lost"]);
        return None;
    };
    let good = Slot::ALL.into_iter().filter(|slot| good.contains(&letters(&[*slot]))).collect();
    Some(GrubState {
        default: default.parse().unwrap(),
        tries: tries.parse().unwrap(),
        good,
        failed: failed.parse().ok(),
    })
}

/// What the transition function does, in the words of the vectors.
pub(crate) fn machine(copies: &Copies, world: World) -> String {
    start(copies, world).iter().map(step_text).collect::<Vec<_>>().join("; ")
}

fn step_text(step: &Step) -> String {
    match step {
        Step::Save(copy, state) => {
            let copy = if *copy == Copy::Primary { "primary" } else { "spare" };
            format!("save {copy} {}", state_text(state))
        }
        Step::Fails(slot) => format!("fails {slot}"),
        Step::Boot(booted) => format!("boot {} {}", booted.slot, how_text(booted.how)),
        Step::Reset(seconds) => format!("reset {seconds}"),
    }
}

/// How a slot was started, as the kernel is told.
pub(crate) fn how_text(how: How) -> &'static str {
    match how {
        How::Committed => "committed",
        How::Trial => "trial",
        How::HandOver => "handover",
    }
}

/// A state in the words of the vectors.
pub(crate) fn state_text(state: &GrubState) -> String {
    let failed = state.failed.map_or("none".to_owned(), |slot| letters(&[slot]));
    format!("{} {} {} {failed}", letters(&[state.default]), state.tries, letters(&state.good))
}

fn letters(slots: &[Slot]) -> String {
    let text: String = slots.iter().map(|slot| slot.to_string().to_uppercase()).collect();
    if text.is_empty() { "none".to_owned() } else { text }
}
