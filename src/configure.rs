//! Configuring a kernel: fragments in, a `.config` out that has all that they ask for, or the reasons
//! why it has not.
//!
//! ```text
//!   defconfig of the tree --apply(fragments)--> .config --make olddefconfig--> .config
//!                                |                                               |
//!                                +------------ all of it must hold --------------+
//! ```
//! `olddefconfig` runs exactly once, in a directory of its own: how often it runs changes what comes out,
//! since each run writes down defaults that the next one takes for wishes. Nothing is compiled but the
//! kernel's own configuration programs.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::kbuild::{ARCH, Make, Toolchain};
use crate::kconfig::{self, Broken, Config, Fragment, FragmentFile, Problems, Requests, Value};
use crate::kexplain::{Reason, Tree, TreeError};
use crate::tool::ToolError;
use crate::track::Track;

/// Goals of a kernel's Makefile that make a `.config` out of nothing, for which there is no file.
const GOALS: [&str; 5] = ["tinyconfig", "allnoconfig", "alldefconfig", "allmodconfig", "allyesconfig"];

/// What a kernel is configured from.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Directory with the kernel's source.
    pub source: &'a Path,
    /// The track that the kernel is for.
    pub track: &'a dyn Track,
    /// A defconfig of the tree, or a goal of its Makefile such as `tinyconfig`, to start from instead of
    /// the track's. The track's fragments are then left out.
    pub defconfig: Option<&'a str>,
    /// The project's fragments, which come last.
    pub fragments: &'a [FragmentFile],
    /// What the kernel's Makefile is called with.
    pub toolchain: &'a Toolchain,
}

/// A kernel that was configured.
#[derive(Debug, Serialize)]
pub struct Configured {
    /// What it started from.
    pub defconfig: String,
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

impl fmt::Display for Configured {
    /// What was not granted and why, a line each; then how many options hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Denied { broken, reasons } in &self.denied {
            let (symbol, at) = (&broken.symbol, format!("{}:{}", broken.fragment, broken.line));
            writeln!(f, "{symbol}: asked for {} in {at}, got {}", broken.asked, broken.got)?;
            reasons.iter().try_for_each(|reason| writeln!(f, "  it {reason}"))?;
        }
        let (asked, denied) = (self.asked, self.denied.len());
        let fragments: String = self.fragments.iter().map(|name| format!(" {name}")).collect();
        write!(f, "{} of {asked} options hold: {}{fragments}", asked - denied, self.defconfig)
    }
}

