//! `[rpi]` of a project file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[rpi]`: the Raspberry Pi track.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rpi {
    /// Where the boards' firmware comes from.
    pub firmware: Option<FirmwareSource>,
    /// Address that tags of raspberrypi/firmware lie under, for `firmware = "upstream"`.
    pub upstream: Option<String>,
    /// Whether the header has a serial console.
    pub uart: Option<bool>,
    /// Lines of config.txt for all boards, as they are.
    pub config: Vec<String>,
    /// Overlays for all boards, without their ending, with parameters after a comma.
    pub overlays: Vec<String>,
    /// Parameters of the device tree for all boards.
    pub params: Vec<String>,
    /// Directory to copy into the control partition and both slots.
    pub files: Option<PathBuf>,
    /// `[rpi.board.NAME]`: what one board is told.
    pub board: BTreeMap<String, BoardConfig>,
}

/// Where the firmware of Raspberry Pi boards comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FirmwareSource {
    /// The package of the Debian archive.
    #[default]
    Debian,
    /// Single files of raspberrypi/firmware at the tag in `firmware/rpi-upstream.toml`.
    Upstream,
}

/// What goes into config.txt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoardConfig {
    /// Lines as they are.
    pub config: Vec<String>,
    /// Overlays, without their ending, with parameters after a comma.
    pub overlays: Vec<String>,
    /// Parameters of the device tree.
    pub params: Vec<String>,
}
