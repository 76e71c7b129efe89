//! What an agent may not do, and what a disk may do to it: each has its own error and number, and the
//! disk is as it was.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::collections::HashMap;

use bootenv::bootsector::BootSector;
use bootenv::flow::{Chip, Grub, Rpi};
use bootenv::grub::GrubState;
use bootenv::grubenv::GrubEnv;
use bootenv::locate::LocateError;
use bootenv::medium::{Access, FileMedium, Medium, MediumError};
use bootenv::{BootFlow, Error, How, Refusal, Running, Slot, Trial};
use support::{Disk, Event, Layout, Recorder, SLOTS, grub_disk, pi_disk, slot_boot_sector};

const IN_A: Running = Running::in_slot(Slot::A, How::Committed);

fn recorder() -> (Recorder, Layout) {
    let (bytes, layout) = grub_disk();
    (Recorder::new(Disk::new(bytes)), layout)
}

/// Puts a state into both copies.
fn with(state: &GrubState) -> Recorder {
    let (mut recorder, layout) = recorder();
    recorder.disk.put(layout.files[0], &state.encode());
    recorder.disk.put(layout.files[1], &state.settled().encode());
    recorder
}

fn trial() -> GrubState {
    GrubState { tries: 2, good: vec![Slot::A], ..GrubState::initial() }
}

type Act = fn(&mut Grub<&mut Recorder>) -> Result<(), Error>;

#[test]
fn every_misuse_is_refused_by_name_and_changes_nothing() {
    let armed = with(&trial());
    let lost = {
        let (mut recorder, layout) = recorder();
        layout.files.iter().for_each(|first| recorder.disk.put(*first, &[0xa5; 1024]));
        recorder
    };
    let new = recorder().0;
    let in_trial = Running::in_slot(Slot::B, How::Trial);
    let handed_over = Running::in_slot(Slot::B, How::HandOver);
    let cases: Vec<(&Recorder, Running, Act, Refusal)> = vec![
        (&new, IN_A, |flow| flow.try_next(Slot::B, 0), Refusal::Tries { tries: 0, cap: 9 }),
        (&new, IN_A, |flow| flow.try_next(Slot::B, 10), Refusal::Tries { tries: 10, cap: 9 }),
        (&new, IN_A, |flow| flow.try_next(Slot::A, 1), Refusal::SlotRuns(Slot::A)),
        (&new, IN_A, |flow| flow.stage(Slot::A), Refusal::SlotRuns(Slot::A)),
        (&new, Running::ELSEWHERE, |flow| flow.try_next(Slot::A, 1), Refusal::SlotCommitted(Slot::A)),
        (&new, handed_over, |flow| flow.try_next(Slot::A, 1), Refusal::SlotCommitted(Slot::A)),
        (&armed, in_trial, |flow| flow.try_next(Slot::A, 1), Refusal::InTrial(Slot::B)),
        (&armed, in_trial, |flow| flow.try_next(Slot::B, 1), Refusal::InTrial(Slot::B)),
        (&armed, in_trial, |flow| flow.stage(Slot::A), Refusal::InTrial(Slot::B)),
        (&armed, IN_A, |flow| flow.commit(), Refusal::WrongSlot { booted: Slot::A, default: Slot::A }),
        (
            &new,
            Running::in_slot(Slot::B, How::Committed),
            |flow| flow.commit(),
            Refusal::WrongSlot { booted: Slot::B, default: Slot::A },
        ),
        (&new, Running::ELSEWHERE, |flow| flow.commit(), Refusal::NothingRuns),
        (&lost, IN_A, |flow| flow.try_next(Slot::B, 1), Refusal::Lost),
        (&lost, IN_A, |flow| flow.commit(), Refusal::Lost),
        (&lost, IN_A, |flow| flow.default_slot().map(drop), Refusal::Lost),
        (&lost, Running::ELSEWHERE, |flow| flow.repair().map(drop), Refusal::LostForGood),
    ];
    for (recorder, running, act, expected) in cases {
        let mut recorder = recorder.clone();
        let before = recorder.disk.clone();
        let error = act(&mut Grub::open(&mut recorder, running).unwrap()).unwrap_err();
        assert_eq!(error, Error::Refused(expected.clone()));
        assert_eq!((recorder.disk, recorder.log.len()), (before, 0), "{expected:?}");
    }
}

