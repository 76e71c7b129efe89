//! The transitions of the generic track: `tracks/generic/grub.cfg` step by step, and the library's.
//!
//! ```text
//!   (primary, spare) --start--> [Save]* then Boot or Reset         one step a save: power may go between
//!   (primary, spare) --plan---> [Write]*                           the same for the library
//! ```
//!
//! Rules that hold for every plan:
//!
//! * The spare never holds a trial: when the primary is lost, tries that were used do not come back.
//! * A copy is written only while the other one is good.
//! * The primary decides. It is written before the spare, except to mend a spare that is needed.

use alloc::vec::Vec;

use super::{Booted, How, Operation, Refusal, Running};
use crate::Slot;
use crate::grub::{GrubState, MAX_TRIES};

/// One of the two environment blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copy {
    /// `grubenv`, which GRUB reads first.
    Primary,
    /// `grubenv.spare`.
    Spare,
}

/// What the two blocks hold; nothing where one cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Copies {
    /// The first.
    pub primary: Option<GrubState>,
    /// The second.
    pub spare: Option<GrubState>,
}

/// What the state does not say and GRUB meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Whether the kernel and initramfs of slot A can be loaded.
    pub a_loads: bool,
    /// The same of slot B.
    pub b_loads: bool,
    /// Whether a readable block can be saved.
    pub saves: bool,
}

/// What GRUB does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Writes the state to the block that it read.
    Save(Copy, GrubState),
    /// Finds that a slot cannot be loaded.
    Fails(Slot),
    /// Hands over to a kernel; the last step.
    Boot(Booted),
    /// Waits so many seconds and resets; the last step.
    Reset(u8),
}

/// One write of the library.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// Which block.
    pub copy: Copy,
    /// What it holds then.
    pub state: GrubState,
}

impl World {
    /// Everything works.
    pub const FINE: World = World { a_loads: true, b_loads: true, saves: true };

    const fn loads(self, slot: Slot) -> bool {
        match slot {
            Slot::A => self.a_loads,
            Slot::B => self.b_loads,
        }
    }
}

impl Copies {
    /// The same state in both blocks.
    pub fn both(state: &GrubState) -> Self {
        Copies { primary: Some(state.clone()), spare: Some(state.settled()) }
    }

    /// One of the blocks.
    pub fn get(&self, copy: Copy) -> Option<&GrubState> {
        match copy {
            Copy::Primary => self.primary.as_ref(),
            Copy::Spare => self.spare.as_ref(),
        }
    }

    /// Puts a state into a block.
    pub fn put(&mut self, copy: Copy, state: Option<GrubState>) {
        match copy {
            Copy::Primary => self.primary = state,
            Copy::Spare => self.spare = state,
        }
    }

    /// The state that GRUB goes by, and the block that it comes from.
    pub fn read(&self) -> Option<(Copy, &GrubState)> {
        let primary = self.primary.as_ref().map(|state| (Copy::Primary, state));
        primary.or_else(|| self.spare.as_ref().map(|state| (Copy::Spare, state)))
    }
}

impl GrubState {
    /// The same without trial and without a failure: what the spare holds.
    #[must_use]
    pub fn settled(&self) -> Self {
        GrubState { tries: 0, failed: None, ..self.clone() }
    }

    /// Whether a slot was good at least once.
    pub fn was_good(&self, slot: Slot) -> bool {
        self.good.contains(&slot)
    }

    fn without(&self, slot: Slot) -> Vec<Slot> {
        self.good.iter().copied().filter(|good| *good != slot).collect()
    }

    fn with(&self, slot: Slot) -> Vec<Slot> {
        Slot::ALL.into_iter().filter(|known| *known == slot || self.was_good(*known)).collect()
    }
}

/// All that one start of GRUB does, in order. The last step is a boot or a reset.
pub fn start(copies: &Copies, world: World) -> Vec<Step> {
    let read = copies.read();
    let state = read.map_or_else(GrubState::initial, |(_, state)| state.clone());
    let mut script = Script { state, block: read.map(|(copy, _)| copy), world, steps: Vec::new() };
    let last = script.run();
    script.steps.push(last);
    script.steps
}

struct Script {
    state: GrubState,
    /// The block that was read; none when both are lost.
    block: Option<Copy>,
    world: World,
    steps: Vec<Step>,
}

