//! The commands: each a story of half a screen.

mod boot;
mod check;
mod convert;
mod devices;
mod diff;
mod explain;
mod failure;
mod fetch;
mod flash;
mod image;
mod init;
mod inspect;
mod kernel;
mod plan;
mod repro;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::cli::{self, Cli, Command};
use crate::fetch::{self as fetching, Parts};
use crate::flash as flashing;
use crate::interrupt;
use crate::lock::{Lock, Pins};
use crate::plan::{self as planning, Plan};
use crate::progress;
use crate::store::Store;
use failure::Failure;

/// Exit code of a run that would have been dangerous.
const REFUSED: u8 = 3;

/// Exit code of a run that the user ended.
const INTERRUPTED: u8 = 130;

/// Does what the command line says.
///
/// # Errors
/// Whatever went wrong, with the steps that led there.
pub fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    interrupt::catch()?;
    show_log();
    if cli.quiet {
        progress::silence();
    }
    match &cli.command {
        Command::Init(arguments) => init::run(arguments),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Fetch(arguments) => fetch::run(arguments),
        Command::Image(arguments) => image::run(arguments),
        Command::Convert(arguments) => convert::run(arguments),
        Command::Kernel(arguments) => kernel::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Diff(arguments) => diff::run(arguments),
        Command::Repro(arguments) => repro::run(arguments),
        Command::Boot(arguments) => boot::run(arguments),
        Command::Devices(arguments) => devices::run(arguments),
        Command::Flash(arguments) => flash::run(arguments),
        Command::Completions { shell } => completions(*shell),
    }
}

/// Prints an error, as JSON too where that was asked for, and says with which code to exit.
pub fn report(cli: &Cli, error: &anyhow::Error) -> ExitCode {
    // Whatever the error is called by now: the run ended because the user wanted it to.
    let is_interrupted = interrupt::check().is_err();
    let failure = if is_interrupted { Failure::interrupted } else { Failure::of }(&cli.command, error);
    if cli.command.wants_json() {
        // Whoever does not take it sees the exit code.
        let _ = print_json(&failure);
    }
    if is_interrupted {
        let failed = error.downcast_ref::<flashing::Failed>();
        let left = failed.map_or("nothing half-written is left", |failed| failed.state.text());
        progress::line(&format!("interrupted; {left}"));
        return ExitCode::from(INTERRUPTED);
    }
    progress::line(&failure.text());
    match cli.command {
        _ if flash::is_refusal(error) || convert::is_refusal(error) => ExitCode::from(REFUSED),
        Command::Diff(_) | Command::Repro(_) => ExitCode::from(diff::TROUBLE),
        _ => ExitCode::FAILURE,
    }
}

impl From<&cli::Project> for planning::Request {
    fn from(project: &cli::Project) -> Self {
        let cli::Project { project, track, boards } = project;
        planning::Request {
            project: project.clone(),
            track: track.clone(),
            boards: boards.clone(),
            kernel: None,
        }
    }
}

/// Shows what happens beside the errors on standard error: warnings, or what `FACTORY_LOG` asks for.
fn show_log() {
    let filter = EnvFilter::try_from_env("FACTORY_LOG").unwrap_or_else(|_| EnvFilter::new("factory=warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let is_terminal = std::io::stderr().is_terminal();
    // Only a second call could fail, and there is none.
    let _ = log.with_ansi(is_terminal).with_target(false).without_time().try_init();
}

/// Fills the store with all that a plan needs, and writes the lock.
fn obtain(plan: &Plan, how: &cli::Sources, update: bool) -> anyhow::Result<(Store, Parts, Pins)> {
    let store = Store::open(&Store::default_dir()?)?;
    let options = fetching::Options { offline: how.offline, update, jobs: how.jobs.into() };
    let Some(name) = &plan.pins else {
        let (parts, pins) = fetching::all(&plan.sources, None, &store, &options)?;
        return Ok((store, parts, pins));
    };
    let mut lock = Lock::read(&plan.lock_file())?;
    let (parts, pins) = fetching::all(&plan.sources, lock.track(name), &store, &options)?;
    lock.set(name, pins.clone());
    lock.write(&plan.lock_file())?;
    Ok((store, parts, pins))
}

/// A bar over the bytes of one step, to be told of them.
fn bar(what: &str, total: u64) -> impl Fn(u64) + Send + use<> {
    let bar = progress::bytes(what, total);
    move |count| bar.inc(count)
}

/// Prints a value for machines, to standard output.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Prints text to standard output. A reader that went away is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "factory", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
