//! The Raspberry Pi track: the boot ROM, the library, and everything that can come between.

use bootenv::machine::rpi::{Bootable, Change, Pi, Rows, booted, plan, resume, start};
use bootenv::rpi::{Autoboot, CONTROL_PARTITION};
use bootenv::{Booted, How, Operation, Running, Slot};

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
    /// Starts that the other slot may still have.
    owed: u8,
    /// What the journal has as the committed slot.
    remembered: Slot,
}

type Outcome = Result<Machine, String>;

impl Machine {
    fn new() -> Self {
        let rows = Rows::of(Autoboot::initial());
        let pi = Pi { rows, tryboot: false, trial: None };
        Machine { pi, running: None, repaired: false, trusted: vec![Slot::A], owed: 0, remembered: Slot::A }
    }

    fn understood(&self) -> Option<Autoboot> {
        self.pi.rows.committed().map(|default| Autoboot { default })
    }

    fn known(&self) -> Running {
        Running { booted: self.running.flatten(), remembered: Some(self.remembered) }
    }

    /// I4.
    fn checked(self) -> Outcome {
        match self.pi.rows.committed() {
            Some(slot) if !self.trusted.contains(&slot) => {
                Err(format!("I4: slot {slot} is committed and was never good"))
            }
            _ => Ok(self),
        }
    }

    /// A start after a reset, and one after a loss of power, which the flag does not survive.
    fn starts(&self) -> Vec<(String, Outcome)> {
        let worlds = [[true, true, true], [true, false, true], [true, true, false], [true, false, false]];
        let mut all = Vec::new();
        for (power_lost, can) in [false, true].into_iter().flat_map(|lost| worlds.map(|can| (lost, can))) {
            let mut machine = Machine { running: None, ..self.clone() };
            machine.pi.tryboot &= !power_lost;
            let flag = machine.pi.tryboot;
            let number = start(&mut machine.pi, Bootable(can));
            let event = format!("start, power lost: {power_lost}, bootable: {can:?}");
            all.push((event, number.map_or(Err("nothing boots".to_owned()), |n| machine.boot(n, flag, can))));
        }
        all
    }

    /// I1, I2 and I3.
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
                // The walk finds whatever can boot: what is not good must not be left where it can.
                let walked = !Bootable(can).can(if flag { self.pi.rows.tryboot } else { self.pi.rows.all });
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

    fn apply(&mut self, change: Change) {
        match change {
            Change::Autoboot(state) => self.pi.rows = Rows::of(state),
            Change::Flag(set) => self.pi.tryboot = set,
            Change::Trial(trial) => self.pi.trial = trial,
        }
    }

    /// All that a write of the control sector can leave when the power goes: nothing that makes
    /// sense, or rows of both.
    fn torn(&self, change: Change) -> Vec<(String, Outcome)> {
        let Change::Autoboot(state) = change else { return Vec::new() };
        let (old, new) = (self.pi.rows, Rows::of(state));
        let mixed = [
            Rows { all: 0, tryboot: 0 },
            Rows { all: new.all, tryboot: old.tryboot },
            Rows { all: old.all, tryboot: new.tryboot },
        ];
        let torn = mixed.map(|rows| {
            let mut machine = Machine { running: None, ..self.clone() };
            machine.pi = Pi { rows, tryboot: false, ..machine.pi };
            (format!("{change:?} torn: {rows:?}"), machine.checked())
        });
        torn.into()
    }

    fn changes(
        &self,
        name: &str,
        before: Machine,
        changes: Vec<Change>,
    ) -> (Machine, Vec<(String, Outcome)>) {
        let (mut machine, mut all) = (before, Vec::new());
        for change in changes {
            all.extend(machine.torn(change));
            machine.apply(change);
            let cut = Machine { running: None, ..machine.clone() };
            all.push((format!("{name}: {change:?}, crash"), cut.clone().checked()));
            let off = Machine { pi: Pi { tryboot: false, ..cut.pi }, ..cut };
            all.push((format!("{name}: {change:?}, power off"), off.checked()));
        }
        (machine, all)
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
            Operation::Rollback | Operation::Stage(_) => machine.owed = 0,
            Operation::Repair | Operation::Commit => {
                let committed = machine.pi.rows.committed().unwrap();
                machine.trusted.retain(|slot| *slot == committed);
                machine.remembered = committed;
                machine.repaired = true;
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
            let changes = resume(&self.pi, self.understood(), &self.known());
            let (machine, cuts) = self.changes("resume", self.clone(), changes);
            all.extend(cuts);
            all.push(("resume, done".to_owned(), machine.checked()));
        }
        // The control sector goes bad by itself.
        let mut lost = Machine { running: None, ..self.clone() };
        lost.pi.rows = Rows::default();
        all.push(("the control file is lost".to_owned(), lost.checked()));
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
        changes.into_iter().for_each(|change| self.apply(change));
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
    println!("rpi: {} states", seen.len());
    assert!(seen.len() > 200, "only {} states were reached", seen.len());
}
