//! A kernel of a plan, from its source to a part like a kernel's package.
//!
//! ```text
//!   kernel-source (package, archive, directory) --> SourceTree --+
//!   defconfig, fragments, profile ------------> configuration ---+--> kernel.tar, as a part of the plan
//!   device trees, modules from outside, signing key -------------+
//! ```

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use serde::Serialize;

use crate::configure::{self, ConfigureError, Configured, Question};
use crate::digest::Sha256;
use crate::fetch::{Part, Parts};
use crate::kbuild::{self, ARCH, Built, Recipe, Toolchain, Wish, host, signing};
use crate::kconfig::{self, Config, FragmentFile, Missing, Value};
use crate::ksource::{self, SourceTree, SourceTreeError};
use crate::lock::{Location, Pin};
use crate::oot::{self, OotError};
use crate::plan::{KernelBuild, Plan, part};
use crate::progress;
use crate::store::{Store, StoreError, StoredFile};
use crate::tool::ToolError;

/// The stored `.config`; to be renamed when it is made in another way.
const CONFIG: &str = "config-1";
/// Where a tree has the vendor's driver of `/dev/vcio`.
const VENDORS_VCIO: &str = "drivers/char/broadcom/vcio.c";
/// What the module rpi-vcio calls.
const FIRMWARE: &str = "RASPBERRYPI_FIRMWARE";

const NO_VCIO: &str = "this kernel cannot arm tryboot: the module rpi-vcio for `/dev/vcio` needs CONFIG_MODULES and \
                       CONFIG_RASPBERRYPI_FIRMWARE";

/// How this machine builds: nothing of it changes what comes out, but for the compiler.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// What compiles.
    pub wish: Wish,
    /// Compiler calls at the same time.
    pub jobs: usize,
    /// Whether what earlier builds left is thrown away.
    pub is_clean: bool,
}

