//! RAUC's custom boot loader backend (RAUC documentation, "Custom Bootloader Backend Interface").
//!
//! | RAUC asks | when | is |
//! |---|---|---|
//! | `get-current` | it starts, in newer versions than 1.8 | the slot that runs |
//! | `get-primary` | `rauc status` | the slot that the next start boots |
//! | `get-state SLOT` | `rauc status` | `good` for the committed slot, the next one, and the one that runs |
//! | `set-state SLOT bad` | before it writes the slot | `stage` |
//! | `set-primary SLOT` | when the slot is written, `mark-active` | `try`; for the slot that runs `commit`, for the committed one the end of a trial |
//! | `set-state SLOT good` | `mark-good`, mostly at the end of a start | `commit`, for the slot that runs, unless it is committed; else nothing |
//! | `set-state SLOT bad` | `mark-bad` of the slot that runs | the end of its trial; refused when it is committed |

use bootenv::device::Device;
use bootenv::medium::Access;
use bootenv::{BootFlow as _, Error, Refusal, Slot};

use super::args::{Rauc, TRIES};

/// Does what RAUC asks for.
pub(super) fn answer(
    request: Rauc,
    open: impl FnOnce(Access) -> Result<Device, Error>,
) -> Result<String, Error> {
    let line = |slot: Option<Slot>| slot.map(|slot| format!("{slot}\n")).ok_or(Refusal::Lost);
    match request {
        Rauc::Primary => Ok(line(open(Access::Read)?.state()?.next)?),
        Rauc::Current => Ok(line(open(Access::Read)?.booted_slot()).map_err(|_| Refusal::NothingRuns)?),
        Rauc::State(slot) => {
            let state = open(Access::Read)?.state()?;
            let booted = state.booted.map(|booted| booted.slot);
            let good = [state.default, state.next, booted].contains(&Some(slot));
            Ok(if good { "good\n" } else { "bad\n" }.to_owned())
        }
        Rauc::SetPrimary(slot) => set_primary(&mut open(Access::Write)?, slot),
        Rauc::SetState(slot, true) => set_good(&mut open(Access::Write)?, slot),
        Rauc::SetState(slot, false) => set_bad(&mut open(Access::Write)?, slot),
    }
}

fn set_primary(device: &mut Device, slot: Slot) -> Result<String, Error> {
    if slot == device.default_slot()? {
        device.rollback()?;
    } else if device.booted_slot() == Some(slot) {
        device.commit()?;
    } else {
        device.try_next(slot, TRIES)?;
    }
    Ok(String::new())
}

/// A slot that does not run is tried before it is good. The committed slot is, and what else is armed
/// stays so: `mark-good` may come between an installation and its restart.
fn set_good(device: &mut Device, slot: Slot) -> Result<String, Error> {
    if device.booted_slot() == Some(slot) && device.default_slot()? != slot {
        device.commit()?;
    }
    Ok(String::new())
}

fn set_bad(device: &mut Device, slot: Slot) -> Result<String, Error> {
    if device.booted_slot() != Some(slot) {
        device.stage(slot)?;
    } else if device.default_slot()? == slot {
        return Err(Refusal::SlotCommitted(slot).into());
    } else {
        device.rollback()?;
    }
    Ok(String::new())
}
