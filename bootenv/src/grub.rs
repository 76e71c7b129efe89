//! The boot state of the generic track, as GRUB reads and writes it.
//!
//! ```text
//!            boot_counter > 0: one less, saved, then
//!   (start) ----------------------------------------> boot the other slot   state=trial
//!      |                                                   | cannot be loaded
//!      | boot_counter = 0                                  v
//!      |                                         boot_counter = 0, saved, reset
//!      v
//!   boot the default slot   state=committed
//!      | cannot be loaded
//!      v
//!   boot_failed = default, saved, reset
//!      |
//!      v
//!   boot_failed = none, saved; boot the other slot if it was ever good   state=handover
//!      | cannot be loaded either
//!      v
//!   say so, wait, reset: the default slot is tried again
//! ```
//!
//! A committed slot is never counted, so power cuts cannot use it up; a trial is counted before it
//! starts, and does not start when the count cannot be saved. The device side of this machine is
//! `tracks/generic/grub.cfg`.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::grubenv::{self, GrubEnv, GrubEnvError};
use crate::locate::{Place, Table};
use crate::{Slot, envblk};

/// Where GRUB keeps its state and its script, on the ESP.
pub const DIRECTORY: &str = "EFI/factory";
/// The state that GRUB reads first and the only one that it writes.
pub const GRUBENV: &str = "EFI/factory/grubenv";
/// The copy that GRUB reads when the first is no environment block.
pub const GRUBENV_SPARE: &str = "EFI/factory/grubenv.spare";
/// The file of a slot that holds its kernel command line, as the variable [`CMDLINE`].
pub const SLOT_ENV: &str = "slot.env";
/// The variable in [`SLOT_ENV`].
pub const CMDLINE: &str = "cmdline";
/// The kernel image of a slot.
pub const KERNEL: &str = "Image";
/// The initramfs of a slot.
pub const INITRAMFS: &str = "initramfs.img";

/// Longest kernel command line that [`slot_env`] takes, in bytes.
pub const CMDLINE_LIMIT: usize = grubenv::USABLE - grubenv::HEADER.len() - CMDLINE.len() - "=\n".len();

/// Number of the ESP in the partition table.
pub const ESP_PARTITION: u32 = 1;

/// Type of the ESP in a GPT, as it stands on the disk: `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`.
const ESP: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];

/// Where the block lies that GRUB reads first.
pub const GRUBENV_PLACE: Place = place(GRUBENV);
/// Where its copy lies.
pub const GRUBENV_SPARE_PLACE: Place = place(GRUBENV_SPARE);

const fn place(path: &'static str) -> Place {
    let table = Table::Gpt(ESP);
    Place { table, partition: ESP_PARTITION, path, length: grubenv::SIZE as u32 }
}

/// Most tries that a trial can be given.
pub const MAX_TRIES: u8 = 9;

/// Number of a slot's partition in the table, which GRUB calls `gpt2` or `gpt3`.
pub const fn partition(slot: Slot) -> u32 {
    match slot {
        Slot::A => 2,
        Slot::B => 3,
    }
}

/// The state that survives a reset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrubState {
    /// The committed slot (`boot_default`).
    pub default: Slot,
    /// Tries left for the other slot, 0 when it is not under trial (`boot_counter`).
    pub tries: u8,
    /// Slots that have been good at least once (`boot_good`).
    pub good: Vec<Slot>,
    /// The committed slot could not be loaded at the last start (`boot_failed`).
    pub failed: Option<Slot>,
}

/// Why an environment block holds no boot state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrubStateError {
    /// The block itself is damaged.
    #[error(transparent)]
    Block(#[from] GrubEnvError),
    /// A variable is missing or has a value that means nothing.
    #[error("`{name}` is `{value}`")]
    Variable {
        /// Name of the variable.
        name: &'static str,
        /// What stands there, empty when it is missing.
        value: String,
    },
}

impl GrubState {
    /// The state of a new image: slot A is committed, and both slots, which hold the same bytes,
    /// count as good.
    pub fn initial() -> Self {
        GrubState { default: Slot::A, tries: 0, good: Slot::ALL.to_vec(), failed: None }
    }

    /// Reads the state from an environment block. Variables that it does not know are ignored.
    ///
    /// # Errors
    /// When the block is damaged, or a variable is missing or means nothing.
    pub fn decode(block: &[u8]) -> Result<Self, GrubStateError> {
        let env = GrubEnv::decode(block)?;
        read(|name| env.get(name).unwrap_or_default())
    }

    /// Writes the state as an environment block.
    pub fn encode(&self) -> [u8; grubenv::SIZE] {
        self.encode_into(GrubEnv::new()).expect("four short variables fit into a sector")
    }

    /// Writes the state into a block that may have variables of others, which are kept.
    ///
    /// # Errors
    /// [`GrubEnvError::Full`] when they leave no room.
    pub fn encode_into(&self, mut env: GrubEnv) -> Result<[u8; grubenv::SIZE], GrubEnvError> {
        for (name, value) in self.variables() {
            env.set(name, &value)?;
        }
        env.encode()
    }

