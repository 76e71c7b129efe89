//! Programs that compiler calls go through, and what they tell of a build.
//!
//! | launcher | told to write | says of each call |
//! |---|---|---|
//! | ccache | `CCACHE_STATSLOG`, a file of this build's own | counters by name: `direct_cache_hit` ... |
//! | sccache | nothing: its server counts for everybody | counters, of which the ones before are taken off |
//! | distcc | `DISTCC_LOG`, a file of this build's own | `exec on HOST`, or `failed to distribute ... locally` |
//! | icecc | `ICECC_LOGFILE`, a file of this build's own | `<building_local>`, or `Have to use host` |

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use crate::tool::{Environment, Tool};

/// A program that compiler calls go through: a cache or a farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Launcher {
    /// A cache on this machine.
    Ccache,
    /// A cache that may be shared.
    Sccache,
    /// A farm whose hosts are listed.
    Distcc,
    /// A farm with a scheduler.
    Icecc,
}

/// Why a text is not a launcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a launcher\n\nhint: these are: {known}", known = Launcher::names())]
pub struct LauncherError {
    text: String,
}

impl Launcher {
    /// All of them.
    pub const ALL: [Launcher; 4] = [Launcher::Ccache, Launcher::Sccache, Launcher::Distcc, Launcher::Icecc];

    /// Its name, which is also the program's.
    pub fn name(self) -> &'static str {
        self.tool().program
    }

    /// The names of all, for people.
    pub fn names() -> String {
        Self::ALL.map(Launcher::name).join(", ")
    }

    /// The program, with the package that ships it.
    pub fn tool(self) -> Tool<'static> {
        let name = match self {
            Launcher::Ccache => "ccache",
            Launcher::Sccache => "sccache",
            Launcher::Distcc => "distcc",
            Launcher::Icecc => "icecc",
        };
        Tool { program: name, package: name }
    }

    /// Whether it keeps what it has compiled, rather than sending it elsewhere.
    pub fn is_cache(self) -> bool {
        matches!(self, Launcher::Ccache | Launcher::Sccache)
    }
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Launcher {
    type Err = LauncherError;

    fn from_str(text: &str) -> Result<Self, LauncherError> {
        let found = Self::ALL.into_iter().find(|launcher| launcher.name() == text);
        found.ok_or_else(|| LauncherError { text: text.to_owned() })
    }
}

/// What a launcher did for one build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LauncherStats {
    /// Which it was.
    pub launcher: Launcher,
    /// Files that a cache had.
    pub hits: u64,
    /// Files that a cache did not have.
    pub misses: u64,
    /// Files that other machines compiled.
    pub remote: u64,
    /// Files that a farm compiled on this machine.
    pub local: u64,
    /// Those among them that this machine compiled because no other one took them.
    pub fallbacks: u64,
    /// The first reason why another machine did not take a file.
    pub trouble: Option<String>,
}

impl LauncherStats {
    fn new(launcher: Launcher) -> Self {
        LauncherStats { launcher, hits: 0, misses: 0, remote: 0, local: 0, fallbacks: 0, trouble: None }
    }

    /// Reads the counters that ccache writes, one a line.
    fn ccache(text: &str) -> Self {
        let count = |wanted: &[&str]| text.lines().filter(|line| wanted.contains(line)).count() as u64;
        let hits = count(&["direct_cache_hit", "preprocessed_cache_hit"]);
        LauncherStats { hits, misses: count(&["cache_miss"]), ..Self::new(Launcher::Ccache) }
    }

    /// Reads the log of distcc's clients. Calls that compile no file, such as those that link or ask the
    /// compiler what it can do, have `(null)` for its name.
    fn distcc(text: &str) -> Self {
        let mut stats = Self::new(Launcher::Distcc);
        for message in text.lines().filter_map(|line| line.split_once("] ")).map(|(_, message)| message) {
            let words: Vec<&str> = message.split(' ').collect();
            match words[..] {
                ["compile", "(null)", ..] => {}
                ["compile", .., "on", "localhost", "completed", "ok"] => stats.local += 1,
                ["compile", .., "on", _, "completed", "ok"] => stats.remote += 1,
                _ => {}
            }
            stats.fallbacks += u64::from(message.ends_with("running locally instead"));
            if let (None, Some((_, error))) = (&stats.trouble, message.split_once("ERROR: ")) {
                stats.trouble = Some(error.to_owned());
            }
        }
        stats
    }

