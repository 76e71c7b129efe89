//! What is asked for on the command line.

use std::ffi::OsString;

use bootenv::Slot;
use lexopt::prelude::*;

/// Tries of a trial when none are named.
pub(super) const TRIES: u8 = 3;

pub(super) const HELP: &str = "\
The A/B boot state of a machine with two system slots.

Usage: bootenv [--image FILE|DEVICE | --root DIR] [--journal FILE] [--json] COMMAND

  status             which slot runs, which is committed, what the next start boots
  stage SLOT         before a slot is written: nothing hands over to it from here on
  try SLOT           the next starts boot this slot, and then the committed one again;
                     restart afterwards  [--tries N, 1 to 9, 3 unless told]
  commit             the slot that runs becomes the committed one
  rollback           ends a trial: the next start boots the committed slot
  repair             makes a damaged copy of the state good from the other one
  history            the two newest records of the journal
  find               where this system was started from, as words of a shell
  start              for init, once after every start: repairs, notes what happened and, on a
                     Raspberry Pi, arms the next try; prints `reset` when that needs a restart
  restart            restarts at once, with the argument that a trial may need
  rauc REQUEST       as a custom boot loader backend of RAUC

SLOT is `a`, `b`, or `other` for the one that does not run.

  --image PATH       an image or a disk instead of the running machine
  --root DIR         a machine whose /proc, /sys, /dev and /run are below DIR
  --journal FILE     the journal; `/run/factory/mnt/data/bootenv.journal` unless told
  --json             answers for programs
  --help, --version

Exit codes: 0 done, 1 output cannot be written, 2 usage, 10 and above as in the README's table;
with 10 to 25 nothing was written.

  bootenv stage other && write-the-slot && bootenv try other && reboot
";

/// A command line.
pub(super) enum Ask {
    Help,
    Version,
    Do(Args),
}

/// A command with its options.
pub(super) struct Args {
    pub(super) command: Command,
    pub(super) image: Option<OsString>,
    pub(super) root: Option<OsString>,
    pub(super) journal: Option<OsString>,
    pub(super) json: bool,
}

/// Which slot is meant.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Slot(Slot),
    Other,
}

#[derive(Clone, Copy)]
pub(super) enum Command {
    Status,
    Stage(Target),
    Try { target: Target, tries: u8 },
    Commit,
    Rollback,
    Repair,
    History,
    Find,
    Start,
    Restart,
    Rauc(Rauc),
}

/// What RAUC asks of a custom backend. Its names of slots are `a` and `b`.
#[derive(Clone, Copy)]
pub(super) enum Rauc {
    Primary,
    SetPrimary(Slot),
    State(Slot),
    SetState(Slot, bool),
    Current,
}

/// Reads the program's own command line.
pub(super) fn parse() -> Result<Ask, lexopt::Error> {
    read(lexopt::Parser::from_env())
}

fn read(mut parser: lexopt::Parser) -> Result<Ask, lexopt::Error> {
    let (mut image, mut root, mut journal, mut json, mut tries) = (None, None, None, false, None);
    let mut words: Vec<String> = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("image") => image = Some(parser.value()?),
            Long("root") => root = Some(parser.value()?),
            Long("journal") => journal = Some(parser.value()?),
            Long("json") => json = true,
            Long("tries") => tries = Some(parser.value()?.parse()?),
            Short('h') | Long("help") => return Ok(Ask::Help),
            Short('V') | Long("version") => return Ok(Ask::Version),
            Value(word) => words.push(word.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = command(&words, tries)?;
    match command {
        Command::Find | Command::Start | Command::Restart if image.is_some() => {
            Err(format!("`{}` is for the running machine, not for an image", words[0]).into())
        }
        _ if image.is_some() && root.is_some() => Err("`--image` and `--root` exclude each other".into()),
        Command::Restart if root.is_some() => Err("`restart` is for the running machine".into()),
        _ if tries.is_some() && !matches!(command, Command::Try { .. }) => {
            Err("`--tries` goes with `try`".into())
        }
        _ => Ok(Ask::Do(Args { command, image, root, journal, json })),
    }
}

fn command(words: &[&str], tries: Option<u8>) -> Result<Command, lexopt::Error> {
    Ok(match *words {
        ["status"] => Command::Status,
        ["stage", slot] => Command::Stage(target(slot)?),
        ["try", slot] => Command::Try { target: target(slot)?, tries: tries.unwrap_or(TRIES) },
        ["commit"] => Command::Commit,
        ["rollback"] => Command::Rollback,
        ["repair"] => Command::Repair,
        ["history"] => Command::History,
        ["find"] => Command::Find,
        ["start"] => Command::Start,
        ["restart"] => Command::Restart,
        ["rauc", ref request @ ..] => Command::Rauc(rauc(request)?),
        [] => return Err("a command is missing".into()),
        ["stage" | "try"] => return Err("a slot is missing: `a`, `b` or `other`".into()),
        [word, ..] => {
            return Err(format!("`{word}` is no command, or has arguments that it does not take").into());
        }
    })
}

fn target(word: &str) -> Result<Target, lexopt::Error> {
    if word == "other" { Ok(Target::Other) } else { named(word).map(Target::Slot) }
}

fn named(word: &str) -> Result<Slot, lexopt::Error> {
    word.parse().map_err(|error: bootenv::slot::SlotError| error.to_string().into())
}

fn rauc(words: &[&str]) -> Result<Rauc, lexopt::Error> {
    Ok(match *words {
        ["get-primary"] => Rauc::Primary,
        ["set-primary", slot] => Rauc::SetPrimary(named(slot)?),
        ["get-state", slot] => Rauc::State(named(slot)?),
        ["set-state", slot, "good"] => Rauc::SetState(named(slot)?, true),
        ["set-state", slot, "bad"] => Rauc::SetState(named(slot)?, false),
        ["get-current"] => Rauc::Current,
        _ => return Err("RAUC asks get-primary, set-primary, get-state, set-state or get-current".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(line: &str) -> Result<Ask, lexopt::Error> {
        read(lexopt::Parser::from_args(line.split(' ')))
    }

    #[test]
    fn options_stand_anywhere() {
        for line in ["try b --tries 5 --image x", "--image x try --tries=5 b"] {
            let Ok(Ask::Do(args)) = asks(line) else { panic!("{line}") };
            assert!(matches!(args.command, Command::Try { target: Target::Slot(Slot::B), tries: 5 }));
            assert_eq!(args.image, Some("x".into()));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "try",
            "try c",
            "try b --tries x",
            "try b --tries 300",
            "commit b",
            "commit --tries 2",
            "--image",
            "--image x start",
            "--image x --root y status",
            "--root x restart",
            "rauc set-state a ugly",
            "fly",
            "--fly",
        ] {
            assert!(asks(line).is_err(), "{line}");
        }
    }
}
