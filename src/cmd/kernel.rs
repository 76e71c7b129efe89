//! `factory kernel`: configure a kernel, prove that it is what was asked for, and build it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use crate::kbuild::{ARCH, Built, Wish};
use crate::kernel::build::{self, Answer, Job, Workshop};
use crate::kexplain::Tree;
use crate::plan::{self, KernelRequest, Request};
use crate::{cli, files, progress};

/// What came of it, for machines.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    built: Option<&'a Built>,
    notes: &'a [String],
}

pub(super) fn run(arguments: &cli::Kernel) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let plan = plan::load(&arguments.into())?;
    let kernel = plan.kernel.build.as_ref().context("the plan builds no kernel")?;
    let (store, parts, _) = super::obtain(&plan, &arguments.sources, false)?;
    if let Some(option) = &arguments.explain {
        return explain(&build::dir(kernel, &store, &parts)?, option, arguments.json);
    }
    let workshop = workshop(&arguments.compile)?;
    if arguments.config_only {
        let dir = build::dir(kernel, &store, &parts)?;
        return configured(&build::configure(&plan, kernel, &dir, &workshop)?, arguments);
    }
    let job = Job::begin(&plan, kernel, &store, &parts, &workshop)?;
    let answer = job.configure()?;
    if !answer.is_whole() {
        return configured(&answer, arguments);
    }
    progress::note(&answer.to_string());
    let (built, notes) = job.build(&answer.configured)?;
    notes.iter().for_each(|note| progress::note(&format!("note: {note}")));
    if let Some(output) = &arguments.output {
        hand_over(&built, output)?;
    }
    if arguments.json {
        super::print_json(&Report { answer: &answer, built: Some(&built), notes: &notes })?;
    }
    progress::note(&format!("{built} ({:.1} s)", started.elapsed().as_secs_f64()));
    Ok(ExitCode::SUCCESS)
}

impl From<&cli::Kernel> for Request {
    fn from(arguments: &cli::Kernel) -> Self {
        let cli::Kernel { source, sha256, defconfig, fragments, profile, compile, .. } = arguments;
        let kernel = KernelRequest {
            tree: source.clone(),
            sha256: *sha256,
            defconfig: defconfig.clone(),
            fragments: fragments.clone(),
            profile: profile.clone(),
            llvm: compile.llvm,
        };
        Request {
            project: arguments.project.clone(),
            track: arguments.track.clone(),
            boards: Vec::new(),
            kernel: Some(kernel),
        }
    }
}

/// What the command line asks for, else the environment.
fn workshop(compile: &cli::Compile) -> anyhow::Result<Workshop> {
    let Workshop { wish, jobs, .. } = Workshop::from_environment()?;
    let wish = Wish {
        cross_compile: compile.cross_compile.clone().or(wish.cross_compile),
        launcher: compile.launcher.or(wish.launcher),
        ..wish
    };
    Ok(Workshop { wish, jobs: compile.make_jobs.map_or(jobs, usize::from), is_clean: compile.clean })
}

/// Tells what came of the configuration. What was not granted would only be noticed on the device, so
/// nothing is written then.
fn configured(answer: &Answer, arguments: &cli::Kernel) -> anyhow::Result<ExitCode> {
    if let Some(output) = arguments.output.as_ref().filter(|_| answer.is_whole()) {
        files::replace(output, answer.configured.text.as_bytes())
            .with_context(|| format!("writing `{}`", output.display()))?;
    }
    if arguments.json {
        super::print_json(&Report { answer, built: None, notes: &[] })?;
    }
    progress::line(&answer.to_string());
    Ok(if answer.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Copies what was built into a directory.
fn hand_over(built: &Built, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making `{}`", dir.display()))?;
    for (name, file) in built.files() {
        let to = dir.join(name);
        let copied = files::beside(&to).and_then(|mut new| {
            std::io::copy(&mut fs::File::open(&file.path)?, &mut new)?;
            new.persist(&to).map(drop).map_err(std::io::Error::from)
        });
        copied.with_context(|| format!("writing `{}`", to.display()))?;
    }
    Ok(())
}

fn explain(source: &Path, option: &str, json: bool) -> anyhow::Result<ExitCode> {
    let tree = Tree::read(source, ARCH)?;
    let about = tree.about(option).ok_or_else(|| anyhow!("this kernel has no option `{option}`"))?;
    if json {
        super::print_json(&about)?;
    } else {
        super::print(&format!("{about}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
