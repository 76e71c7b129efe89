//! Configuring a kernel: fragments in, a `.config` out that has all that they ask for, or the reasons
//! why it has not.
//!
//! ```text
//!   tree's defconfig --make--> .config --apply(fragments)--> .config --make olddefconfig--> .config
//!                                          |                                                   |
//!                                          +------------- all of it must hold -----------------+
//! ```
//! `olddefconfig` runs exactly once, in a directory of its own: how often it runs changes what comes out.
//! Nothing is compiled but the kernel's own configuration programs.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::kconfig::{self, Broken, Config, Fragment, Problems, Requests, Value};
use crate::kexplain::{Reason, Tree, TreeError};
use crate::tool::{MAKE, ToolError};
use crate::track::{KernelBase, Track};

/// Architecture of all kernels here, as the kernel's makefiles call it.
pub const ARCH: &str = "arm64";
/// What the cross compiler's names start with where the host is of another architecture.
const CROSS_COMPILE: &str = "aarch64-linux-gnu-";

/// A kernel that was configured.
#[derive(Debug, Serialize)]
pub struct Configured {
    /// The defconfig that it started from.
    pub defconfig: &'static str,
    /// The fragments, in their order.
    pub fragments: Vec<String>,
    /// How many options they ask for.
    pub asked: usize,
    /// What was not granted.
    pub denied: Vec<Denied>,
    /// The whole `.config`.
    #[serde(skip)]
    pub text: String,
}

/// An option that is not what was asked for.
#[derive(Debug, Serialize)]
pub struct Denied {
    /// The option, what was asked, where, and what came of it.
    #[serde(flatten)]
    pub broken: Broken,
    /// Why, as far as the Kconfig files tell.
    pub reasons: Vec<Reason>,
}

/// Why a kernel cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The directory holds no kernel.
    #[error("`{path}` is not the source of a kernel: it has no `arch/arm64/configs`\n\nhint: unpack a kernel's source, and name its directory", path = .0.display())]
    NotAKernel(PathBuf),
    /// A fragment cannot be read.
    #[error("reading `{path}`", path = path.display())]
    Read {
        /// The fragment.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Fragments are wrong, or contradict each other.
    #[error("{0}")]
    Fragments(Problems),
    /// The kernel's own tools are missing, or fail.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The Kconfig files cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// There is no room to work in.
    #[error("configuring in a temporary directory")]
    Scratch(#[source] io::Error),
}

/// Configures the kernel whose source is in the directory `source` for a track, with the project's
/// fragments after the track's.
///
/// # Errors
/// When it is no kernel, a fragment is wrong, or the kernel's tools fail. Options that are not granted
/// are no error here: they are [`Configured::denied`].
pub fn configure(source: &Path, track: &dyn Track, own: &[PathBuf]) -> Result<Configured, ConfigureError> {
    let base = base(source, track)?;
    let fragments = read(base, own)?;
    let requests = kconfig::merge(&fragments).map_err(ConfigureError::Fragments)?;
    let text = make_config(source, base.defconfig, &requests)?;
    let config = Config::parse(&text);
    let broken = kconfig::broken(&requests, &config);
    Ok(Configured {
        defconfig: base.defconfig,
        fragments: fragments.into_iter().map(|fragment| fragment.name).collect(),
        asked: requests.iter().count(),
        denied: explain(source, broken, &config)?,
        text,
    })
}

/// The first of the track's bases that the tree has.
fn base(source: &Path, track: &dyn Track) -> Result<&'static KernelBase, ConfigureError> {
    let configs = source.join("arch").join(ARCH).join("configs");
    let mut bases = track.kernel_bases().iter();
    bases
        .find(|base| configs.join(base.defconfig).is_file())
        .ok_or_else(|| ConfigureError::NotAKernel(source.to_owned()))
}

fn read(base: &KernelBase, own: &[PathBuf]) -> Result<Vec<Fragment>, ConfigureError> {
    let mut texts: Vec<(String, String)> = Vec::new();
    for name in base.fragments {
        let text = kconfig::shipped(name).expect("tests look up the fragments of all tracks");
        texts.push(((*name).to_owned(), text.to_owned()));
    }
    for path in own {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigureError::Read { path: path.clone(), source })?;
        texts.push((path.display().to_string(), text));
    }
    let parsed = texts.iter().map(|(name, text)| Fragment::parse(name, text));
    parsed.collect::<Result<_, _>>().map_err(ConfigureError::Fragments)
}

/// Has the kernel's tools complete a defconfig with what is asked for.
fn make_config(source: &Path, defconfig: &str, requests: &Requests) -> Result<String, ConfigureError> {
    let out = tempfile::tempdir().map_err(ConfigureError::Scratch)?;
    let file = out.path().join(".config");
    make(source, out.path(), defconfig)?;
    let before = std::fs::read_to_string(&file).map_err(ConfigureError::Scratch)?;
    std::fs::write(&file, requests.apply(&before)).map_err(ConfigureError::Scratch)?;
    make(source, out.path(), "olddefconfig")?;
    std::fs::read_to_string(&file).map_err(ConfigureError::Scratch)
}

fn make(source: &Path, out: &Path, goal: &str) -> Result<(), ToolError> {
    let cross = if cfg!(target_arch = "aarch64") { "" } else { CROSS_COMPILE };
    let arguments = [
        "-s".to_owned(),
        "-C".to_owned(),
        source.display().to_string(),
        format!("O={}", out.display()),
        format!("ARCH={ARCH}"),
        format!("CROSS_COMPILE={cross}"),
        goal.to_owned(),
    ];
    MAKE.run(&arguments).map(drop)
}

/// Looks for the reasons in the Kconfig files, which are only read when something was not granted.
fn explain(source: &Path, broken: Vec<Broken>, config: &Config) -> Result<Vec<Denied>, ConfigureError> {
    if broken.is_empty() {
        return Ok(Vec::new());
    }
    let tree = Tree::read(source, ARCH)?;
    let value = |symbol: &str| config.get(symbol).map(plain);
    let deny = |broken: Broken| {
        let got = value(&broken.symbol);
        let reasons = tree.explain(&broken.symbol, &plain(&broken.asked), got.as_deref(), &value);
        Denied { broken, reasons }
    };
    Ok(broken.into_iter().map(deny).collect())
}

/// A value as text, without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}