/// Why a kernel cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The directory holds no kernel.
    #[error("`{path}` is not the source of a kernel: it has no `arch/arm64/configs`\n\nhint: unpack a kernel's source, and name its directory", path = .0.display())]
    NotAKernel(PathBuf),
    /// The tree has no such defconfig.
    #[error("this kernel has no `{name}`\n\nhint: name a file of `{configs}`, or one of {goals}", goals = GOALS.join(", "))]
    NoDefconfig {
        /// Its name.
        name: String,
        /// The directory of those that it has.
        configs: String,
    },
    /// A fragment cannot be read.
    #[error("reading `{fragment}`")]
    Read {
        /// The fragment.
        fragment: String,
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

/// What a kernel is configured from, read and merged.
#[derive(Clone, Debug)]
pub struct Asked {
    defconfig: String,
    fragments: Vec<String>,
    requests: Requests,
}

/// Reads all that a question is about but the kernel's source.
///
/// # Errors
/// When the source is no kernel, or a fragment is wrong.
pub fn ask(question: &Question) -> Result<Asked, ConfigureError> {
    let (defconfig, names) = base(question)?;
    let shipped =
        |name: &&str| FragmentFile::shipped(name).expect("tests look up the fragments of all tracks");
    let files = names.iter().map(shipped).chain(question.fragments.iter().cloned());
    let fragments: Vec<Fragment> = files.map(|file| read(&file)).collect::<Result<_, _>>()?;
    let requests = kconfig::merge(&fragments).map_err(ConfigureError::Fragments)?;
    let fragments = fragments.into_iter().map(|fragment| fragment.name).collect();
    Ok(Asked { defconfig: defconfig.to_owned(), fragments, requests })
}

impl Asked {
    /// Everything that the answer depends on besides source and compiler, as text.
    pub fn identity(&self) -> String {
        format!("{}\n{}", self.defconfig, self.requests.apply(""))
    }

    /// Has the kernel's tools complete what is asked for. Options that are not granted are no error:
    /// they are [`Configured::denied`].
    ///
    /// # Errors
    /// When the kernel's tools fail.
    pub fn configure(&self, question: &Question) -> Result<Configured, ConfigureError> {
        let text = self.make_config(question)?;
        let config = Config::parse(&text);
        let broken = kconfig::broken(&self.requests, &config);
        let denied = explain(question.source, broken, &config)?;
        Ok(Configured { denied, ..self.answered(text) })
    }

    /// The answer that had this `.config`, and in which nothing was denied.
    pub fn answered(&self, text: String) -> Configured {
        Configured {
            defconfig: self.defconfig.clone(),
            fragments: self.fragments.clone(),
            asked: self.requests.iter().count(),
            denied: Vec::new(),
            text,
        }
    }

    fn make_config(&self, question: &Question) -> Result<String, ConfigureError> {
        let out = tempfile::tempdir().map_err(ConfigureError::Scratch)?;
        let file = out.path().join(".config");
        let make = Make::new(question.source, out.path(), question.toolchain);
        let defconfig = configs(question.source).join(&self.defconfig);
        let before = if defconfig.is_file() {
            std::fs::read_to_string(&defconfig)
        } else {
            make.run(&[&self.defconfig])?;
            std::fs::read_to_string(&file)
        };
        let before = before.map_err(ConfigureError::Scratch)?;
        std::fs::write(&file, self.requests.apply(&before)).map_err(ConfigureError::Scratch)?;
        make.run(&["olddefconfig"])?;
        std::fs::read_to_string(&file).map_err(ConfigureError::Scratch)
    }
}

/// The defconfig, and the fragments that come before the project's: those of the first of the track's
/// bases that the tree has.
fn base<'a>(question: &Question<'a>) -> Result<(&'a str, &'static [&'static str]), ConfigureError> {
    let configs = configs(question.source);
    if !configs.is_dir() {
        return Err(ConfigureError::NotAKernel(question.source.to_owned()));
    }
    if let Some(name) = question.defconfig {
        let is_there = GOALS.contains(&name) || (!name.contains('/') && configs.join(name).is_file());
        let none =
            || ConfigureError::NoDefconfig { name: name.to_owned(), configs: configs.display().to_string() };
        return is_there.then_some((name, &[][..])).ok_or_else(none);
    }
    let mut bases = question.track.kernel_bases().iter();
    let base = bases.find(|base| configs.join(base.defconfig).is_file());
    let base = base.ok_or_else(|| ConfigureError::NotAKernel(question.source.to_owned()))?;
    Ok((base.defconfig, base.fragments))
}

fn configs(source: &Path) -> PathBuf {
    source.join("arch").join(ARCH).join("configs")
}

fn read(file: &FragmentFile) -> Result<Fragment, ConfigureError> {
    let name = file.to_string();
    let text = file.read().map_err(|source| ConfigureError::Read { fragment: name.clone(), source })?;
    Fragment::parse(&name, &text).map_err(ConfigureError::Fragments)
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
        let mut reasons = tree.explain(&broken.symbol, &plain(&broken.asked), got.as_deref(), &value);
        let is_unknown = reasons.iter().any(|reason| matches!(reason, Reason::Unknown { .. }));
        if is_unknown && kconfig::is_vendors(&broken.symbol) {
            reasons = vec![Reason::Vendors];
        }
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
