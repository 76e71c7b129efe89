//! The formats of one or two sectors: environment blocks, `autoboot.txt`, the journal.

use bootenv::envblk;
use bootenv::grub::GrubState;
use bootenv::grubenv::GrubEnv;
use bootenv::journal::{Event, Journal, Record, Reset};
use bootenv::machine::rpi::Rows;
use bootenv::medium::SECTOR;
use bootenv::rpi::Autoboot;
use bootenv::{Operation, Slot, Trial};
use proptest::collection::vec;
use proptest::prelude::*;

use super::damage::{any_damage, damaged, in_place};
use super::support::crc32;
use super::{Verdict, judge};

fn slot() -> impl Strategy<Value = Slot> {
    prop::sample::select(Slot::ALL.to_vec())
}

fn state() -> impl Strategy<Value = GrubState> {
    let good = prop::sample::subsequence(Slot::ALL.to_vec(), 0..=2);
    (slot(), 0..=9_u8, good, prop::option::of(slot())).prop_map(|(default, tries, good, failed)| GrubState {
        default,
        tries,
        good,
        failed,
    })
}

fn foreign_variables() -> impl Strategy<Value = GrubEnv> {
    vec(("[a-z_]{1,8}", "[ -~]{0,20}"), 0..6).prop_map(|pairs| {
        let mut env = GrubEnv::new();
        pairs.iter().for_each(|(name, value)| env.set(name, value).unwrap());
        env
    })
}

#[test]
fn damaged_environment_blocks_are_refused_or_read_as_grub_reads_them() {
    let cases = (state(), foreign_variables(), vec(any_damage(), 0..6), state());
    judge(30_000, &cases, |(state, env, damage, next)| {
        block(&damaged(&state.encode_into(env).unwrap(), &damage), &next)
    });
}

fn block(bytes: &[u8], next: &GrubState) -> Verdict {
    if let Ok(env) = GrubEnv::decode(bytes) {
        prop_assert_eq!(GrubEnv::decode(&env.encode().unwrap()), Ok(env.clone()));
        let found = envblk::variables(bytes).unwrap();
        let same = env.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        prop_assert!(same.eq(found.iter().map(|(name, value)| (*name, &value[..]))));
    }
    let read = GrubState::as_grub_reads(bytes);
    let mut saved = bytes.to_vec();
    let done = next.save_as_grub(&mut saved);
    prop_assert_eq!(saved.len(), bytes.len());
    if !done {
        prop_assert!(saved == bytes, "a save that fails has written");
    } else if read.is_some() {
        // GRUB saves to blocks that it has read, and reads the last one of a variable that is there twice.
        let after = GrubState::as_grub_reads(&saved);
        let found = envblk::variables(bytes).unwrap();
        let is_twice = |name| found.iter().filter(|(known, _)| *known == name).count() > 1;
        let twice = found.iter().any(|(name, _)| is_twice(*name));
        prop_assert!(twice || after.as_ref() == Some(next), "{:?} is saved as {:?}", next, after);
    }
    if let Ok(state) = GrubState::decode(bytes) {
        prop_assert_eq!(read, Some(state), "GRUB reads another state");
    }
    Ok(())
}

#[test]
fn a_damaged_autoboot_is_refused_and_read_as_something() {
    judge(20_000, &(slot(), vec(any_damage(), 0..6)), |(default, damage)| {
        let bytes = damaged(&Autoboot { default }.encode(), &damage);
        let rows = Rows::as_rom_reads(&bytes);
        if let Ok(state) = Autoboot::decode(&bytes) {
            prop_assert_eq!(&bytes[..], state.encode());
            prop_assert_eq!(rows, Rows::of(state));
        }
        Ok(())
    });
}

fn record() -> impl Strategy<Value = Record> {
    let event = prop::sample::select(vec![
        Event::Staged,
        Event::Armed,
        Event::InTrial,
        Event::Committed,
        Event::RolledBack,
        Event::Interrupted,
    ]);
    let reset = prop::sample::select(vec![Reset::Reboot, Reset::Power, Reset::Watchdog, Reset::Unknown]);
    let trial = prop::option::of((slot(), any::<u8>()).prop_map(|(slot, left)| Trial { slot, left }));
    let asked = prop_oneof![
        Just(None),
        Just(Some(Operation::Commit)),
        (slot(), any::<u8>()).prop_map(|(slot, tries)| Some(Operation::Try(slot, tries))),
        slot().prop_map(|slot| Some(Operation::Stage(slot))),
    ];
    (any::<u64>(), event, slot(), slot(), trial, any::<u64>(), reset, asked).prop_map(
        |(number, event, slot, committed, trial, time, reset, asked)| Record {
            number,
            event,
            slot,
            committed,
            trial,
            time,
            reset,
            asked,
        },
    )
}

/// Makes the checksum of a record right.
fn seal(sector: &mut [u8]) {
    let (body, seal) = sector.split_at_mut(SECTOR - 13);
    seal.copy_from_slice(format!("crc {:08x}\n", crc32(body)).as_bytes());
}

#[test]
fn damaged_journals_keep_what_is_whole() {
    let cases = ([record(), record()], vec(in_place(), 0..4), any::<bool>(), 0..1100_usize);
    judge(20_000, &cases, |(records, damage, sealed, length)| {
        let mut bytes = records.map(|record| record.encode()).concat();
        let (first, _) = bytes.split_at_mut(SECTOR);
        let mut spoilt = damaged(first, &damage);
        if sealed {
            seal(&mut spoilt);
        }
        first.copy_from_slice(&spoilt);
        let journal = Journal::decode(&bytes);
        prop_assert!(journal.records.contains(&Some(records[1])), "the other sector was whole");
        for read in journal.records.into_iter().flatten() {
            prop_assert_eq!(Record::decode(&read.encode()), Ok(read));
        }
        let (number, at) = journal.next();
        prop_assert!(at + SECTOR <= bytes.len() && at % SECTOR == 0, "record {number} goes to {at}");
        bytes.resize(length, 0xff);
        let _ = Journal::decode(&bytes);
        Ok(())
    });
}
