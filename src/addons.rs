//! Kernel modules that an image has beside its kernel's own: those of the project, and ours that the
//! kernel lacks.
//!
//! ```text
//!   the kernel's package     updates/*.ko, built with it ------------------+
//!   directories of the project  --oot--> *.ko -----------------------------+--> loaded at the start,
//!   rpi-vcio, unless the kernel has /dev/vcio  --oot--> rpi-vcio.ko -------+    or when their devices show up
//! ```
//! They need headers and a compiler. What a project asks for is an error without; an image without ours
//! says so: it is another image then, with another id, since the id covers the modules' bytes.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::fetch::unpack::{self, UnpackError};
use crate::fetch::{Part, Parts};
use crate::kernel::{self, KernelError};
use crate::lock::{Location, Pin};
use crate::manifest::{Module, ModuleSource};
use crate::oot::{self, BuiltModule, OotError, Source, Toolchain};
use crate::plan::{Plan, part};
use crate::store::{Store, StoreError};
use crate::substrate::modules::{self, IndexError, name};
use crate::substrate::rootfs::tar::{self, TarLayerError};
use crate::tool::ToolError;
use crate::tree::{FileTree, TreePath};

/// Packages unpacked at the same time.
const JOBS: usize = 2;

/// What the vendor's kernel calls the module that ours stands in for.
const VENDORS: &str = "vcio";
/// Where a kernel's package has modules that were built with it.
const UPDATES: &str = "updates/";
/// What is stored of a kernel; to be renamed when the questions change.
const ANSWERS: &str = "outsiders-1.json";

const WITH: &str =
    "tryboot is armed through `/dev/vcio` (module rpi-vcio, where the kernel has none of its own)";
const WITHOUT: &str = "this image cannot arm tryboot";
const UNLESS: &str = "this image cannot arm tryboot, unless its kernel has `/dev/vcio`";
const NO_COMPILER: &str = "`aarch64-linux-gnu-gcc`, which builds the module rpi-vcio for `/dev/vcio`, is not installed \
                           (on Debian, `apt-get install make gcc-aarch64-linux-gnu`)";
const NO_HEADERS: &str = "there are no headers to build the module rpi-vcio for `/dev/vcio` against";

/// The modules, and what people should know.
#[derive(Clone, Debug, Default)]
pub struct Addons {
    /// Modules that the kernel's package does not have.
    pub built: Vec<BuiltModule>,
    /// All modules that are not the kernel's own: to be loaded at the start, or with their devices.
    pub modules: Vec<Module>,
    /// Sources that go into the image, as the licences of these modules ask for.
    pub sources: Vec<Source>,
    /// What the image lacks.
    pub notes: Vec<String>,
}

/// What a kernel's package says about modules that are not the kernel's own.
#[derive(Debug, Serialize, Deserialize)]
struct Answers {
    /// Whether the kernel has `/dev/vcio`.
    has_vcio: bool,
    /// Modules that were built with it.
    modules: Vec<Module>,
}

/// Why there are no modules.
#[derive(Debug, thiserror::Error)]
pub enum AddonsError {
    /// A package is damaged.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A package cannot be read as a tree.
    #[error(transparent)]
    Package(#[from] TarLayerError),
    /// The kernel cannot be used.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A module cannot be built.
    #[error(transparent)]
    Build(#[from] OotError),
    /// A program is broken.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Nothing tells how the kernel was built.
    #[error(
        "there are no headers to build the modules of `{0}` against\n\nhint: take the kernel from a package, or build it"
    )]
    NoHeaders(PathBuf),
    /// Two directories make modules of one name.
    #[error("module `{0}` is made twice\n\nhint: give one of them another name")]
    Twice(String),
    /// A module cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A file of the store cannot be used.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What `factory plan` says of them, which does not look into packages.
pub fn notes(plan: &Plan) -> Vec<String> {
    let has_headers = plan.sources.wanted.iter().any(|wanted| wanted.name == part::HEADERS);
    match (plan.track.wants_vcio(), has_headers || plan.kernel.build.is_some(), Toolchain::find()) {
        (false, ..) => Vec::new(),
        (true, false, _) => vec![format!("{UNLESS}: {NO_HEADERS}")],
        (true, true, Ok(_)) => vec![WITH.to_owned()],
        (true, true, Err(_)) => vec![format!("{UNLESS}: {NO_COMPILER}")],
    }
}

/// Looks for modules in the kernel's package, and builds those of the project's directories `own` that are
/// not in it, and ours if the kernel lacks it. What was built before is taken out of the store.
///
/// # Errors
/// When a package is damaged, a module cannot be built although there is a compiler, or the project has
/// directories and there is no compiler or no header package.
pub fn obtain(plan: &Plan, own: &[PathBuf], store: &Store, parts: &Parts) -> Result<Addons, AddonsError> {
    let (kernel, headers) = (parts.get(part::KERNEL), parts.get(part::HEADERS));
    let answers = answers(store, kernel)?;
    let mut addons = Addons { modules: answers.modules, ..Addons::default() };
    for dir in own {
        if headers.is_empty() {
            return Err(AddonsError::NoHeaders(dir.clone()));
        }
        addons.build(store, headers, &Source::of_dir(dir)?, &Toolchain::find()?)?;
    }
    let ours = Source::rpi_vcio();
    // Then it is the project's, whatever is in it.
    if addons.built.iter().any(|module| module.name == ours.name) {
        return Ok(addons);
    }
    if plan.track.wants_vcio() && !answers.has_vcio && !addons.has(&ours.name) {
        match Toolchain::find() {
            _ if headers.is_empty() => addons.notes.push(format!("{WITHOUT}: {NO_HEADERS}")),
            Err(ToolError::Missing { .. }) => addons.notes.push(format!("{WITHOUT}: {NO_COMPILER}")),
            found => addons.build(store, headers, &ours, &found?)?,
        }
    }
    addons.attach(ours);
    Ok(addons)
}

impl Addons {
    fn has(&self, module: &str) -> bool {
        self.modules.iter().any(|other| name::canonical(&other.name) == name::canonical(module))
    }

