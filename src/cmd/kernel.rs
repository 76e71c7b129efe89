//! `factory kernel`: configure a kernel, and prove that it is what was asked for.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use crate::configure::{self, Configured, Denied};
use crate::kconfig::{self, Config, Missing, Profile};
use crate::kexplain::Tree;
use crate::{cli, files, plan, progress};

/// What came of it, for machines.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    configured: &'a Configured,
    missing: Vec<Missing>,
}

pub(super) fn run(arguments: &cli::Kernel) -> anyhow::Result<ExitCode> {
    let track = plan::find_track(Some(&arguments.track))?;
    if let Some(option) = &arguments.explain {
        return explain(arguments, option);
    }
    let profile = arguments.profile.as_deref().map(profile).transpose()?;
    let bar = progress::spinner("configuring");
    let configured = configure::configure(&arguments.source, track, &arguments.fragments)?;
    bar.finish_and_clear();
    let config = Config::parse(&configured.text);
    let missing = profile.map_or_else(Vec::new, |profile| kconfig::missing(profile, &config));
    let is_whole = configured.denied.is_empty() && missing.is_empty();
    let text = describe(&configured, &missing);
    if arguments.json {
        super::print_json(&Report { configured: &configured, missing })?;
    }
    progress::line(&text);
    // What was not granted would only be noticed on the device.
    if let Some(output) = arguments.output.as_ref().filter(|_| is_whole) {
        files::replace(output, configured.text.as_bytes())
            .with_context(|| format!("writing `{}`", output.display()))?;
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn profile(name: &str) -> anyhow::Result<&'static Profile> {
    let known = || kconfig::profiles().iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>();
    kconfig::profile(name)
        .ok_or_else(|| anyhow!("there is no profile `{name}`\n\nhint: there are `{}`", known().join("`, `")))
}

fn explain(arguments: &cli::Kernel, option: &str) -> anyhow::Result<ExitCode> {
    let tree = Tree::read(&arguments.source, configure::ARCH)?;
    let about = tree.about(option).ok_or_else(|| anyhow!("this kernel has no option `{option}`"))?;
    if arguments.json {
        super::print_json(&about)?;
    } else {
        super::print(&format!("{about}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(configured: &Configured, missing: &[Missing]) -> String {
    let mut text = String::new();
    for Denied { broken, reasons } in &configured.denied {
        let (symbol, at) = (&broken.symbol, format!("{}:{}", broken.fragment, broken.line));
        let _ = writeln!(text, "{symbol}: asked for {} in {at}, got {}", broken.asked, broken.got);
        for reason in reasons {
            let _ = writeln!(text, "  it {reason}");
        }
    }
    for Missing { symbol, least, got } in missing {
        let _ = writeln!(text, "{symbol}: the profile needs {least}, and it is {got}");
    }
    let (asked, denied) = (configured.asked, configured.denied.len());
    let fragments = configured.fragments.join(", ");
    let _ = write!(
        text,
        "{} of {asked} options hold ({} with {fragments})",
        asked - denied,
        configured.defconfig
    );
    text
}
