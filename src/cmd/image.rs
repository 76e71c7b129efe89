//! `factory image`: the main job.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;

use crate::kernel::{self, build::Workshop};
use crate::manifest::Manifest;
use crate::{addons, check, cli, disk, image, ingredients, plan, progress};

pub(super) fn run(arguments: &cli::Image) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let plan = plan::load(&(&arguments.project).into())?;
    let output = arguments.output.clone().unwrap_or_else(|| plan.default_output());
    image::write::probe(&output)?;
    let (store, mut parts, pins) = super::obtain(&plan, &arguments.sources, false)?;
    let notes = kernel::build::add(&plan, &store, &mut parts, &Workshop::from_environment()?)?;
    let own = plan.kernel.modules_beside_it();
    let addons = addons::obtain(&plan, own, &store, &parts)?;
    let build = plan.build(parts.iter().map(|part| &part.pin).chain(&addons.pins()), &pins);
    let trees = ingredients::trees(&plan, &build, &store, &parts, &addons)?;
    let notes = notes.iter().chain(&addons.notes).chain(&trees.dressed.notes);
    notes.for_each(|note| progress::note(&format!("note: {note}")));
    let disk = disk::lay_out(&plan, &build, &trees)?;
    let bar = progress::bytes("writing", disk.mapped());
    let draft = image::write::draft(&output, &disk.job(), |bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    check::image(draft.path())?;
    let written = draft.keep()?;
    let manifest = Manifest::new(&plan, &build, &parts, &addons.modules, &disk, &written, &output);
    manifest
        .write_beside(&output)
        .with_context(|| format!("writing the manifest of `{}`", output.display()))?;
    if arguments.json {
        super::print_json(&manifest)?;
    }
    progress::note(&manifest.summary(&output, started.elapsed()));
    Ok(ExitCode::SUCCESS)
}
