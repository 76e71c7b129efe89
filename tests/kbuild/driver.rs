//! The engine in a process of its own, as environments and signals are those of a whole process: this
//! test program, started anew with variables that say what to make.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use factory::interrupt;
use factory::kbuild::{Make, Toolchain, Watch, Wish};

/// Names the directory to build in, and the goals.
const OUT: &str = "FACTORY_TEST_TOY_OUT";
const GOALS: &str = "FACTORY_TEST_TOY_GOALS";
/// What the names of the variables start with that steer compilers: builds here have their own.
const THEIRS: [&str; 7] =
    ["CCACHE_", "SCCACHE_", "DISTCC_", "ICECC_", "FACTORY_LAUNCHER", "CROSS_COMPILE", "LLVM"];
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the process does that [`Run::start`] starts.
#[test]
fn driver() {
    let (Ok(out), Ok(goals)) = (std::env::var(OUT), std::env::var(GOALS)) else { return };
    interrupt::catch().unwrap();
    let told = match make(Path::new(&out), &goals) {
        Ok(told) => format!("done: {told}"),
        Err(told) => format!("error: {told}"),
    };
    fs::write(Path::new(&out).with_extension("told"), told).unwrap();
}

fn make(out: &Path, goals: &str) -> Result<String, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let wish = Wish::from_environment().map_err(|error| text(&error))?;
    let toolchain = Toolchain::find(&wish).map_err(|error| text(&error))?;
    let make = Make::new(&source(), out, &toolchain).dated(1_767_225_600);
    let log = out.with_extension("log");
    let watch = Watch { jobs: 2, label: "toy".to_owned(), log, expected: None };
    let goals: Vec<&str> = goals.split(' ').collect();
    let tally = make.watch(&goals, &watch).map_err(|error| text(&error))?;
    let launcher = tally.launcher.map(|stats| format!("; {stats}")).unwrap_or_default();
    Ok(format!("{} steps, {} compiled{launcher}", tally.steps, tally.compiled))
}

/// The source of the toy kernel.
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kbuild/toy")
}

/// A directory with room for builds and what launchers keep.
pub struct Room {
    dir: tempfile::TempDir,
}

impl Room {
    pub fn new() -> Self {
        Room { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A directory that is there.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A build of `goals` in the directory `out`, which is not yet started.
    pub fn run(&self, out: &str, goals: &str) -> Run {
        let out = self.dir(out);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "driver::driver"]).stdout(Stdio::null()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if THEIRS.iter().any(|theirs| name.to_string_lossy().starts_with(theirs)) {
                command.env_remove(name);
            }
        }
        command.env(OUT, &out).env(GOALS, goals);
        Run { command, out }
    }

    /// Ids of processes that work in this room, whosever children they are.
    pub fn busy(&self) -> Vec<OsString> {
        let is_here = |process: &fs::DirEntry| {
            fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(self.dir.path()))
        };
        let processes = fs::read_dir("/proc").unwrap().map(Result::unwrap);
        processes.filter(is_here).map(|process| process.file_name()).collect()
    }
}

/// A build.
pub struct Run {
    command: Command,
    out: PathBuf,
}

impl Run {
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end, and returns what it told.
    pub fn told(self) -> String {
        let (mut child, out) = self.start();
        wait_for("the build", || child.try_wait().unwrap().is_some());
        told(&out)
    }

    /// Starts it, in a process group of its own as a shell does.
    pub fn start(mut self) -> (Child, PathBuf) {
        let _ = fs::remove_file(self.out.with_extension("told"));
        (self.command.process_group(0).spawn().unwrap(), self.out)
    }
}

/// What a build in the directory `out` told at its end.
pub fn told(out: &Path) -> String {
    fs::read_to_string(out.with_extension("told")).unwrap()
}

/// Waits for something to become true.
pub fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