impl Script {
    fn run(&mut self) -> Step {
        let (default, other) = (self.state.default, self.state.default.other());
        if self.state.tries > 0 {
            self.state.tries -= 1;
            if self.save() {
                if self.loads(other) {
                    return Step::Boot(Booted { slot: other, how: How::Trial });
                }
                self.state.tries = 0;
                if self.save() {
                    return Step::Reset(1);
                }
            }
        }
        if self.state.failed != Some(default) || !self.state.was_good(other) {
            if self.loads(default) {
                return Step::Boot(Booted { slot: default, how: How::Committed });
            }
            self.state.failed = Some(default);
            if !self.state.was_good(other) {
                return Step::Reset(30);
            }
            if self.save() {
                return Step::Reset(1);
            }
        }
        self.state.failed = None;
        let _ = self.save();
        if self.loads(other) {
            return Step::Boot(Booted { slot: other, how: How::HandOver });
        }
        Step::Reset(30)
    }

    fn save(&mut self) -> bool {
        let Some(block) = self.block.filter(|_| self.world.saves) else { return false };
        self.steps.push(Step::Save(block, self.state.clone()));
        true
    }

    fn loads(&mut self, slot: Slot) -> bool {
        let loads = self.world.loads(slot);
        if !loads {
            self.steps.push(Step::Fails(slot));
        }
        loads
    }
}

/// The writes that an operation takes, in order; none when all is as it should be.
///
/// # Errors
/// When the operation must not be done. Then nothing is to be written.
pub fn plan(copies: &Copies, running: &Running, operation: Operation) -> Result<Vec<Write>, Refusal> {
    let mut writes = Vec::new();
    let mut now = copies.clone();
    let mut write = |now: &mut Copies, copy, state: GrubState| {
        if now.get(copy) != Some(&state) {
            writes.push(Write { copy, state: state.clone() });
            now.put(copy, Some(state));
        }
    };
    let old = match now.read() {
        Some((Copy::Primary, state)) => state.clone(),
        Some((Copy::Spare, state)) => state.settled(),
        None if operation == Operation::Repair => rebuilt(running)?,
        None => return Err(Refusal::Lost),
    };
    let new = next(&old, running, operation)?;
    // Whichever block is bad, or was left behind, follows the other before anything is changed.
    write(&mut now, Copy::Primary, old.clone());
    write(&mut now, Copy::Spare, old.settled());
    write(&mut now, Copy::Primary, new.clone());
    write(&mut now, Copy::Spare, new.settled());
    Ok(writes)
}

/// The state after both blocks were lost: only a slot that is known to work counts as good.
fn rebuilt(running: &Running) -> Result<GrubState, Refusal> {
    let default = running.survivor().ok_or(Refusal::LostForGood)?;
    Ok(GrubState { default, tries: 0, good: [default].to_vec(), failed: None })
}

fn next(old: &GrubState, running: &Running, operation: Operation) -> Result<GrubState, Refusal> {
    match operation {
        Operation::Stage(slot) => {
            may_change(old, running, slot)?;
            Ok(GrubState { tries: 0, good: old.without(slot), ..old.clone() })
        }
        Operation::Try(slot, tries) => {
            if !(1..=MAX_TRIES).contains(&tries) {
                return Err(Refusal::Tries { tries, cap: MAX_TRIES });
            }
            may_change(old, running, slot)?;
            Ok(GrubState { tries, good: old.without(slot), failed: None, ..old.clone() })
        }
        Operation::Commit => commit(old, running),
        Operation::Rollback => Ok(GrubState { tries: 0, ..old.clone() }),
        Operation::Repair => Ok(GrubState { failed: None, ..old.clone() }),
    }
}

/// Only the slot that neither runs nor is committed may be written or tried, and not during a trial.
fn may_change(old: &GrubState, running: &Running, slot: Slot) -> Result<(), Refusal> {
    match running.booted {
        Some(Booted { slot: booted, how: How::Trial }) if booted != old.default => {
            Err(Refusal::InTrial(booted))
        }
        Some(Booted { slot: booted, .. }) if booted == slot => Err(Refusal::SlotRuns(slot)),
        _ if slot == old.default => Err(Refusal::SlotCommitted(slot)),
        _ => Ok(()),
    }
}

fn commit(old: &GrubState, running: &Running) -> Result<GrubState, Refusal> {
    let Booted { slot, how } = running.booted.ok_or(Refusal::NothingRuns)?;
    let wrong = Refusal::WrongSlot { booted: slot, default: old.default };
    if slot == old.default {
        let armed = old.tries > 0;
        let state = GrubState { good: old.with(slot), failed: None, ..old.clone() };
        return if armed { Err(wrong) } else { Ok(state) };
    }
    match how {
        How::Committed => Err(wrong),
        How::Trial | How::HandOver => {
            Ok(GrubState { default: slot, tries: 0, good: old.with(slot), failed: None })
        }
    }
}
