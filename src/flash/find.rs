//! What was named as the target, looked up.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::devices::{Device, Machine};
use super::rules::{self, Refusal, Room};
use super::source::Source;
use super::target::{Opened, Target as _};
use crate::fetch::http::HttpError;
use crate::formats::read::ReadError;

/// Why a target or an image is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// By a rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be looked at.
    #[error("opening `{}`", path.display())]
    Open {
        /// What was named.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The image cannot be read.
    #[error("reading the image `{image}`")]
    Image {
        /// What was named.
        image: String,
        /// The reason, of the system or of who packed it.
        source: io::Error,
    },
    /// The image, a file, cannot be opened, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The image, at an address, cannot be had.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An image that must be read in any order, and comes in a row.
    #[error("`{0}` is a qcow2 image, which is not read from front to back\n\nhint: name a file")]
    InAnyOrder(String),
    /// What lies beside the image, or was named with it, cannot be read.
    #[error("reading `{}`", path.display())]
    Beside {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of digests beside the image does not speak of it.
    #[error("`{}` has no sha256 of `{image}`\n\nhint: remove it, or name the digest by `--sha256`", path.display())]
    NoSum {
        /// The file of digests.
        path: PathBuf,
        /// The image.
        image: String,
    },
    /// The kernel's list of devices cannot be read.
    #[error("listing the devices of this machine")]
    List(#[source] io::Error),
}

/// The device at `path`, which no rule is against; none when that is a file, or nothing yet.
///
/// # Errors
/// When a rule is against it.
pub fn device(machine: &Machine, path: &Path, twice: Option<&Path>) -> Result<Option<Device>, FindError> {
    let own = || path.to_owned();
    let about = match fs::metadata(path) {
        Ok(about) => about,
        // A file there would take the memory of the machine, and nobody meant it.
        Err(error)
            if error.kind() == ErrorKind::NotFound
                && path.starts_with("/dev")
                && !path.starts_with("/dev/shm") =>
        {
            return Err(Refusal::NoDevice(own()).into());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FindError::Open { path: own(), source }),
    };
    if about.is_file() {
        return Ok(None);
    }
    if !about.file_type().is_block_device() {
        return Err(Refusal::Neither(own()).into());
    }
    let number = about.rdev();
    let named = machine.named((rustix::fs::major(number), rustix::fs::minor(number)));
    let named = named.ok_or_else(|| Refusal::Unknown(own()))?;
    if named.part.is_some() {
        return Err(Refusal::Partition { path: own(), disk: named.disk }.into());
    }
    let mut devices = machine.devices().map_err(FindError::List)?;
    devices.retain(|device| device.name == named.disk);
    let device = devices.pop().ok_or_else(|| Refusal::Unknown(own()))?;
    rules::device(path, &device, twice)?;
    Ok(Some(device))
}

/// Opens a target that no rule is against, for nobody else.
///
/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<Opened, FindError> {
    Opened::open(path).map_err(|source| match source.kind() {
        ErrorKind::ResourceBusy => Refusal::InUse {
            path: path.to_owned(),
            what: "something else holds it".to_owned(),
            hint: "look with lsof, or findmnt in other containers".to_owned(),
        }
        .into(),
        ErrorKind::ReadOnlyFilesystem => Refusal::ReadOnly(path.to_owned()).into(),
        _ => FindError::Open { path: path.to_owned(), source },
    })
}

/// Whether the image fits the target and is another one.
///
/// # Errors
/// When a rule is against it.
pub fn fits(path: &Path, target: &Opened, source: &Source, image: &Path) -> Result<(), FindError> {
    let same = |file: &fs::File| target.is(file).unwrap_or(false);
    if fs::File::open(image).is_ok_and(|file| same(&file)) {
        return Err(Refusal::Itself(path.to_owned()).into());
    }
    let room = Room { capacity: target.capacity(), sector: target.sector() };
    Ok(rules::fits(path, room, &source.name, source.picture.size(), source.head.bytes())?)
}
