//! `factory inspect`: show what is on an image or a device.

use std::process::ExitCode;

use crate::{cli, inspect};

/// Columns when the terminal does not tell.
const WIDTH: usize = 100;

pub(super) fn run(arguments: &cli::Inspect) -> anyhow::Result<ExitCode> {
    let inspection = inspect::inspect(&arguments.image)?;
    if arguments.json {
        super::print_json(&inspection)?;
    } else {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        super::print(&inspect::render(&inspection, columns.unwrap_or(WIDTH)))?;
    }
    Ok(ExitCode::SUCCESS)
}
