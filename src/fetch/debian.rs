//! Asks a Debian archive which packages there are.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use super::FetchError;
use super::host::{Archive, Host};
use super::http::{Client, Expected, HttpError};
use crate::archive::compress;
use crate::digest::Sha256;
use crate::lock::{Location, Pin, PinnedSuite};
use crate::progress;
use crate::source::packages::{Package, Universe};
use crate::source::release::{Release, ReleaseError};
use crate::source::{Origin, Sources, Suite, Wanted};
use crate::store::Store;

/// The longest `InRelease` that is read, in bytes. Debian's have some 150 kB.
const MAX_RELEASE: u64 = 16 << 20;

/// The longest index, unpacked, in bytes. Debian's have some 60 MB.
const MAX_INDEX: u64 = 1 << 30;

/// How an index may be packed, the best first.
const PACKINGS: [&str; 3] = [".xz", ".gz", ""];

/// An archive with the packages of all suites that a plan looks into.
pub(super) struct Resolver<'a> {
    sources: &'a Sources,
    /// The packages of each list of suites that parts look into.
    universes: Vec<(&'a [Suite], Universe)>,
    /// The suites as they are now.
    pub pinned: Vec<PinnedSuite>,
}

/// A suite whose signature was verified.
struct Verified {
    suite: Suite,
    mirror: String,
    release: Release,
    sha256: Sha256,
}

/// What an archive is asked with.
struct Desk<'a> {
    host: &'a Host,
    client: &'a Client,
    store: &'a Store,
    arch: &'a str,
}

impl<'a> Resolver<'a> {
    /// Fetches, verifies and reads what the archive says of itself.
    pub(super) fn new(
        sources: &'a Sources,
        host: &Host,
        client: &Client,
        store: &Store,
    ) -> Result<Self, FetchError> {
        let debian = &sources.debian;
        let archive = host.archive(debian)?;
        let desk = Desk { host, client, store, arch: &debian.arch };
        let verified = sources.suites().into_iter().map(|suite| desk.verify(suite, &archive));
        let verified: Vec<Verified> = verified.collect::<Result<_, _>>()?;
        let universe = |suites| Ok((suites, desk.universe(suites, &verified)?));
        Ok(Resolver {
            sources,
            universes: sources.places().into_iter().map(universe).collect::<Result<_, FetchError>>()?,
            pinned: verified.into_iter().map(|verified| verified.pinned(&debian.arch)).collect(),
        })
    }

    /// The packages for one role; none for roles that Debian does not fill.
    pub(super) fn pins(&self, wanted: &Wanted) -> Result<Vec<Pin>, FetchError> {
        let suites = self.sources.suites_for(wanted);
        let Some((_, universe)) = self.universes.iter().find(|(known, _)| *known == suites) else {
            return Ok(Vec::new());
        };
        let packages = match &wanted.origin {
            Origin::Package { package, follow, with } => {
                let package = match follow {
                    None => universe.newest(package)?,
                    Some(prefix) => universe.follow(package, prefix)?,
                };
                [vec![package], universe.along(package, with)?].concat()
            }
            Origin::Packages { packages, essential } => universe.closure(packages, *essential)?,
            Origin::Url { .. } | Origin::Path { .. } | Origin::BuiltIn => Vec::new(),
        };
        Ok(packages.into_iter().filter_map(|package| pin(wanted, suites, package)).collect())
    }
}

/// Every package of a universe has a digest, so this is never `None`.
fn pin(wanted: &Wanted, suites: &[Suite], package: &Package) -> Option<Pin> {
    Some(Pin {
        wanted: wanted.name.clone(),
        name: package.name.to_string(),
        version: Some(package.version.to_string()),
        location: Location::Pool {
            suite: suites[package.suite].name.clone(),
            pool: package.file.to_string(),
        },
        size: package.size,
        sha256: package.sha256?,
    })
}

impl Verified {
    fn pinned(self, arch: &str) -> PinnedSuite {
        PinnedSuite {
            name: self.suite.name,
            components: self.suite.components,
            arch: arch.to_owned(),
            date: self.release.date,
            sha256: self.sha256,
        }
    }
}

