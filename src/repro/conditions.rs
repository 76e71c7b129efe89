//! What the second build finds different, and what it cannot.
//!
//! ```text
//!   sh: umask, directory --> unshare: another user --> taskset: one processor --> factory image
//! ```

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rustix::process::getuid;
use serde::Serialize;

use crate::tool::{Environment, SH, TASKSET, Tool, UNSHARE};

/// Who the second build runs as; who is that already runs it as [`OTHER_USER`].
const USER: u32 = 1234;
const OTHER_USER: u32 = 4321;
/// A zone that is not a whole number of hours away.
const ZONE: &str = "Asia/Kathmandu";
/// A locale with letters of its own; where it is not installed, programs take another than before still.
const LOCALE: &str = "tr_TR.UTF-8";
const UMASKS: [&str; 2] = ["0077", "0022"];

/// One condition, and how it was in each build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Varied {
    /// The condition.
    pub condition: &'static str,
    /// How it was in the first build.
    pub first: String,
    /// How it was in the second.
    pub second: String,
}

/// A condition that was the same in both builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotVaried {
    /// The condition.
    pub condition: &'static str,
    /// Why it was not varied.
    pub reason: String,
}

/// How the second build is run.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) varied: Vec<Varied>,
    pub(super) not_varied: Vec<NotVaried>,
    front: Vec<OsString>,
    umask: String,
}

impl Conditions {
    /// Tries what this machine can.
    pub(super) fn find() -> Self {
        let mut conditions = Conditions::default();
        conditions.umask();
        conditions.user();
        conditions.processors();
        let clock = "it cannot be set; times of the project's files were changed instead".to_owned();
        conditions.not_varied.push(NotVaried { condition: "clock", reason: clock });
        let built = "kernels and modules that were built once come from the store".to_owned();
        conditions.not_varied.push(NotVaried { condition: "compilers", reason: built });
        conditions
    }

    pub(super) fn vary(
        &mut self,
        condition: &'static str,
        first: impl Into<String>,
        second: impl Into<String>,
    ) {
        self.varied.push(Varied { condition, first: first.into(), second: second.into() });
    }

    /// The environment of the second build: ours, with another zone, locale and home.
    pub(super) fn environment(&mut self, home: &Path, store: &Path) -> Vec<(OsString, OsString)> {
        let new: [(&str, OsString); 5] = [
            ("TZ", ZONE.into()),
            ("LC_ALL", LOCALE.into()),
            ("LANG", LOCALE.into()),
            ("HOME", home.into()),
            ("FACTORY_STORE", store.into()),
        ];
        let ours = |name: &str| std::env::var(name).unwrap_or_else(|_| "none".to_owned());
        self.vary("time zone", ours("TZ"), ZONE);
        self.vary("locale", ours("LC_ALL"), LOCALE);
        self.vary("home", ours("HOME"), home.display().to_string());
        let is_kept = |name: &OsString| new.iter().all(|(of, _)| name != of);
        let kept = std::env::vars_os().filter(|(name, _)| is_kept(name));
        kept.chain(new.iter().map(|(name, value)| (name.into(), value.clone()))).collect()
    }

    /// Arguments of [`SH`] that run `command` in the directory `at`.
    pub(super) fn arguments(&self, at: &Path, command: &[OsString]) -> Vec<OsString> {
        let script = "umask \"$1\" && cd \"$2\" && shift 2 && exec \"$@\"";
        let mut arguments: Vec<OsString> = ["-c", script, "sh"].map(OsString::from).into();
        arguments.extend([OsString::from(&self.umask), at.into()]);
        arguments.extend(self.front.iter().chain(command).cloned());
        arguments
    }

    fn umask(&mut self) {
        let ours = status("Umask:").unwrap_or_else(|| UMASKS[1].to_owned());
        let theirs = if ours == UMASKS[0] { UMASKS[1] } else { UMASKS[0] };
        theirs.clone_into(&mut self.umask);
        self.vary("umask", ours, theirs);
    }

    fn user(&mut self) {
        let ours = getuid().as_raw();
        let theirs = if ours == USER { OTHER_USER } else { USER };
        let words = [format!("--map-user={theirs}"), format!("--map-group={theirs}"), "--".to_owned()];
        match self.front(&UNSHARE, &words) {
            Ok(()) => self.vary("user", ours.to_string(), format!("{theirs}, in a user namespace")),
            Err(reason) => self.not_varied.push(NotVaried { condition: "user", reason }),
        }
    }

    fn processors(&mut self) {
        let allowed = status("Cpus_allowed_list:").unwrap_or_default();
        let first = allowed.split([',', '-']).next().unwrap_or_default().to_owned();
        let ours = std::thread::available_parallelism().map_or(1, usize::from);
        let tried = if ours > 1 {
            self.front(&TASKSET, &["-c".to_owned(), first])
        } else {
            Err("there is only one".to_owned())
        };
        match tried {
            Ok(()) => self.vary("processors", ours.to_string(), "1"),
            Err(reason) => self.not_varied.push(NotVaried { condition: "processors", reason }),
        }
    }

    /// Puts a program in front of the build, when it can do its work here.
    fn front(&mut self, tool: &Tool<'_>, words: &[String]) -> Result<(), String> {
        let path = tool.find().map_err(|error| told(&error.to_string()))?;
        let try_out: Vec<OsString> =
            self.front.iter().cloned().chain([path.into()]).chain(words.iter().map(Into::into)).collect();
        let script = ["-c", "exec \"$@\"", "sh"].map(OsString::from);
        let arguments: Vec<OsString> =
            script.into_iter().chain(try_out.iter().cloned()).chain(["true".into()]).collect();
        let environment: Vec<_> = std::env::vars_os().collect();
        SH.run_in(&arguments, &environment as &Environment).map_err(|error| told(&error.to_string()))?;
        self.front = try_out;
        Ok(())
    }
}

/// An error in one line, without its hint.
fn told(error: &str) -> String {
    error.split("\n\n").next().unwrap_or_default().replace('\n', "; ")
}

/// What Linux says of this process (`proc_pid_status(5)`).
fn status(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}
