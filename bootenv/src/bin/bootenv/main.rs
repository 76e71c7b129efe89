//! `bootenv`: the A/B boot state, from the command line of a device or of a workshop.
//!
//! ```text
//!   args  what is asked for     rauc  the same in RAUC's words
//!   show  answers for people    json  answers for programs
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod json;
mod rauc;
mod show;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use args::{Args, Ask, Command, Target};
use bootenv::device::{self, Device, System};
use bootenv::medium::Access;
use bootenv::{BootFlow as _, Error};

/// The output cannot be written.
const NO_OUTPUT: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let ask = match args::parse() {
        Ok(ask) => ask,
        Err(why) => {
            eprintln!("bootenv: {why}\n\nhint: `bootenv --help` shows what there is");
            return USAGE.into();
        }
    };
    let args = match ask {
        Ask::Help => return print(args::HELP),
        Ask::Version => return print(concat!("bootenv ", env!("CARGO_PKG_VERSION"), "\n")),
        Ask::Do(args) => args,
    };
    match run(&args) {
        Ok(answer) => print(&answer),
        Err(error) => {
            eprintln!("bootenv: {error}");
            error.code().into()
        }
    }
}

fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => NO_OUTPUT.into(),
    }
}

/// Does it, and says what there is to say: mostly nothing.
fn run(args: &Args) -> Result<String, Error> {
    let mut answer = String::new();
    match args.command {
        Command::Find => return Ok(show::find(&system(args).find())),
        Command::Restart => match device::restart(&System::running())? {},
        Command::Status => {
            let (mut device, json) = (open(args, Access::Read)?, args.json);
            answer = if json { json::status(&mut device)? } else { show::status(&mut device)? };
        }
        Command::History => {
            let journal = open(args, Access::Read)?.history()?;
            answer = if args.json { json::history(&journal) } else { show::history(&journal) };
        }
        Command::Start => {
            let started = open(args, Access::Write)?.start()?;
            answer = if started.restart { "reset\n".to_owned() } else { answer };
        }
        Command::Stage(target) => {
            let mut device = open(args, Access::Write)?;
            let slot = slot(&mut device, target)?;
            device.stage(slot)?;
        }
        Command::Try { target, tries } => {
            let mut device = open(args, Access::Write)?;
            let slot = slot(&mut device, target)?;
            device.try_next(slot, tries)?;
        }
        Command::Commit => open(args, Access::Write)?.commit()?,
        Command::Rollback => open(args, Access::Write)?.rollback()?,
        Command::Repair => {
            let repaired = open(args, Access::Write)?.repair()?;
            answer = if repaired { "repaired\n".to_owned() } else { answer };
        }
        Command::Rauc(request) => answer = rauc::answer(request, |access| open(args, access))?,
    }
    Ok(answer)
}

fn open(args: &Args, access: Access) -> Result<Device, Error> {
    let journal = args.journal.as_deref();
    match &args.image {
        Some(image) => Device::image(Path::new(image), access),
        None => Device::running(&system(args), access, journal.map(Path::new)),
    }
}

fn system(args: &Args) -> System {
    args.root.as_ref().map_or_else(System::running, |root| System::below(Path::new(root)))
}

/// The slot that is meant; `other` is the one that is not running, or else not committed.
fn slot(device: &mut Device, target: Target) -> Result<bootenv::Slot, Error> {
    match target {
        Target::Slot(slot) => Ok(slot),
        Target::Other => Ok(match device.booted_slot() {
            Some(booted) => booted.other(),
            None => device.default_slot()?.other(),
        }),
    }
}