#[test]
fn a_disk_that_fails_is_told_from_one_that_is_protected_or_lies() {
    let try_b: Act = |flow| flow.try_next(Slot::B, 3);
    let act = |recorder: &mut Recorder| {
        let before = recorder.disk.clone();
        let error = Grub::open(&mut *recorder, IN_A).and_then(|mut flow| try_b(&mut flow)).unwrap_err();
        assert_eq!(recorder.disk, before, "{error}");
        error
    };
    let (mut broken, layout) = recorder();
    broken.unreadable = Some(layout.files[0]);
    let read = act(&mut broken);
    assert!(matches!(read, Error::Medium(MediumError::Read { .. })), "{read}");
    let (mut worn, _) = recorder();
    worn.unwritable = Some(MediumError::Write { sector: 1, why: "worn out".to_owned() });
    assert!(matches!(act(&mut worn), Error::Medium(MediumError::Write { .. })));
    let (mut protected, _) = recorder();
    protected.unwritable = Some(MediumError::ReadOnly);
    assert_eq!(act(&mut protected), Error::Medium(MediumError::ReadOnly));
    let (mut liar, _) = recorder();
    liar.forgets = true;
    assert!(matches!(act(&mut liar), Error::ReadBack(_)));
}

#[test]
fn what_another_program_writes_in_between_is_not_written_over() {
    let (quiet, layout) = recorder();
    let mut count = quiet.clone();
    Grub::open(&mut count, IN_A).unwrap().try_next(Slot::B, 3).unwrap();
    let theirs = GrubState { default: Slot::B, ..GrubState::initial() }.encode();
    let theirs: [u8; 512] = theirs[..512].try_into().unwrap();
    let mut seen = HashMap::new();
    // The other program comes before each of the reads in turn.
    for reads in 1..=count.reads {
        let mut recorder = quiet.clone();
        recorder.meddles = Some((reads, layout.files[0], theirs));
        let result = Grub::open(&mut recorder, IN_A).and_then(|mut flow| flow.try_next(Slot::B, 3));
        let written = recorder.log.iter().filter(|event| matches!(event, Event::Write(..))).count();
        match &result {
            Err(Error::Changed(_)) => assert_eq!(recorder.disk.clone().get(layout.files[0], 512), theirs),
            // It came first, and was understood, or last, and was found out by the read-back.
            Err(Error::Refused(_)) => assert_eq!(written, 0),
            Err(Error::ReadBack(_)) | Ok(()) => {}
            Err(error) => panic!("{error}"),
        }
        *seen.entry(result.map_err(|error| error.code())).or_insert(0) += 1;
    }
    assert!(seen.contains_key(&Err(51)), "{seen:?}");
}

#[test]
fn a_file_that_moved_is_not_written_where_it_was() {
    let (mut recorder, layout) = recorder();
    let entry = layout.entries[0] / 512;
    let mut moved: [u8; 512] = recorder.disk.get(entry as u64, 512).try_into().unwrap();
    moved[layout.entries[0] % 512 + 26] = layout.clusters[1] as u8;
    let mut count = recorder.clone();
    Grub::open(&mut count, IN_A).unwrap();
    // Once the blocks have been read, and before they are looked for again.
    recorder.meddles = Some((count.reads + 5, entry as u64, moved));
    let error = Grub::open(&mut recorder, IN_A).unwrap().try_next(Slot::B, 3).unwrap_err();
    assert!(matches!(error, Error::Moved(_)), "{error}");
    assert!(recorder.log.is_empty());
}

#[test]
fn an_image_opened_for_reading_is_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    std::fs::write(&path, grub_disk().0).unwrap();
    let medium = FileMedium::open(&path, Access::Read).unwrap();
    let mut flow = Grub::open(medium, Running::ELSEWHERE).unwrap();
    assert_eq!(flow.default_slot(), Ok(Slot::A));
    assert_eq!(flow.try_next(Slot::B, 1), Err(Error::Medium(MediumError::ReadOnly)));
    assert_eq!(std::fs::read(&path).unwrap(), grub_disk().0);
}

