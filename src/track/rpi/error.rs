//! What can be wrong with the ingredients of a Raspberry Pi image.

use super::FIRMWARE_SINCE;
use crate::board;
use crate::dtb::DtbError;
use crate::firmware::upstream::NoBase;
use crate::suggest;

/// Why no Raspberry Pi image can be dressed.
#[derive(Debug, thiserror::Error)]
pub enum RpiError {
    /// No board has this name.
    #[error("there is no board `{0}`\n\nhint: {hint}", hint = board_hint(.0))]
    UnknownBoard(String),
    /// Nobody says where the firmware is published.
    #[error(transparent)]
    NoBase(#[from] NoBase),
    /// The kernel does not serve a board.
    #[error(
        "board `{board}` needs the device tree `{wanted}`, which this kernel has not\n\n\
         hint: take another kernel, or one of the boards that it serves: {served}"
    )]
    NoDtb {
        /// Name of the board.
        board: String,
        /// Names of the file.
        wanted: String,
        /// Boards that the kernel serves.
        served: String,
    },
    /// The kernel's package has no device tree for any board.
    #[error("the kernel has no device tree for any board\n\nhint: is it a kernel for arm64?")]
    NoBoards,
    /// A device tree is damaged.
    #[error("`{name}` cannot be used: {source}")]
    Dtb {
        /// Name of the file.
        name: String,
        /// What is wrong.
        source: DtbError,
    },
    /// A device tree is for another board than its name says.
    #[error("`{name}` is not for a {board}: it is compatible with {found}")]
    WrongBoard {
        /// Name of the file.
        name: String,
        /// The board it should be for.
        board: String,
        /// What it is compatible with.
        found: String,
    },
    /// The project brings a device tree of another kernel family.
    #[error(
        "`{name}` of the project is for a {theirs} kernel, and this kernel is {ours}\n\n\
         hint: leave it out; the kernel's own device trees are in the image already"
    )]
    Mixed {
        /// Name of the file.
        name: String,
        /// Family of the file.
        theirs: &'static str,
        /// Family of the kernel.
        ours: &'static str,
    },
    /// An overlay is nowhere to be found.
    #[error(
        "there is no overlay `{name}`\n\nhint: put `overlays/{name}.dtbo` into the directory of `rpi.files`, \
         or take one of the firmware's: {known}"
    )]
    NoOverlay {
        /// Name of the overlay.
        name: String,
        /// Those that the firmware's package has.
        known: String,
    },
    /// An overlay does not fit a board.
    #[error(
        "overlay `{name}` needs `{symbol}`, which the device tree of `{board}` has not\n\n\
         hint: take an overlay that is made for this kernel, or name it under `rpi.board.NAME.overlays`"
    )]
    Overlay {
        /// Name of the overlay.
        name: String,
        /// The label that is missing.
        symbol: String,
        /// The board.
        board: String,
    },
    /// A file that should be an overlay is none.
    #[error("`overlays/{0}.dtbo` is no overlay")]
    NotAnOverlay(String),
    /// Parameters are set that the kernel's device trees do not have.
    #[error(
        "`rpi.params` needs a device tree of the vendor's kernel, and this kernel has none\n\n\
         hint: take an overlay instead; mainline device trees have no parameters"
    )]
    Params,
    /// A firmware file is not what its name says.
    #[error("`{0}` is not firmware of a Raspberry Pi")]
    NotFirmware(String),
    /// The firmware is too old for A/B boot.
    #[error(
        "the firmware was built on {built}, and A/B boot needs one from {FIRMWARE_SINCE} on\n\n\
         hint: take `raspi-firmware` from a newer suite"
    )]
    OldFirmware {
        /// The day it was built.
        built: String,
    },
    /// `config.txt` would not be read as it is meant.
    #[error("{problem}\n  --> factory.toml  rpi.config, rpi.overlays or rpi.params\n\nhint: {hint}")]
    Config {
        /// What is wrong, and where.
        problem: String,
        /// A way out.
        hint: String,
    },
    /// A file cannot be read.
    #[error("reading `{name}`")]
    Read {
        /// Its name.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

fn board_hint(name: &str) -> String {
    let names = || board::all().iter().map(|board| board.name.as_str());
    match suggest::nearest(name, names()).first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}
