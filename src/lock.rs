//! `factory.lock`: what every external part was resolved to, for each track.
//!
//! It says which files and not where they are served, so that everybody may use their own
//! mirror. The text is the same for the same pins, whoever writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::files;
use crate::source::{Origin, Sources, Wanted};

const HEADER: &str = "\
# What the external parts of this project were resolved to. Keep it with the project: a build
# that finds it fetches exactly these files. `factory fetch --update` writes it anew.

";

/// Name of the lock in a project.
pub const FILE: &str = "factory.lock";

/// Version of the format that this program writes and reads.
const FORMAT: u32 = 1;

/// The pins of all tracks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    format: u32,
    #[serde(default)]
    track: BTreeMap<String, Pins>,
}

/// What one track's sources were resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// What was asked, by role, so that a change of the project is noticed.
    #[serde(default)]
    pub requests: BTreeMap<String, String>,
    /// The suites that packages were looked for in.
    #[serde(default, rename = "suite")]
    pub suites: Vec<PinnedSuite>,
    /// The files, in the order of the roles; those of one role in the order of the build.
    #[serde(default, rename = "pin")]
    pub pins: Vec<Pin>,
}

/// A suite as it was when packages were looked for in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedSuite {
    /// Suite or codename.
    pub name: String,
    /// The components that were looked into.
    pub components: Vec<String>,
    /// Architecture of the packages.
    pub arch: String,
    /// When the archive published it, in seconds since 1970.
    pub date: i64,
    /// Digest of its `InRelease`.
    pub sha256: Sha256,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The role that it fills.
    pub wanted: String,
    /// Name of the package, or of the file.
    pub name: String,
    /// Version of the package; files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it is.
    #[serde(flatten)]
    pub location: Location,
    /// Length in bytes; of a directory, the sum of its files.
    pub size: u64,
    /// Digest of the file; of a directory, over its sorted tree.
    pub sha256: Sha256,
}

/// Where a pinned file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Location {
    /// In the pool of a Debian archive.
    Pool {
        /// The suite that names it.
        suite: String,
        /// Path from the archive's root.
        pool: String,
    },
    /// On the web.
    Url {
        /// The whole URL.
        url: String,
    },
    /// In the project, or in this program; only its last component, as the rest differs between machines.
    Path {
        /// Name of the file or directory.
        path: String,
    },
}

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("writing `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The text is not a lock.
    #[error("`{path}` is damaged: {reason}\n\nhint: `factory fetch --update` writes it anew")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
    /// A newer program wrote it.
    #[error(
        "`{path}` has format {format}, and this program knows {FORMAT}\n\nhint: use the newer program, or write it anew with `factory fetch --update`"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The project asks for something else than what was resolved.
    #[error("the lock is out of date: {difference}\n\nhint: `factory fetch --update` resolves it anew")]
    OutOfDate {
        /// What differs.
        difference: String,
    },
}

impl Default for Lock {
    fn default() -> Self {
        Lock { format: FORMAT, track: BTreeMap::new() }
    }
}

impl Lock {
    /// The lock in the file at `path`; an empty one when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or is no lock of a format that this program knows.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lock::default()),
            Err(source) => return Err(LockError::Read { path: path.to_owned(), source }),
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let parse_error = |error: toml::de::Error| LockError::Parse {
            path: path.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        };
        let Format { format } = toml::from_str(&text).map_err(parse_error)?;
        if format != FORMAT {
            return Err(LockError::Format { path: path.to_owned(), format });
        }
        toml::from_str(&text).map_err(parse_error)
    }

    /// The pins of `track`, if it has been resolved.
    pub fn track(&self, track: &str) -> Option<&Pins> {
        self.track.get(track)
    }

    /// Sets the pins of `track`.
    pub fn set(&mut self, track: &str, pins: Pins) {
        self.track.insert(track.to_owned(), pins);
    }

    /// The text of the lock.
    pub fn to_toml(&self) -> String {
        let text = toml::to_string(self).expect("a lock has only what TOML can say");
        format!("{HEADER}{text}")
    }

    /// Writes the lock to `path`, all or nothing, unless that is what stands there. Tells whether
    /// it wrote.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<bool, LockError> {
        let text = self.to_toml();
        if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
            return Ok(false);
        }
        files::replace(path, text.as_bytes())
            .map_err(|source| LockError::Write { path: path.to_owned(), source })?;
        Ok(true)
    }
}

