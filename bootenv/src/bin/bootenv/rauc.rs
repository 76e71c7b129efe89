//! RAUC's custom boot loader backend (RAUC documentation, "Custom Bootloader Backend Interface").
//!
//! | RAUC asks | is |
//! |---|---|
//! | `get-primary` | the slot that the next start boots |
//! | `set-primary SLOT` | `try` of the other slot; the end of a trial, for the committed one |
//! | `get-state SLOT` | `good` for the committed slot, and for one that is tried or runs |
//! | `set-state SLOT good` | `commit`, of the slot that runs; nothing for the other |
//! | `set-state SLOT bad` | `stage`, of the slot that does not run; the end of a trial, of the one that does |
//! | `get-current` | the slot that runs |

use bootenv::device::Device;
use bootenv::medium::Access;
use bootenv::{BootFlow as _, Error, Refusal, Slot};

use super::args::Rauc;

/// Tries of a slot that RAUC has installed.
const TRIES: u8 = 3;

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
        Rauc::SetPrimary(slot) => {
            let mut device = open(Access::Write)?;
            let default = device.default_slot()?;
            let done = if slot == default { device.rollback() } else { device.try_next(slot, TRIES) };
            done.map(|()| String::new())
        }
        Rauc::SetState(slot, good) => {
            let mut device = open(Access::Write)?;
            let runs = device.booted_slot() == Some(slot);
            match (runs, good) {
                (true, true) => device.commit()?,
                (true, false) => device.rollback()?,
                (false, true) => {}
                (false, false) => device.stage(slot)?,
            }
            Ok(String::new())
        }
    }
}
