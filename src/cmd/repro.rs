//! `factory repro`: whether the project makes the same image twice.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::repro::{self, Reproduction, Request, Stage};
use crate::{cli, diff, plan, progress};

pub(super) fn run(arguments: &cli::Repro) -> anyhow::Result<ExitCode> {
    let plan = plan::load(&(&arguments.project).into())?;
    let request = Request {
        project: arguments.project.project.clone(),
        output: plan.default_output(),
        arguments: image_arguments(&arguments.project),
        offline: arguments.offline,
        keep: arguments.keep,
    };
    let spinner = progress::spinner("building");
    let result = repro::run(&request, |stage| {
        spinner.set_message(match stage {
            Stage::First => "building the first image",
            Stage::Second => "building the second image",
            Stage::Comparing => "comparing",
        });
    });
    spinner.finish_and_clear();
    let result = result?;
    if arguments.json {
        super::print_json(&result)?;
    } else {
        super::print(&render(&result))?;
    }
    Ok(super::diff::code(result.identical))
}

/// What `factory image` is to be told of the project, but for its directory.
fn image_arguments(project: &cli::Project) -> Vec<OsString> {
    let track = project.track.iter().map(|track| format!("--track={track}"));
    track.chain(project.boards.iter().map(|board| format!("--board={board}"))).map(OsString::from).collect()
}

fn render(result: &Reproduction) -> String {
    let mut text = "varied\n".to_owned();
    for one in &result.varied {
        let _ = writeln!(text, "  {:<26} {} -> {}", one.condition, one.first, one.second);
    }
    text.push_str("not varied\n");
    for one in &result.not_varied {
        let _ = writeln!(text, "  {:<26} {}", one.condition, one.reason);
    }
    match (&result.difference, result.sha256) {
        (Some(comparison), _) => {
            let _ = write!(text, "\n{}", diff::render(comparison));
        }
        (None, digest) => {
            let digest = digest.map_or_else(String::new, |digest| format!(", sha256 {digest}"));
            let _ = writeln!(text, "\nidentical{digest}");
        }
    }
    let kept: String = result.kept.iter().map(|path| format!("kept `{}`\n", path.display())).collect();
    if kept.is_empty() { text } else { format!("{text}\n{kept}") }
}