impl Pins {
    /// Checks that these are the pins for what `sources` ask.
    ///
    /// # Errors
    /// [`LockError::OutOfDate`] with the first difference.
    pub fn are_for(&self, sources: &Sources) -> Result<(), LockError> {
        let difference = self.request_difference(&requests(sources));
        let difference = difference.or_else(|| self.suite_difference(sources)).or_else(|| self.missing());
        difference.map_or(Ok(()), |difference| Err(LockError::OutOfDate { difference }))
    }

    /// When the newest of the suites was published, in seconds since 1970: a date for all that
    /// is built from these pins.
    pub fn newest(&self) -> Option<i64> {
        self.suites.iter().map(|suite| suite.date).max()
    }

    fn request_difference(&self, asked: &BTreeMap<String, String>) -> Option<String> {
        let names: BTreeSet<&String> = self.requests.keys().chain(asked.keys()).collect();
        names.into_iter().find_map(|name| match (self.requests.get(name), asked.get(name)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(format!("`{name}` was `{old}`, and the project wants `{new}`")),
            (Some(old), None) => Some(format!("`{name}` (`{old}`) is no longer wanted")),
            (None, new) => Some(format!("`{name}` (`{}`) is not in it", new.map_or("", String::as_str))),
        })
    }

    fn suite_difference(&self, sources: &Sources) -> Option<String> {
        let text = |name: &str, components: &[String], arch: &str| {
            format!("{name}/{} for {arch}", components.join("+"))
        };
        let asked: Vec<String> = sources
            .suites()
            .iter()
            .map(|suite| text(&suite.name, &suite.components, &sources.debian.arch))
            .collect();
        let locked = self.suites.iter().map(|suite| text(&suite.name, &suite.components, &suite.arch));
        let locked: Vec<String> = locked.collect();
        (asked != locked).then(|| {
            format!(
                "it is of the suites `{}`, and the project wants `{}`",
                locked.join(", "),
                asked.join(", ")
            )
        })
    }

    /// A role that was asked for and has no pin, as in a lock cut by hand.
    fn missing(&self) -> Option<String> {
        let name = self.requests.keys().find(|name| !self.pins.iter().any(|pin| &pin.wanted == *name))?;
        Some(format!("`{name}` has no pin"))
    }
}