/// Why a kernel cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no source.
    #[error("part `{}` is missing", part::KERNEL_SOURCE)]
    NoSource,
    /// The source cannot be used.
    #[error(transparent)]
    Source(#[from] SourceTreeError),
    /// Something to build with is missing.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The kernel's build needs what this machine lacks.
    #[error(transparent)]
    Host(#[from] host::HostError),
    /// It cannot be configured.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// It is not what was asked for.
    #[error("the kernel's configuration is not what was asked for\n{0}")]
    Denied(Box<Answer>),
    /// A module from outside cannot be read.
    #[error(transparent)]
    Module(#[from] OotError),
    /// It cannot be built.
    #[error(transparent)]
    Build(#[from] kbuild::BuildError),
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store keeps cannot be read.
    #[error("reading a kernel's configuration out of the store")]
    Read(#[source] io::Error),
}

/// A kernel's configuration, held against what was asked for.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The configuration, and what fragments asked for in vain.
    #[serde(flatten)]
    pub configured: Configured,
    /// What a profile needs in vain.
    pub missing: Vec<Missing>,
}

impl Answer {
    /// Whether it has all that was asked for.
    pub fn is_whole(&self) -> bool {
        self.configured.denied.is_empty() && self.missing.is_empty()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Missing { symbol, least, got } in &self.missing {
            writeln!(f, "{symbol}: the profile needs {least}, and it is {got}")?;
        }
        self.configured.fmt(f)
    }
}

impl Workshop {
    /// What the environment asks for, and all processors.
    ///
    /// # Errors
    /// When a variable of the environment cannot be understood.
    pub fn from_environment() -> Result<Self, kbuild::WishError> {
        let jobs = thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Workshop { wish: Wish::from_environment()?, jobs, is_clean: false })
    }
}

/// Builds the kernel of a plan, and adds it to the parts. Nothing is done for plans that build none.
/// Returns what people should know.
///
/// # Errors
/// When it cannot be built, or is not what was asked for.
pub fn add(
    plan: &Plan,
    store: &Store,
    parts: &mut Parts,
    workshop: &Workshop,
) -> Result<Vec<String>, BuildError> {
    let Some(build) = &plan.kernel.build else { return Ok(Vec::new()) };
    let job = Job::begin(plan, build, store, parts, workshop)?;
    let answer = job.configure()?;
    if !answer.is_whole() {
        return Err(BuildError::Denied(Box::new(answer)));
    }
    let (built, notes) = job.build(&answer.configured)?;
    parts.add(as_part(&built));
    Ok(notes)
}

/// A kernel like any that was fetched.
fn as_part(built: &Built) -> Part {
    let name = format!("linux-{}", built.release);
    let pin = Pin {
        wanted: part::KERNEL.to_owned(),
        location: Location::Path { path: format!("{name}.tar") },
        name,
        version: Some(built.release.clone()),
        size: built.kernel.size,
        sha256: built.kernel.sha256,
    };
    Part { pin, path: built.kernel.path.clone() }
}

/// A kernel's source, where it is, before anything is known of its content.
///
/// # Errors
/// When there is none, or it is no kernel's.
pub fn dir(build: &KernelBuild, store: &Store, parts: &Parts) -> Result<PathBuf, BuildError> {
    build.dir.clone().map_or_else(|| Ok(source(build, store, parts)?.path), Ok)
}

fn source(build: &KernelBuild, store: &Store, parts: &Parts) -> Result<SourceTree, BuildError> {
    match (&build.dir, parts.one(part::KERNEL_SOURCE)) {
        (Some(dir), _) => Ok(ksource::of_dir(store, dir)?),
        (None, Some(Part { pin, path })) => {
            Ok(ksource::of_archive(store, &pin.name, path, pin.sha256, &build.patches)?)
        }
        (None, None) => Err(BuildError::NoSource),
    }
}

/// Configures a kernel, and looks neither into the store nor at more of its source than that takes.
///
/// # Errors
/// When it cannot be configured. That it is not what was asked for is no error here.
pub fn configure(
    plan: &Plan,
    build: &KernelBuild,
    dir: &Path,
    workshop: &Workshop,
) -> Result<Answer, BuildError> {
    let desk = Desk::open(plan, build, workshop)?;
    let question = desk.question(dir);
    let bar = progress::spinner("configuring");
    let configured = configure::ask(&question)?.configure(&question)?;
    bar.finish_and_clear();
    Ok(desk.judge(configured))
}

/// What is asked of a kernel, with what to.
struct Desk<'a> {
    plan: &'a Plan,
    build: &'a KernelBuild,
    toolchain: Toolchain,
    /// The project's, and after them ours, so that what the project wants can be had.
    fragments: Vec<FragmentFile>,
}

impl<'a> Desk<'a> {
    fn open(plan: &'a Plan, build: &'a KernelBuild, workshop: &Workshop) -> Result<Self, BuildError> {
        let wish = Wish { llvm: build.llvm || workshop.wish.llvm, ..workshop.wish.clone() };
        let toolchain = Toolchain::find(&wish)?;
        let signing = FragmentFile::Shipped { name: "kernel.signing_key", text: signing::FRAGMENT };
        let ours = build.signing_key.is_some().then_some(signing);
        Ok(Desk { plan, build, toolchain, fragments: build.fragments.iter().cloned().chain(ours).collect() })
    }

    fn question<'b>(&'b self, source: &'b Path) -> Question<'b> {
        Question {
            source,
            track: self.plan.track,
            defconfig: self.build.defconfig.as_deref(),
            fragments: &self.fragments,
            toolchain: &self.toolchain,
        }
    }

    /// Holds a configuration against the project's profile.
    fn judge(&self, configured: Configured) -> Answer {
        let profile = self.build.profile.as_deref().and_then(kconfig::profile);
        let config = Config::parse(&configured.text);
        let missing = profile.map_or_else(Vec::new, |profile| kconfig::missing(profile, &config));
        Answer { configured, missing }
    }
}

/// A kernel that is to be built.
pub struct Job<'a> {
    desk: Desk<'a>,
    store: &'a Store,
    workshop: &'a Workshop,
    source: SourceTree,
}

