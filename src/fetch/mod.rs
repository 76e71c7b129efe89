//! Brings everything that a plan needs from outside into the store, and says what it was.
//!
//! ```text
//! Sources --(no lock, or an update)--> Resolver: InRelease -> Packages -> Pins
//!    |                                                                      |
//!    +--(a lock that is for them)----------------------------------------> Pins
//!                                                                           |
//!                                     Parts: verified files <-- downloads --+
//! ```

mod debian;
mod error;
pub mod host;
pub mod http;
mod local;
pub mod unpack;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::digest::Sha256;
use crate::lock::{self, Location, Pin, Pins};
use crate::parallel;
use crate::source::{Origin, PathKind, Sources, Wanted};
use crate::store::Store;
use crate::substrate::command;
use debian::Resolver;
pub use error::FetchError;
use host::Host;
use http::{Client, Expected, HttpError};

/// What the person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the network is left alone.
    pub offline: bool,
    /// Whether everything is resolved anew, in spite of a lock.
    pub update: bool,
    /// How many files are fetched at once; at least one.
    pub jobs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { offline: false, update: false, jobs: 4 }
    }
}

/// One file or directory from outside, where it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub pin: Pin,
    /// Where it is: a blob of the store, or a path of the project.
    pub path: PathBuf,
}

/// All parts by role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    by_role: BTreeMap<String, Vec<Part>>,
}

impl Parts {
    /// The parts of a role, in the order of the build; none when the plan has no such role.
    pub fn get(&self, role: &str) -> &[Part] {
        self.by_role.get(role).map_or(&[], Vec::as_slice)
    }

    /// The first part of a role: the only one, unless it has packages with their dependencies.
    pub fn one(&self, role: &str) -> Option<&Part> {
        self.get(role).first()
    }

    /// Adds a part that was made here.
    pub fn add(&mut self, part: Part) {
        self.by_role.entry(part.pin.wanted.clone()).or_default().push(part);
    }

    /// All parts, by role.
    pub fn iter(&self) -> impl Iterator<Item = &Part> {
        self.by_role.values().flatten()
    }
}

/// Fetches what `sources` ask for: as `locked`, or resolved anew without a lock or for an update.
/// Returns it with the pins to lock.
///
/// # Errors
/// When something cannot be had, is not what it must be, or the lock is for other questions.
pub fn all(
    sources: &Sources,
    locked: Option<&Pins>,
    store: &Store,
    options: &Options,
) -> Result<(Parts, Pins), FetchError> {
    all_from(&Host::current(), sources, locked, store, options)
}

/// [`all`], with the surroundings of another machine.
///
/// # Errors
/// As [`all`].
pub fn all_from(
    host: &Host,
    sources: &Sources,
    locked: Option<&Pins>,
    store: &Store,
    options: &Options,
) -> Result<(Parts, Pins), FetchError> {
    let fetch = Fetch {
        host,
        sources,
        store,
        options,
        client: OnceLock::new(),
        is_locked: locked.is_some() && !options.update,
    };
    if sources.wanted.iter().any(|wanted| wanted.origin == Origin::BuiltIn) {
        // So that nothing is downloaded in vain.
        built_in()?;
    }
    let mut pins = match locked.filter(|_| fetch.is_locked) {
        Some(locked) => {
            locked.are_for(sources)?;
            locked.clone()
        }
        None => fetch.resolve()?,
    };
    let parts = fetch.parts(&pins)?;
    // Only after the download the length of a file from the web is known.
    pins.pins = sources
        .wanted
        .iter()
        .flat_map(|wanted| parts.get(&wanted.name))
        .map(|part| part.pin.clone())
        .filter(|pin| !matches!(pin.location, Location::Path { .. }))
        .collect();
    Ok((parts, pins))
}

/// One run.
struct Fetch<'a> {
    host: &'a Host,
    sources: &'a Sources,
    store: &'a Store,
    options: &'a Options,
    /// Made when it is first needed, as it reads the system's certificates.
    client: OnceLock<Client>,
    is_locked: bool,
}

/// Something to do that does not depend on other jobs.
enum Job<'a> {
    Blob(&'a Pin),
    Local(&'a str, &'a Path, PathKind),
    BuiltIn(&'a str, &'static [u8]),
}

