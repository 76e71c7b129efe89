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
    suites: &'a [Suite],
    universe: Universe,
    /// The suites as they are now.
    pub pinned: Vec<PinnedSuite>,
}

/// A suite whose signature was verified.
struct Verified {
    mirror: String,
    release: Release,
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
        let mut resolver =
            Resolver { suites: &debian.suites, universe: Universe::new(places(sources)), pinned: Vec::new() };
        for (number, suite) in debian.suites.iter().enumerate() {
            let (verified, sha256) = verify(suite, &archive, host, client, store)?;
            for component in &suite.components {
                let index = index(&verified, suite, component, &debian.arch, client, store)?;
                let _bar = progress::spinner(format!("reading {}/{component}", suite.name));
                resolver.universe.add(number, BufReader::with_capacity(256 << 10, index)).map_err(
                    |source| FetchError::Index {
                        suite: suite.name.clone(),
                        component: component.clone(),
                        source,
                    },
                )?;
            }
            resolver.pinned.push(PinnedSuite {
                name: suite.name.clone(),
                components: suite.components.clone(),
                arch: debian.arch.clone(),
                date: verified.release.date,
                sha256,
            });
        }
        Ok(resolver)
    }

    /// The packages for one role; none for roles that Debian does not fill.
    pub(super) fn pins(&self, wanted: &Wanted) -> Result<Vec<Pin>, FetchError> {
        let universe = &self.universe;
        let packages = match &wanted.origin {
            Origin::Package { package, follow: None } => vec![universe.newest(package)?],
            Origin::Package { package, follow: Some(prefix) } => vec![universe.follow(package, prefix)?],
            Origin::Packages { packages, essential } => universe.closure(packages, *essential)?,
            Origin::Url { .. } | Origin::Path { .. } => Vec::new(),
        };
        Ok(packages.into_iter().filter_map(|package| self.pin(wanted, package)).collect())
    }

    /// Every package of a universe has a digest, so this is never `None`.
    fn pin(&self, wanted: &Wanted, package: &Package) -> Option<Pin> {
        Some(Pin {
            wanted: wanted.name.clone(),
            name: package.name.to_string(),
            version: Some(package.version.to_string()),
            location: Location::Pool {
                suite: self.suites[package.suite].name.clone(),
                pool: package.file.to_string(),
            },
            size: package.size,
            sha256: package.sha256?,
        })
    }
}

/// Where packages are looked for, for errors.
fn places(sources: &Sources) -> String {
    let suite = |suite: &Suite| format!("{}/{}", suite.name, suite.components.join("+"));
    let suites: Vec<String> = sources.debian.suites.iter().map(suite).collect();
    format!("{} for {}", suites.join(", "), sources.debian.arch)
}

fn verify(
    suite: &Suite,
    archive: &Archive,
    host: &Host,
    client: &Client,
    store: &Store,
) -> Result<(Verified, Sha256), FetchError> {
    let mirror = suite.mirror.as_deref().unwrap_or(&archive.url).trim_end_matches('/').to_owned();
    let _bar = progress::spinner(format!("asking for {}", suite.name));
    let content = client.get(&format!("{mirror}/dists/{}/InRelease", suite.name), MAX_RELEASE);
    let content = content.map_err(|error| match error {
        HttpError::Status { url, status } if status == 404 => {
            FetchError::NoSuite { suite: suite.name.clone(), url }
        }
        error => error.into(),
    })?;
    let message = String::from_utf8_lossy(&content);
    let text = archive
        .keyring
        .verify(&message, host.now)
        .map_err(|source| FetchError::Untrusted { suite: suite.name.clone(), source })?;
    let wrong = |source| FetchError::Release { suite: suite.name.clone(), source };
    let release = Release::parse(&text).map_err(wrong)?;
    release.check(&suite.name, host.now, archive.check_valid_until).map_err(wrong)?;
    // It is kept for whoever wants to follow the chain of digests later.
    let sha256 = store.put(&content)?;
    Ok((Verified { mirror, release }, sha256))
}

/// The index of one component, unpacked.
fn index(
    suite: &Verified,
    named: &Suite,
    component: &str,
    arch: &str,
    client: &Client,
    store: &Store,
) -> Result<impl std::io::Read, FetchError> {
    let release = &suite.release;
    let plain = format!("{component}/binary-{arch}/Packages");
    let packed = PACKINGS.iter().map(|packing| format!("{plain}{packing}"));
    let found = packed.into_iter().find_map(|path| release.files.get(&path).map(|file| (path, *file)));
    let Some((path, (size, sha256))) = found else {
        return Err(missing_index(release, named, component, arch));
    };
    let dir = format!("{}/dists/{}", suite.mirror, named.name);
    let url = if release.by_hash {
        format!("{dir}/{component}/binary-{arch}/by-hash/SHA256/{sha256}")
    } else {
        format!("{dir}/{path}")
    };
    let label = format!("{} {component}", named.name);
    let blob: PathBuf = store.blob_or(sha256, |partial| {
        client.download(&url, Expected { size: Some(size), sha256 }, &label, partial)
    })?;
    let limit = release.files.get(&plain).map_or(MAX_INDEX, |(size, _)| (*size).min(MAX_INDEX));
    let unpacked = File::open(&blob).and_then(compress::unpack);
    let source = |source| FetchError::Read { path: blob.clone(), source };
    Ok(compress::Limited::new(unpacked.map_err(source)?, limit))
}

fn missing_index(release: &Release, suite: &Suite, component: &str, arch: &str) -> FetchError {
    if release.components.iter().any(|known| known == component) {
        return FetchError::NoArch { suite: suite.name.clone(), arch: arch.to_owned() };
    }
    let source =
        ReleaseError::NoComponent { component: component.to_owned(), known: release.components.clone() };
    FetchError::Release { suite: suite.name.clone(), source }
}
