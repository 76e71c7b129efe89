//! The boards that QEMU emulates, and what their device trees must not promise there.

use crate::board::{self, Board};
use crate::dtb::Dtb;

/// A machine of QEMU that stands in for a board.
#[derive(Debug, PartialEq, Eq)]
pub struct PiMachine {
    /// Its name in QEMU.
    pub name: &'static str,
    board: &'static str,
    /// Arguments for QEMU that put the console on a serial port.
    pub(super) serial: &'static str,
    /// That port as the kernel calls it.
    pub(super) console: &'static str,
    patches: &'static [Patch],
}

/// A change of a node that is named by its label: paths change from one kernel to the next.
#[derive(Debug, PartialEq, Eq)]
enum Patch {
    /// Nothing there is to be touched.
    Disable(&'static str),
    /// Nothing is connected to it.
    Empty(&'static str),
    /// It lacks this property.
    Without(&'static str, &'static str),
    /// It has this property.
    With(&'static str, &'static str),
}

/// All of them; the first is taken when none is named.
pub const ALL: [PiMachine; 2] = [
    // The kernel leaves the first port to Bluetooth, and only prints on it.
    PiMachine {
        name: "raspi3b",
        board: "rpi3",
        serial: "-serial null -serial chardev:console",
        console: "ttyS1",
        patches: &[],
    },
    // Its second port never has room for another byte, so the first is taken from Bluetooth.
    PiMachine {
        name: "raspi4b",
        board: "rpi4",
        serial: "-serial chardev:console",
        console: "ttyAMA0",
        patches: RASPI4B,
    },
];

use Patch::{Disable, Empty, With, Without};

const RASPI4B: &[Patch] = &[
    // Reading registers that QEMU does not have is a bus error in drivers that are built in.
    Disable("aon_intr"),
    Disable("ddc0"),
    Disable("ddc1"),
    Disable("dvp"),
    Disable("hdmi0"),
    Disable("hdmi1"),
    // QEMU puts the card where a real board has its Wi-Fi.
    Disable("emmc2"),
    Empty("sdhci"),
    Without("sdhci", "mmc-pwrseq"),
    Without("sdhci", "non-removable"),
    With("sdhci", "broken-cd"),
    Empty("uart0"),
];

/// The machine with this name.
pub fn find(name: &str) -> Option<&'static PiMachine> {
    ALL.iter().find(|machine| machine.name == name)
}

impl PiMachine {
    /// The board that it stands in for.
    pub(super) fn board(&self) -> &'static Board {
        board::find(self.board).expect("a test looks up the board of every machine")
    }

    /// Makes the board's device tree one for this machine. Labels that are not there are left out.
    pub(super) fn patch(&self, dtb: &mut Dtb) {
        for patch in self.patches {
            let (Disable(label) | Empty(label) | Without(label, _) | With(label, _)) = patch;
            let Some(path) = dtb.symbol(label) else { continue };
            match patch {
                Disable(_) => dtb.set(&path, "status", b"disabled\0"),
                Empty(_) => dtb.remove_children(&path),
                Without(_, property) => dtb.remove(&path, property),
                With(_, property) => dtb.set(&path, property, b""),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_stands_in_for_a_board() {
        for machine in &ALL {
            assert_eq!(machine.board().name, machine.board);
            assert_eq!(find(machine.name), Some(machine));
        }
    }

    #[test]
    fn a_tree_is_patched_by_labels_wherever_they_point() {
        let mut dtb = Dtb::new();
        dtb.set("/soc/mmc@7e300000", "non-removable", b"");
        dtb.set("/soc/mmc@7e300000/wifi@1", "reg", &[0, 0, 0, 1]);
        dtb.set("/emmc2bus/mmc@7e340000", "status", b"okay\0");
        dtb.set("/__symbols__", "sdhci", b"/soc/mmc@7e300000\0");
        dtb.set("/__symbols__", "emmc2", b"/emmc2bus/mmc@7e340000\0");
        find("raspi4b").unwrap().patch(&mut dtb);
        assert_eq!(dtb.property("/emmc2bus/mmc@7e340000", "status").unwrap(), b"disabled\0");
        assert_eq!(dtb.property("/soc/mmc@7e300000", "non-removable"), None);
        assert_eq!(dtb.property("/soc/mmc@7e300000", "broken-cd").unwrap(), b"");
        assert!(!dtb.has_node("/soc/mmc@7e300000/wifi@1"));
    }
}
