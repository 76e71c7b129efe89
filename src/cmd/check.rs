//! `factory check`: whether an image or a device will boot, rule by rule.

use std::process::ExitCode;

use crate::check::{self, Options};
use crate::{cli, progress};

pub(super) fn run(arguments: &cli::Check) -> anyhow::Result<ExitCode> {
    let Some(image) = &arguments.image else {
        super::print(&check::render_rules())?;
        return Ok(ExitCode::SUCCESS);
    };
    let bar = progress::bytes("reading", 0);
    let report = check::check(image, Options::default(), &|step, total| {
        bar.set_length(total);
        bar.inc(step);
    })?;
    bar.finish_and_clear();
    if arguments.json {
        super::print_json(&report)?;
    } else {
        super::print(&check::render(&report))?;
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