    /// Reads the log of icecc's clients.
    fn icecc(text: &str) -> Self {
        let count = |words: &str| text.lines().filter(|line| line.contains(words)).count() as u64;
        let (remote, local) = (count("Have to use host "), count("building myself"));
        LauncherStats { remote, local, ..Self::new(Launcher::Icecc) }
    }

    /// What sccache's server has counted between two reports.
    fn sccache(before: &Value, after: &Value) -> Self {
        let sum = |report: &Value, what: &str| -> u64 {
            let counts = report["stats"][what]["counts"].as_object();
            counts
                .into_iter()
                .flat_map(|counts| counts.values())
                .filter_map(Value::as_u64)
                .fold(0, u64::saturating_add)
        };
        let count = |what| sum(after, what).saturating_sub(sum(before, what));
        LauncherStats {
            hits: count("cache_hits"),
            misses: count("cache_misses"),
            ..Self::new(Launcher::Sccache)
        }
    }
}

impl fmt::Display for LauncherStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LauncherStats { launcher, hits, misses, remote, local, fallbacks, trouble } = self;
        if launcher.is_cache() {
            return write!(
                f,
                "{launcher}: {hits} of {} compiled files were in the cache",
                hits.saturating_add(*misses)
            );
        }
        write!(f, "{launcher}: {remote} files compiled by other machines, {local} by this one")?;
        match (fallbacks, trouble) {
            (0, _) => Ok(()),
            (count, Some(trouble)) => write!(f, "; {count} of them because no host took them: {trouble}"),
            (count, None) => write!(f, "; {count} of them because no host took them"),
        }
    }
}

/// Watches a launcher during one build.
#[derive(Debug)]
pub(super) enum Watcher {
    /// There is no launcher.
    Nobody,
    /// It writes into a file, which is removed when this is dropped.
    File(Launcher, tempfile::NamedTempFile),
    /// Sccache's report from before.
    Report(Value),
}

impl Watcher {
    /// Begins before the build; tells the launcher by variables where to write.
    pub(super) fn start(
        launcher: Option<Launcher>,
        log: &Path,
        environment: &mut Vec<(OsString, OsString)>,
    ) -> io::Result<Self> {
        let Some(launcher) = launcher else { return Ok(Watcher::Nobody) };
        let settings: &[(&str, &str)] = match launcher {
            Launcher::Sccache => return Ok(Watcher::Report(report(environment))),
            Launcher::Ccache => &[("CCACHE_STATSLOG", "")],
            // More words would be as many lines for each file as there are files.
            Launcher::Distcc => &[("DISTCC_LOG", ""), ("DISTCC_VERBOSE", "0")],
            Launcher::Icecc => &[("ICECC_LOGFILE", ""), ("ICECC_DEBUG", "info")],
        };
        let dir = log.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".launcher-").tempfile_in(std::path::absolute(dir)?)?;
        environment.retain(|(name, _)| settings.iter().all(|(set, _)| name != set));
        for (name, value) in settings {
            let value = if value.is_empty() { file.path().into() } else { OsString::from(value) };
            environment.push((name.into(), value));
        }
        Ok(Watcher::File(launcher, file))
    }

    /// What the launcher did since. Without its word it is as if there were none.
    pub(super) fn finish(self, environment: &Environment) -> Option<LauncherStats> {
        match self {
            Watcher::Nobody => None,
            Watcher::Report(before) => Some(LauncherStats::sccache(&before, &report(environment))),
            Watcher::File(launcher, file) => {
                let text = String::from_utf8_lossy(&fs::read(file.path()).ok()?).into_owned();
                Some(match launcher {
                    Launcher::Distcc => LauncherStats::distcc(&text),
                    Launcher::Icecc => LauncherStats::icecc(&text),
                    Launcher::Ccache | Launcher::Sccache => LauncherStats::ccache(&text),
                })
            }
        }
    }
}