impl<'a> Job<'a> {
    /// Brings source and compiler together.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn begin(
        plan: &'a Plan,
        build: &'a KernelBuild,
        store: &'a Store,
        parts: &Parts,
        workshop: &'a Workshop,
    ) -> Result<Self, BuildError> {
        let desk = Desk::open(plan, build, workshop)?;
        Ok(Job { desk, store, workshop, source: source(build, store, parts)? })
    }

    /// Configures it, once for the same source, questions and compiler.
    ///
    /// # Errors
    /// When it cannot be configured. That it is not what was asked for is no error here.
    pub fn configure(&self) -> Result<Answer, BuildError> {
        let question = self.desk.question(&self.source.path);
        let asked = configure::ask(&question)?;
        let compiler = self.desk.toolchain.identity();
        let key = format!("{CONFIG}\0{}\0{compiler:?}\0{}", self.source.id, asked.identity());
        let kept = self.store.derived(Sha256::of(key.as_bytes()), |dir| {
            let bar = progress::spinner("configuring");
            let answer = self.desk.judge(asked.configure(&question)?);
            bar.finish_and_clear();
            if !answer.is_whole() {
                return Err(BuildError::Denied(Box::new(answer)));
            }
            dir.file(CONFIG, |file| Ok::<(), BuildError>(file.append(answer.configured.text.as_bytes())?))
        });
        match kept {
            Err(BuildError::Denied(answer)) => Ok(*answer),
            kept => Ok(self.desk.judge(asked.answered(text(kept?.get(CONFIG))?))),
        }
    }

    /// Builds it, or takes it out of the store. Returns it with what people should know.
    ///
    /// # Errors
    /// When something to build with is missing, or it cannot be built.
    pub fn build(&self, configured: &Configured) -> Result<(Built, Vec<String>), BuildError> {
        let config = Config::parse(&configured.text);
        host::check(&config, &self.desk.toolchain)?;
        let (modules, mut notes) = self.modules(&config)?;
        let recipe = Recipe {
            source: &self.source,
            config: &configured.text,
            toolchain: &self.desk.toolchain,
            dtbs: &self.dtbs(),
            modules: &modules,
            signing_key: self.desk.build.signing_key.as_deref(),
            strips_modules: true,
            jobs: self.workshop.jobs,
            shelf: self.desk.plan.track.name(),
            is_clean: self.workshop.is_clean,
        };
        let built = kbuild::build(self.store, &recipe)?;
        notes.extend(built.notes.iter().cloned());
        Ok((built, notes))
    }

    /// The device trees of the track's boards that the source has, and those that the project names.
    fn dtbs(&self) -> Vec<String> {
        let dir = self.source.path.join("arch").join(ARCH).join("boot/dts");
        let has = |name: &String| dir.join(name).with_extension("dts").is_file();
        let of_track = self.desk.plan.track.dtbs().into_iter().filter(has);
        of_track.chain(self.desk.build.dtbs.iter().cloned()).collect()
    }

    /// The project's modules, and rpi-vcio where the tree has nothing like it.
    fn modules(&self, config: &Config) -> Result<(Vec<oot::Source>, Vec<String>), BuildError> {
        let plan = self.desk.plan;
        let own = plan.kernel.modules.iter().map(|dir| oot::Source::of_dir(dir));
        let mut modules: Vec<oot::Source> = own.collect::<Result<_, _>>()?;
        if !plan.track.wants_vcio() || self.source.path.join(VENDORS_VCIO).exists() {
            return Ok((modules, Vec::new()));
        }
        if *config.value("MODULES") != Value::Yes || *config.value(FIRMWARE) == Value::No {
            return Ok((modules, vec![NO_VCIO.to_owned()]));
        }
        modules.push(oot::Source::rpi_vcio());
        Ok((modules, Vec::new()))
    }
}

fn text(file: Option<&StoredFile>) -> Result<String, BuildError> {
    let file = file.ok_or_else(|| BuildError::Read(io::ErrorKind::NotFound.into()))?;
    std::fs::read_to_string(&file.path).map_err(BuildError::Read)
}
