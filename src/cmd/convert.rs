//! `factory convert`: the same image in other formats.

use std::process::ExitCode;

use crate::formats::{self, FormatError, Made, read};
use crate::units::Bytes;
use crate::{cli, progress};

pub(super) fn run(arguments: &cli::Convert) -> anyhow::Result<ExitCode> {
    let formats = formats::find_all(&arguments.formats)?;
    let source = read::open(&arguments.image)?;
    let image = match (&arguments.output, arguments.image.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => arguments.image.clone(),
    };
    formats::probe(&source, &image, &formats)?;
    let made =
        formats::convert(&source, &image, &formats, arguments.url_base.as_deref(), super::bar)?.keep()?;
    if arguments.json {
        super::print_json(&made)?;
    }
    made.iter().for_each(note);
    Ok(ExitCode::SUCCESS)
}

/// Whether an error is a refusal: the image would have been lost.
pub(super) fn is_refusal(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(FormatError::Itself(_)))
}

/// Tells people of a file that was made.
pub(super) fn note(made: &Made) {
    progress::note(&format!("made `{}`, {}", made.file.display(), Bytes(made.size)));
}
