//! What the machine that builds says about where to fetch from and how.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::FetchError;
use super::http::Patience;
use crate::source::Debian;
use crate::source::apt::{self, SignedBy};
use crate::source::signature::Keyring;
use crate::tool;

/// The keys of Debian's archive, as Debian's package of them ships them.
const DEBIAN_KEYRING: &str = "usr/share/keyrings/debian-archive-keyring.gpg";

/// The surroundings of a fetch. [`Host::current`] reads them from this machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// The root directory, for APT's sources and the keyring.
    pub root: PathBuf,
    /// URL of the Debian archive, from `FACTORY_DEBIAN_MIRROR`.
    pub mirror: Option<String>,
    /// File with the archive's keys, from `FACTORY_DEBIAN_KEYRING`.
    pub keyring: Option<PathBuf>,
    /// Whether a suite must be of today: unless `FACTORY_DEBIAN_CHECK_VALID_UNTIL` is `no`, as
    /// snapshots of the past need it.
    pub check_valid_until: bool,
    /// Whether APT of this machine looks at that; asked only when its archive is used.
    pub apt_checks_valid_until: fn() -> bool,
    /// The time, in seconds since 1970. It only decides whether to trust.
    pub now: i64,
    /// How patient downloads are. `FACTORY_HTTP_TIMEOUT` (seconds) and `FACTORY_HTTP_TRIES`
    /// change it.
    pub patience: Patience,
}

/// A Debian archive and whom it trusts.
pub(super) struct Archive {
    pub url: String,
    pub keyring: Keyring,
    pub check_valid_until: bool,
}

impl Host {
    /// This machine, with its environment and clock.
    pub fn current() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut patience = Patience::default();
        let timeout = variable("FACTORY_HTTP_TIMEOUT").and_then(|text| text.parse().ok());
        if let Some(timeout) = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            patience.timeout = timeout;
        }
        if let Some(tries) = variable("FACTORY_HTTP_TRIES").and_then(|text| text.parse().ok()) {
            patience.tries = tries;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Host {
            root: PathBuf::from("/"),
            mirror: variable("FACTORY_DEBIAN_MIRROR"),
            keyring: variable("FACTORY_DEBIAN_KEYRING").map(PathBuf::from),
            check_valid_until: variable("FACTORY_DEBIAN_CHECK_VALID_UNTIL").is_none_or(|text| text != "no"),
            apt_checks_valid_until,
            now: i64::try_from(now).unwrap_or(i64::MAX),
            patience,
        }
    }

    /// URL of the archive: the project's, else the environment's, else the host's own.
    pub(super) fn mirror(&self, debian: &Debian) -> Result<String, FetchError> {
        let named = debian.mirror.clone().or_else(|| self.mirror.clone());
        let own = || apt::host_archive(&self.root)?.uri().map(str::to_owned);
        let url = named.or_else(own).ok_or(FetchError::NoMirror)?;
        Ok(url.trim_end_matches('/').to_owned())
    }

    /// The archive to resolve packages in.
    pub(super) fn archive(&self, debian: &Debian) -> Result<Archive, FetchError> {
        let is_named = debian.mirror.is_some() || self.mirror.is_some();
        let entry = if is_named { None } else { apt::host_archive(&self.root) };
        let trusted = entry.as_ref().and_then(|entry| entry.signed_by.clone());
        let apt_checks =
            |entry: apt::Entry| entry.check_valid_until.unwrap_or_else(self.apt_checks_valid_until);
        Ok(Archive {
            url: self.mirror(debian)?,
            keyring: self.keyring(debian, trusted)?,
            check_valid_until: self.check_valid_until && entry.is_none_or(apt_checks),
        })
    }

    fn keyring(&self, debian: &Debian, trusted: Option<SignedBy>) -> Result<Keyring, FetchError> {
        let default = || SignedBy::Files(vec![self.root.join(DEBIAN_KEYRING)]);
        let named = debian.keyring.clone().or_else(|| self.keyring.clone());
        let named = named.map(|file| SignedBy::Files(vec![file]));
        match named.or(trusted).unwrap_or_else(default) {
            SignedBy::Keys(keys) => Keyring::parse(keys.as_bytes()).map_err(|source| FetchError::Keyring {
                path: self.root.join("etc/apt"),
                source: source.into(),
            }),
            SignedBy::Files(files) => {
                let mut keyrings = files.into_iter().map(read_keyring).collect::<Result<Vec<_>, _>>()?;
                let mut keyring = keyrings.remove(0);
                keyrings.into_iter().for_each(|other| keyring.extend(other));
                Ok(keyring)
            }
        }
    }
}

/// What APT's configuration says; without APT, what its default is.
fn apt_checks_valid_until() -> bool {
    let answer = tool::APT_CONFIG.run(&["dump", "--format", apt::DUMP_FORMAT, apt::CHECK_VALID_UNTIL]);
    answer.map_or(true, |output| apt::checks_valid_until(&String::from_utf8_lossy(&output.stdout)))
}

fn read_keyring(path: PathBuf) -> Result<Keyring, FetchError> {
    match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(FetchError::NoKeyring { path }),
        Err(source) => Err(FetchError::Read { path, source }),
        Ok(content) => {
            Keyring::parse(&content).map_err(|source| FetchError::Keyring { path, source: source.into() })
        }
    }
}
