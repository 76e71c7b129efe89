//! The lists of external parts under `firmware/`, as data.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Where one part comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Package of the archive.
    pub package: String,
    /// For a metapackage: what the name of the real package starts with.
    pub follow: Option<String>,
    /// The one file that is taken out of it; a `*` stands for any text without a slash.
    pub member: String,
}

/// The parts of a track by what they are for, such as `kernel`.
pub type Parts = BTreeMap<String, Part>;

/// Reads a list of parts.
///
/// # Errors
/// When it is not TOML, or has a field that is unknown or missing.
pub fn parse(text: &str) -> Result<Parts, toml::de::Error> {
    toml::from_str(text)
}
