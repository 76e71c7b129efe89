//! Decisions about the kernel.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::{Serialize, Serializer};

use super::{PlanError, part};
use crate::config::{self, KernelSource, is_from_web};
use crate::digest::Sha256;
use crate::firmware::{self, Part, Parts};
use crate::kconfig::{self, FragmentFile};
use crate::oot;
use crate::source::{Origin, PathKind, Wanted};
use crate::track::Track;

static PARTS: LazyLock<Parts> = LazyLock::new(|| {
    firmware::parse(include_str!("../../firmware/kernel.toml")).expect("`firmware/kernel.toml` is tested")
});

/// Decisions about the kernel.
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    /// Where it comes from.
    pub source: KernelSource,
    /// The package that it is in, or its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What is built, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<KernelBuild>,
    /// Directories of modules from outside its tree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<PathBuf>,
    /// The command line, but for what the loader adds about the slot.
    pub cmdline: String,
}

/// Decisions about a kernel that is built.
#[derive(Clone, Debug, Serialize)]
pub struct KernelBuild {
    /// Directory with its source, when it is neither an archive nor a package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// The defconfig to start from, instead of the track's with its fragments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defconfig: Option<String>,
    /// The project's fragments, in order.
    #[serde(serialize_with = "names")]
    pub fragments: Vec<FragmentFile>,
    /// List of needs that the configuration must meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Patches, in order.
    pub patches: Vec<PathBuf>,
    /// Device trees to build besides those of the track's boards.
    pub dtbs: Vec<String>,
    /// File with key and certificate that sign modules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<PathBuf>,
    /// Whether LLVM compiles it.
    pub llvm: bool,
}

fn names<S: Serializer>(fragments: &[FragmentFile], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(fragments.iter().map(ToString::to_string))
}

impl Kernel {
    /// Directories of modules that are not built together with the kernel.
    pub fn modules_beside_it(&self) -> &[PathBuf] {
        if self.build.is_some() { &[] } else { &self.modules }
    }
}

/// What a person says on the command line of a kernel that is to be built.
#[derive(Clone, Debug, Default)]
pub struct KernelRequest {
    /// Its source, instead of the project's.
    pub tree: Option<String>,
    /// Digest of a source from the web.
    pub sha256: Option<Sha256>,
    /// Instead of the project's.
    pub defconfig: Option<String>,
    /// After the project's.
    pub fragments: Vec<String>,
    /// Instead of the project's.
    pub profile: Option<String>,
    /// Whether LLVM compiles it, even if the project does not say so.
    pub llvm: bool,
}

impl KernelRequest {
    /// Whether this is about another kernel than the project's image has.
    pub(super) fn replaces(&self, kernel: &config::Kernel) -> bool {
        self.tree.is_some() || kernel.source != Some(KernelSource::Build)
    }

    pub(super) fn apply(&self, kernel: &mut config::Kernel, project: &Path) -> Result<(), PlanError> {
        if self.replaces(kernel) {
            (kernel.package, kernel.suite, kernel.path) = (None, None, None);
            kernel.source = Some(KernelSource::Build);
        }
        if self.tree.is_some() {
            kernel.tree = self
                .tree
                .as_ref()
                .map(|tree| if is_from_web(tree) { tree.clone() } else { local(tree, project) });
            kernel.sha256 = self.sha256;
        }
        kernel.defconfig = self.defconfig.clone().or_else(|| kernel.defconfig.take());
        kernel.profile = self.profile.clone().or_else(|| kernel.profile.take());
        let is_ours = |fragment: &str| FragmentFile::is_shipped(fragment);
        let here =
            |fragment: &String| if is_ours(fragment) { fragment.clone() } else { local(fragment, project) };
        kernel.fragments.extend(self.fragments.iter().map(here));
        kernel.llvm |= self.llvm;
        kernel.problem().map_or(Ok(()), |(message, hint)| Err(PlanError::Kernel { message, hint }))
    }
}

/// A path of the command line, which starts where we are and not in the project.
fn local(path: &str, project: &Path) -> String {
    let is_here = project.as_os_str().is_empty();
    let absolute = std::path::absolute(path).ok().filter(|_| !is_here);
    absolute.map_or_else(|| path.to_owned(), |path| path.display().to_string())
}

/// What a plan asks the outside world for so that there is a kernel.
pub(super) struct Asked {
    /// The track's part for it, when it is a package of the archive.
    pub(super) packaged: Option<Part>,
    /// Anything else.
    pub(super) wanted: Vec<Wanted>,
}

