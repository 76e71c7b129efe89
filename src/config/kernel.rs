//! `[kernel]` of a project file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Words, is_from_web};
use crate::digest::Sha256;

/// `[kernel]`: which kernel boots, and how.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kernel {
    /// Where the kernel comes from.
    pub source: Option<KernelSource>,
    /// The package to resolve: a kernel with `source = "debian"`, a kernel's source with `"build"`.
    pub package: Option<String>,
    /// The suite to resolve it in; else the track's, which may be another than of all other parts.
    pub suite: Option<String>,
    /// With `source = "path"`: a package or an archive with a kernel that somebody built.
    pub path: Option<PathBuf>,
    /// With `source = "build"`: a kernel's source, as a directory or an archive of the project, or as
    /// an address that starts with `http://` or `https://`; else the package.
    pub tree: Option<String>,
    /// Digest of a `tree` from the web.
    pub sha256: Option<Sha256>,
    /// The defconfig to start from, instead of the track's with its fragments.
    pub defconfig: Option<String>,
    /// Fragments to merge last: files, or those that come with the program as in
    /// `factory:container.fragment`.
    pub fragments: Vec<String>,
    /// List of needs that the configuration must meet.
    pub profile: Option<String>,
    /// Patches for a source that is an archive or a package, in order.
    pub patches: Vec<PathBuf>,
    /// Device trees to build besides those of the track's boards, as in `broadcom/bcm2711-rpi-4-b.dtb`.
    pub dtbs: Vec<String>,
    /// File with the private key and the certificate that sign modules, both as PEM.
    pub signing_key: Option<PathBuf>,
    /// Whether to compile with LLVM.
    pub llvm: bool,
    /// Directories with modules from outside the kernel's tree, built for this kernel.
    pub modules: Vec<PathBuf>,
    /// Further words for the kernel command line.
    pub cmdline: Option<Words>,
    /// Consoles, as in the kernel's `console=`; none lets the firmware's tables choose.
    pub console: Vec<Words>,
}

/// Where a kernel comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelSource {
    /// A package of the Debian archive.
    Debian,
    /// Its source, here and now.
    Build,
    /// A file of the project.
    Path,
}

impl Kernel {
    /// What is wrong with the fields as a whole, and a way out.
    pub fn problem(&self) -> Option<(String, &'static str)> {
        let source = self.source.unwrap_or(KernelSource::Debian);
        if source != KernelSource::Build
            && let Some(field) = self.first_for_building()
        {
            return Some((
                format!("`{field}` is for kernels that are built here"),
                "write `source = \"build\"` as well",
            ));
        }
        match (source, &self.path, &self.package) {
            (KernelSource::Path, None, _) => Some((
                "`source = \"path\"` needs a `path`".to_owned(),
                "name the kernel's package or archive",
            )),
            (KernelSource::Debian | KernelSource::Build, Some(_), _) => Some((
                "`path` is a kernel that somebody built".to_owned(),
                "write `source = \"path\"` as well",
            )),
            (KernelSource::Path, _, Some(_)) => {
                Some(("a kernel is a `package` or a `path`".to_owned(), "leave one of them out"))
            }
            _ => self.tree_problem(),
        }
    }

    fn tree_problem(&self) -> Option<(String, &'static str)> {
        let is_remote = self.tree.as_deref().is_some_and(is_from_web);
        match (&self.tree, is_remote, &self.sha256, &self.package) {
            (Some(_), _, _, Some(_)) => {
                Some(("a kernel's source is a `tree` or a `package`".to_owned(), "leave one of them out"))
            }
            (_, true, None, _) => Some((
                "a `tree` from the web needs its `sha256`".to_owned(),
                "download it once, look at it, and write down what `sha256sum` prints",
            )),
            (_, false, Some(_), _) => Some((
                "`sha256` is for a `tree` from the web; files of the project are taken as they are"
                    .to_owned(),
                "leave `sha256` out",
            )),
            _ => None,
        }
    }

    /// The first field that is set and means nothing unless the kernel is built.
    fn first_for_building(&self) -> Option<&'static str> {
        let fields = [
            ("tree", self.tree.is_some()),
            ("defconfig", self.defconfig.is_some()),
            ("fragments", !self.fragments.is_empty()),
            ("profile", self.profile.is_some()),
            ("patches", !self.patches.is_empty()),
            ("dtbs", !self.dtbs.is_empty()),
            ("signing_key", self.signing_key.is_some()),
            ("llvm", self.llvm),
        ];
        fields.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}