    fn build(
        &mut self,
        store: &Store,
        headers: &[Part],
        source: &Source,
        toolchain: &Toolchain,
    ) -> Result<(), AddonsError> {
        let tree = || tree::<AddonsError>(store, headers);
        for built in oot::build(store, &digests(headers), tree, source, toolchain)? {
            if self.has(&built.name) {
                return Err(AddonsError::Twice(built.name));
            }
            self.modules.push(module(&built.name, &fs::read(&built.file.path)?));
            self.built.push(built);
        }
        Ok(())
    }

    /// Puts a source beside its module, if that is in the image: whoever gets the one gets the other.
    fn attach(&mut self, source: Source) {
        let canonical = name::canonical(&source.name);
        let of_source = |module: &&mut Module| name::canonical(&module.name) == canonical;
        if let Some(module) = self.modules.iter_mut().find(of_source) {
            module.source = Some(ModuleSource { initramfs: source.place(), sha256: source.digest() });
            self.sources.push(source);
        }
    }

    /// The modules that were built as parts of the image's identity.
    pub fn pins(&self) -> Vec<Pin> {
        let pin = |module: &BuiltModule| Pin {
            wanted: format!("module.{}", module.name),
            name: module.name.clone(),
            version: None,
            location: Location::Path { path: format!("{}.ko", module.name) },
            size: module.file.size,
            sha256: module.file.sha256,
        };
        self.built.iter().map(pin).collect()
    }
}

fn module(name: &str, bytes: &[u8]) -> Module {
    Module {
        name: name.to_owned(),
        size: bytes.len() as u64,
        sha256: Sha256::of(bytes),
        licence: oot::licence(bytes),
        source: None,
    }
}

/// One tree of all files of `packages`.
///
/// # Errors
/// When a package is damaged.
pub fn tree<E: From<UnpackError> + From<TarLayerError>>(
    store: &Store,
    packages: &[Part],
) -> Result<FileTree, E> {
    let mut tree = FileTree::new();
    for (part, files) in packages.iter().zip(unpack::files(store, packages, JOBS)?) {
        tree.graft(&TreePath::root(), &tar::read(&files.path, &part.pin.name)?);
    }
    Ok(tree)
}

/// The digests of packages.
pub fn digests(packages: &[Part]) -> Vec<Sha256> {
    packages.iter().map(|part| part.pin.sha256).collect()
}

/// Asked once for each kernel.
fn answers(store: &Store, kernel: &[Part]) -> Result<Answers, AddonsError> {
    let packages = digests(kernel);
    let names: Vec<String> = packages.iter().map(Sha256::to_string).collect();
    let key = Sha256::of(format!("{ANSWERS}\0{names:?}").as_bytes());
    let kept = store.derived(key, |dir| {
        let modules = kernel::modules(store, &packages, &tree::<AddonsError>(store, kernel)?)?;
        let answers = serde_json::to_vec(&look(&modules)?).map_err(io::Error::from)?;
        dir.file(ANSWERS, |file| Ok::<(), AddonsError>(file.append(&answers)?))
    })?;
    let path = kept.get(ANSWERS).map(|file| file.path.clone()).unwrap_or_default();
    Ok(serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)?)
}

fn look(kernel: &kernel::Modules) -> Result<Answers, AddonsError> {
    let index = &kernel.index;
    let has_vcio = index.builtin.contains_key(VENDORS) || index.modules.contains_key(VENDORS);
    let updates = index.modules.values().filter(|found| found.path.starts_with(UPDATES));
    let module = |found: &modules::Module| {
        let file = found.path.rsplit('/').next().unwrap_or_default();
        let name = file.split_once(".ko").map_or(file, |(name, _)| name);
        Ok::<Module, AddonsError>(module(name, &kernel.files.read(found)?))
    };
    Ok(Answers { has_vcio, modules: updates.map(module).collect::<Result<_, _>>()? })
}
