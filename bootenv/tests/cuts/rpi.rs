//! The Raspberry Pi track: cuts of the one sector, of the first sectors of the slots, and of what lies
//! in the chip and the journal, judged by the boot ROM's choice.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use bootenv::bootsector::BootSector;
use bootenv::flow::{Chip, Rpi};
use bootenv::machine::rpi::{Bootable, First, Front, Pi, Rows, booted, start};
use bootenv::rpi::{Autoboot, CONTROL_PARTITION, slot_of};
use bootenv::{BootFlow, Booted, Error, How, Operation, Running, Slot, Trial};

use super::support::{Disk, Event, Recorder, SLOTS, cuts, pi_disk, slot_boot_sector};

/// The flag and the count, as they were once so many events of the disk had been.
type Moment = (usize, bool, Option<Trial>);

/// The flag and the count, with a record of their changes between those of the disk.
#[derive(Clone, Debug, Default)]
struct Board {
    flag: bool,
    trial: Option<Trial>,
    history: Vec<Moment>,
    clock: Rc<Cell<usize>>,
}

impl Board {
    fn note(&mut self) {
        let now = (self.clock.get(), self.flag, self.trial);
        self.history.push(now);
    }
}

#[derive(Clone, Debug)]
struct Handle(Rc<RefCell<Board>>);

impl Handle {
    fn new(flag: bool, trial: Option<Trial>) -> Self {
        Handle(Rc::new(RefCell::new(Board { flag, trial, ..Board::default() })))
    }
}

impl Chip for Handle {
    fn tryboot(&mut self) -> Result<bool, Error> {
        Ok(self.0.borrow().flag)
    }

    fn set_tryboot(&mut self, set: bool) -> Result<(), Error> {
        let mut board = self.0.borrow_mut();
        board.flag = set;
        board.note();
        Ok(())
    }

    fn trial(&mut self) -> Result<Option<Trial>, Error> {
        Ok(self.0.borrow().trial)
    }