impl Fetch<'_> {
    fn resolve(&self) -> Result<Pins, FetchError> {
        let mut pins = Pins { requests: lock::requests(self.sources), ..Pins::default() };
        let resolver = self.resolver()?;
        for wanted in &self.sources.wanted {
            match (&wanted.origin, &resolver) {
                (Origin::Url { url, sha256 }, _) => pins.pins.push(url_pin(wanted, url, *sha256)),
                (_, Some(resolver)) => pins.pins.extend(resolver.pins(wanted)?),
                (_, None) => {}
            }
        }
        pins.suites = resolver.map_or_else(Vec::new, |resolver| resolver.pinned);
        Ok(pins)
    }

    fn resolver(&self) -> Result<Option<Resolver<'_>>, FetchError> {
        match (self.sources.need_debian(), self.options) {
            (false, _) => Ok(None),
            (true, Options { offline: true, update: true, .. }) => Err(FetchError::OfflineUpdate),
            (true, Options { offline: true, .. }) => Err(FetchError::OfflineUnlocked),
            (true, _) => Resolver::new(self.sources, self.host, self.client()?, self.store).map(Some),
        }
    }

    fn client(&self) -> Result<&Client, HttpError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(self.host.patience)?;
        Ok(self.client.get_or_init(|| client))
    }

    fn parts(&self, pins: &Pins) -> Result<Parts, FetchError> {
        let mut jobs: Vec<Job> = pins.pins.iter().map(Job::Blob).collect();
        for wanted in &self.sources.wanted {
            match &wanted.origin {
                Origin::Path { path, kind } => jobs.push(Job::Local(&wanted.name, path, *kind)),
                Origin::BuiltIn => jobs.push(Job::BuiltIn(&wanted.name, built_in()?)),
                _ => {}
            }
        }
        let parts = parallel::map(&jobs, self.options.jobs, |(): &mut (), job| match job {
            Job::Blob(pin) => self.blob(pin),
            Job::Local(role, path, kind) => {
                Ok(Part { pin: local::pin(self.store, role, path, *kind)?, path: (*path).to_owned() })
            }
            Job::BuiltIn(role, bytes) => Ok(local::keep(self.store, role, bytes)?),
        })?;
        let mut by_role: BTreeMap<String, Vec<Part>> = BTreeMap::new();
        for part in parts {
            by_role.entry(part.pin.wanted.clone()).or_default().push(part);
        }
        Ok(Parts { by_role })
    }

    fn blob(&self, pin: &Pin) -> Result<Part, FetchError> {
        let path = self.store.blob_or(pin.sha256, |partial| {
            if self.options.offline {
                return Err(FetchError::Offline { name: pin.name.clone() });
            }
            let url = self.url(pin)?;
            // The length of a file from the web is not known before it has been here once.
            let size = Some(pin.size).filter(|size| *size > 0);
            let expected = Expected { size, sha256: pin.sha256 };
            let label = format!("{} {}", pin.name, pin.version.as_deref().unwrap_or_default());
            self.client()?.download(&url, expected, &label, partial).map_err(|error| self.gone(pin, error))
        })?;
        let metadata = path.metadata().map_err(|source| FetchError::Read { path: path.clone(), source })?;
        Ok(Part { pin: Pin { size: metadata.len(), ..pin.clone() }, path })
    }

    /// That an archive does not have what it has just named is a fault; that it does not have
    /// what it named last year is to be expected.
    fn gone(&self, pin: &Pin, error: HttpError) -> FetchError {
        match (&pin.version, error) {
            (Some(version), HttpError::Status { url, status }) if self.is_locked && status == 404 => {
                FetchError::Gone { name: format!("{} {version}", pin.name), url }
            }
            (_, error) => error.into(),
        }
    }

    fn url(&self, pin: &Pin) -> Result<String, FetchError> {
        match &pin.location {
            Location::Url { url } => Ok(url.clone()),
            Location::Pool { suite, pool } => {
                let mirror = self.mirror(suite)?;
                Ok(format!("{mirror}/{}", pool.replace('%', "%25")))
            }
            // Paths are never looked for in the store.
            Location::Path { path } => Ok(path.clone()),
        }
    }

    fn mirror(&self, suite: &str) -> Result<String, FetchError> {
        let suites = self.sources.suites();
        match suites.into_iter().find(|named| named.name == suite).and_then(|named| named.mirror) {
            Some(mirror) => Ok(mirror.trim_end_matches('/').to_owned()),
            None => self.host.mirror(&self.sources.debian),
        }
    }
}

fn built_in() -> Result<&'static [u8], FetchError> {
    command::built_in().ok_or(FetchError::NoCommand)
}

fn url_pin(wanted: &Wanted, url: &str, sha256: Sha256) -> Pin {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    Pin {
        wanted: wanted.name.clone(),
        name: name.to_owned(),
        version: None,
        location: Location::Url { url: url.to_owned() },
        size: 0,
        sha256,
    }
}
