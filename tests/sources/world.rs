//! An archive, a store and a machine, for fetches inside the test's own process.

use std::path::PathBuf;

use factory::digest::Sha256;
use factory::fetch::host::Host;
use factory::fetch::http::Patience;
use factory::fetch::{self, FetchError, Options, Parts};
use factory::lock::Pins;
use factory::source::{Debian, Origin, Sources, Suite, Wanted};
use factory::store::Store;

use crate::support::archive::{Archive, public};
use crate::support::packages::deb;

/// The time in tests, in seconds since 1970: 2025-11-15 10:00:41.
pub const NOW: i64 = 1_763_200_841;

/// One archive, one store and one machine.
pub struct World {
    pub archive: Archive,
    pub dir: tempfile::TempDir,
    pub host: Host,
    pub store: Store,
    pub sources: Sources,
}

pub fn wanted(name: &str, origin: Origin) -> Wanted {
    Wanted::new(name, origin)
}

pub fn package(name: &str) -> Origin {
    Origin::Package { package: name.into(), follow: None, with: Vec::new() }
}

/// An error and its causes, as they are told: the hints come last.
pub fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let parts: Vec<(String, String)> = causes
        .map(|text| {
            text.split_once("\n\n")
                .map_or((text.clone(), String::new()), |(a, b)| (a.into(), format!("\n\n{b}")))
        })
        .collect();
    let messages: Vec<&str> = parts.iter().map(|(message, _)| message.as_str()).collect();
    messages.join(": ") + &parts.iter().map(|(_, hint)| hint.as_str()).collect::<String>()
}

impl World {
    /// An archive with the packages `app` and `tool`, of which the plan wants `app`.
    pub fn new() -> Self {
        let mut archive = Archive::new();
        archive.add("app", "1:1.0-1", "", &deb(&[("./usr/bin/app", b"the app")]));
        archive.add("tool", "2.0", "", &deb(&[("./usr/bin/tool", b"the tool")]));
        archive.publish();
        let dir = tempfile::tempdir().unwrap();
        let keyring = dir.path().join("keyring.gpg");
        std::fs::write(&keyring, public(&archive.key)).unwrap();
        let suite = Suite { name: "trixie".into(), components: vec!["main".into()], mirror: None };
        let mirror = Some(archive.mirror());
        let debian = Debian { mirror, suites: vec![suite], arch: "arm64".into(), keyring: Some(keyring) };
        World {
            host: Host {
                root: dir.path().join("root"),
                mirror: None,
                keyring: None,
                check_valid_until: true,
                apt_checks_valid_until: || true,
                now: NOW,
                patience: Patience { timeout: ms(400), tries: 3, pause: ms(1) },
            },
            store: Store::open(&dir.path().join("store")).unwrap(),
            sources: Sources { debian, wanted: vec![wanted("app", package("app"))] },
            archive,
            dir,
        }
    }

    pub fn fetch(&self, locked: Option<&Pins>, options: &Options) -> Result<(Parts, Pins), FetchError> {
        fetch::all_from(&self.host, &self.sources, locked, &self.store, options)
    }

    /// What is told when nothing is locked.
    pub fn refusal(&self) -> String {
        let error = self.fetch(None, &Options::default()).expect_err("this is to be refused");
        told(&error).replace(&self.archive.server.url, "http://HOST")
    }

    /// Asks for what `origin` says, alone.
    pub fn want(&mut self, origin: Origin) {
        self.sources.wanted = vec![wanted("app", origin)];
    }

    pub fn blob(&self, digest: Sha256) -> PathBuf {
        self.dir.path().join("store/blobs").join(digest.to_string())
    }
}

pub fn ms(count: u64) -> std::time::Duration {
    std::time::Duration::from_millis(count)
}