#[test]
fn variables_of_others_are_kept_and_a_full_block_is_refused() {
    let (mut recorder, layout) = recorder();
    let mut env = GrubEnv::decode(&GrubState::initial().encode()).unwrap();
    env.set("saved_entry", "1").unwrap();
    recorder.disk.put(layout.files[0], &env.encode().unwrap());
    Grub::open(&mut recorder, IN_A).unwrap().try_next(Slot::B, 3).unwrap();
    let block = recorder.disk.get(layout.files[0], 1024);
    assert_eq!(GrubEnv::decode(&block).unwrap().get("saved_entry"), Some("1"));

    let good = GrubState { good: vec![Slot::A], failed: Some(Slot::A), ..GrubState::initial() };
    let mut env = GrubEnv::decode(&good.encode()).unwrap();
    let used = env.encode().unwrap().iter().rposition(|byte| *byte != b'#').unwrap() + 1;
    env.set("x", &"y".repeat(512 - used - 3)).unwrap();
    recorder.disk.put(layout.files[0], &env.encode().unwrap());
    let before = recorder.disk.clone();
    recorder.log.clear();
    let error = Grub::open(&mut recorder, IN_A).unwrap().repair().unwrap_err();
    assert!(matches!(error, Error::Block(_)), "{error}");
    assert_eq!((recorder.disk, recorder.log.len()), (before, 0));
}

#[test]
fn the_state_is_told_as_it_is() {
    let mut recorder = with(&trial());
    let state = Grub::open(&mut recorder, IN_A).unwrap().state().unwrap();
    assert_eq!((state.default, state.next, state.whole), (Some(Slot::A), Some(Slot::B), true));
    assert_eq!(state.trial, Some(Trial { slot: Slot::B, left: 2 }));
    let (mut torn, layout) = self::recorder();
    torn.disk.put(layout.files[1], &[0; 1024]);
    let mut flow = Grub::open(&mut torn, IN_A).unwrap();
    assert!(!flow.state().unwrap().whole);
    assert_eq!((flow.repair(), flow.repair()), (Ok(true), Ok(false)));
}

/// A board that keeps its flag or not.
struct Board {
    flag: bool,
    keeps: bool,
    trial: Option<Trial>,
}

impl Chip for &mut Board {
    fn tryboot(&mut self) -> Result<bool, Error> {
        Ok(self.flag)
    }

    fn set_tryboot(&mut self, set: bool) -> Result<(), Error> {
        self.flag = set && self.keeps;
        Ok(())
    }

    fn trial(&mut self) -> Result<Option<Trial>, Error> {
        Ok(self.trial)
    }

    fn set_trial(&mut self, trial: Option<Trial>) -> Result<(), Error> {
        self.trial = trial;
        Ok(())
    }
}

fn on_pi<T>(
    board: &mut Board,
    running: Running,
    act: impl FnOnce(&mut Rpi<&mut Disk, &mut Board>) -> T,
) -> (T, bool) {
    let mut disk = Disk::new(pi_disk().0);
    let done = act(&mut Rpi::open(&mut disk, board, running).unwrap());
    (done, disk.changed.is_empty())
}

#[test]
fn misuse_of_a_board_is_refused_by_name_and_changes_nothing() {
    type Act = fn(&mut Rpi<&mut Disk, &mut Board>) -> Result<(), Error>;
    let in_trial = Running::in_slot(Slot::B, How::Trial);
    let walked = Running::in_slot(Slot::B, How::Committed);
    let cases: Vec<(Running, Act, Refusal)> = vec![
        (IN_A, |flow| flow.try_next(Slot::B, 0), Refusal::Tries { tries: 0, cap: 9 }),
        (IN_A, |flow| flow.try_next(Slot::A, 1), Refusal::SlotRuns(Slot::A)),
        (in_trial, |flow| flow.try_next(Slot::A, 1), Refusal::InTrial(Slot::B)),
        (walked, |flow| flow.commit(), Refusal::WrongSlot { booted: Slot::B, default: Slot::A }),
        (walked, |flow| flow.try_next(Slot::A, 1), Refusal::SlotCommitted(Slot::A)),
        (Running::ELSEWHERE, |flow| flow.commit(), Refusal::NothingRuns),
    ];
    for (running, act, expected) in cases {
        let mut board = Board { flag: false, keeps: true, trial: None };
        let (result, untouched) = on_pi(&mut board, running, act);
        assert_eq!(result, Err(Error::Refused(expected)));
        assert!(untouched && !board.flag && board.trial.is_none());
    }
}

#[test]
fn a_board_that_forgets_its_flag_is_found_out() {
    let mut board = Board { flag: false, keeps: false, trial: None };
    let (result, untouched) = on_pi(&mut board, IN_A, |flow| flow.try_next(Slot::B, 1));
    assert!(matches!(result, Err(Error::Tryboot(_))) && untouched);
}

