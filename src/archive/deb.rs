//! Reads `.deb` (deb(5)): an `ar` of `debian-binary`, `control.tar.*` and `data.tar.*`.

use std::io::{self, Read};

use super::ar::{ArError, MAGIC, Members};
use super::compress::{self, Limited};
use super::tar::TarError;

/// The longest that `debian-binary` may be, in bytes.
const MAX_VERSION: u64 = 64;

/// Whether a file that starts so is a package; it may still be damaged.
pub fn is_package(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// One of the two archives in a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What the package manager needs to know.
    Control,
    /// The files.
    Data,
}

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// Its outer archive is damaged.
    #[error(transparent)]
    Ar(#[from] ArError),
    /// One of its archives is damaged.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// One of its archives cannot be unpacked.
    #[error("unpacking `{member}`")]
    Unpack {
        /// The archive.
        member: String,
        /// What is the matter.
        source: io::Error,
    },
    /// It does not say that it is a package, or is one of an unknown format.
    #[error("it is no Debian package of format 2")]
    Format,
    /// An archive is missing.
    #[error("it has no `{0}`")]
    Missing(&'static str),
}

/// Hands the package's archives, unpacked, to `each`, until that says that it has enough
/// (`false`). Neither may unpack to more than `limit` bytes.
///
/// # Errors
/// Those of `each`, and when the package is damaged up to where `each` has enough.
pub fn sections<E: From<DebError>>(
    package: impl Read + Send,
    limit: u64,
    mut each: impl FnMut(Section, &mut dyn Read) -> Result<bool, E>,
) -> Result<(), E> {
    let mut members = Members::new(package).map_err(DebError::from)?;
    check_format(&mut members)?;
    let mut missing = Some("control.tar");
    while let Some((name, _)) = members.next().map_err(DebError::from)? {
        let section = match name.as_str() {
            name if name.starts_with("control.tar") => Section::Control,
            name if name.starts_with("data.tar") => Section::Data,
            // Names that start with an underscore are for others; the format may have more.
            _ => continue,
        };
        let unpacked = compress::unpack(&mut members);
        let unpacked = unpacked.map_err(|source| DebError::Unpack { member: name, source })?;
        if !each(section, &mut Limited::new(unpacked, limit))? {
            return Ok(());
        }
        missing = match section {
            Section::Control => Some("data.tar"),
            Section::Data => None,
        };
    }
    missing.map_or(Ok(()), |name| Err(DebError::Missing(name).into()))
}

fn check_format(members: &mut Members<impl Read>) -> Result<(), DebError> {
    let first = members.next()?;
    if first.is_none_or(|(name, size)| name != "debian-binary" || size > MAX_VERSION) {
        return Err(DebError::Format);
    }
    let mut version = String::new();
    members.read_to_string(&mut version).map_err(|_| DebError::Format)?;
    if version.starts_with("2.") { Ok(()) } else { Err(DebError::Format) }
}
