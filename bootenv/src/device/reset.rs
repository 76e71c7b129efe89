//! Why the machine started, as far as anybody says.

use super::System;
use crate::journal::Reset;

/// The board was switched on, in a Raspberry Pi's `rsts` (`PM_RSTS_HADPOR_SET`,
/// `drivers/soc/bcm/bcm2835-power.c`).
const POWER_ON: u32 = 0x1000;

/// A watchdog had reset the machine (`WDIOF_CARDRESET`, `include/uapi/linux/watchdog.h`).
const CARD_RESET: u32 = 0x20;

/// Asks pstore for a kernel's last words, the watchdog, and the chip of a Raspberry Pi, in this order.
pub(super) fn cause(system: &System) -> Reset {
    let watchdog = system.text("sys/class/watchdog/watchdog0/bootstatus");
    let status: u32 = watchdog.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    match system.firmware("rsts") {
        _ if panicked(system) => Reset::Panic,
        _ if status & CARD_RESET != 0 => Reset::Watchdog,
        Some(rsts) if rsts & POWER_ON != 0 => Reset::Power,
        // Linux restarts through the watchdog, so the chip does not tell the one from the other.
        Some(_) => Reset::Reboot,
        None => Reset::Unknown,
    }
}

fn panicked(system: &System) -> bool {
    let records = std::fs::read_dir(system.path("sys/fs/pstore")).into_iter().flatten().flatten();
    records.into_iter().any(|record| record.file_name().to_string_lossy().starts_with("dmesg-"))
}
