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
    /// The one suite to look for packages in. `None`: those of [`Debian::suites`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<Suite>,
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
        /// Prefixes of names: of what the real package depends on, packages whose names start with
        /// one of these are taken as well, and what these depend on likewise, as kernels and their
        /// headers are split into several.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        with: Vec<String>,
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
    /// The device's command, which is a part of this program. It is not locked.
    BuiltIn,
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
    /// One line, for people and for [`Wanted::question`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Package { package, follow, with } => {
                write!(f, "package {package}")?;
                follow.iter().try_for_each(|prefix| write!(f, ", followed to {prefix}*"))?;
                with.iter().try_for_each(|prefix| write!(f, ", with {prefix}*"))
            }
            Origin::Packages { packages, essential } => {
                let essential = if *essential { "essential packages and " } else { "" };
                write!(f, "{essential}packages {}", packages.join(" "))
            }
            Origin::Url { url, sha256 } => write!(f, "{url} with sha256 {sha256}"),
            Origin::Path { path, .. } => write!(f, "path {}", path.display()),
            Origin::BuiltIn => f.write_str("built in"),
        }
    }
}

impl fmt::Display for Suite {
    /// As in `trixie/main+contrib`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.components.join("+"))
    }
}

impl Wanted {
    /// A role that is filled from wherever the project looks.
    pub fn new(name: impl Into<String>, origin: Origin) -> Self {
        Wanted { name: name.into(), origin, suite: None }
    }

    /// What is asked, in one line: how the lock remembers it.
    pub fn question(&self) -> String {
        match &self.suite {
            None => self.origin.to_string(),
            Some(suite) => format!("{} from {suite}", self.origin),
        }
    }

    /// Whether it comes from a Debian archive.
    fn needs_debian(&self) -> bool {
        matches!(self.origin, Origin::Package { .. } | Origin::Packages { .. })
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
        self.wanted.iter().any(Wanted::needs_debian)
    }

    /// The suites that packages for `wanted` are looked for in.
    pub fn suites_for<'a>(&'a self, wanted: &'a Wanted) -> &'a [Suite] {
        wanted.suite.as_ref().map_or(&self.debian.suites, std::slice::from_ref)
    }

    /// The lists of suites that are looked into as a whole, each once, in the order of the parts.
    pub fn places(&self) -> Vec<&[Suite]> {
        let mut places = Vec::new();
        for wanted in self.wanted.iter().filter(|wanted| wanted.needs_debian()) {
            let suites = self.suites_for(wanted);
            if !places.contains(&suites) {
                places.push(suites);
            }
        }
        places
    }

    /// All suites that packages are looked for in, each once, with all components that are looked
    /// into: the project's first.
    pub fn suites(&self) -> Vec<Suite> {
        let mut all: Vec<Suite> = Vec::new();
        let mut places = self.places();
        places.sort_by_key(|suites| *suites != self.debian.suites);
        for suite in places.into_iter().flatten() {
            match all.iter_mut().find(|known| known.is_same(suite)) {
                Some(known) => known.look_into(&suite.components),
                None => all.push(suite.clone()),
            }
        }
        all
    }
}

impl Suite {
    /// Whether it is the same suite of the same archive.
    pub fn is_same(&self, other: &Suite) -> bool {
        self.name == other.name && self.mirror == other.mirror
    }

    fn look_into(&mut self, components: &[String]) {
        for component in components {
            if !self.components.contains(component) {
                self.components.push(component.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(name: &str, components: &[&str]) -> Suite {
        let components = components.iter().map(ToString::to_string).collect();
        Suite { name: name.into(), components, mirror: None }
    }

    fn package(name: &str, suite: Option<Suite>) -> Wanted {
        let with = vec!["linux-base-".into(), "linux-modules-".into()];
        let origin = Origin::Package { package: name.into(), follow: Some("linux-".into()), with };
        Wanted { suite, ..Wanted::new(name, origin) }
    }

    fn sources(wanted: Vec<Wanted>) -> Sources {
        let suites = vec![suite("trixie", &["main"])];
        Sources { debian: Debian { mirror: None, suites, arch: "arm64".into(), keyring: None }, wanted }
    }

    #[test]
    fn a_question_names_all_that_the_answer_depends_on() {
        assert_eq!(
            package("linux", Some(suite("forky", &["main", "contrib"]))).question(),
            "package linux, followed to linux-*, with linux-base-*, with linux-modules-* from \
             forky/main+contrib"
        );
    }

    #[test]
    fn suites_are_listed_once_with_all_components_and_the_projects_first() {
        let own = |name, component: &str| package("x", Some(suite(name, &[component])));
        let mixed = sources(vec![
            own("forky", "main"),
            own("trixie", "contrib"),
            package("y", None),
            own("forky", "main"),
        ]);
        assert_eq!(mixed.suites(), [suite("trixie", &["main", "contrib"]), suite("forky", &["main"])]);
        assert_eq!(mixed.places().len(), 3);
        let nobody = sources(vec![own("forky", "main")]);
        assert_eq!(nobody.suites(), [suite("forky", &["main"])], "nobody looks into the project's");
    }
}
