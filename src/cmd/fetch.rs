//! `factory fetch`: fill the store and write the lock.

use std::process::ExitCode;

use crate::{cli, plan, progress};

pub(super) fn run(arguments: &cli::Fetch) -> anyhow::Result<ExitCode> {
    let plan = plan::load(&(&arguments.project).into())?;
    let (_, _, pins) = super::obtain(&plan, &arguments.sources, arguments.update)?;
    if arguments.json {
        super::print_json(&pins)?;
    }
    progress::note(&format!(
        "{} parts are in the store, pinned in `{}`",
        pins.pins.len(),
        plan.lock_file().display()
    ));
    Ok(ExitCode::SUCCESS)
}
