//! What a plan asks the outside world for, and how Debian archives answer: data and pure
//! functions. `fetch` does the talking.

pub mod apt;
pub mod control;
pub mod packages;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod signature;
pub mod version;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::digest::Sha256;

/// Everything that a plan needs from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sources {
    /// Where Debian packages come from.
    pub debian: Debian,
    /// What is needed, in the order in which the plan names it.
    pub wanted: Vec<Wanted>,
}

/// A Debian archive, and what of it is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Debian {
    /// URL of the archive: the directory that holds `dists` and `pool`. `None`: the environment's
    /// `FACTORY_DEBIAN_MIRROR`, else the archive in the host's own APT sources.
    pub mirror: Option<String>,
    /// The suites to look for packages in; of equal versions, the first suite's wins.
    pub suites: Vec<Suite>,
    /// Architecture of the packages, in Debian's words.
    pub arch: String,
    /// File with the OpenPGP keys that may sign the suites, binary or armored. `None`: those of
    /// the APT source, else the Debian archive's as the host has them.
    pub keyring: Option<PathBuf>,
}

/// One suite of a Debian archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suite {
    /// Suite or codename, as under `dists`.
    pub name: String,
    /// The components to look into, such as `main`.
    pub components: Vec<String>,
    /// The archive of this suite, when it is another than [`Debian::mirror`].
    pub mirror: Option<String>,
}

/// One role in the build and what fills it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// The role: `kernel`, `busybox`, `rootfs.1` and the like. No two are the same.
    pub name: String,
    /// What fills the role.
    pub origin: Origin,
}

/// Where the parts for one role come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// One Debian package, without what it depends on.
    Package {
        /// Name of the package.
        package: String,
        /// Prefix of the real package's name, when `package` may be a metapackage: its
        /// dependencies are followed as long as one of them starts with this.
        follow: Option<String>,
    },
    /// Debian packages with everything that they depend on (`Pre-Depends` and `Depends`), what
    /// is depended on first.
    Packages {
        /// Names of the packages.
        packages: Vec<String>,
        /// Whether the packages that Debian calls essential are wanted as well.
        essential: bool,
    },
    /// One file from the web.
    Url {
        /// `http` or `https`.
        url: String,
        /// What the file must hash to.
        sha256: Sha256,
    },
    /// A file or a directory of the project, taken as it is now. It is not locked.
    Path {
        /// Where it is.
        path: PathBuf,
        /// What must be there.
        kind: PathKind,
    },
}

/// What the project says that there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

impl fmt::Display for Origin {
    /// One line, which is also how the lock remembers what was asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Package { package, follow: None } => write!(f, "package {package}"),
            Origin::Package { package, follow: Some(prefix) } => {
                write!(f, "package {package}, followed to {prefix}*")
            }
            Origin::Packages { packages, essential } => {
                let essential = if *essential { "essential packages and " } else { "" };
                write!(f, "{essential}packages {}", packages.join(" "))
            }
            Origin::Url { url, sha256 } => write!(f, "{url} with sha256 {sha256}"),
            Origin::Path { path, .. } => write!(f, "path {}", path.display()),
        }
    }
}

impl Sources {
    /// Makes relative paths start at the project's directory.
    pub fn resolve_paths(&mut self, project: &Path) {
        for wanted in &mut self.wanted {
            if let Origin::Path { path, .. } = &mut wanted.origin {
                *path = project.join(&*path);
            }
        }
        if let Some(keyring) = &mut self.debian.keyring {
            *keyring = project.join(&*keyring);
        }
    }

    /// Whether any part comes from a Debian archive.
    pub fn need_debian(&self) -> bool {
        self.wanted
            .iter()
            .any(|wanted| matches!(wanted.origin, Origin::Package { .. } | Origin::Packages { .. }))
    }
}
