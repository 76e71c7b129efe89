//! `factory kernel`: configure a kernel, and prove that it is what was asked for.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use crate::configure::{self, Question};
use crate::kbuild::{ARCH, Toolchain, Wish};
use crate::kexplain::Tree;
use crate::plan::{self, KernelRequest, Request};
use crate::{cli, files, progress};

pub(super) fn run(arguments: &cli::Kernel) -> anyhow::Result<ExitCode> {
    let plan = plan::load(&arguments.into())?;
    let kernel = plan.kernel.build.as_ref().context("the plan builds no kernel")?;
    let source = kernel.dir.as_ref().context("only directories")?;
    if let Some(option) = &arguments.explain {
        return explain(source, option, arguments.json);
    }
    let toolchain = Toolchain::find(&Wish::default())?;
    let question = Question {
        source,
        track: plan.track,
        defconfig: kernel.defconfig.as_deref(),
        fragments: &kernel.fragments,
        toolchain: &toolchain,
    };
    let configured = configure::ask(&question)?.configure(&question)?;
    if arguments.json {
        super::print_json(&configured)?;
    }
    progress::line(&configured.to_string());
    if let Some(output) = &arguments.output
        && configured.denied.is_empty()
    {
        files::replace(output, configured.text.as_bytes())?;
    }
    Ok(if configured.denied.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
