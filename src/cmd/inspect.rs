//! `factory inspect`: show what is on an image or a device.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::inspect::{self, Inspection, html};
use crate::{cli, files, image, progress};

/// Columns when the terminal does not tell.
const WIDTH: usize = 100;

pub(super) fn run(arguments: &cli::Inspect) -> anyhow::Result<ExitCode> {
    let inspection = inspect::inspect(&arguments.image)?;
    if let Some(path) = &arguments.html {
        write(path, &arguments.image, &inspection)?;
    }
    if arguments.json {
        super::print_json(&inspection)?;
    } else if arguments.html.is_none() {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        super::print(&inspect::render(&inspection, columns.unwrap_or(WIDTH)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the page, but never over the image.
fn write(path: &Path, image: &Path, inspection: &Inspection) -> anyhow::Result<()> {
    if files::are_same(path, image) {
        anyhow::bail!("`{}` is the image itself\n\nhint: write the page elsewhere", path.display());
    }
    image::write::probe(path)?;
    let page = html::html(inspection);
    files::replace(path, page.as_bytes()).with_context(|| format!("writing `{}`", path.display()))?;
    progress::note(&format!("made `{}`, for a browser", path.display()));
    Ok(())
}
