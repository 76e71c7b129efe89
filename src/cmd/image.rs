//! `factory image`: the main job.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;

use crate::formats::{self, Format, FormatError, Job, Made, Raw, read};
use crate::image::write::{Draft, Written};
use crate::kernel::{self, build::Workshop};
use crate::manifest::Manifest;
use crate::{addons, check, cli, disk, image, ingredients, plan, progress};

pub(super) fn run(arguments: &cli::Image) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let plan = plan::load(&(&arguments.project).into())?;
    let output = arguments.output.clone().unwrap_or_else(|| plan.default_output());
    image::write::probe(&output)?;
    let wanted = Wanted::new(arguments)?;
    wanted.probe(&output)?;
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
    let (written, made) = wanted.keep(draft, &output)?;
    let manifest = Manifest::new(&plan, &build, &parts, &addons.modules, &disk, &written, &output);
    manifest
        .write_beside(&output)
        .with_context(|| format!("writing the manifest of `{}`", output.display()))?;
    if arguments.json {
        super::print_json(&manifest)?;
    }
    made.iter().for_each(super::convert::note);
    progress::note(&manifest.summary(wanted.raw.then_some(&output), started.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// What the image is to be written as.
struct Wanted<'a> {
    raw: bool,
    others: Vec<&'static Format>,
    url_base: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(arguments: &'a cli::Image) -> Result<Self, FormatError> {
        let names = &arguments.formats;
        let (raw, others): (Vec<_>, _) = formats::find_all(names)?.into_iter().partition(|f| f.name == "raw");
        let url_base = arguments.url_base.as_deref();
        Ok(Wanted { raw: names.is_empty() || !raw.is_empty(), others, url_base })
    }

    fn probe(&self, image: &Path) -> Result<(), FormatError> {
        let mut paths = self.others.iter().map(|format| format.path(image));
        paths.try_for_each(|path| match path {
            path if self.raw && path == image => Err(FormatError::Itself(path)),
            path => Ok(image::write::probe(&path)?),
        })
    }

    /// Writes the image in its other formats, and gives all of them their names.
    fn keep(&self, draft: Draft, image: &Path) -> anyhow::Result<(Written, Vec<Made>)> {
        let source = read::open(draft.path())?;
        let raw = Raw::of(image, source.file().try_clone()?, source.size())?;
        let Wanted { url_base, .. } = *self;
        let job = Job { raw: &raw, image, formats: &self.others, keeps_raw: self.raw, url_base };
        let drafts = formats::write(&job, super::bar)?;
        let written = if self.raw { draft.keep()? } else { draft.discard() };
        Ok((written, drafts.keep()?))
    }
}
