//! Calls of a kernel's Makefile.
//!
//! ```text
//!   make -j2 Image  --stdout, stderr, one pipe-->  reader (thread)  --pieces-->  Follower: log file, bar
//!        |                                                                           |
//!   its whole process group  <------------ SIGTERM, then SIGKILL ------------  Ctrl-C, or an error
//! ```
//! What make sees of the environment is chosen here, so what is built does not depend on who builds.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, PipeReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::failure::Failure;
use super::launcher::{LauncherStats, Watcher};
use super::progress::Follower;
use super::{Launcher, Toolchain};
use crate::interrupt::{self, Interrupted};
use crate::tool::{MAKE, ToolError};
use bootenv::calendar::civil;

/// Variables that make and the compiler may see: where programs, caches and temporary files are.
const PASSED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"];
/// What the names of the variables start with that launchers read.
const OF_LAUNCHERS: [&str; 4] = ["CCACHE_", "SCCACHE_", "DISTCC_", "ICECC_"];
/// Where ccache, by its own settings or the user's, makes paths relative.
const BASE_DIR: &str = "CCACHE_BASEDIR";
/// How often a build without output looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long programs may take to end when they are told to.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of output in one piece, and pieces that may wait to be written.
const PIECE: usize = 16 << 10;
const PIECES: usize = 64;
/// Bytes at the end of a log in which the error is looked for. Make starts nothing new after the first.
const TAIL: u64 = 4 << 20;

/// A kernel's Makefile, with a directory that it builds in.
#[derive(Clone, Debug)]
pub struct Make {
    source: PathBuf,
    out: PathBuf,
    variables: Vec<OsString>,
    launcher: Option<Launcher>,
}

/// How a long call of make is followed.
#[derive(Clone, Debug)]
pub struct Watch {
    /// How many programs may run at once, at least 1.
    pub jobs: usize,
    /// What a person is told that this is.
    pub label: String,
    /// The file that make's output is appended to.
    pub log: PathBuf,
    /// How many steps there will be, where that is known: see [`Tally::steps`].
    pub expected: Option<u64>,
}

/// What a call of make did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Steps, as make names them: what it compiled, linked, generated.
    pub steps: u64,
    /// Those among them that compiled or assembled a file for the device.
    pub compiled: u64,
    /// What the launcher says of its part.
    pub launcher: Option<LauncherStats>,
}

/// Why a call of make came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Make or what watches it is missing, or does not start.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Make's output cannot be read, or not be kept.
    #[error("keeping the output of make in `{path}`", path = path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A step failed.
    #[error("`make {goals}` failed{failure}", failure = failure.show(log))]
    Failed {
        /// What was to be made.
        goals: String,
        /// The first error.
        failure: Box<Failure>,
        /// The whole log.
        log: PathBuf,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Make {
    /// The Makefile of the kernel in the directory `source`, for what goes into the directory `out`.
    pub fn new(source: &Path, out: &Path, toolchain: &Toolchain) -> Self {
        Make {
            source: source.to_owned(),
            out: out.to_owned(),
            variables: toolchain.variables(),
            launcher: toolchain.launcher(),
        }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut variable = OsString::from(format!("{name}="));
        variable.push(value);
        self.variables.push(variable);
        self
    }

    /// The same, saying of who, where, when and how often only what is the same everywhere: `epoch` is
    /// a time in seconds since 1970. Kernels look at `SOURCE_DATE_EPOCH` as little as at clocks, once
    /// they have a timestamp; compilers do. An empty `LOCALVERSION` keeps the `+` away that kernels
    /// append to their version in a checkout without a tag.
    #[must_use]
    pub fn dated(self, epoch: u32) -> Self {
        self.with("KBUILD_BUILD_USER", "factory")
            .with("KBUILD_BUILD_HOST", "factory")
            .with("KBUILD_BUILD_VERSION", "1")
            .with("KBUILD_BUILD_TIMESTAMP", timestamp(epoch))
            .with("SOURCE_DATE_EPOCH", epoch.to_string())
            .with("LOCALVERSION", "")
    }

    /// The same for a kernel with or without debug information, which would name the directories of
    /// this machine. Without it the maps change nothing but what caches compare, so there are none.
    #[must_use]
    pub fn with_debug_info(self, has_debug_info: bool) -> Self {
        if !has_debug_info {
            return self;
        }
        let mut maps = OsString::from("-fdebug-prefix-map=");
        maps.push(&self.source);
        maps.push("/= -fdebug-prefix-map=");
        maps.push(&self.out);
        maps.push("=.");
        self.with("KCFLAGS", &maps).with("KAFLAGS", &maps)
    }

    /// Where it builds.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Where the kernel's source is.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Runs short goals to their end, one after the other, without a word.
    ///
    /// # Errors
    /// When make or what it needs is missing, or a goal fails.
    pub fn run(&self, goals: &[&str]) -> Result<(), ToolError> {
        MAKE.run_in(&self.arguments("-s", goals), &environment()).map(drop)
    }

    /// Runs long goals to their end, several programs at once, with progress for the person who waits,
    /// and everything that make says in a log. Whatever happens, no process is left behind.
    ///
    /// # Errors
    /// When a program is missing, the log cannot be written, a step fails, or the user asks to stop.
    pub fn watch(&self, goals: &[&str], watch: &Watch) -> Result<Tally, MakeError> {
        let failed = |source| MakeError::Log { path: watch.log.clone(), source };
        let mut environment = environment();
        let watcher = Watcher::start(self.launcher, &watch.log, &mut environment).map_err(failed)?;
        let start = fs::metadata(&watch.log).map_or(0, |metadata| metadata.len());
        let mut follower = Follower::new(watch, goals).map_err(failed)?;
        let (reader, out) = io::pipe().map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let arguments = self.arguments(&format!("-j{}", watch.jobs.max(1)), goals);
        let streams = [Stdio::null(), out.into(), err.into()];
        let running = Running { child: MAKE.spawn_in(&arguments, &environment, streams)? };
        let status = running.follow(reader, &mut follower, failed)?;
        let (steps, compiled) = follower.finish().map_err(failed)?;
        let launcher = watcher.finish(&environment);
        if status.success() {
            return Ok(Tally { steps, compiled, launcher });
        }
        let trouble = launcher.and_then(|stats| stats.trouble);
        let lines = tail(&watch.log, start).map_err(failed)?;
        let failure = Box::new(Failure::find(lines.lines(), status, trouble));
        Err(MakeError::Failed { goals: goals.join(" "), failure, log: watch.log.clone() })
    }

    fn arguments(&self, how: &str, goals: &[&str]) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = [how, "-C"].map(OsString::from).into();
        arguments.push(self.source.clone().into());
        let mut out = OsString::from("O=");
        out.push(&self.out);
        arguments.push(out);
        arguments.extend(self.variables.iter().cloned());
        arguments.extend(goals.iter().map(OsString::from));
        arguments
    }
}

