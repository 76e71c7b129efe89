//! A model of how a Raspberry Pi chooses what to boot: its EEPROM, and `start4.elf` where it has one.
//!
//! The firmware is closed. This is what its documentation, its release notes and measurements of
//! others say, as code; each step names the rule that it follows.

use serde::Serialize;

use crate::board::Board;

/// What the model is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The board.
    pub board: &'static Board,
    /// Its variant, such as a stepping; the plain board without.
    pub variant: Option<String>,
    /// Release of its EEPROM, as `YYYY-MM-DD`.
    pub eeprom: String,
    /// Partition that the last reboot asked for (`reboot 3`); 0 and none mean no wish.
    pub reboot: Option<u32>,
    /// Whether the tryboot flag is set.
    pub tryboot: bool,
}

/// What the board does.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// What it reads and decides, in order.
    pub steps: Vec<Step>,
    /// What it starts, if anything.
    pub boots: Option<Chosen>,
}

/// One thing that is read or decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What happens, for people.
    pub what: String,
    /// Name of the rule that it follows.
    pub rule: &'static str,
}

/// What a board starts. All paths are from the root of the partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// Number of the partition that everything is read from.
    pub partition: u32,
    /// Whether this start used the tryboot flag up.
    pub tryboot: bool,
    /// The file that configures it: `config.txt` or `tryboot.txt`.
    pub config: String,
    /// The kernel.
    pub kernel: String,
    /// The device tree; none when the firmware finds no file for the board.
    pub dtb: Option<String>,
    /// The initramfs.
    pub initramfs: Option<String>,
    /// The kernel command line, as in the file.
    pub cmdline: String,
    /// Overlays that are applied to the device tree, with their parameters.
    pub overlays: Vec<String>,
}

// STANDIN-BEGIN: dropped when the model is merged.
/// Nothing yet.
#[derive(Debug, thiserror::Error)]
#[error("model")]
pub struct ModelError;

/// Stand-in.
pub fn ask(disk: &crate::volume::Disk, question: &Question) -> Result<Answer, ModelError> {
    let table = disk.table().map_err(|_| ModelError)?.table;
    let fat = |n: u32| {
        let e = table.entries.iter().find(|e| e.number == n)?;
        crate::volume::fat::Fat::open(disk.partition(e)).ok()
    };
    let auto = fat(1).and_then(|f| f.read("autoboot.txt", 512).ok().flatten());
    let default = match auto.map(|a| bootenv::rpi::Autoboot::decode(&a)) {
        Some(Ok(a)) => bootenv::rpi::partition(if question.tryboot { a.default.other() } else { a.default }),
        _ => 1,
    };
    let ok = |n: u32| fat(n).is_some_and(|f| f.size("start4.elf").ok().flatten().is_some());
    let partition = if ok(default) { Some(default) } else { [2, 3, 1].into_iter().find(|n| ok(*n)) };
    let steps = vec![Step { what: format!("standin {partition:?}"), rule: "standin" }];
    let boots = partition.map(|partition| {
        let f = fat(partition).unwrap();
        let names = &question.board.dtb[0].asks;
        Chosen {
            partition,
            tryboot: question.tryboot,
            config: "config.txt".into(),
            kernel: "kernel8.img".into(),
            dtb: names.iter().find(|n| f.size(n).ok().flatten().is_some()).cloned(),
            initramfs: Some("initramfs8".into()),
            cmdline: String::from_utf8(f.read("cmdline.txt", 4096).unwrap().unwrap()).unwrap().trim().into(),
            overlays: vec![],
        }
    });
    Ok(Answer { steps, boots })
}
// STANDIN-END