/// Decides where the kernel comes from. Looks whether a `tree` is a directory.
pub(super) fn decide(
    config: &config::Kernel,
    track: &dyn Track,
    project: &Path,
    cmdline: String,
) -> Result<(Kernel, Asked), PlanError> {
    let source = config.source.unwrap_or(KernelSource::Debian);
    let asked = ask(config, track, project, source)?;
    let package = asked.packaged.as_ref().map(|part| part.package.clone());
    let from_source = config.package.clone().unwrap_or_else(|| PARTS[part::KERNEL_SOURCE].package.clone());
    let is_built = source == KernelSource::Build;
    let kernel = Kernel {
        source,
        package: package.or_else(|| (is_built && config.tree.is_none()).then_some(from_source)),
        build: is_built.then(|| build(config, project)).transpose()?,
        modules: config.modules.iter().map(|path| project.join(path)).collect(),
        cmdline,
    };
    Ok((kernel, asked))
}

fn ask(
    config: &config::Kernel,
    track: &dyn Track,
    project: &Path,
    source: KernelSource,
) -> Result<Asked, PlanError> {
    let file = |role: &str, path: &Path| {
        Wanted::new(role, Origin::Path { path: path.to_owned(), kind: PathKind::File })
    };
    let asked = |wanted: Option<Wanted>| Asked { packaged: None, wanted: wanted.into_iter().collect() };
    Ok(match source {
        KernelSource::Debian => packaged(config, track)?,
        KernelSource::Path => asked(config.path.as_deref().map(|path| file(part::KERNEL, path))),
        KernelSource::Build => asked(match (&config.tree, config.sha256) {
            (None, _) => Some(chosen(config, &PARTS[part::KERNEL_SOURCE]).wanted(part::KERNEL_SOURCE)),
            (Some(url), Some(sha256)) => {
                Some(Wanted::new(part::KERNEL_SOURCE, Origin::Url { url: url.clone(), sha256 }))
            }
            (Some(tree), None) if project.join(tree).is_dir() => None,
            (Some(tree), None) => Some(file(part::KERNEL_SOURCE, Path::new(tree))),
        }),
    })
}

/// The archive's kernel; with its headers, where a project has modules for it.
fn packaged(config: &config::Kernel, track: &dyn Track) -> Result<Asked, PlanError> {
    let part = chosen(config, &track.kernel());
    let headers = match (config.modules.is_empty() || track.wants_vcio(), oot::headers_of(&part)) {
        (true, _) => None,
        (false, None) => return Err(PlanError::NoHeaders(part.package)),
        (false, Some(headers)) => Some(headers.wanted(part::HEADERS)),
    };
    Ok(Asked { packaged: Some(part), wanted: headers.into_iter().collect() })
}

/// A part, or what the project has instead. A package of the project's own choice is looked for in the
/// project's suites, unless it names another.
fn chosen(config: &config::Kernel, part: &Part) -> Part {
    match (&config.package, &config.suite) {
        (None, None) => part.clone(),
        (package, suite) => {
            let package = package.clone().unwrap_or_else(|| part.package.clone());
            Part { package, suite: suite.clone(), component: None, ..part.clone() }
        }
    }
}

fn build(config: &config::Kernel, project: &Path) -> Result<KernelBuild, PlanError> {
    let local = config.tree.as_deref().filter(|tree| !is_from_web(tree)).map(|tree| project.join(tree));
    let fragments = config.fragments.iter().map(|text| FragmentFile::parse(text, project));
    if let Some(profile) = config.profile.as_deref().filter(|name| kconfig::profile(name).is_none()) {
        return Err(PlanError::NoProfile(profile.to_owned()));
    }
    let dir = local.filter(|tree| tree.is_dir());
    if let Some(dir) = dir.clone().filter(|_| !config.patches.is_empty()) {
        return Err(PlanError::PatchedDirectory(dir));
    }
    Ok(KernelBuild {
        dir,
        defconfig: config.defconfig.clone(),
        fragments: fragments.collect::<Result<_, _>>()?,
        profile: config.profile.clone(),
        patches: config.patches.iter().map(|path| project.join(path)).collect(),
        dtbs: config.dtbs.clone(),
        signing_key: config.signing_key.as_ref().map(|path| project.join(path)),
        llvm: config.llvm,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_sources_is_well_formed() {
        let question = PARTS[part::KERNEL_SOURCE].wanted(part::KERNEL_SOURCE).question();
        assert_eq!(question, "package linux-source, followed to linux-source-*");
    }
}
