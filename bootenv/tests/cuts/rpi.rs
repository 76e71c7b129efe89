//! The Raspberry Pi track: cuts of the one sector and of what lies in the chip and the journal, judged
//! by the boot ROM's choice.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use bootenv::flow::{Chip, Rpi};
use bootenv::machine::rpi::{Bootable, Pi, Rows, booted, start};
use bootenv::rpi::{Autoboot, CONTROL_PARTITION};
use bootenv::{BootFlow, Booted, Error, How, Operation, Running, Slot, Trial};

use super::support::{Disk, Event, Recorder, cuts, pi_disk};

/// The flag and the count, with a record of their changes beside those of the disk.
#[derive(Clone, Debug, Default)]
struct Board {
    flag: bool,
    trial: Option<Trial>,
    history: Vec<(bool, Option<Trial>)>,
}

#[derive(Clone, Debug)]
struct Handle(Rc<RefCell<Board>>);

impl Chip for Handle {
    fn tryboot(&mut self) -> Result<bool, Error> {
        Ok(self.0.borrow().flag)
    }

    fn set_tryboot(&mut self, set: bool) -> Result<(), Error> {
        let mut board = self.0.borrow_mut();
        board.flag = set;
        let now = (board.flag, board.trial);
        board.history.push(now);
        Ok(())
    }

    fn trial(&mut self) -> Result<Option<Trial>, Error> {
        Ok(self.0.borrow().trial)
    }

