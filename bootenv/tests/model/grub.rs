//! The generic track: GRUB's script, the library, and everything that can come between.

use bootenv::grub::GrubState;
use bootenv::machine::grub::{Copies, Copy, Step, World, plan, start};
use bootenv::{Booted, How, Operation, Running, Slot};

use super::{TRIES, explore, story};

/// A machine, and what it owes to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Machine {
    copies: Copies,
    /// What runs.
    running: Option<Booted>,
    /// Slots that may be booted without a count: the committed one, and another for as long as a
    /// commit is cut short.
    trusted: Vec<Slot>,
    /// Starts that the other slot may still have.
    owed: u8,
    /// Slots whose content has been good since it was written.
    good: Vec<Slot>,
    /// One copy has been lost to a fault and not been repaired: there is no second fault before.
    hurt: bool,
}

type Outcome = Result<Machine, String>;

impl Machine {
    fn new() -> Self {
        let state = GrubState::initial();
        Machine {
            copies: Copies::both(&state),
            running: None,
            trusted: vec![Slot::A],
            owed: 0,
            good: Slot::ALL.to_vec(),
            hurt: false,
        }
    }

    /// I4, and the rules of the blocks, which hold whenever the power goes.
    fn checked(self) -> Outcome {
        let copies = [Copy::Primary, Copy::Spare].map(|copy| self.copies.get(copy));
        if copies == [None, None] {
            return Err("I5: no good copy is left".to_owned());
        }
        for state in copies.into_iter().flatten() {
            if !self.trusted.contains(&state.default) {
                return Err(format!("I4: slot {} is committed and was never good", state.default));
            }
            // A copy may only lag behind in what was good, as long as an operation is cut short.
            if !self.hurt && self.settled() && state.good.iter().any(|slot| !self.good.contains(slot)) {
                return Err("a slot counts as good that is not".to_owned());
            }
        }
        if self.copies.spare.as_ref().is_some_and(|spare| spare.tries > 0) {
            return Err("the spare holds a trial".to_owned());
        }
        Ok(self)
    }

    /// Whether no operation was cut short.
    fn settled(&self) -> bool {
        self.copies.primary.as_ref().map(GrubState::settled) == self.copies.spare
    }

    /// All starts, cut after every save, in every world.
    fn starts(&self) -> Vec<(String, Outcome)> {
        let mut all = Vec::new();
        for bits in 0..8 {
            let world = World { a_loads: bits & 1 == 0, b_loads: bits & 2 == 0, saves: bits & 4 == 0 };
            let steps = start(&self.copies, world);
            let mut machine = Machine { running: None, ..self.clone() };
            for (at, step) in steps.iter().enumerate() {
                let event = format!("power on, {world:?}, step {at}: {step:?}");
                match step {
                    Step::Fails(_) => {}
                    Step::Save(copy, state) => {
                        all.extend(machine.torn(*copy, &event));
                        machine.copies.put(*copy, Some(state.clone()));
                        all.push((format!("{event}, power off"), machine.clone().checked()));
                    }
                    Step::Boot(booted) => all.push((event, machine.clone().boot(*booted, world))),
                    Step::Reset(_) => all.push((event, machine.clone().checked())),
                }
            }
        }
        all
    }

    /// The power goes while a block is written, and the block is lost; not when it is the only one.
    fn torn(&self, copy: Copy, event: &str) -> Option<(String, Outcome)> {
        let mut torn = Machine { running: None, hurt: true, ..self.clone() };
        torn.copies.put(copy, None);
        let only = torn.copies.read().is_none();
        (!only).then(|| (format!("{event}, torn"), torn.checked()))
    }

    /// I1, I2 and I3.
    fn boot(mut self, booted: Booted, world: World) -> Outcome {
        let Booted { slot, how } = booted;
        let default_loads = match slot.other() {
            Slot::A => world.a_loads,
            Slot::B => world.b_loads,
        };
        if how == How::HandOver {
            // The failure that was saved at the last start, in another world, counts too.
            let seen = !default_loads || self.copies.read().is_some();
            if !seen || !(self.good.contains(&slot) || self.trusted.contains(&slot)) {
                return Err(format!("I1: slot {slot} takes over, which was never good"));
            }
        } else if !self.trusted.contains(&slot) {
            if self.owed == 0 {
                return Err(format!("I2: slot {slot} is booted again"));
            }
            if how != How::Trial {
                return Err(format!("I1: slot {slot} is booted as if it were committed"));
            }
            self.owed -= 1;
        }
        self.running = Some(booted);
        self.checked()
    }

