//! The generic track: cuts of the library and of GRUB's own saves, judged by GRUB's script.

use std::collections::HashSet;

use bootenv::flow::Grub;
use bootenv::grub::GrubState;
use bootenv::machine::grub::{Copies, Copy, Step, World, start};
use bootenv::{BootFlow, Booted, Error, How, Operation, Running, Slot};

use super::support::{Disk, Event, Recorder, cuts, grub_disk};

/// Starts that are looked at after a cut: more than all tries.
const STARTS: usize = 12;

/// A situation, and what the machine may do from it.
#[derive(Clone, Debug)]
struct Scene {
    name: &'static str,
    blocks: [Vec<u8>; 2],
    running: Booted,
    /// Slots that may be booted without a count.
    trusted: Vec<Slot>,
    /// Slots that were good.
    good: Vec<Slot>,
    /// Starts that another slot may have.
    tries: u8,
}

fn state(default: Slot, tries: u8, good: &[Slot], failed: Option<Slot>) -> GrubState {
    GrubState { default, tries, good: good.to_vec(), failed }
}

fn scenes(default: Slot) -> Vec<Scene> {
    let other = default.other();
    let (alone, both) = ([default], Slot::ALL);
    let booted = |slot, how| Booted { slot, how };
    let scene = |name, primary: GrubState, running| Scene {
        name,
        blocks: [primary.encode().to_vec(), primary.settled().encode().to_vec()],
        running,
        trusted: vec![default],
        good: primary.good.clone(),
        tries: primary.tries,
    };
    let committed = booted(default, How::Committed);
    let trial = booted(other, How::Trial);
    let mut all = vec![
        scene("new", state(default, 0, &both, None), committed),
        scene("never both good", state(default, 0, &alone, None), committed),
        scene("armed", state(default, 3, &alone, None), committed),
        scene("first try", state(default, 2, &alone, None), trial),
        scene("last try", state(default, 0, &alone, None), trial),
        scene("handed over", state(default, 0, &both, None), booted(other, How::HandOver)),
        scene("failed once", state(default, 0, &both, Some(default)), committed),
    ];
    for whole in all.clone() {
        let names = [("primary lost", 0), ("spare lost", 1)];
        all.extend(names.map(|(name, copy)| {
            let mut scene = Scene { name, ..whole.clone() };
            scene.blocks[copy] = vec![0xa5; 1024];
            scene
        }));
        let mut unsound = Scene { name: "primary cannot be saved", ..whole };
        unsound.blocks[0][1000] = 0;
        all.push(unsound);
    }
    let mut behind = scene("spare behind a commit", state(default, 0, &both, None), committed);
    behind.blocks[1] = state(other, 0, &[other], None).encode().to_vec();
    behind.trusted = Slot::ALL.to_vec();
    all.push(behind);
    let lost = |name, running| Scene {
        blocks: [vec![0; 1024], vec![0xff; 1024]],
        ..scene(name, state(default, 0, &both, None), running)
    };
    if default == Slot::A {
        all.extend([lost("both lost", committed), lost("both lost in a trial", trial)]);
    }
    all
}

type Key = ([Option<GrubState>; 2], [bool; 2], Vec<Slot>, Vec<Slot>, Booted, u8);

struct Bench {
    files: Vec<u64>,
    image: Vec<u8>,
    cases: usize,
    /// What makes a difference to GRUB and to the library, and has been judged.
    judged: HashSet<Key>,
}

impl Bench {
    fn new() -> Self {
        let (image, layout) = grub_disk();
        Bench { files: layout.files, image, cases: 0, judged: HashSet::new() }
    }

    fn disk(&self, scene: &Scene) -> Disk {
        let mut bytes = self.image.clone();
        for (first, block) in self.files.iter().zip(&scene.blocks) {
            bytes[*first as usize * 512..][..1024].copy_from_slice(block);
        }
        Disk::new(bytes)
    }

    /// Judges every disk that cuts of these events leave.
    fn cut(&mut self, before: &Disk, log: &[Event], scene: &Scene, what: &str) {
        let mut outcomes: Vec<(String, Disk)> = Vec::new();
        let mut seen = HashSet::new();
        cuts(before, log, |_, how, disk| {
            self.cases += 1;
            if !seen.insert(disk.changed.clone()) {
                return;
            }
            let blocks = [0, 1].map(|copy| self.block(disk, copy));
            let sound = blocks.each_ref().map(|block| GrubState::decode(block).is_ok());
            let read = blocks.each_ref().map(|block| GrubState::as_grub_reads(block));
            let key = (read, sound, scene.trusted.clone(), scene.good.clone(), scene.running, scene.tries);
            if self.judged.insert(key) {
                outcomes.push((how.to_owned(), disk.clone()));
            }
        });
        for (how, disk) in outcomes {
            if let Err(broken) = self.judge(&disk, scene) {
                panic!("{broken}\n{what}, {how}\n{scene:?}\n{:?}", self.copies(&disk));
            }
        }
    }

