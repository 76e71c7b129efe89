//! `factory flash`: write an image to a device, and prove that it is there.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::flash::devices::Machine;
use crate::flash::find::FindError;
use crate::flash::rules::Refusal;
use crate::flash::source::{self, Source, Wanted};
use crate::flash::{
    self, Failed, FlashError, Report, SowError, Sowing, Stage, State, contents, find, render,
};
use crate::seed::{self, Seed, SeedError};
use crate::units::Bytes;
use crate::{cli, progress};

pub(super) fn run(arguments: &cli::Flash) -> anyhow::Result<ExitCode> {
    let (image, path) = (&arguments.image, &arguments.device);
    let seed = seed::read(&arguments.seed())?;
    let device = find::device(&Machine::default(), path, arguments.fixed_disk.as_deref())?;
    let wanted = Wanted { image, sha256: arguments.sha256, bmap: arguments.bmap.as_deref() };
    let mut source = source::open(&wanted).map_err(|error| untouched(error, path))?;
    let seed = seed.map(|seed| sowing(&seed, &source, image)).transpose()?;
    if path.exists() {
        find::fits(path, &find::open(path)?, &source, image)?;
        let loss = render::loss(path, device.as_ref(), contents::read(path).as_ref());
        agree(arguments, &loss)?;
    }
    let target = find::open(path)?;
    find::fits(path, &target, &source, image)?;
    let bars = Bars::default();
    let report =
        flash::flash(&target, &mut source.picture, source.head, seed.as_ref(), &|stage, step, total| {
            bars.step(stage, step, total)
        });
    bars.clear();
    let report = report.with_context(|| flashing(path))?;
    if arguments.json {
        super::print_json(&report)?;
    }
    progress::note(&summary(&report));
    Ok(ExitCode::SUCCESS)
}

/// An image that cannot be read, and what that means for the target.
fn untouched(error: FindError, path: &Path) -> anyhow::Error {
    let is_refusal = matches!(error, FindError::Refused(_));
    let error = anyhow::Error::new(error);
    if is_refusal {
        return error;
    }
    error.context(State::Untouched.text()).context(flashing(path))
}

fn flashing(path: &Path) -> String {
    format!("flashing `{}`", path.display())
}

/// Whether an error is a refusal: nothing was written.
pub(super) fn is_refusal(error: &anyhow::Error) -> bool {
    let found = matches!(error.downcast_ref(), Some(FindError::Refused(_)));
    let refused =
        |failed: &Failed| failed.state == State::Untouched && matches!(failed.error, FlashError::Refused(_));
    let seed = matches!(error.downcast_ref(), Some(error) if !matches!(error, SeedError::Read { .. }));
    found
        || seed
        || error.is::<Refusal>()
        || error.is::<SowError>()
        || error.downcast_ref().is_some_and(refused)
}

/// Finds the place of a seed, and looks whether there is room, as far as the image can be looked into.
fn sowing(seed: &Seed, source: &Source, image: &Path) -> Result<Sowing, SowError> {
    let sowing = Sowing::plan(&source.name, source.head.bytes(), seed)?;
    sowing.rehearse(image)?;
    Ok(sowing)
}

/// Asks, unless that was answered beforehand.
fn agree(arguments: &cli::Flash, loss: &str) -> anyhow::Result<()> {
    let path = || arguments.device.clone();
    if arguments.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || arguments.image.as_os_str() == "-" {
        return Err(Refusal::NobodyToAsk(path()).into());
    }
    progress::line(&format!("{loss}type `yes` to go on:"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Refusal::Declined(path()).into()) }
}

fn summary(report: &Report) -> String {
    let kept = match report.kept {
        0 => String::new(),
        kept => format!(", {} were there already", Bytes(kept)),
    };
    let holes = if report.holes_are_zeros { "" } else { "; the inside of long holes is as it was" };
    let seed = if report.seeded.is_empty() { "" } else { "; the seed is on its first partition" };
    let (written, verified) = (Bytes(report.written), Bytes(report.verified));
    format!("{written} written{kept}, {verified} read back and right{holes}{seed}")
}

/// A bar for each stage, from its first step on.
#[derive(Default)]
struct Bars(std::sync::Mutex<Option<(Stage, indicatif::ProgressBar)>>);

impl Bars {
    fn step(&self, stage: Stage, step: u64, total: Option<u64>) {
        let mut bar = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if bar.as_ref().is_none_or(|(of, _)| *of != stage) {
            let new = match (stage, total) {
                (Stage::Probing, total) => progress::count("probing", total.unwrap_or_default()),
                (Stage::Writing, Some(total)) => progress::bytes("writing", total),
                (Stage::Writing, None) => progress::spinner("writing"),
                (Stage::Verifying, total) => progress::bytes("reading back", total.unwrap_or_default()),
            };
            *bar = Some((stage, new));
        }
        if let Some((_, bar)) = bar.as_ref() {
            bar.inc(step);
        }
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }
}