    fn variables(&self) -> [(&'static str, String); 4] {
        let good: String = self.good.iter().map(|slot| letter(*slot)).collect();
        [
            ("boot_default", letter(self.default).to_owned()),
            ("boot_counter", self.tries.min(MAX_TRIES).to_string()),
            ("boot_good", if good.is_empty() { "none".to_owned() } else { good }),
            ("boot_failed", self.failed.map_or("none", letter).to_owned()),
        ]
    }

    /// The state that GRUB's script takes from a block, which may be damaged elsewhere. Nothing when
    /// a variable is missing or means nothing: then the script reads the spare.
    pub fn as_grub_reads(block: &[u8]) -> Option<Self> {
        let found = envblk::variables(block)?;
        let get = |name: &str| {
            let value = found.iter().rev().find(|(known, _)| *known == name.as_bytes());
            value.and_then(|(_, value)| core::str::from_utf8(value).ok()).unwrap_or_default()
        };
        read(get).ok()
    }

    /// Changes a block as GRUB's `save_env` does. False, and nothing changed, when it cannot.
    #[must_use]
    pub fn save_as_grub(&self, block: &mut [u8]) -> bool {
        let mut new = block.to_vec();
        let saved = self.variables().iter().all(|(name, value)| envblk::set(&mut new, name, value));
        if saved {
            block.copy_from_slice(&new);
        }
        saved
    }

    /// The slot that GRUB boots next.
    pub fn next(&self) -> Slot {
        let hand_over = self.failed == Some(self.default) && self.good.contains(&self.default.other());
        if self.tries > 0 || hand_over { self.default.other() } else { self.default }
    }
}

/// A slot's [`SLOT_ENV`].
///
/// # Errors
/// When the command line is longer than [`CMDLINE_LIMIT`], or has a line break.
pub fn slot_env(cmdline: &str) -> Result<[u8; grubenv::SIZE], GrubEnvError> {
    let mut env = GrubEnv::new();
    env.set(CMDLINE, cmdline)?;
    env.encode()
}

/// GRUB's upper-case name of a slot.
const fn letter(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "A",
        Slot::B => "B",
    }
}

/// Reads the four variables, each of which has only the values that the script takes.
fn read<'a>(get: impl Fn(&str) -> &'a str) -> Result<GrubState, GrubStateError> {
    Ok(GrubState {
        default: variable(&get, "boot_default", decode_slot)?,
        tries: variable(&get, "boot_counter", decode_digit)?,
        good: variable(&get, "boot_good", decode_slots)?,
        failed: variable(&get, "boot_failed", |text| match text {
            "none" => Some(None),
            slot => decode_slot(slot).map(Some),
        })?,
    })
}

fn variable<'a, T>(
    get: &impl Fn(&str) -> &'a str,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, GrubStateError> {
    let value = get(name);
    parse(value).ok_or_else(|| GrubStateError::Variable { name, value: value.to_owned() })
}

fn decode_slot(text: &str) -> Option<Slot> {
    Slot::ALL.into_iter().find(|slot| letter(*slot) == text)
}

/// Reads `0` to `9`.
fn decode_digit(text: &str) -> Option<u8> {
    text.parse().ok().filter(|tries| text.len() == 1 && *tries <= MAX_TRIES)
}

/// Reads `AB`, `A`, `B` or `none`.
fn decode_slots(text: &str) -> Option<Vec<Slot>> {
    match text {
        "none" => Some(Vec::new()),
        "AB" => Some(Slot::ALL.to_vec()),
        slot => decode_slot(slot).map(|slot| [slot].to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_image_boots_slot_a() {
        assert_eq!(GrubState::initial().next(), Slot::A);
        assert_eq!(GrubState::decode(&GrubState::initial().encode()), Ok(GrubState::initial()));
    }

    #[test]
    fn every_state_survives_its_block() {
        for default in Slot::ALL {
            for tries in 0..=MAX_TRIES {
                for good in [vec![], vec![Slot::A], vec![Slot::B], Slot::ALL.to_vec()] {
                    for failed in [None, Some(Slot::A), Some(Slot::B)] {
                        let state = GrubState { default, tries, good: good.clone(), failed };
                        assert_eq!(GrubState::decode(&state.encode()), Ok(state));
                    }
                }
            }
        }
    }

    #[test]
    fn the_longest_command_line_just_fits() {
        assert!(slot_env(&"x".repeat(CMDLINE_LIMIT)).is_ok());
        assert!(slot_env(&"x".repeat(CMDLINE_LIMIT + 1)).is_err());
    }

    #[test]
    fn a_trial_boots_the_other_slot() {
        let state = GrubState { tries: 1, ..GrubState::initial() };
        assert_eq!(state.next(), Slot::B);
    }

    #[test]
    fn an_unloadable_default_hands_over_only_to_a_slot_that_was_good() {
        let state = GrubState { failed: Some(Slot::A), ..GrubState::initial() };
        assert_eq!(state.next(), Slot::B);
        assert_eq!(GrubState { good: vec![Slot::A], ..state }.next(), Slot::A);
    }

    #[test]
    fn grub_passes_over_a_block_that_lost_a_variable() {
        let state = GrubState { default: Slot::B, ..GrubState::initial() };
        let block = state.encode();
        assert_eq!(GrubState::as_grub_reads(&block), Some(state.clone()));
        let mut cut = block;
        cut[30..].fill(0xff);
        assert_eq!(GrubState::as_grub_reads(&cut), None);
        let mut unfilled = block;
        unfilled[1000] = 0;
        assert_eq!(GrubState::as_grub_reads(&unfilled), Some(state.clone()));
        assert!(GrubState::decode(&unfilled).is_err() && !state.save_as_grub(&mut unfilled));
    }

    #[test]
    fn values_that_mean_nothing_are_named() {
        let mut env = GrubEnv::new();
        env.set("boot_default", "C").unwrap();
        let error = GrubState::decode(&env.encode().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "`boot_default` is `C`");
    }
}
