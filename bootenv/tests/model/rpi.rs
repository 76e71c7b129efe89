//! The Raspberry Pi track: the boot ROM, the library, whoever writes slots, and everything that can
//! come between.

use bootenv::machine::rpi::{Bootable, Change, First, Front, Pi, Rows, booted, plan, resume, start};
use bootenv::rpi::{Autoboot, CONTROL_PARTITION};
use bootenv::{Booted, How, Operation, Running, Slot, Trial};

use super::{TRIES, explore, story};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Machine {
    pi: Pi,
    /// What runs: a slot, or the control partition's own kernel.
    running: Option<Option<Booted>>,
    /// Whether init has had the state repaired, which it does before anything else.
    repaired: bool,
    /// Slots that may be booted without a flag.
    trusted: Vec<Slot>,
    /// Slots that the walk may find: good ones, armed ones, and those whose end no start has seen yet.
    fit: Vec<Slot>,
    /// Starts that the other slot may still have.
    owed: u8,
    /// What the journal has as the committed slot.
    remembered: Slot,
}

type Outcome = Result<Machine, String>;

impl Machine {
    fn new() -> Self {
        let rows = Rows::of(Autoboot::initial());
        let pi = Pi { rows, tryboot: false, trial: None, fronts: [Front::SHOWN; 2] };
        let (trusted, fit) = (vec![Slot::A], Slot::ALL.to_vec());
        Machine { pi, running: None, repaired: false, trusted, fit, owed: 0, remembered: Slot::A }
    }

    fn understood(&self) -> Option<Autoboot> {
        self.pi.rows.committed().map(|default| Autoboot { default })
    }

    fn known(&self) -> Running {
        Running { booted: self.running.flatten(), remembered: Some(self.remembered) }
    }

    fn runs(&self) -> Option<Slot> {
        self.running.flatten().map(|booted| booted.slot)
    }

    fn is_fit(&mut self, slot: Slot, fit: bool) {
        self.fit.retain(|known| *known != slot);
        self.fit.extend(fit.then_some(slot));
        self.fit.sort();
    }

    /// I4; and whatever was cut short is remembered, so that a start finishes it.
    fn checked(self) -> Outcome {
        let torn = Slot::ALL.into_iter().find(|slot| self.pi.front(*slot).first == First::Garbage);
        if torn.is_some() && self.pi.trial.map(|trial| trial.slot) != torn {
            return Err(format!("slot {torn:?} is torn, and nobody remembers"));
        }
        match self.pi.rows.committed() {
            Some(slot) if !self.trusted.contains(&slot) => {
                Err(format!("I4: slot {slot} is committed and was never good"))
            }
            Some(slot) if self.pi.front(slot).first != First::Fat => {
                Err(format!("slot {slot} is committed and cannot be booted"))
            }
            _ => Ok(self),
        }
    }

    /// Nobody knows what a ROM takes half a boot sector for.
    fn views(&self) -> Vec<Pi> {
        let as_fat = |front: Front| match front.first {
            First::Garbage => Front { first: First::Fat, ..front },
            _ => front,
        };
        let other = Pi { fronts: self.pi.fronts.map(as_fat), ..self.pi };
        if other == self.pi { vec![self.pi] } else { vec![self.pi, other] }
    }

    /// A start after a reset, and one after a loss of power, which the flag does not survive.
    fn starts(&self) -> Vec<(String, Outcome)> {
        let worlds = [[true, true, true], [true, false, true], [true, true, false], [true, false, false]];
        let mut all = Vec::new();
        for (power_lost, can) in [false, true].into_iter().flat_map(|lost| worlds.map(|can| (lost, can))) {
            for mut pi in self.views() {
                pi.tryboot &= !power_lost;
                let flag = pi.tryboot;
                let is_shown = |slot| pi.front(slot).first == First::Fat;
                let can = [can[0], can[1] && is_shown(Slot::A), can[2] && is_shown(Slot::B)];
                let number = start(&mut pi, Bootable(can));
                let machine = Machine { running: None, pi: Pi { tryboot: false, ..self.pi }, ..self.clone() };
                let event = format!("start, power lost: {power_lost}, bootable: {can:?}");
                let nothing = || Err("nothing boots".to_owned());
                all.push((event, number.map_or_else(nothing, |number| machine.boot(number, flag, can))));
            }
        }
        all
    }