    /// An operation of the library, whole and cut after every write.
    fn operation(&self, operation: Operation) -> Vec<(String, Outcome)> {
        let Some(booted) = self.running else { return Vec::new() };
        let running = Running { booted: Some(booted), remembered: None };
        let Ok(writes) = plan(&self.copies, &running, operation) else { return Vec::new() };
        let mut machine = self.clone();
        match operation {
            // What is about to be written is not good any more, before the first write of it.
            Operation::Try(slot, tries) => {
                machine.owed = machine.owed.max(tries);
                machine.trusted.retain(|trusted| *trusted != slot);
            }
            Operation::Commit => {
                for slots in [&mut machine.trusted, &mut machine.good] {
                    slots.retain(|slot| *slot != booted.slot);
                    slots.push(booted.slot);
                    slots.sort();
                }
            }
            _ => {}
        }
        let mut all = Vec::new();
        for write in writes {
            let event = format!("{operation:?} writes {write:?}");
            all.extend(machine.torn(write.copy, &event));
            machine.copies.put(write.copy, Some(write.state));
            let cut = Machine { running: None, ..machine.clone() };
            all.push((format!("{event}, power off"), cut.checked()));
        }
        machine.hurt = false;
        match operation {
            Operation::Stage(slot) => machine.good.retain(|good| *good != slot),
            Operation::Try(slot, tries) => {
                machine.owed = tries;
                machine.good.retain(|good| *good != slot);
            }
            Operation::Rollback => machine.owed = 0,
            _ => {}
        }
        // Whatever was cut short has been decided by now.
        let default = machine.copies.read().map(|(_, state)| state.default);
        machine.trusted.retain(|slot| Some(*slot) == default);
        machine.running = Some(booted);
        if !machine.settled() {
            all.push((format!("{operation:?}"), Err("the copies differ after an operation".to_owned())));
        }
        all.push((format!("{operation:?}, done"), machine.checked()));
        all
    }

    /// Everything that can happen.
    fn next(&self) -> Vec<(String, Outcome)> {
        let mut all = self.starts();
        let mut operations = vec![Operation::Repair, Operation::Commit, Operation::Rollback];
        for slot in Slot::ALL {
            operations.push(Operation::Stage(slot));
            operations.extend(TRIES.map(|tries| Operation::Try(slot, tries)));
        }
        all.extend(operations.into_iter().flat_map(|operation| self.operation(operation)));
        // One sector goes bad by itself.
        if !self.hurt && self.settled() {
            for copy in [Copy::Primary, Copy::Spare] {
                all.extend(self.torn(copy, "a fault"));
            }
        }
        all
    }

    /// From here, an update of the other slot gets through when everything works: no dead end.
    fn has_a_future(&self) -> Result<(), String> {
        let mut machine = self.clone();
        for _ in 0..=TRIES.len() + 1 {
            machine.up()?;
            let booted = machine.running.ok_or("nothing boots")?;
            machine.all_of(Operation::Repair)?;
            let slot = booted.slot.other();
            if booted.how == How::Committed {
                machine.all_of(Operation::Try(slot, 1))?;
                machine.up()?;
                if machine.running != Some(Booted { slot, how: How::Trial }) {
                    return Err("the trial does not start".to_owned());
                }
                machine.all_of(Operation::Repair)?;
                machine.all_of(Operation::Commit)?;
                machine.up()?;
                let last = machine.running;
                return (last == Some(Booted { slot, how: How::Committed }))
                    .then_some(())
                    .ok_or_else(|| format!("slot {slot} is committed, and {last:?} is booted"));
            }
        }
        Err("the committed slot never comes back".to_owned())
    }

    /// Power on, with everything working, until something boots.
    fn up(&mut self) -> Result<(), String> {
        for _ in 0..3 {
            for step in start(&self.copies, World::FINE) {
                match step {
                    Step::Save(copy, state) => self.copies.put(copy, Some(state)),
                    Step::Boot(booted) => {
                        self.running = Some(booted);
                        return Ok(());
                    }
                    Step::Fails(_) | Step::Reset(_) => {}
                }
            }
        }
        Err("nothing boots in three starts".to_owned())
    }

    fn all_of(&mut self, operation: Operation) -> Result<(), String> {
        let running = Running { booted: self.running, remembered: None };
        let writes =
            plan(&self.copies, &running, operation).map_err(|refusal| format!("{operation:?}: {refusal}"))?;
        for write in writes {
            self.copies.put(write.copy, Some(write.state));
        }
        Ok(())
    }
}

#[test]
fn no_order_of_events_breaks_a_promise_or_leads_into_a_dead_end() {
    let seen = explore(Machine::new(), Machine::next);
    for state in seen.keys() {
        if let Err(broken) = state.has_a_future() {
            panic!("dead end: {broken}\n{}", story(&seen, state));
        }
    }
    println!("generic: {} states", seen.len());
    assert!(seen.len() > 1000, "only {} states were reached", seen.len());
}

/// I6: with both slots bad GRUB goes round for ever, but slowly, and says so.
#[test]
fn two_bad_slots_are_tried_again_slowly_and_for_ever() {
    let world = World { a_loads: false, b_loads: false, saves: true };
    for state in explore(Machine::new(), Machine::next).into_keys() {
        let mut copies = state.copies;
        let mut waited = 0;
        for _ in 0..4 {
            for step in start(&copies, world) {
                match step {
                    Step::Save(copy, state) => copies.put(copy, Some(state)),
                    Step::Reset(seconds) => waited += u32::from(seconds),
                    Step::Boot(booted) => panic!("{booted:?} cannot be loaded"),
                    Step::Fails(_) => {}
                }
            }
        }
        assert!(waited >= 30, "four starts took {waited} s: {copies:?}");
    }
}