/// What sccache's server has counted so far; nothing when it does not say.
fn report(environment: &Environment) -> Value {
    let output = Launcher::Sccache.tool().run_in(&["--show-stats", "--stats-format", "json"], environment);
    output.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_back() {
        for launcher in Launcher::ALL {
            assert_eq!(launcher.to_string().parse(), Ok(launcher));
        }
        let error = "cache".parse::<Launcher>().unwrap_err().to_string();
        assert_eq!(error, "`cache` is not a launcher\n\nhint: these are: ccache, sccache, distcc, icecc");
    }

    #[test]
    fn ccache_counts_files_and_not_links() {
        let text = "# a.c\ncache_miss\ndirect_cache_miss\nlocal_storage_miss\npreprocessed_cache_miss\n\
                    # a.c\ndirect_cache_hit\nlocal_storage_hit\n# a.c\npreprocessed_cache_hit\n\
                    direct_cache_miss\n# a.c\ncalled_for_link\n";
        let stats = LauncherStats::ccache(text);
        assert_eq!((stats.hits, stats.misses), (2, 1));
        assert_eq!(stats.to_string(), "ccache: 2 of 3 compiled files were in the cache");
    }

    #[test]
    fn distcc_says_what_it_compiled_where_and_why() {
        let text = "distcc[1] compile from a.c to a.o\n\
                    distcc[1] exec on 10.0.0.9:36391/2,lzo: aarch64-linux-gnu-gcc -c a.c -o a.o\n\
                    distcc[1] compile a.c on 10.0.0.9:36391/2,lzo completed ok\n\
                    distcc[2] ERROR: nonblocking connect to 10.0.0.9:36391 failed: Connection refused\n\
                    distcc[2] Warning: failed to distribute b.c to 10.0.0.9:36391/2,lzo, running locally instead\n\
                    distcc[2] compile b.c on localhost completed ok\n\
                    distcc[3] (dcc_build_somewhere) Warning: failed to distribute, running locally instead\n\
                    distcc[3] compile c.c on localhost completed ok\n\
                    distcc[4] (dcc_scan_args) called for link?  i give up\n\
                    distcc[4] compile (null) on localhost completed ok\n\
                    distcc[5] compile a.S on localhost completed ok\n";
        assert_eq!(
            LauncherStats::distcc(text).to_string(),
            "distcc: 1 files compiled by other machines, 3 by this one; 2 of them because no host took them: \
             nonblocking connect to 10.0.0.9:36391 failed: Connection refused"
        );
    }

    #[test]
    fn sccache_is_asked_twice() {
        let report = |hits: u64, misses: u64| {
            serde_json::json!({"stats": {"cache_hits": {"counts": {"C/C++": hits, "Assembler": 1}},
                                         "cache_misses": {"counts": {"C/C++": misses}}}})
        };
        let stats = LauncherStats::sccache(&report(5, 7), &report(9, 8));
        assert_eq!((stats.hits, stats.misses), (4, 1));
        // Its server was started anew in between, or never spoke.
        let stats = LauncherStats::sccache(&report(5, 7), &Value::Null);
        assert_eq!((stats.hits, stats.misses), (0, 0));
    }

    proptest! {
        #[test]
        fn no_log_makes_it_panic(text in "(distcc\\[1\\] (compile .{0,4} on .{0,9}|ERROR: .{0,4})\n|.{0,9}\n){0,9}") {
            let stats = [LauncherStats::ccache(&text), LauncherStats::distcc(&text), LauncherStats::icecc(&text)];
            prop_assert!(stats.iter().all(|stats| !stats.to_string().contains('\n')));
        }
    }
}