    fn set_trial(&mut self, trial: Option<Trial>) -> Result<(), Error> {
        let mut board = self.0.borrow_mut();
        board.trial = trial;
        board.note();
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Scene {
    sector: Vec<u8>,
    /// What the slot that is not committed starts with.
    first: First,
    flag: bool,
    trial: Option<Trial>,
    running: Option<Booted>,
    trusted: Vec<Slot>,
    tries: u8,
}

fn scenes(default: Slot) -> Vec<Scene> {
    let other = default.other();
    let committed = Some(Booted { slot: default, how: How::Committed });
    let trial = Some(Booted { slot: other, how: How::Trial });
    let scene = |first, flag, left: Option<u8>, running, tries| Scene {
        sector: Autoboot { default }.encode().to_vec(),
        first,
        flag,
        trial: left.map(|left| Trial { slot: other, left }),
        running,
        trusted: vec![default],
        tries,
    };
    let (shown, hidden, torn) = (First::Fat, First::Zeroes, First::Garbage);
    let mut all = vec![
        // Both slots are good.
        scene(shown, false, None, committed, 0),
        scene(shown, false, None, None, 0),
        // The other is armed, or under trial.
        scene(shown, true, Some(0), committed, 1),
        scene(shown, true, Some(2), committed, 3),
        scene(shown, false, Some(2), committed, 2),
        scene(torn, false, Some(2), committed, 2),
        scene(hidden, false, Some(2), committed, 2),
        scene(shown, false, Some(2), trial, 2),
        scene(shown, false, Some(0), trial, 0),
        // Its trial has ended, or it is being written.
        scene(shown, false, Some(0), committed, 0),
        scene(torn, false, Some(0), committed, 0),
        scene(hidden, false, Some(0), committed, 0),
        scene(hidden, false, Some(0), None, 0),
    ];
    let lost: Vec<Scene> =
        all.iter().map(|scene| Scene { sector: vec![0xa5; 512], ..scene.clone() }).collect();
    all.extend(lost);
    all
}

/// What survives a reset, as the ROM reads it: twice, when nobody knows what it takes half a boot
/// sector for.
fn views(disk: &Disk, file: u64, tryboot: bool, trial: Option<Trial>) -> Vec<Pi> {
    let mut disk = disk.clone();
    let rows = Rows::as_rom_reads(&disk.get(file, 512));
    let fronts = Slot::ALL.map(|slot| BootSector::read(&mut disk, slot).unwrap().front());
    let as_fat = fronts.map(|front| match front.first {
        First::Garbage => Front { first: First::Fat, ..front },
        _ => front,
    });
    let mut views = vec![Pi { rows, tryboot, trial, fronts }, Pi { rows, tryboot, trial, fronts: as_fat }];
    views.dedup();
    views
}

struct Bench {
    disk: Disk,
    file: u64,
    cases: usize,
    judged: HashSet<String>,
}

impl Bench {
    fn disk(&self, scene: &Scene) -> Disk {
        let mut disk = self.disk.clone();
        disk.put(self.file, &scene.sector);
        let first = match scene.first {
            First::Fat => slot_boot_sector(),
            First::Zeroes => [0; 512],
            First::Garbage => [0xa5; 512],
        };
        disk.put(SLOTS[scene.trusted[0].other() as usize], &first);
        disk
    }

    fn cut(&mut self, before: &Disk, log: &[Event], history: &[Moment], scene: &Scene, what: &str) {
        let mut disks = Vec::new();
        cuts(before, log, |at, how, disk| disks.push((at, how.to_owned(), disk.clone())));
        let garbage = Autoboot::decode(&scene.sector).is_err();
        let torn = format!("sector {} torn", self.file);
        for (at, how, disk) in disks {
            // A sector that was lost, and is written from its end on, and loses power on the way: the
            // ROM can take the row under `[tryboot]` for one under `[all]`. The vendor's order of the
            // rows allows no other text, and disks write sectors from the start on.
            if garbage && how.contains(&torn) && how.ends_with("then new") {
                continue;
            }
            // What came before these events has been; of what comes between them and the next, any part.
            let last = history.iter().rfind(|(when, ..)| *when < at);
            for (_, flag, trial) in last.into_iter().chain(history.iter().filter(|(when, ..)| *when == at)) {
                self.cases += 1;
                let pi = &views(&disk, self.file, *flag, *trial)[0];
                let understood = Autoboot::decode(&disk.clone().get(self.file, 512)).is_ok();
                let known = (&scene.trusted, scene.tries, scene.sector[0], scene.first);
                let key = format!("{pi:?} {understood} {known:?}");
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
        for (tryboot, repairs) in [(false, false), (false, true), (flag, false), (flag, true)] {
            self.starts(disk.clone(), tryboot, trial, scene, repairs)?;
        }
        self.repairs(disk, scene)
    }

    /// Starts until nothing new can happen.
    fn starts(
        &self,
        mut disk: Disk,
        tryboot: bool,
        trial: Option<Trial>,
        scene: &Scene,
        repairs: bool,
    ) -> Result<(), String> {
        let board = Handle::new(tryboot, trial);
        let (mut tries, mut settled) = (scene.tries, false);
        for _ in 0..12 {
            let (flag, trial) = (board.0.borrow().flag, board.0.borrow().trial);
            self.walks(&disk, flag, trial, scene, settled)?;
            let mut pi = views(&disk, self.file, flag, trial)[0];
            let number = start(&mut pi, Bootable::ALL).ok_or("nothing boots")?;
            let what = booted(number, flag);
            board.0.borrow_mut().flag = false;
            let understood = Autoboot::decode(&disk.get(self.file, 512)).is_ok();
            match what {
                None if number == CONTROL_PARTITION && !understood => {}
                Some(Booted { slot, .. }) if scene.trusted.contains(&slot) => {}
                Some(Booted { how: How::Trial, .. }) if tries > 0 => tries -= 1,
                _ => return Err(format!("{what:?} is booted, {tries} tries were left")),
            }
            let running = Running { booted: what, remembered: Some(scene.trusted[0]) };
            let text = |error: Error| error.to_string();
            let mut flow = Rpi::open(&mut disk, board.clone(), running).map_err(text)?;
            if repairs {
                flow.repair().map_err(text)?;
                settled = what.is_none_or(|what| scene.trusted.contains(&what.slot));
            }
            // The committed slot arms what is left.
            flow.resume().map_err(text)?;
        }
        let board = board.0.borrow();
        (!board.flag).then_some(()).ok_or_else(|| "a trial is still armed after 12 starts".to_owned())
    }

    /// Which slots the walk can come to, whichever partitions lose their files. Once a start has
    /// repaired what was cut short, a slot that was tried or staged is no longer among them.
    fn walks(
        &self,
        disk: &Disk,
        flag: bool,
        trial: Option<Trial>,
        scene: &Scene,
        settled: bool,
    ) -> Result<(), String> {
        let worlds = [[true; 3], [true, false, true], [true, true, false], [false, false, true]];
        for (mut pi, can) in
            views(disk, self.file, flag, trial).into_iter().flat_map(|pi| worlds.map(|can| (pi, can)))
        {
            let Some(slot) = start(&mut pi, Bootable(can)).and_then(slot_of) else { continue };
            let armed = flag || trial.is_some_and(|trial| trial.slot == slot && trial.left > 0);
            let good = scene.trusted.contains(&slot) || trial.is_none() && scene.first == First::Fat;
            let pending = !settled && trial.is_some_and(|trial| trial.slot == slot);
            if !(armed || good || pending) {
                return Err(format!("the walk finds slot {slot}, settled: {settled}, {pi:?}"));
            }
        }
        Ok(())
    }

    fn repairs(&self, disk: &Disk, scene: &Scene) -> Result<(), String> {
        let mut now = disk.clone();
        let text = |error: Error| format!("after a repair: {error}");
        let chip = Handle::new(false, None);
        let up = |now: &mut Disk, flag| {
            let number = start(&mut views(now, self.file, flag, None)[0], Bootable::ALL);
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

    /// Does an operation, or arms the next try, and cuts it everywhere.
    fn operation(&mut self, scene: &Scene, operation: Option<Operation>) {
        let before = self.disk(scene);
        let mut recorder = Recorder::new(before.clone());
        let (clock, history) = (recorder.clock.clone(), vec![(0, scene.flag, scene.trial)]);
        let chip =
            Handle(Rc::new(RefCell::new(Board { flag: scene.flag, trial: scene.trial, history, clock })));
        let running = Running { booted: scene.running, remembered: Some(scene.trusted[0]) };
        let mut flow = Rpi::open(&mut recorder, chip.clone(), running).unwrap();
        let result = match operation {
            Some(Operation::Stage(slot)) => flow.stage(slot),
            Some(Operation::Try(slot, tries)) => flow.try_next(slot, tries),
            Some(Operation::Commit) => flow.commit(),
            Some(Operation::Rollback) => flow.rollback(),
            Some(Operation::Repair) => flow.repair().map(drop),
            None => flow.resume().map(drop),
        };
        let history = chip.0.borrow().history.clone();
        if result.is_err() {
            let untouched = recorder.log.is_empty() && history.len() == 1;
            assert!(untouched, "{operation:?} is refused after a change");
            return;
        }
        self.writes_nothing_else(scene, &recorder.log);
        let mut during = scene.clone();
        match operation {
            Some(Operation::Try(_, tries)) => during.tries = during.tries.max(tries),
            Some(Operation::Commit) => during.trusted.insert(0, scene.running.unwrap().slot),
            _ => {}
        }
        self.cut(&before, &recorder.log, &history, &during, &format!("{operation:?}"));
        self.lasts(scene, operation, before, &recorder.log);
    }

    /// Beside `autoboot.txt` only the first sector of the slot that neither runs nor is committed.
    fn writes_nothing_else(&self, scene: &Scene, log: &[Event]) {
        let other = scene.trusted[0].other();
        for event in log {
            let Event::Write(sector, bytes) = event else { continue };
            let runs = scene.running.is_some_and(|booted| booted.slot == other);
            let is_front = *sector == SLOTS[other as usize] && !runs;
            let is_known = *bytes == [0; 512] || *bytes == slot_boot_sector();
            assert!(*sector == self.file || is_front && is_known, "{scene:?}: {event:?}");
        }
    }

    /// What is promised at the end holds without what was never flushed.
    fn lasts(&self, scene: &Scene, operation: Option<Operation>, before: Disk, log: &[Event]) {
        let flushed = log.iter().rposition(|event| *event == Event::Flush).map_or(0, |at| at + 1);
        let mut sure = before;
        for event in &log[..flushed] {
            if let Event::Write(sector, bytes) = event {
                sure.put(*sector, bytes);
            }
        }
        let read = Autoboot::decode(&sure.get(self.file, 512));
        let first = |slot: Slot| sure.clone().get(SLOTS[slot as usize], 512);
        let other = scene.trusted[0].other();
        let runs = scene.running.is_some_and(|booted| booted.slot == other);
        match operation {
            Some(Operation::Commit) => assert_eq!(read.unwrap().default, scene.running.unwrap().slot),
            Some(Operation::Repair) => assert_eq!(read.unwrap().default, scene.trusted[0]),
            Some(Operation::Stage(slot)) => assert_eq!(first(slot), [0; 512]),
            Some(Operation::Try(slot, _)) => assert_eq!(first(slot), slot_boot_sector()),
            Some(Operation::Rollback) if scene.trial.is_some() && !runs => assert_eq!(first(other), [0; 512]),
            Some(Operation::Rollback) | None => {}
        }
    }
}

#[test]
fn every_cut_of_every_operation_leaves_a_board_that_keeps_its_promises() {
    let (image, layout) = pi_disk();
    let disk = Disk::new(image);
    let mut bench = Bench { disk, file: layout.files[0], cases: 0, judged: HashSet::new() };
    let mut operations = vec![Operation::Commit, Operation::Rollback, Operation::Repair];
    for slot in Slot::ALL {
        operations.extend([Operation::Stage(slot), Operation::Try(slot, 1), Operation::Try(slot, 3)]);
    }
    for scene in Slot::ALL.into_iter().flat_map(scenes) {
        for operation in operations.iter().copied().map(Some).chain([None]) {
            bench.operation(&scene, operation);
        }
    }
    println!("rpi: {} cuts, {} of them different", bench.cases, bench.judged.len());
    assert!(bench.cases > 50_000);
}

#[test]
fn one_flip_writes_exactly_one_sector() {
    let (image, layout) = pi_disk();
    let mut recorder = Recorder::new(Disk::new(image));
    let chip = Handle::new(false, None);
    let running = Running::in_slot(Slot::B, How::Trial);
    Rpi::open(&mut recorder, chip, running).unwrap().commit().unwrap();
    assert!(matches!(recorder.log[..], [Event::Write(sector, _), Event::Flush] if sector == layout.files[0]));
}
