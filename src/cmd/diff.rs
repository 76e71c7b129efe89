//! `factory diff`: what differs between two images.

use std::process::ExitCode;

use crate::diff;
use crate::{cli, progress};

/// Exit code when nothing could be compared: 1 says that images differ.
pub(super) const TROUBLE: u8 = 2;

pub(super) fn run(arguments: &cli::Diff) -> anyhow::Result<ExitCode> {
    let spinner = progress::spinner("comparing");
    let comparison = diff::compare(&arguments.a, &arguments.b);
    spinner.finish_and_clear();
    let comparison = comparison?;
    if arguments.json {
        super::print_json(&comparison)?;
    } else {
        super::print(&diff::render(&comparison))?;
    }
    Ok(code(comparison.identical))
}

/// 0 when images are the same, as diff(1).
pub(super) fn code(identical: bool) -> ExitCode {
    if identical { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