    fn set_trial(&mut self, trial: Option<Trial>) -> Result<(), Error> {
        let mut board = self.0.borrow_mut();
        board.trial = trial;
        let now = (board.flag, board.trial);
        board.history.push(now);
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Scene {
    sector: Vec<u8>,
    board: Board,
    running: Option<Booted>,
    trusted: Vec<Slot>,
    tries: u8,
}

fn scenes(default: Slot) -> Vec<Scene> {
    let other = default.other();
    let committed = Some(Booted { slot: default, how: How::Committed });
    let trial = Some(Booted { slot: other, how: How::Trial });
    let scene = |flag, left: Option<u8>, running, tries| Scene {
        sector: Autoboot { default }.encode().to_vec(),
        board: Board { flag, trial: left.map(|left| Trial { slot: other, left }), history: Vec::new() },
        running,
        trusted: vec![default],
        tries,
    };
    let mut all = vec![
        scene(false, None, committed, 0),
        scene(true, Some(0), committed, 1),
        scene(true, Some(2), committed, 3),
        scene(false, Some(2), committed, 2),
        scene(false, Some(2), trial, 2),
        scene(false, Some(0), trial, 0),
        scene(false, None, None, 0),
    ];
    let lost: Vec<Scene> =
        all.iter().map(|scene| Scene { sector: vec![0xa5; 512], ..scene.clone() }).collect();
    all.extend(lost);
    all
}

struct Bench {
    image: Vec<u8>,
    file: u64,
    cases: usize,
    judged: HashSet<String>,
}

impl Bench {
    fn disk(&self, scene: &Scene) -> Disk {
        let mut bytes = self.image.clone();
        bytes[self.file as usize * 512..][..512].copy_from_slice(&scene.sector);
        Disk::new(bytes)
    }

    fn cut(
        &mut self,
        before: &Disk,
        log: &[Event],
        history: &[(bool, Option<Trial>)],
        scene: &Scene,
        what: &str,
    ) {
        let mut disks = Vec::new();
        cuts(before, log, |how, disk| disks.push((how.to_owned(), disk.clone())));
        // The flag and the count are changed before or after the sector; every pairing is judged.
        let garbage = Autoboot::decode(&scene.sector).is_err();
        for (how, disk) in disks {
            // A sector that was lost, and is written from its end on, and loses power on the way: the
            // ROM can take the row under `[tryboot]` for one under `[all]`. The vendor's order of the
            // rows allows no other text, and disks write sectors from the start on.
            if garbage && how.ends_with("then new") {
                continue;
            }
            for (flag, trial) in history {
                self.cases += 1;
                let sector = disk.clone().get(self.file, 512);
                let rows = Rows::as_rom_reads(&sector);
                let understood = Autoboot::decode(&sector).is_ok();
                let key =
                    format!("{rows:?} {understood} {flag} {trial:?} {:?} {}", scene.trusted, scene.tries);
                if !self.judged.insert(key) {
                    continue;
                }
                if let Err(broken) = self.judge(&disk, *flag, *trial, scene) {
                    panic!("{broken}\n{what}, {how}, flag {flag}, {trial:?}\n{scene:?}");
                }
            }
        }
    }

    fn judge(&self, disk: &Disk, flag: bool, trial: Option<Trial>, scene: &Scene) -> Result<(), String> {
        for tryboot in [false, flag] {
            let sector = disk.clone().get(self.file, 512);
            let mut pi = Pi { rows: Rows::as_rom_reads(&sector), tryboot, trial };
            let mut tries = scene.tries;
            for _ in 0..12 {
                let flag = pi.tryboot;
                let number = start(&mut pi, Bootable::ALL).ok_or("nothing boots")?;
                let what = booted(number, flag);
                match what {
                    None if number == CONTROL_PARTITION && Autoboot::decode(&sector).is_err() => {}
                    Some(Booted { slot, .. }) if scene.trusted.contains(&slot) => {}
                    Some(Booted { how: How::Trial, .. }) if tries > 0 => tries -= 1,
                    _ => return Err(format!("{what:?} is booted, {tries} tries were left")),
                }
                // The committed slot arms what is left.
                let board = Handle(Rc::new(RefCell::new(Board {
                    flag: pi.tryboot,
                    trial: pi.trial,
                    history: Vec::new(),
                })));
                let running = Running { booted: what, remembered: Some(scene.trusted[0]) };
                let mut copy = disk.clone();
                let mut flow =
                    Rpi::open(&mut copy, board.clone(), running).map_err(|error| error.to_string())?;
                flow.resume().map_err(|error| error.to_string())?;
                pi.tryboot = board.0.borrow().flag;
                pi.trial = board.0.borrow().trial;
            }
            if pi.tryboot {
                return Err("a trial is still armed after 12 starts".to_owned());
            }
        }
        self.repairs(disk, scene)
    }

    fn repairs(&self, disk: &Disk, scene: &Scene) -> Result<(), String> {
        let mut now = disk.clone();
        let text = |error: Error| format!("after a repair: {error}");
        let chip = Handle(Rc::new(RefCell::new(Board::default())));
        let up = |now: &mut Disk, flag| {
            let rows = Rows::as_rom_reads(&now.get(self.file, 512));
            let number = start(&mut Pi { rows, tryboot: flag, trial: None }, Bootable::ALL);
            booted(number.unwrap(), flag)
        };
        let running = Running { booted: up(&mut now, false), remembered: Some(scene.trusted[0]) };
        let mut flow = Rpi::open(&mut now, chip.clone(), running).map_err(text)?;
        flow.repair().map_err(text)?;
        let state = flow.state().map_err(text)?;
        if !state.whole || flow.repair().map_err(text)? || !scene.trusted.contains(&state.default.unwrap()) {
            return Err(format!("a repair leaves {state:?}"));
        }
        let booted = up(&mut now, false).ok_or("no slot boots after a repair")?;
        let mut flow = Rpi::open(&mut now, chip.clone(), Running { booted: Some(booted), remembered: None })
            .map_err(text)?;
        flow.try_next(booted.slot.other(), 1).map_err(text)?;
        let flag = chip.0.borrow().flag;
        let trial = up(&mut now, flag).ok_or("the trial does not boot")?;
        chip.0.borrow_mut().flag = false;
        let mut flow =
            Rpi::open(&mut now, chip, Running { booted: Some(trial), remembered: None }).map_err(text)?;
        flow.commit().map_err(text)?;
        let last = up(&mut now, false).map(|booted| booted.slot);
        (last == Some(booted.slot.other()))
            .then_some(())
            .ok_or_else(|| format!("{last:?} is booted after a commit"))
    }
}

#[test]
fn every_cut_of_every_operation_leaves_a_board_that_keeps_its_promises() {
    let (image, layout) = pi_disk();
    let mut bench = Bench { image, file: layout.files[0], cases: 0, judged: HashSet::new() };
    let mut operations = vec![Operation::Commit, Operation::Rollback, Operation::Repair];
    for slot in Slot::ALL {
        operations.extend([Operation::Stage(slot), Operation::Try(slot, 1), Operation::Try(slot, 3)]);
    }
    for scene in Slot::ALL.into_iter().flat_map(scenes) {
        for operation in &operations {
            let before = bench.disk(&scene);
            let mut recorder = Recorder::new(before.clone());
            let mut board = scene.board.clone();
            board.history = vec![(board.flag, board.trial)];
            let chip = Handle(Rc::new(RefCell::new(board)));
            let running = Running { booted: scene.running, remembered: Some(scene.trusted[0]) };
            let mut flow = Rpi::open(&mut recorder, chip.clone(), running).unwrap();
            let result = match *operation {
                Operation::Stage(slot) => flow.stage(slot),
                Operation::Try(slot, tries) => flow.try_next(slot, tries),
                Operation::Commit => flow.commit(),
                Operation::Rollback => flow.rollback(),
                Operation::Repair => flow.repair().map(drop),
            };
            let history = chip.0.borrow().history.clone();
            if result.is_err() {
                assert!(
                    recorder.log.is_empty() && history.len() == 1,
                    "{operation:?} is refused after a change"
                );
                continue;
            }
            let mut during = scene.clone();
            match operation {
                Operation::Try(_, tries) => during.tries = during.tries.max(*tries),
                Operation::Commit => during.trusted.insert(0, scene.running.unwrap().slot),
                _ => {}
            }
            bench.cut(&before, &recorder.log, &history, &during, &format!("{operation:?}"));
            // What is promised at the end holds without what was never flushed.
            let flushed =
                recorder.log.iter().rposition(|event| *event == Event::Flush).map_or(0, |at| at + 1);
            let mut sure = before.clone();
            for event in &recorder.log[..flushed] {
                if let Event::Write(sector, bytes) = event {
                    sure.put(*sector, bytes);
                }
            }
            let read = Autoboot::decode(&sure.get(bench.file, 512));
            match operation {
                Operation::Commit => assert_eq!(read.unwrap().default, scene.running.unwrap().slot),
                Operation::Repair => assert_eq!(read.unwrap().default, scene.trusted[0]),
                _ => {}
            }
        }
    }
    println!("rpi: {} cuts, {} of them different", bench.cases, bench.judged.len());
    assert!(bench.cases > 5_000);
}

#[test]
fn one_flip_writes_exactly_one_sector() {
    let (image, layout) = pi_disk();
    let mut recorder = Recorder::new(Disk::new(image));
    let chip = Handle(Rc::new(RefCell::new(Board::default())));
    let running = Running::in_slot(Slot::B, How::Trial);
    Rpi::open(&mut recorder, chip, running).unwrap().commit().unwrap();
    assert!(matches!(recorder.log[..], [Event::Write(sector, _), Event::Flush] if sector == layout.files[0]));
}