impl Desk<'_> {
    /// The packages of `suites`, of which `verified` has each.
    fn universe(&self, suites: &[Suite], verified: &[Verified]) -> Result<Universe, FetchError> {
        let places: Vec<String> = suites.iter().map(Suite::to_string).collect();
        let mut universe = Universe::new(format!("{} for {}", places.join(", "), self.arch));
        for (number, suite) in suites.iter().enumerate() {
            for verified in verified.iter().filter(|verified| verified.suite.is_same(suite)) {
                for component in &suite.components {
                    self.read(&mut universe, number, verified, component)?;
                }
            }
        }
        Ok(universe)
    }

    fn read(
        &self,
        universe: &mut Universe,
        number: usize,
        suite: &Verified,
        component: &str,
    ) -> Result<(), FetchError> {
        let index = self.index(suite, component)?;
        let name = &suite.suite.name;
        let _bar = progress::spinner(format!("reading {name}/{component}"));
        universe.add(number, BufReader::with_capacity(256 << 10, index)).map_err(|source| FetchError::Index {
            suite: name.clone(),
            component: component.to_owned(),
            source,
        })
    }

    fn verify(&self, suite: Suite, archive: &Archive) -> Result<Verified, FetchError> {
        let mirror = suite.mirror.as_deref().unwrap_or(&archive.url).trim_end_matches('/').to_owned();
        let _bar = progress::spinner(format!("asking for {}", suite.name));
        let content = self.client.get(&format!("{mirror}/dists/{}/InRelease", suite.name), MAX_RELEASE);
        let content = content.map_err(|error| match error {
            HttpError::Status { url, status } if status == 404 => {
                FetchError::NoSuite { suite: suite.name.clone(), url }
            }
            error => error.into(),
        })?;
        let message = String::from_utf8_lossy(&content);
        let now = self.host.now;
        let text = archive
            .keyring
            .verify(&message, now)
            .map_err(|source| FetchError::Untrusted { suite: suite.name.clone(), source })?;
        let wrong = |source| FetchError::Release { suite: suite.name.clone(), source };
        let release = Release::parse(&text).map_err(wrong)?;
        release.check(&suite.name, now, archive.check_valid_until).map_err(wrong)?;
        // It is kept for whoever wants to follow the chain of digests later.
        let sha256 = self.store.put(&content)?;
        Ok(Verified { suite, mirror, release, sha256 })
    }

    /// The index of one component, unpacked.
    fn index(&self, suite: &Verified, component: &str) -> Result<impl std::io::Read + use<>, FetchError> {
        let Verified { suite: named, release, .. } = suite;
        let plain = format!("{component}/binary-{}/Packages", self.arch);
        let packed = PACKINGS.iter().map(|packing| format!("{plain}{packing}"));
        let found = packed.into_iter().find_map(|path| release.files.get(&path).map(|file| (path, *file)));
        let Some((path, (size, sha256))) = found else {
            return Err(missing_index(release, named, component, self.arch));
        };
        let dir = format!("{}/dists/{}", suite.mirror, named.name);
        let url = if release.by_hash {
            format!("{dir}/{component}/binary-{}/by-hash/SHA256/{sha256}", self.arch)
        } else {
            format!("{dir}/{path}")
        };
        let label = format!("{} {component}", named.name);
        let blob: PathBuf = self.store.blob_or(sha256, |partial| {
            self.client.download(&url, Expected { size: Some(size), sha256 }, &label, partial)
        })?;
        let limit = release.files.get(&plain).map_or(MAX_INDEX, |(size, _)| (*size).min(MAX_INDEX));
        let unpacked = File::open(&blob).and_then(compress::unpack);
        let source = |source| FetchError::Read { path: blob.clone(), source };
        Ok(compress::Limited::new(unpacked.map_err(source)?, limit))
    }
}

fn missing_index(release: &Release, suite: &Suite, component: &str, arch: &str) -> FetchError {
    if release.components.iter().any(|known| known == component) {
        return FetchError::NoArch { suite: suite.name.clone(), arch: arch.to_owned() };
    }
    let source =
        ReleaseError::NoComponent { component: component.to_owned(), known: release.components.clone() };
    FetchError::Release { suite: suite.name.clone(), source }
}