    /// I1, I2, I3, and I4 for what the walk finds.
    fn boot(mut self, number: u32, flag: bool, can: [bool; 3]) -> Outcome {
        let what = booted(number, flag);
        let understood = self.understood();
        match what {
            None if number != CONTROL_PARTITION => return Err(format!("partition {number} is no slot")),
            // Allowed for a lost file, and after a slot that cannot boot.
            None if understood.is_some() && can == [true; 3] => {
                return Err("I1: the control partition boots for no reason".to_owned());
            }
            None => {}
            Some(Booted { slot, how }) if !self.trusted.contains(&slot) => {
                let walked = !Bootable(can).can(if flag { self.pi.rows.tryboot } else { self.pi.rows.all });
                if walked && !self.fit.contains(&slot) {
                    return Err(format!("I4: the walk finds slot {slot}, which is neither good nor armed"));
                }
                if how == How::Trial && self.owed > 0 {
                    self.owed -= 1;
                } else if !walked {
                    return Err(format!("I1, I2: slot {slot} is booted as {how:?}, owed {}", self.owed));
                }
            }
            Some(_) => {}
        }
        self.running = Some(what);
        self.repaired = false;
        self.checked()
    }

    fn apply(&mut self, change: Change) -> Result<(), String> {
        match change {
            Change::Autoboot(state) => self.pi.rows = Rows::of(state),
            Change::Flag(set) => self.pi.tryboot = set,
            Change::Trial(trial) => self.pi.trial = trial,
            Change::Discard(slot) => self.pi.trial = Some(Trial { slot, left: 0 }),
            Change::Hide(slot) if self.runs() == Some(slot) => {
                return Err(format!("{slot} runs and is hidden"));
            }
            Change::Hide(slot) => self.pi.fronts[slot as usize].first = First::Zeroes,
            Change::Show(slot) => {
                assert!(self.pi.front(slot).backup, "{slot} is shown from nothing");
                self.pi.fronts[slot as usize].first = First::Fat;
            }
        }
        Ok(())
    }

    /// All that a write can leave when the power goes. Of the control sector: nothing that makes
    /// sense, or rows of both.
    fn torn(&self, change: Change) -> Vec<(String, Outcome)> {
        let (old, fronts) = (self.pi.rows, self.pi.fronts);
        let torn = match change {
            Change::Autoboot(state) => {
                let new = Rows::of(state);
                let rows = [
                    Rows { all: 0, tryboot: 0 },
                    Rows { all: new.all, tryboot: old.tryboot },
                    Rows { all: old.all, tryboot: new.tryboot },
                ];
                rows.map(|rows| Pi { rows, ..self.pi }).to_vec()
            }
            Change::Hide(slot) | Change::Show(slot) => {
                let mut torn = Pi { fronts, ..self.pi };
                torn.fronts[slot as usize].first = First::Garbage;
                vec![torn]
            }
            Change::Flag(_) | Change::Trial(_) | Change::Discard(_) => Vec::new(),
        };
        let all = torn.into_iter().map(|pi| {
            let machine = Machine { running: None, pi: Pi { tryboot: false, ..pi }, ..self.clone() };
            (format!("{change:?} torn: {:?}, {:?}", pi.rows, pi.fronts), machine.checked())
        });
        all.collect()
    }

    fn changes(
        &self,
        name: &str,
        before: Machine,
        changes: Vec<Change>,
    ) -> (Machine, Vec<(String, Outcome)>) {
        let (mut machine, mut all) = (before, Vec::new());
        for change in changes {
            // What a trial is remembered of may be shown.
            if let Change::Show(slot) = change
                && machine.pi.trial.is_some_and(|trial| trial.slot == slot)
            {
                machine.is_fit(slot, true);
            }
            all.extend(machine.torn(change));
            if let Err(broken) = machine.apply(change) {
                all.push((format!("{name}: {change:?}"), Err(broken)));
            }
            let cut = Machine { running: None, ..machine.clone() };
            all.push((format!("{name}: {change:?}, crash"), cut.clone().checked()));
            let off = Machine { pi: Pi { tryboot: false, ..cut.pi }, ..cut };
            all.push((format!("{name}: {change:?}, power off"), off.checked()));
        }
        (machine, all)
    }

    /// Once an operation that ends trials is done, the slot of one is none that the walk may find.
    fn ended(&mut self) {
        if let Some(Trial { slot, left: 0 }) = self.pi.trial
            && !self.pi.tryboot
            && self.runs() != Some(slot)
            && self.pi.rows.committed().is_some_and(|committed| committed != slot)
        {
            self.is_fit(slot, false);
        }
    }

    /// A slot that was staged is written: its first sector not at all, or last, or, by who knows no
    /// better, first. Such a slot is in the walk's way until it is tried, or the next repair.
    fn writes(&self) -> Vec<(String, Outcome)> {
        let Some(slot) = self.runs().map(Slot::other).filter(|slot| !self.fit.contains(slot)) else {
            return Vec::new();
        };
        let fronts = [
            ("is being written", Front::EMPTY),
            ("is written but for its first sector", Front::HIDDEN),
            ("is half written, and shown", Front { first: First::Fat, backup: false }),
            ("is written", Front::SHOWN),
        ];
        let write = |(what, front): (&str, Front)| {
            let mut machine = self.clone();
            machine.pi.fronts[slot as usize] = front;
            machine.is_fit(slot, front.first == First::Fat);
            (format!("slot {slot} {what}"), machine.checked())
        };
        fronts.map(write).to_vec()
    }

