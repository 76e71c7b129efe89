//! Whether a project makes the same image twice, under conditions that must not matter.
//!
//! ```text
//!   project -----------------------> factory image, as it is called here ---> first image  \
//!      \--copy, in another order --> factory image, under other conditions -> second image / diff
//! ```
//! Both are builds by this same program. Images and copy are gone afterwards.

mod conditions;
mod copy;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

pub use conditions::{NotVaried, Varied};
pub use copy::CopyError;

use crate::diff::{self, Comparison, DiffError};
use crate::digest::Sha256;
use crate::formats::{self, FormatError, Raw};
use crate::interrupt::{self, Interrupted};
use crate::store::{Store, StoreError};
use crate::tool::{SH, ToolError};
use conditions::Conditions;

/// Whether a project reproduces.
#[derive(Clone, Debug, Serialize)]
pub struct Reproduction {
    /// Whether both images are the same.
    pub identical: bool,
    /// The digest of both, when they are.
    pub sha256: Option<Sha256>,
    /// What was different between the builds.
    pub varied: Vec<Varied>,
    /// What was not, and why.
    pub not_varied: Vec<NotVaried>,
    /// What differs between the images, when they are not the same.
    pub difference: Option<Comparison>,
    /// The images, when they were to be kept and differ.
    pub kept: Vec<PathBuf>,
}

