//! Everything that keeps a fetch from its parts.

use std::io;
use std::path::PathBuf;

use super::http::HttpError;
use crate::interrupt::Interrupted;
use crate::lock::LockError;
use crate::source::packages::PackagesError;
use crate::source::release::ReleaseError;
use crate::source::resolve::ResolveError;
use crate::source::signature::{NoKeys, SignatureError};
use crate::store::StoreError;
use crate::substrate::rootfs::dir::DirError;

/// Why parts cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The device's command is not a part of this program.
    #[error(
        "this `factory` was built without the command `bootenv`, which every image carries\n\nhint: `.ci/factory` builds one with it; or name a static program for arm64 by `bootenv = \"PATH\"` under `[substrate]`"
    )]
    NoCommand,
    /// Nobody says where packages come from.
    #[error(
        "no Debian archive is known: APT on this machine has no source for its own release\n\nhint: set `sources.debian.mirror` in `factory.toml`, or `FACTORY_DEBIAN_MIRROR`"
    )]
    NoMirror,
    /// There is no keyring.
    #[error(
        "there is no keyring `{path}`\n\nhint: on Debian, `apt-get install debian-archive-keyring`; for another archive, set `sources.debian.keyring` in `factory.toml`"
    )]
    NoKeyring {
        /// Where it should be.
        path: PathBuf,
    },
    /// The keyring has no keys.
    #[error("`{path}` is no keyring")]
    Keyring {
        /// The keyring.
        path: PathBuf,
        /// What is the matter.
        source: Box<NoKeys>,
    },
    /// Nobody trusted has signed a suite.
    #[error(
        "the `InRelease` of suite `{suite}` is not trusted\n\nhint: use another mirror; for an archive with its own keys, set `sources.debian.keyring`"
    )]
    Untrusted {
        /// The suite.
        suite: String,
        /// What is the matter.
        source: SignatureError,
    },
    /// The archive does not have a suite.
    #[error(
        "the archive has no suite `{suite}`: there is no `{url}`\n\nhint: check `sources.debian.suites`, and the address of the mirror"
    )]
    NoSuite {
        /// The suite.
        suite: String,
        /// Where its `InRelease` was looked for.
        url: String,
    },
    /// A suite is not what it must be.
    #[error("the `InRelease` of suite `{suite}` is not the right one")]
    Release {
        /// The suite.
        suite: String,
        /// What is the matter.
        source: ReleaseError,
    },
    /// A suite has nothing for an architecture.
    #[error("suite `{suite}` has no packages for `{arch}`\n\nhint: use another mirror")]
    NoArch {
        /// The suite.
        suite: String,
        /// The architecture.
        arch: String,
    },
    /// An index is damaged.
    #[error("the packages of `{suite}/{component}` cannot be read\n\nhint: use another mirror")]
    Index {
        /// The suite.
        suite: String,
        /// The component.
        component: String,
        /// What is the matter.
        source: PackagesError,
    },
    /// Packages are not to be had.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The network may not be asked which packages there are.
    #[error(
        "nothing is locked yet, and `--offline` forbids to look for packages\n\nhint: run `factory fetch` once with a network"
    )]
    OfflineUnlocked,
    /// The network may not be asked for a file.
    #[error(
        "`{name}` is not in the store, and `--offline` forbids to fetch it\n\nhint: run `factory fetch` once with a network"
    )]
    Offline {
        /// Name of the package or file.
        name: String,
    },
    /// An update needs the network.
    #[error("`--update` looks for packages, and `--offline` forbids it\n\nhint: leave one of them out")]
    OfflineUpdate,
    /// The archive has dropped a locked package.
    #[error(
        "`{name}` is locked, and `{url}` is gone\n\nhint: `factory fetch --update` locks what there is now; or use a mirror that keeps old packages"
    )]
    Gone {
        /// Name and version of the package.
        name: String,
        /// Where it was.
        url: String,
    },
    /// The lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A download failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A path of the project leads nowhere.
    #[error("there is no `{}`\n\nhint: paths in `factory.toml` start at its own directory", .0.display())]
    NoPath(PathBuf),
    /// A path of the project leads to something else than it says.
    #[error("`{path}` is not a {is}")]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// What it should be.
        is: &'static str,
    },
    /// A directory of the project cannot be taken as it is.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}