/// Make, in a process group with all that it starts. They end when this is dropped.
#[derive(Debug)]
struct Running {
    child: Child,
}

impl Running {
    /// Hands on what make says until it has ended.
    fn follow(
        mut self,
        reader: PipeReader,
        follower: &mut Follower,
        failed: impl Fn(io::Error) -> MakeError,
    ) -> Result<ExitStatus, MakeError> {
        let (sender, pieces) = sync_channel(PIECES);
        // It ends with the last program that can write to the pipe.
        std::thread::spawn(move || read(reader, &sender));
        loop {
            interrupt::check()?;
            match next(&pieces) {
                Next::Piece(piece) => follower.take(&piece).map_err(&failed)?,
                Next::End => return self.child.wait().map_err(&failed),
                Next::Silence => {
                    follower.idle();
                    // A daemon that a launcher has left behind may hold the pipe open for ever.
                    if let Some(status) = self.child.try_wait().map_err(&failed)? {
                        while let Next::Piece(piece) = next(&pieces) {
                            follower.take(&piece).map_err(&failed)?;
                        }
                        return Ok(status);
                    }
                }
            }
        }
    }

    /// Ends make and all that it has started: by asking, so that half-made files are removed, then by
    /// force. Compilers are asked as well, since make asks only the shells that started them.
    fn stop(&mut self) -> io::Result<()> {
        let group = Pid::from_child(&self.child);
        kill_process_group(group, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(TICK / 10);
        }
        // Whoever is still there has ignored the request. An error says that nobody is.
        let _ = kill_process_group(group, Signal::KILL);
        self.child.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // Nobody is left to hear of an error, and `stop` has tried its utmost.
            let _ = self.stop();
        }
    }
}

/// What there is of make's output.
enum Next {
    Piece(Vec<u8>),
    Silence,
    End,
}

fn next(pieces: &Receiver<Vec<u8>>) -> Next {
    match pieces.recv_timeout(TICK) {
        Ok(piece) => Next::Piece(piece),
        Err(RecvTimeoutError::Timeout) => Next::Silence,
        Err(RecvTimeoutError::Disconnected) => Next::End,
    }
}

/// Reads until nobody writes any more. Also when nobody listens: make says what it removes before it
/// does, and must not die of that.
fn read(mut reader: PipeReader, sender: &SyncSender<Vec<u8>>) {
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
            Ok(length) => drop(sender.send(buffer[..length].to_vec())),
        }
    }
}

/// The end of what a file has from the byte `start` on.
fn tail(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let from = start.max(file.metadata()?.len().saturating_sub(TAIL));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What programs see of our environment: nothing that flags or names could leak in by. Below a base
/// directory ccache would make paths relative behind the back of the kernel's own prefix map, so that
/// `__FILE__` came out another.
fn environment() -> Vec<(OsString, OsString)> {
    let is_passed = |name: &OsStr| {
        let name = name.to_string_lossy();
        PASSED.contains(&&*name) || OF_LAUNCHERS.iter().any(|start| name.starts_with(start))
    };
    let mut environment: Vec<_> = std::env::vars_os().filter(|(name, _)| is_passed(name)).collect();
    environment.retain(|(name, _)| name != BASE_DIR);
    environment.extend(
        [("LC_ALL", "C"), ("TZ", "UTC"), (BASE_DIR, "")].map(|(name, value)| (name.into(), value.into())),
    );
    environment
}

/// A time as `date` prints it, and kernels in their banner: `Thu Jan  1 00:00:00 UTC 2026`.
fn timestamp(epoch: u32) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    let (year, month, day) = civil(days.into());
    let (name, month) = (DAYS[days as usize % 7], MONTHS[month as usize - 1]);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{name} {month} {day:2} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tool;

    #[test]
    fn timestamps_are_those_of_date() {
        assert_eq!(timestamp(1_767_225_600), "Thu Jan  1 00:00:00 UTC 2026");
        let date = Tool { program: "date", package: "coreutils" };
        for epoch in [0, 951_782_399, 951_782_400, 1_700_000_001, u32::MAX] {
            let stamp = timestamp(epoch);
            let output = date.run_alone(&["-d", &stamp, "+%s"]).unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), epoch.to_string(), "{stamp}");
        }
    }
}