#[test]
fn several_tries_are_armed_one_by_one_from_the_committed_slot() {
    let mut board = Board { flag: false, keeps: true, trial: None };
    on_pi(&mut board, IN_A, |flow| flow.try_next(Slot::B, 3).unwrap());
    let mut starts = 0;
    while board.flag && starts < 20 {
        starts += 1;
        board.flag = false;
        on_pi(&mut board, IN_A, |flow| flow.resume().unwrap());
    }
    assert_eq!(starts, 3);
}

fn board(trial: Option<Trial>) -> Board {
    Board { flag: false, keeps: true, trial }
}

/// What slot B starts with, and what its backup is.
fn front(disk: &mut Disk) -> [Vec<u8>; 2] {
    [0, 6].map(|sector| disk.get(SLOTS[1] + sector, 512))
}

#[test]
fn a_slot_is_hidden_while_it_is_written_shown_for_its_tries_and_hidden_when_they_are_used_up() {
    let (bytes, layout) = pi_disk();
    let (mut disk, mut board, boot) = (Disk::new(bytes), self::board(None), slot_boot_sector().to_vec());
    let hidden = [vec![0; 512], boot.clone()];
    Rpi::open(&mut disk, &mut board, IN_A).unwrap().stage(Slot::B).unwrap();
    assert_eq!(front(&mut disk), hidden);
    Rpi::open(&mut disk, &mut board, IN_A).unwrap().try_next(Slot::B, 2).unwrap();
    assert_eq!(front(&mut disk), [boot.clone(), boot.clone()]);
    for left in [1, 0] {
        board.flag = false;
        let mut flow = Rpi::open(&mut disk, &mut board, Running::in_slot(Slot::B, How::Trial)).unwrap();
        assert_eq!(flow.repair(), Ok(false));
        let mut flow = Rpi::open(&mut disk, &mut board, IN_A).unwrap();
        assert_eq!(flow.repair(), Ok(false), "a trial that ended is nothing to repair");
        assert_eq!(flow.resume(), Ok(left == 1));
    }
    assert_eq!((front(&mut disk), board.flag), (hidden, false));
    assert_eq!(board.trial, Some(Trial { slot: Slot::B, left: 0 }));
    assert!(Rpi::open(&mut disk, &mut board, IN_A).unwrap().state().unwrap().whole);
    assert_eq!(disk.changed.keys().copied().collect::<Vec<_>>(), [SLOTS[1]], "more than one sector changed");
    assert!(!layout.files.contains(&SLOTS[1]));
}

#[test]
fn a_rollback_hides_what_it_rolls_back_from_once_that_does_not_run() {
    let trial = Some(Trial { slot: Slot::B, left: 1 });
    let (mut disk, mut board) = (Disk::new(pi_disk().0), board(trial));
    let in_b = Running::in_slot(Slot::B, How::Trial);
    Rpi::open(&mut disk, &mut board, in_b).unwrap().rollback().unwrap();
    assert!(disk.changed.is_empty(), "the slot that runs was hidden");
    for running in [IN_A, Running::ELSEWHERE] {
        let mut disk = disk.clone();
        let mut flow = Rpi::open(&mut disk, &mut board, running).unwrap();
        // By the committed slot's own start, or whatever else can.
        assert_eq!((flow.repair(), flow.resume()), (Ok(running != IN_A), Ok(false)));
        assert_eq!(front(&mut disk)[0], [0; 512]);
    }

    let (mut disk, mut board) = (Disk::new(pi_disk().0), self::board(trial));
    Rpi::open(&mut disk, &mut board, IN_A).unwrap().rollback().unwrap();
    assert_eq!(front(&mut disk)[0], [0; 512]);
    // Nothing to roll back from, and a trial that ended with its commit.
    for trial in [None, Some(Trial { slot: Slot::A, left: 1 })] {
        let (mut disk, mut board) = (Disk::new(pi_disk().0), self::board(trial));
        Rpi::open(&mut disk, &mut board, IN_A).unwrap().rollback().unwrap();
        assert!(disk.changed.is_empty() && board.trial.is_none());
    }
}

#[test]
fn a_slot_that_somebody_hid_while_it_ran_is_not_committed_hidden() {
    let (mut disk, mut board) = (Disk::new(pi_disk().0), board(None));
    disk.put(SLOTS[1], &[0; 512]);
    let in_b = Running::in_slot(Slot::B, How::Trial);
    let mut lost = disk.clone();
    lost.put(SLOTS[1] + 6, &[0; 512]);
    let refused = Rpi::open(&mut lost, &mut board, in_b).unwrap().commit();
    assert_eq!(refused, Err(Error::Refused(Refusal::NoFileSystem(Slot::B))));
    Rpi::open(&mut disk, &mut board, in_b).unwrap().commit().unwrap();
    assert_eq!(front(&mut disk)[0], slot_boot_sector());
    assert_eq!(Rpi::open(&mut disk, &mut board, in_b).unwrap().default_slot(), Ok(Slot::B));
}