    fn block(&self, disk: &Disk, copy: usize) -> Vec<u8> {
        disk.clone().get(self.files[copy], 1024)
    }

    fn copies(&self, disk: &Disk) -> Copies {
        let read = |copy| GrubState::as_grub_reads(&self.block(disk, copy));
        Copies { primary: read(0), spare: read(1) }
    }

    /// One start of GRUB on the bytes of a disk, with what it writes, and what it boots.
    fn start(&self, disk: &mut Disk, world: World) -> (Vec<Event>, Option<Booted>) {
        let copies = self.copies(disk);
        let savable = copies
            .read()
            .is_some_and(|(copy, state)| state.save_as_grub(&mut self.block(disk, copy as usize)));
        let mut log = Vec::new();
        for step in start(&copies, World { saves: world.saves && savable, ..world }) {
            match step {
                Step::Save(copy, state) => {
                    let mut block = self.block(disk, copy as usize);
                    assert!(state.save_as_grub(&mut block));
                    for (index, sector) in block.as_chunks::<512>().0.iter().enumerate() {
                        log.push(Event::Write(self.files[copy as usize] + index as u64, *sector));
                    }
                    log.push(Event::Flush);
                    disk.put(self.files[copy as usize], &block);
                }
                Step::Boot(booted) => return (log, Some(booted)),
                Step::Fails(_) | Step::Reset(_) => {}
            }
        }
        (log, None)
    }

    /// I1 to I5 for what follows on a disk, when nobody commits.
    fn judge(&self, disk: &Disk, scene: &Scene) -> Result<(), String> {
        for world in
            [World::FINE, World { a_loads: false, ..World::FINE }, World { b_loads: false, ..World::FINE }]
        {
            let mut now = disk.clone();
            let mut tries = scene.tries;
            let mut last = None;
            for _ in 0..STARTS {
                let Some(booted) = self.start(&mut now, world).1 else { continue };
                last = Some(booted);
                let trusted = scene.trusted.contains(&booted.slot);
                match booted.how {
                    How::HandOver if scene.good.contains(&booted.slot) && world != World::FINE => {}
                    How::Trial if tries > 0 && !trusted => tries -= 1,
                    // The first start may hand over by a failure that was saved before.
                    How::HandOver if scene.good.contains(&booted.slot) => {}
                    _ if trusted => {}
                    _ => return Err(format!("{booted:?} in {world:?}, {tries} tries were left")),
                }
            }
            let trusted =
                last.is_some_and(|last| last.how == How::Committed && scene.trusted.contains(&last.slot));
            if world == World::FINE && !trusted {
                return Err(format!("I3: after {STARTS} starts {last:?} is booted"));
            }
        }
        self.repairs(disk, scene)
    }

    /// I5, and that an update gets through afterwards.
    fn repairs(&self, disk: &Disk, scene: &Scene) -> Result<(), String> {
        let mut now = disk.clone();
        let text = |error: Error| format!("after a repair: {error}");
        let booted = self.up(&mut now)?;
        let mut flow =
            Grub::open(&mut now, Running { booted: Some(booted), remembered: None }).map_err(text)?;
        flow.repair().map_err(text)?;
        let state = flow.state().map_err(text)?;
        if !state.whole || flow.repair().map_err(text)? {
            return Err(format!("a repair leaves something to do: {state:?}"));
        }
        if !state.default.is_some_and(|slot| scene.trusted.contains(&slot)) {
            return Err(format!("I4: repaired to {state:?}"));
        }
        flow.rollback().map_err(text)?;
        let Booted { slot, how } = self.up(&mut now)?;
        if how != How::Committed {
            return Err(format!("after a rollback, {slot} is booted as {how:?}"));
        }
        let mut flow = Grub::open(&mut now, Running::in_slot(slot, how)).map_err(text)?;
        flow.stage(slot.other()).and_then(|()| flow.try_next(slot.other(), 2)).map_err(text)?;
        let trial = self.up(&mut now)?;
        let wanted = Booted { slot: slot.other(), how: How::Trial };
        if trial != wanted {
            return Err(format!("{wanted:?} does not start but {trial:?}"));
        }
        Grub::open(&mut now, Running { booted: Some(trial), remembered: None })
            .and_then(|mut flow| flow.commit())
            .map_err(text)?;
        let last = self.up(&mut now)?;
        let wanted = Booted { slot: slot.other(), how: How::Committed };
        (last == wanted).then_some(()).ok_or_else(|| format!("{wanted:?} is committed, and {last:?} booted"))
    }

    fn up(&self, disk: &mut Disk) -> Result<Booted, String> {
        (0..3).find_map(|_| self.start(disk, World::FINE).1).ok_or_else(|| "nothing boots".to_owned())
    }
}

fn operations() -> Vec<Operation> {
    let mut all = vec![Operation::Commit, Operation::Rollback, Operation::Repair];
    for slot in Slot::ALL {
        all.extend([Operation::Stage(slot), Operation::Try(slot, 1), Operation::Try(slot, 3)]);
    }
    all
}

