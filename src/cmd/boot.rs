//! `factory boot`: run an image in QEMU.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use regex::Regex;

use crate::emulate::pi::OnAPi;
use crate::emulate::pi::machine::{self, PiMachine};
use crate::emulate::{self, Boot, Ended, Report, firmware::Choice, timeline::Event};
use crate::{cli, progress};

/// How long a run that nobody watches may take, in seconds.
const PATIENCE: u64 = 120;

pub(super) fn run(arguments: &cli::Boot) -> anyhow::Result<ExitCode> {
    if arguments.pi.explain {
        return super::explain::run(arguments);
    }
    let boot = resolve(arguments)?;
    // The console goes to the terminal unless it has somewhere else to go.
    let is_shown = boot.log.is_none() && !arguments.json;
    let report = emulate::run(&boot, &mut |bytes| {
        if is_shown {
            let mut out = std::io::stdout().lock();
            // A terminal that went away is noticed by the next signal.
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        }
    })?;
    if arguments.json {
        super::print_json(&report)?;
    }
    // The console may have stopped in the middle of a line.
    let lead = if is_shown { "\n" } else { "" };
    progress::note(&format!("{lead}{}", describe(&report)));
    Ok(if report.success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn resolve(arguments: &cli::Boot) -> anyhow::Result<Boot> {
    let until = arguments.until.as_deref().map(Regex::new).transpose().context("reading `--until`")?;
    let is_watched = until.is_none() && !arguments.json;
    let timeout = arguments.timeout.or((!is_watched).then_some(PATIENCE));
    Ok(Boot {
        persist: arguments.persist,
        timeout: timeout.map(Duration::from_secs),
        max_resets: arguments.max_resets,
        log: arguments.log.clone(),
        memory: arguments.memory,
        cpus: arguments.cpus,
        network: arguments.network,
        firmware: if arguments.secure_boot { Choice::SecureBoot } else { Choice::Plain },
        pi: on_a_pi(&arguments.pi)?,
        interactive: is_watched && arguments.log.is_none() && std::io::stdin().is_terminal(),
        extra: arguments.qemu.iter().map(Into::into).collect(),
        until,
        ..Boot::new(&arguments.image)
    })
}

fn on_a_pi(arguments: &cli::Pi) -> anyhow::Result<OnAPi> {
    Ok(OnAPi {
        machine: arguments.machine.as_deref().map(machine).transpose()?,
        eeprom: arguments.eeprom.clone(),
        reboot: arguments.reboot_partition,
        tryboot: arguments.tryboot,
    })
}

fn machine(name: &str) -> anyhow::Result<&'static PiMachine> {
    let names = || machine::ALL.each_ref().map(|machine| machine.name).join("` and `");
    machine::find(name)
        .with_context(|| format!("there is no machine `{name}`\n\nhint: there are `{}`", names()))
}

/// How it ended, and how far the last boot came.
fn describe(report: &Report) -> String {
    let ended = match &report.ended {
        Ended::PowerOff => "the machine switched itself off".to_owned(),
        Ended::Reset { resets } => format!("the machine reset again after {resets} resets"),
        Ended::Dark { reason } => format!("the board finds nothing to start: {reason}"),
        Ended::Panic { line } => format!("the machine gave up: {line}"),
        Ended::Until { line } => format!("found: {line}"),
        Ended::Timeout => "out of time".to_owned(),
        Ended::Interrupted => "interrupted".to_owned(),
        Ended::Died { reason } => format!("QEMU ended: {reason}"),
    };
    let last = report.boots.last();
    let stages: Vec<String> = last.map_or_else(Vec::new, |boot| {
        let stage = |event: &Event| format!("{} {:.1} s", event.stage, event.at_ms as f64 / 1000.0);
        boot.events.iter().map(stage).collect()
    });
    let model = last.and_then(|boot| boot.model.as_ref());
    let from = model.map_or_else(String::new, |model| format!(", of partition {}", model.chosen.partition));
    let (boots, seconds, stages) = (report.boots.len(), report.seconds, stages.join(", "));
    format!("{ended}\n  {boots} boots in {seconds:.1} s; the last one{from}: {stages}")
}
