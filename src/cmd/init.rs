//! `factory init`: start a project.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::{cli, config, progress};

/// The project file that new projects start with: every field, commented out, with its default.
const STARTER: &str = include_str!("starter.toml");

pub(super) fn run(arguments: &cli::Init) -> anyhow::Result<ExitCode> {
    let directory = arguments.directory.strip_prefix(".").unwrap_or(&arguments.directory);
    let file = directory.join(config::FILE);
    if file.exists() {
        bail!("there is a `{}` already\n\nhint: start the project in another directory", file.display());
    }
    let writing = || format!("writing `{}`", file.display());
    fs::create_dir_all(&arguments.directory).with_context(writing)?;
    let mut project = OpenOptions::new().write(true).create_new(true).open(&file).with_context(writing)?;
    project.write_all(STARTER.as_bytes()).with_context(writing)?;
    progress::note(&format!("wrote `{}`; next: factory image --track generic", file.display()));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_starter_project_is_the_default_project() {
        assert!(Config::parse(STARTER, config::FILE).is_ok());
    }

    /// Prose has two number signs; what has one is a field.
    #[test]
    fn every_field_of_the_starter_is_known() {
        let fields = STARTER.lines().filter(|line| !line.starts_with("##"));
        let project: Vec<&str> = fields.map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
        // Its examples are of several kinds, so that they contradict each other as a whole.
        let config: Config = toml::from_str(&project.join("\n")).unwrap();
        assert_eq!(config.rootfs.layer.len(), 4);
    }
}