/// What is to be built twice.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directory of the project.
    pub project: PathBuf,
    /// Where its image would go; what is built lies beside that for a while.
    pub output: PathBuf,
    /// Arguments of `factory image` that say what is built.
    pub arguments: Vec<OsString>,
    /// Whether nothing is downloaded.
    pub offline: bool,
    /// Whether images that differ are kept.
    pub keep: bool,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ReproError {
    /// The first build failed, which says why.
    #[error("the project cannot be built once\n  because: {0}")]
    First(String),
    /// Only the second build failed.
    #[error(
        "the project cannot be built under other conditions\n  because: {0}\n\n\
         hint: it must not depend on its place, nor on files outside of it by relative paths"
    )]
    Second(String),
    /// A build cannot be started.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// There is no store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The project cannot be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The images cannot be compared.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// An image cannot be read.
    #[error(transparent)]
    Read(#[from] FormatError),
    /// A file or directory cannot be made, read or named.
    #[error("working in `{}`", path.display())]
    Place {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The first build.
    First,
    /// The copy, and the second build.
    Second,
    /// The comparison.
    Comparing,
}

/// Builds a project's image twice and compares. `progress` is told what is begun.
///
/// # Errors
/// When it cannot be built or compared, or the user asked to stop. Nothing is left then.
pub fn run(request: &Request, progress: impl Fn(Stage)) -> Result<Reproduction, ReproError> {
    let project = absolute(&request.project)?;
    let output = std::path::absolute(&request.output).map_err(place(&request.output))?;
    let beside = output.parent().unwrap_or(&project).to_owned();
    let images = directory(&beside, ".repro.")?;
    let [one, other] = ["first.img", "second.img"].map(|name| images.path().join(name));
    progress(Stage::First);
    first(request, &project, &one)?;
    progress(Stage::Second);
    let mut conditions = Conditions::find();
    second(request, &project, images.path(), &other, &mut conditions)?;
    progress(Stage::Comparing);
    let mut comparison = diff::compare(&one, &other)?;
    (comparison.a, comparison.b) = ("the first image".to_owned(), "the second image".to_owned());
    let identical = comparison.identical;
    let keeps = request.keep && !identical;
    Ok(Reproduction {
        identical,
        sha256: if identical { Some(digest(&one)?) } else { None },
        kept: if keeps { keep(&output, &[one, other])? } else { Vec::new() },
        varied: conditions.varied,
        not_varied: conditions.not_varied,
        difference: (!identical).then_some(comparison),
    })
}

fn first(request: &Request, project: &Path, image: &Path) -> Result<(), ReproError> {
    let mut command = command(request, project, image)?;
    if request.offline {
        command.push("--offline".into());
    }
    let script = ["-c", "exec \"$@\"", "sh"].map(OsString::from);
    let arguments: Vec<OsString> = script.into_iter().chain(command).collect();
    build(&arguments, &std::env::vars_os().collect::<Vec<_>>(), ReproError::First)
}

/// Builds a copy of the project, which has a lock by now, in another directory of the same depth, so
/// that relative paths that lead out of it lead to the same.
fn second(
    request: &Request,
    project: &Path,
    images: &Path,
    image: &Path,
    conditions: &mut Conditions,
) -> Result<(), ReproError> {
    let store = Store::default_dir()?;
    let store = std::path::absolute(&store).map_err(place(&store))?;
    let copy = match project.parent().map(|parent| directory(parent, ".copy.")) {
        Some(Ok(copy)) => copy,
        _ => tempfile::tempdir().map_err(place(&std::env::temp_dir()))?,
    };
    copy::project(project, copy.path(), &[images.to_owned(), copy.path().to_owned()])?;
    conditions.vary(
        "directory of the project",
        project.display().to_string(),
        copy.path().display().to_string(),
    );
    conditions.vary("order of directories", "as they are", "made in the reverse order");
    conditions.vary("times of files", "as they are", "from 2001-09-09 on");
    conditions.vary("working directory", "as it is", images.display().to_string());
    conditions.vary("downloads at the same time", "4", "1");
    let environment = conditions.environment(images, &store);
    let mut command = command(request, copy.path(), image)?;
    command.extend(["--offline", "--jobs", "1"].map(OsString::from));
    build(&conditions.arguments(images, &command), &environment, ReproError::Second)
}

/// What builds the image of a project.
fn command(request: &Request, project: &Path, image: &Path) -> Result<Vec<OsString>, ReproError> {
    let program = std::env::current_exe().map_err(place(Path::new("/proc/self/exe")))?;
    let mut command: Vec<OsString> = vec![program.into(), "image".into(), "--quiet".into()];
    command.extend([OsString::from("-C"), project.into(), "-o".into(), image.into()]);
    command.extend(request.arguments.iter().cloned());
    Ok(command)
}

fn build(
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    failed: fn(String) -> ReproError,
) -> Result<(), ReproError> {
    let built = SH.run_in(arguments, environment);
    interrupt::check()?;
    match built {
        Ok(_) => Ok(()),
        Err(ToolError::Failed { stderr, .. }) => {
            Err(failed(stderr.strip_prefix("error: ").unwrap_or(&stderr).to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives images names beside the output.
fn keep(output: &Path, images: &[PathBuf]) -> Result<Vec<PathBuf>, ReproError> {
    let stem = output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = |image: &PathBuf| {
        let own = image.file_name().unwrap_or_default().to_string_lossy();
        let path = output.with_file_name(format!("{stem}.{own}"));
        fs::rename(image, &path).map_err(place(&path)).map(|()| path)
    };
    images.iter().map(name).collect()
}

fn digest(image: &Path) -> Result<Sha256, ReproError> {
    let file = File::open(image).map_err(place(image))?;
    let size = file.metadata().map_err(place(image))?.len();
    Ok(formats::digest(&Raw::of(image, file, size)?, &|_| ())?)
}

fn directory(parent: &Path, prefix: &str) -> Result<TempDir, ReproError> {
    tempfile::Builder::new().prefix(prefix).tempdir_in(parent).map_err(place(parent))
}

fn absolute(path: &Path) -> Result<PathBuf, ReproError> {
    fs::canonicalize(path).map_err(place(path))
}

fn place(path: &Path) -> impl FnOnce(io::Error) -> ReproError + use<> {
    let path = path.to_owned();
    move |source| ReproError::Place { path, source }
}