    fn operation(&self, operation: Operation) -> Vec<(String, Outcome)> {
        let Ok(changes) = plan(&self.pi, self.understood(), &self.known(), operation) else {
            return Vec::new();
        };
        let mut before = self.clone();
        match operation {
            Operation::Try(slot, tries) => {
                before.owed = before.owed.max(tries);
                before.trusted.retain(|trusted| *trusted != slot);
            }
            Operation::Commit => {
                let slot = self.running.flatten().unwrap().slot;
                before.trusted.retain(|trusted| *trusted != slot);
                before.trusted.push(slot);
                before.trusted.sort();
            }
            _ => {}
        }
        let (mut machine, mut all) = self.changes(&format!("{operation:?}"), before, changes);
        match operation {
            Operation::Try(_, tries) => machine.owed = tries,
            Operation::Rollback | Operation::Stage(_) => {
                machine.owed = 0;
                machine.ended();
            }
            Operation::Repair | Operation::Commit => {
                let committed = machine.pi.rows.committed().unwrap();
                machine.trusted.retain(|slot| *slot == committed);
                machine.remembered = committed;
                machine.repaired = true;
                // The committed slot's own start goes on with `resume`.
                let resumes = Some(Booted { slot: committed, how: How::Committed });
                if operation == Operation::Repair && self.running.flatten() != resumes {
                    machine.ended();
                }
            }
        }
        all.push((format!("{operation:?}, done"), machine.checked()));
        all
    }

    fn next(&self) -> Vec<(String, Outcome)> {
        let mut all = self.starts();
        if self.running.is_none() {
            return all;
        }
        all.extend(self.operation(Operation::Repair));
        if self.repaired {
            for slot in Slot::ALL {
                all.extend(self.operation(Operation::Stage(slot)));
                all.extend(TRIES.into_iter().flat_map(|tries| self.operation(Operation::Try(slot, tries))));
            }
            all.extend(self.operation(Operation::Commit));
            all.extend(self.operation(Operation::Rollback));
            all.extend(self.writes());
            let changes = resume(&self.pi, self.understood(), &self.known());
            let ends = !changes.is_empty();
            let (mut machine, cuts) = self.changes("resume", self.clone(), changes);
            if ends {
                machine.ended();
            }
            all.extend(cuts);
            all.push(("resume, done".to_owned(), machine.checked()));
        }
        // The control sector goes bad by itself.
        let mut lost = Machine { running: None, ..self.clone() };
        lost.pi.rows = Rows::default();
        all.push(("the control file is lost".to_owned(), lost.checked()));
        // And so does the journal, of an otherwise whole disk: what was not good is no longer known not
        // to be.
        let mut lost = self.clone();
        lost.pi.trial = None;
        let is = |first| move |slot: &Slot| self.pi.front(*slot).first == first;
        Slot::ALL.into_iter().filter(is(First::Fat)).for_each(|slot| lost.is_fit(slot, true));
        if !Slot::ALL.iter().any(is(First::Garbage)) {
            all.push(("the journal is lost".to_owned(), lost.checked()));
        }
        all
    }

    fn has_a_future(&self) -> Result<(), String> {
        let mut machine = self.clone();
        machine.up();
        machine.all_of(Operation::Repair)?;
        machine.all_of(Operation::Rollback)?;
        machine.up();
        let first = machine.running.flatten().ok_or("no slot boots after a repair")?;
        let slot = first.slot.other();
        machine.all_of(Operation::Stage(slot))?;
        machine.pi.fronts[slot as usize] = Front::HIDDEN;
        machine.all_of(Operation::Try(slot, 1))?;
        machine.up();
        if machine.running != Some(Some(Booted { slot, how: How::Trial })) {
            return Err(format!("the trial does not start: {:?}", machine.running));
        }
        machine.all_of(Operation::Commit)?;
        machine.up();
        let last = machine.running.flatten();
        let wanted = Some(Booted { slot, how: How::Committed });
        (last == wanted).then_some(()).ok_or_else(|| format!("committed {slot}, booted {last:?}"))
    }

    fn up(&mut self) {
        let flag = self.pi.tryboot;
        let number = start(&mut self.pi, Bootable::ALL).expect("everything can boot");
        self.running = Some(booted(number, flag));
    }

    fn all_of(&mut self, operation: Operation) -> Result<(), String> {
        let changes = plan(&self.pi, self.understood(), &self.known(), operation)
            .map_err(|refusal| format!("{operation:?}: {refusal}"))?;
        changes.into_iter().try_for_each(|change| self.apply(change))
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
    println!("rpi: {} states", seen.len());
    assert!(seen.len() > 200, "only {} states were reached", seen.len());
}
