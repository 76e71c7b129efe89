//! `[rootfs]` of a project file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::is_from_web;
use crate::digest::Sha256;

/// `[rootfs]`: the system that the initramfs hands over to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rootfs {
    /// File system of the image in the slot.
    pub format: Option<RootfsFormat>,
    /// The first program of the system.
    pub init: Option<String>,
    /// Libraries that may be missing, such as those loaded at run time from elsewhere.
    pub allow_missing: Vec<String>,
    /// `[[rootfs.layer]]`, in order; later ones replace what earlier ones put down.
    pub layer: Vec<Layer>,
}

/// File system of a rootfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RootfsFormat {
    /// `rootfs.ext4`
    Ext4,
    /// `rootfs.squashfs`
    Squashfs,
}

/// `[[rootfs.layer]]`: one of three kinds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// A tar archive, packed or not: a file of the project, or an address that starts with `http://`
    /// or `https://`.
    pub tar: Option<String>,
    /// Digest of a `tar` from the web.
    pub sha256: Option<Sha256>,
    /// A directory.
    pub dir: Option<PathBuf>,
    /// Debian packages, with all that they depend on.
    pub packages: Option<Vec<String>>,
    /// With `packages`: add the packages that Debian takes for granted.
    #[serde(default)]
    pub essential: bool,
}

impl Layer {
    /// What is wrong with the fields as a whole, and a way out.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let kinds = [self.tar.is_some(), self.dir.is_some(), self.packages.is_some()];
        if kinds.iter().filter(|kind| **kind).count() != 1 {
            return Some((
                "a layer is one of `tar`, `dir` and `packages`",
                "start another `[[rootfs.layer]]` for each",
            ));
        }
        match (self.tar.as_deref().is_some_and(is_from_web), self.sha256.is_some()) {
            (true, false) => Some((
                "a `tar` from the web needs its `sha256`",
                "download it once, look at it, and write down what `sha256sum` prints",
            )),
            (false, true) => Some((
                "`sha256` is for a `tar` from the web; files of the project are taken as they are",
                "leave `sha256` out",
            )),
            _ => None,
        }
    }
}
