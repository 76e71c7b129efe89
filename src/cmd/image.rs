//! `factory image`: the main job.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;

use crate::{cli, compose, image, manifest, plan, progress};

pub(super) fn run(arguments: &cli::Image) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let plan = plan::load(&(&arguments.project).into())?;
    let output = arguments.output.clone().unwrap_or_else(|| plan.default_output());
    let (parts, pins) = super::obtain(&plan, &arguments.sources, false)?;
    let build = compose::Build::new(&plan, &pins);
    let contents = compose::contents(&plan, &build, &parts)?;
    let disk = compose::disk(&plan, &build, &contents)?;
    let written = image::write::write(&output, &disk.job())
        .with_context(|| format!("writing `{}`", output.display()))?;
    let manifest = manifest::of(&plan, &build, &pins, &disk, &written);
    manifest.write_beside(&output)?;
    if arguments.json {
        super::print_json(&manifest)?;
    }
    progress::line(&manifest.summary(&output, started.elapsed()));
    Ok(ExitCode::SUCCESS)
}