#[test]
fn a_trial_that_the_control_partition_armed_is_not_taken_for_one_that_ended() {
    let (mut disk, mut board) = (Disk::new(pi_disk().0), board(None));
    let mut flow = Rpi::open(&mut disk, &mut board, Running::ELSEWHERE).unwrap();
    flow.try_next(Slot::B, 1).unwrap();
    assert_eq!(flow.repair(), Ok(false));
    assert_eq!(flow.state().unwrap().next, Some(Slot::B));
    assert!(disk.changed.is_empty());
}

/// A board whose journal cannot be written.
struct Forgetful(Option<Trial>);

impl Chip for &mut Forgetful {
    fn tryboot(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    fn set_tryboot(&mut self, _: bool) -> Result<(), Error> {
        Err(Error::Tryboot("it has none".to_owned()))
    }

    fn trial(&mut self) -> Result<Option<Trial>, Error> {
        Ok(self.0)
    }

    fn set_trial(&mut self, _: Option<Trial>) -> Result<(), Error> {
        Err(Error::Journal("it is full".to_owned()))
    }
}

#[test]
fn without_a_journal_a_slot_is_hidden_unless_the_journal_would_arm_it_again() {
    let (mut disk, mut board) = (Disk::new(pi_disk().0), Forgetful(None));
    let mut flow = Rpi::open(&mut disk, &mut board, IN_A).unwrap();
    assert!(matches!(flow.try_next(Slot::B, 1), Err(Error::Journal(_))));
    assert_eq!(flow.stage(Slot::B), Ok(()));
    assert_eq!(front(&mut disk)[0], [0; 512]);
    let in_b = Running::in_slot(Slot::B, How::Trial);
    assert_eq!(Rpi::open(&mut disk, &mut board, in_b).unwrap().rollback(), Ok(()));

    let (mut disk, mut board) = (Disk::new(pi_disk().0), Forgetful(Some(Trial { slot: Slot::B, left: 2 })));
    let mut flow = Rpi::open(&mut disk, &mut board, IN_A).unwrap();
    for refused in [flow.rollback(), flow.stage(Slot::B)] {
        assert!(matches!(refused, Err(Error::Journal(_))));
    }
    assert!(disk.changed.is_empty());
}

type Spoil = fn(&mut [u8; 512]);

/// Ways to spoil the boot sector that a slot would be shown with.
const SPOILED: [(&str, Spoil); 7] = [
    ("it is empty", |boot| boot.fill(0)),
    ("it has no signature", |boot| boot[511] = 0),
    ("it is larger than the partition", |boot| boot[32] += 1),
    ("it says that another sector repeats it", |boot| boot[50] = 7),
    ("it does not reserve what it repeats", |boot| boot[14] = 6),
    ("it is a FAT16", |boot| (boot[13], boot[17]) = (8, 16)),
    ("it has sectors of 4 KiB", |boot| boot[12] = 16),
];

#[test]
fn a_slot_without_a_file_system_is_not_tried_and_nothing_is_changed() {
    for ((what, spoil), torn) in SPOILED.into_iter().flat_map(|spoiled| [(spoiled, false), (spoiled, true)]) {
        let (mut disk, mut board) = (Disk::new(pi_disk().0), board(None));
        let mut boot = slot_boot_sector();
        disk.put(SLOTS[1], &if torn { [0xa5; 512] } else { [0; 512] });
        spoil(&mut boot);
        disk.put(SLOTS[1] + 6, &boot);
        let before = disk.clone();
        let refused = Rpi::open(&mut disk, &mut board, IN_A).unwrap().try_next(Slot::B, 1);
        assert_eq!(refused, Err(Error::Refused(Refusal::NoFileSystem(Slot::B))), "{what}");
        assert_eq!((disk, board.trial, board.flag), (before, None, false), "{what}");
    }
}

#[test]
fn a_torn_boot_sector_is_made_good_by_the_next_try_and_hidden_by_the_next_repair() {
    for (left, armed) in [(2, true), (0, false)] {
        let (mut disk, mut board) = (Disk::new(pi_disk().0), board(Some(Trial { slot: Slot::B, left })));
        let mut torn = slot_boot_sector();
        torn[..100].fill(0);
        disk.put(SLOTS[1], &torn);
        let mut flow = Rpi::open(&mut disk, &mut board, IN_A).unwrap();
        assert_eq!((flow.repair(), flow.resume()), (Ok(!armed), Ok(armed)));
        let expected = if armed { slot_boot_sector() } else { [0; 512] };
        assert_eq!(front(&mut disk)[0], expected);
    }
}

#[test]
fn a_partition_that_is_no_slot_is_neither_hidden_nor_shown() {
    const ROW_B: usize = 446 + 2 * 16;
    let cases: [(usize, u8, LocateError); 3] = [
        (ROW_B + 4, 0x83, LocateError::PartitionType(3)),
        (ROW_B + 4, 0, LocateError::NoPartition(3)),
        (ROW_B + 11, 0x7f, LocateError::PartitionBounds(3)),
    ];
    for (at, byte, expected) in cases {
        let mut bytes = pi_disk().0;
        bytes[at] = byte;
        let (mut disk, mut board) = (Disk::new(bytes), board(Some(Trial { slot: Slot::B, left: 0 })));
        let mut flow = Rpi::open(&mut disk, &mut board, IN_A).unwrap();
        for refused in [flow.stage(Slot::B), flow.try_next(Slot::B, 1), flow.front(Slot::B).map(drop)] {
            assert_eq!(refused, Err(Error::Locate(expected.clone())));
        }
        // The committed slot goes on without it.
        assert_eq!((flow.repair(), flow.resume(), flow.default_slot()), (Ok(false), Ok(false), Ok(Slot::A)));
        assert!(disk.changed.is_empty());
    }
}

#[test]
fn a_boot_sector_that_another_program_writes_is_not_written_over() {
    let quiet = Recorder::new(Disk::new(pi_disk().0));
    let theirs = [0x5a; 512];
    let mut seen = HashMap::new();
    let stage = |recorder: &mut Recorder| {
        Rpi::open(recorder, &mut board(None), IN_A).and_then(|mut flow| flow.stage(Slot::B))
    };
    let mut count = quiet.clone();
    stage(&mut count).unwrap();
    for reads in 1..=count.reads {
        let mut recorder = quiet.clone();
        recorder.meddles = Some((reads, SLOTS[1], theirs));
        let result = stage(&mut recorder);
        if matches!(result, Err(Error::Changed(_))) {
            assert_eq!(recorder.disk.read(SLOTS[1]).unwrap(), theirs);
        }
        *seen.entry(result.map_err(|error| error.code())).or_insert(0) += 1;
    }
    assert!(
        seen.contains_key(&Err(51)) && seen.contains_key(&Err(52)) && seen.contains_key(&Ok(())),
        "{seen:?}"
    );
}

#[test]
fn a_boot_sector_is_written_where_and_over_what_it_was_read() {
    let disk = Disk::new(pi_disk().0);
    for (at, byte, name) in [(446 + 2 * 16 + 12, 0x27, "moved"), (SLOTS[1] as usize * 512 + 3, 7, "changed")]
    {
        let mut disk = disk.clone();
        let sector = BootSector::read(&mut disk, Slot::B).unwrap();
        let mut theirs = disk.get((at / 512) as u64, 512);
        theirs[at % 512] = byte;
        disk.put((at / 512) as u64, &theirs);
        let before = disk.clone();
        for refused in [sector.hide(&mut disk), sector.show(&mut disk)] {
            let is_right = match &refused {
                Err(Error::Moved(what)) => name == "moved" && what.contains("slot b"),
                Err(Error::Changed(what)) => name == "changed" && what.contains("slot b"),
                _ => false,
            };
            assert!(is_right, "{name}: {refused:?}");
        }
        assert_eq!(disk, before);
    }
}

/// Numbers are for C and for exit codes, so none may change its meaning or have two.
#[test]
fn every_error_has_a_number_of_its_own_that_the_readme_explains() {
    let source = include_str!("../src/error.rs");
    let readme = include_str!("../README.md");
    let codes: Vec<u8> = source
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.rsplit_once(" => ")?.1.parse().ok())
        .collect();
    assert!(codes.len() > 35, "{}", codes.len());
    for (index, code) in codes.iter().enumerate() {
        assert!(!codes[..index].contains(code), "{code} is given twice");
        assert!(readme.contains(&format!("| {code} | ")), "the README does not have {code}");
    }
}
