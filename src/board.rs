//! The boards of the Raspberry Pi track, as data: `firmware/rpi-boards.toml`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// All boards, in the order of the data file.
static BOARDS: LazyLock<Vec<Board>> = LazyLock::new(|| {
    parse(include_str!("../firmware/rpi-boards.toml")).expect("`firmware/rpi-boards.toml` is tested")
});

/// One board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name on the command line.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Its processor, which decides how it starts.
    pub chip: Chip,
    /// What `[board-type=...]` in config.txt compares.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Sections of config.txt that mean this board, the narrowest first.
    pub filters: Vec<String>,
    /// The files that its firmware consists of.
    pub firmware: Vec<String>,
    /// Kernels that it looks for, in this order, when config.txt names none.
    pub kernels: Vec<String>,
    /// Release of the EEPROM, as `YYYY-MM-DD`, from which A/B boot is sound.
    pub eeprom: String,
    /// What its device trees are compatible with first.
    pub compatible: String,
    /// What Raspberry Pi Imager calls boards of its kind; `None` where it is not to be offered.
    pub imager: Option<String>,
    /// Whether it is only there to be emulated.
    #[serde(default)]
    pub emulated: bool,
    /// Since when kernels serve it.
    pub kernel: Option<Since>,
    /// What one should know before choosing it.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Its device trees; the first is for the plain board, the others for variants.
    pub dtb: Vec<BoardDtb>,
}

/// Since when kernels serve a board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// Version of the kernel.
    pub from: String,
    /// What the board may lack with older ones.
    pub before: String,
}

/// A device tree of a board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardDtb {
    /// What tells the variant apart, such as a stepping of the chip or a carrier board.
    pub variant: Option<String>,
    /// File names that the firmware looks for, in this order.
    pub asks: Vec<String>,
    /// File names in kernel packages, in the order of preference.
    pub from: Vec<String>,
}

/// Processors, which decide how a board starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum Chip {
    /// Raspberry Pi 3, which is only emulated.
    Bcm2837,
    /// Raspberry Pi 4 and its family: the EEPROM starts `start4.elf`.
    Bcm2711,
    /// Raspberry Pi 5 and its family: the EEPROM starts the kernel.
    Bcm2712,
}

impl TryFrom<u32> for Chip {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        match number {
            2837 => Ok(Chip::Bcm2837),
            2711 => Ok(Chip::Bcm2711),
            2712 => Ok(Chip::Bcm2712),
            _ => Err(format!("there is no chip {number}")),
        }
    }
}

impl From<Chip> for u32 {
    fn from(chip: Chip) -> u32 {
        match chip {
            Chip::Bcm2837 => 2837,
            Chip::Bcm2711 => 2711,
            Chip::Bcm2712 => 2712,
        }
    }
}

impl Chip {
    /// What the root node of device trees for this chip is compatible with.
    pub fn compatible(self) -> String {
        format!("brcm,bcm{}", u32::from(self))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    board: Vec<Board>,
}

/// Reads a list of boards.
///
/// # Errors
/// When it is not TOML, or has a field that is unknown or missing.
pub fn parse(text: &str) -> Result<Vec<Board>, toml::de::Error> {
    toml::from_str::<File>(text).map(|file| file.board)
}

/// All boards.
pub fn all() -> &'static [Board] {
    &BOARDS
}

/// The board with this name.
pub fn find(name: &str) -> Option<&'static Board> {
    BOARDS.iter().find(|board| board.name == name)
}

impl Board {
    /// The device tree of a variant, or of the plain board.
    pub fn dtb(&self, variant: Option<&str>) -> Option<&BoardDtb> {
        self.dtb.iter().find(|dtb| dtb.variant.as_deref() == variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_has_a_plain_device_tree_and_a_name_of_its_own() {
        for board in all() {
            assert!(board.dtb(None).is_some(), "{}", board.name);
            assert_eq!(find(&board.name), Some(board));
            assert!(board.dtb.iter().all(|dtb| !dtb.asks.is_empty() && !dtb.from.is_empty()));
        }
    }

    /// Else an image would be made for boards that the device then refuses to arm.
    #[test]
    fn boards_ask_for_the_eeprom_that_the_device_asks_for() {
        let real = all().iter().filter(|board| !board.emulated);
        assert!(real.map(|board| &board.eeprom).all(|eeprom| eeprom == bootenv::device::OLDEST_EEPROM));
    }

    #[test]
    fn an_unknown_chip_is_refused() {
        let text = "[[board]]\nname = 'x'\ntitle = 'x'\nchip = 2835\ntype = 0\nfilters = []\nfirmware = []\n\
                    kernels = []\neeprom = ''\ncompatible = ''\ndtb = []\n";
        assert!(parse(text).unwrap_err().to_string().contains("there is no chip 2835"));
    }
}