/// What `sources` ask, by role, as far as it is locked.
pub fn requests(sources: &Sources) -> BTreeMap<String, String> {
    let is_locked = |wanted: &&Wanted| !matches!(wanted.origin, Origin::Path { .. } | Origin::BuiltIn);
    let locked = sources.wanted.iter().filter(is_locked);
    locked.map(|wanted| (wanted.name.clone(), wanted.question())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Debian, Suite};

    fn sources() -> Sources {
        let suite = Suite { name: "trixie".into(), components: vec!["main".into()], mirror: None };
        let kernel = Origin::Package {
            package: "linux-image-arm64".into(),
            follow: Some("linux-image-".into()),
            with: Vec::new(),
        };
        let tar = Origin::Url { url: "https://example.org/base.tar".into(), sha256: Sha256::of(b"tar") };
        Sources {
            debian: Debian { mirror: None, suites: vec![suite], arch: "arm64".into(), keyring: None },
            wanted: vec![Wanted::new("kernel", kernel), Wanted::new("base", tar)],
        }
    }

    fn pins() -> Pins {
        let suite = PinnedSuite {
            name: "trixie".into(),
            components: vec!["main".into()],
            arch: "arm64".into(),
            date: 1_760_000_000,
            sha256: Sha256::of(b"InRelease"),
        };
        let kernel = Pin {
            wanted: "kernel".into(),
            name: "linux-image-6.12.1+deb13-arm64".into(),
            version: Some("6.12.1-1".into()),
            location: Location::Pool { suite: "trixie".into(), pool: "pool/main/l/linux/k.deb".into() },
            size: 3,
            sha256: Sha256::of(b"deb"),
        };
        let base = Pin {
            wanted: "base".into(),
            name: "base.tar".into(),
            version: None,
            location: Location::Url { url: "https://example.org/base.tar".into() },
            size: 3,
            sha256: Sha256::of(b"tar"),
        };
        Pins { requests: requests(&sources()), suites: vec![suite], pins: vec![kernel, base] }
    }

    fn out_of_date(change: impl FnOnce(&mut Sources)) -> String {
        let mut sources = sources();
        change(&mut sources);
        pins().are_for(&sources).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_again_and_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("factory.lock");
        let mut lock = Lock::read(&path).unwrap();
        lock.set("generic", pins());
        lock.set("rpi", Pins::default());
        assert!(lock.write(&path).unwrap());
        assert!(!lock.write(&path).unwrap());
        assert_eq!(Lock::read(&path).unwrap(), lock);
        assert_eq!(lock.track("generic"), Some(&pins()));
    }

    #[test]
    fn the_text_is_short_and_stable() {
        let mut lock = Lock::default();
        lock.set("generic", pins());
        assert_eq!(
            lock.to_toml(),
            format!(
                r#"{HEADER}format = 1

[track.generic.requests]
base = "https://example.org/base.tar with sha256 {tar}"
kernel = "package linux-image-arm64, followed to linux-image-*"

[[track.generic.suite]]
name = "trixie"
components = ["main"]
arch = "arm64"
date = 1760000000
sha256 = "{release}"

[[track.generic.pin]]
wanted = "kernel"
name = "linux-image-6.12.1+deb13-arm64"
version = "6.12.1-1"
suite = "trixie"
pool = "pool/main/l/linux/k.deb"
size = 3
sha256 = "{deb}"

[[track.generic.pin]]
wanted = "base"
name = "base.tar"
url = "https://example.org/base.tar"
size = 3
sha256 = "{tar}"
"#,
                tar = Sha256::of(b"tar"),
                deb = Sha256::of(b"deb"),
                release = Sha256::of(b"InRelease"),
            )
        );
    }

    #[test]
    fn a_lock_for_the_same_questions_is_up_to_date_whatever_the_mirror() {
        let mut sources = sources();
        sources.debian.mirror = Some("http://elsewhere".into());
        assert!(pins().are_for(&sources).is_ok());
    }

    #[test]
    fn a_lock_says_what_is_out_of_date() {
        let hint = "\n\nhint: `factory fetch --update` resolves it anew";
        let text = out_of_date(|sources| {
            sources.wanted[0].origin =
                Origin::Package { package: "linux-image-cloud-arm64".into(), follow: None, with: Vec::new() };
        });
        let expected = "the lock is out of date: `kernel` was `package linux-image-arm64, followed to \
                        linux-image-*`, and the project wants `package linux-image-cloud-arm64`";
        assert_eq!(text, format!("{expected}{hint}"));
        let text = out_of_date(|sources| {
            let suite = Suite { name: "forky".into(), components: vec!["main".into()], mirror: None };
            sources.wanted[0].suite = Some(suite);
        });
        assert!(
            text.contains("wants `package linux-image-arm64, followed to linux-image-* from forky/main`")
        );
        let text = out_of_date(|sources| sources.debian.suites[0].components.push("contrib".into()));
        let expected = "the lock is out of date: it is of the suites `trixie/main for arm64`, and the \
                        project wants `trixie/main+contrib for arm64`";
        assert_eq!(text, format!("{expected}{hint}"));
        let text = out_of_date(|sources| drop(sources.wanted.remove(0)));
        let expected = "the lock is out of date: `kernel` (`package linux-image-arm64, followed to \
                        linux-image-*`) is no longer wanted";
        assert_eq!(text, format!("{expected}{hint}"));
        let text = out_of_date(|sources| sources.wanted[1].name = "other".into());
        assert!(text.starts_with("the lock is out of date: `base` ("), "{text}");
    }

    #[test]
    fn a_damaged_or_newer_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("factory.lock");
        let refusal = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Lock::read(&path).unwrap_err().to_string().replace(&*path.to_string_lossy(), "PATH")
        };
        for (text, line) in
            [("format = 1\n<<<<<<< ours", "<<<<<<< ours"), ("format = 1\nother = 2", "other = 2")]
        {
            let told = refusal(text);
            assert!(told.starts_with("`PATH` is damaged: ") && told.contains(line), "{told}");
            assert!(told.ends_with("\n\nhint: `factory fetch --update` writes it anew"), "{told}");
        }
        assert_eq!(
            refusal("format = 2"),
            "`PATH` has format 2, and this program knows 1\n\nhint: use the newer program, or write it \
             anew with `factory fetch --update`"
        );
    }
}