fn run(flow: &mut impl BootFlow, operation: Operation) -> Result<(), Error> {
    match operation {
        Operation::Stage(slot) => flow.stage(slot),
        Operation::Try(slot, tries) => flow.try_next(slot, tries),
        Operation::Commit => flow.commit(),
        Operation::Rollback => flow.rollback(),
        Operation::Repair => flow.repair().map(drop),
    }
}

#[test]
fn every_cut_of_every_operation_leaves_a_machine_that_keeps_its_promises() {
    let mut bench = Bench::new();
    let (mut done, mut refused) = (0, 0);
    for scene in Slot::ALL.into_iter().flat_map(scenes) {
        for operation in operations() {
            let before = bench.disk(&scene);
            let mut recorder = Recorder::new(before.clone());
            let running = Running { booted: Some(scene.running), remembered: None };
            let result = Grub::open(&mut recorder, running).and_then(|mut flow| run(&mut flow, operation));
            if let Err(error) = result {
                assert!(
                    recorder.log.is_empty(),
                    "{operation:?} in {scene:?} is refused after a write: {error}"
                );
                refused += 1;
                continue;
            }
            done += 1;
            let mut during = scene.clone();
            match operation {
                Operation::Try(slot, tries) => {
                    during.tries = during.tries.max(tries);
                    // Without a stage before, the slot counts as good until it is said not to.
                    let _ = slot;
                }
                Operation::Commit => {
                    during.trusted.push(scene.running.slot);
                    during.good.push(scene.running.slot);
                }
                _ => {}
            }
            bench.cut(&before, &recorder.log, &during, &format!("{operation:?} in {}", scene.name));
            finished(&mut bench, &before, &recorder, operation, &during);
        }
    }
    println!(
        "generic: {done} operations, {refused} refusals, {} cuts, {} of them different",
        bench.cases,
        bench.judged.len()
    );
    assert!(bench.cases > 10_000);
}

/// What an operation promised when it returned holds on what the disk has for sure.
fn finished(bench: &mut Bench, before: &Disk, recorder: &Recorder, operation: Operation, during: &Scene) {
    let mut sure = before.clone();
    let flushed = recorder.log.iter().rposition(|event| *event == Event::Flush).map_or(0, |at| at + 1);
    for event in &recorder.log[..flushed] {
        if let Event::Write(sector, bytes) = event {
            sure.put(*sector, bytes);
        }
    }
    let mut after = during.clone();
    let copies = bench.copies(&sure);
    let (_, state) = copies.read().expect("a finished operation leaves a state");
    match operation {
        Operation::Commit => after.trusted = vec![during.running.slot],
        Operation::Rollback => after.tries = 0,
        Operation::Stage(slot) => {
            after.tries = 0;
            after.good.retain(|good| *good != slot);
        }
        Operation::Try(slot, tries) => {
            assert_eq!((state.next(), state.tries), (slot, tries), "the trial was lost");
            after.tries = tries;
            after.good.retain(|good| *good != slot);
        }
        Operation::Repair => {}
    }
    after.trusted.retain(|slot| *slot == state.default);
    assert!(!after.trusted.is_empty(), "{operation:?} left {copies:?}");
    assert_eq!(
        copies.spare,
        copies.primary.as_ref().map(GrubState::settled),
        "{operation:?} left copies that differ"
    );
    bench.cut(&sure, &[], &after, &format!("after {operation:?}"));
}

#[test]
fn every_cut_of_grubs_own_saves_leaves_a_machine_that_keeps_its_promises() {
    let mut bench = Bench::new();
    // With one copy lost and not repaired, a torn save of the other is a second fault.
    let whole = |scene: &Scene| scene.blocks.iter().all(|block| GrubState::as_grub_reads(block).is_some());
    for scene in Slot::ALL.into_iter().flat_map(scenes).filter(whole) {
        for bits in 0..4 {
            let world = World { a_loads: bits & 1 == 0, b_loads: bits & 2 == 0, saves: true };
            let before = bench.disk(&scene);
            let (log, _) = bench.start(&mut before.clone(), world);
            bench.cut(&before, &log, &scene, &format!("GRUB in {world:?}, {}", scene.name));
        }
    }
    println!("GRUB's saves: {} cuts, {} of them different", bench.cases, bench.judged.len());
}

#[test]
fn one_flip_writes_exactly_one_sector() {
    let mut bench = Bench::new();
    let scene = &scenes(Slot::A)[1];
    let mut recorder = Recorder::new(bench.disk(scene));
    let running = Running { booted: Some(scene.running), remembered: None };
    Grub::open(&mut recorder, running).unwrap().try_next(Slot::B, 3).unwrap();
    let [Event::Write(sector, _), Event::Flush] = recorder.log[..] else {
        panic!("{:?}", recorder.log.len())
    };
    assert_eq!(sector, bench.files[0]);
    bench.cases += 1;
    let primary: Vec<Copy> = vec![Copy::Primary];
    assert_eq!(recorder.disk.changed.keys().copied().collect::<Vec<_>>(), [bench.files[primary[0] as usize]]);
}
