//! Kernel modules that an image has beside its kernel's own: those of ours that the kernel lacks.
//!
//! They need a compiler. Where there is none, the image is made without them, and says so: it is
//! another image then, with another id, since the id covers the modules' bytes.

use crate::digest::Sha256;
use crate::fetch::unpack::{self, UnpackError};
use crate::fetch::{Part, Parts};
use crate::kernel::{self, KernelError};
use crate::lock::{Location, Pin};
use crate::oot::{self, BuiltModule, OotError, Source, Toolchain};
use crate::plan::{Plan, part};
use crate::store::{Store, StoreError};
use crate::substrate::rootfs::tar::{self, TarLayerError};
use crate::tool::ToolError;
use crate::tree::{FileTree, TreePath};

/// Packages unpacked at the same time.
const JOBS: usize = 2;

/// What the vendor's kernel calls the module that ours stands in for.
const VENDORS: &str = "vcio";
/// The stored answer to whether a kernel lacks it; to be renamed when the question changes.
const LACKS: &str = "lacks-vcio-1";

const WITH: &str =
    "tryboot is armed through `/dev/vcio` (module rpi-vcio, where the kernel has none of its own)";
const WITHOUT: &str = "this image cannot arm tryboot: `aarch64-linux-gnu-gcc`, which builds the module rpi-vcio for \
                       `/dev/vcio`, is not installed (on Debian, `apt-get install make gcc-aarch64-linux-gnu`)";
const UNKNOWN: &str = "this image cannot arm tryboot, unless its kernel has `/dev/vcio`: there are no headers to \
                       build the module rpi-vcio against";

/// The modules, and what people should know.
#[derive(Clone, Debug, Default)]
pub struct Addons {
    /// The modules, to be loaded at the start.
    pub modules: Vec<BuiltModule>,
    /// What the image lacks.
    pub notes: Vec<String>,
}

/// Why there are no modules.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum AddonsError {
    /// A package is damaged.
    Unpack(#[from] UnpackError),
    /// A package cannot be read as a tree.
    Package(#[from] TarLayerError),
    /// The kernel cannot be used.
    Kernel(#[from] KernelError),
    /// A module cannot be built.
    Build(#[from] OotError),
    /// A program is broken.
    Tool(#[from] ToolError),
    /// The store does not work.
    Store(#[from] StoreError),
}

/// What `factory plan` says of them.
pub fn notes(plan: &Plan) -> Vec<String> {
    let has_headers = plan.sources.wanted.iter().any(|wanted| wanted.name == part::HEADERS);
    let note = match (plan.track.wants_vcio(), has_headers, Toolchain::find()) {
        (false, ..) => return Vec::new(),
        (true, false, _) => UNKNOWN,
        (true, true, Ok(_)) => WITH,
        (true, true, Err(_)) => WITHOUT,
    };
    vec![note.to_owned()]
}

/// Builds the modules that the image's kernel lacks, or takes them out of the store.
///
/// # Errors
/// When a package is damaged, or the module cannot be built although there is a compiler.
pub fn obtain(plan: &Plan, store: &Store, parts: &Parts) -> Result<Addons, AddonsError> {
    if !(plan.track.wants_vcio() && lacks_vcio(store, parts.get(part::KERNEL))?) {
        return Ok(Addons::default());
    }
    let headers = parts.get(part::HEADERS);
    if headers.is_empty() {
        return Ok(Addons::without(UNKNOWN));
    }
    let toolchain = match Toolchain::find() {
        Err(ToolError::Missing { .. }) => return Ok(Addons::without(WITHOUT)),
        found => found?,
    };
    let tree = || tree::<AddonsError>(store, headers);
    let source = Source::rpi_vcio();
    let modules = oot::build(store, &digests(headers), tree, &source, &toolchain)?;
    Ok(Addons { modules, notes: Vec::new() })
}

impl Addons {
    fn without(note: &str) -> Self {
        Addons { modules: Vec::new(), notes: vec![note.to_owned()] }
    }

    /// The modules as parts of the image's identity.
    pub fn pins(&self) -> Vec<Pin> {
        let pin = |module: &BuiltModule| Pin {
            wanted: format!("module.{}", module.name),
            name: module.name.clone(),
            version: None,
            location: Location::Path { path: format!("{}.ko", module.name) },
            size: module.file.size,
            sha256: module.file.sha256,
        };
        self.modules.iter().map(pin).collect()
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
    for (part, unpacked) in packages.iter().zip(unpack::debs(store, packages, JOBS)?) {
        tree.graft(&TreePath::root(), &tar::read(&unpacked.data.path, &part.pin.name)?);
    }
    Ok(tree)
}

/// The digests of packages.
pub fn digests(packages: &[Part]) -> Vec<Sha256> {
    packages.iter().map(|part| part.pin.sha256).collect()
}

/// Asked once for each kernel.
fn lacks_vcio(store: &Store, kernel: &[Part]) -> Result<bool, AddonsError> {
    let packages = digests(kernel);
    let names: Vec<String> = packages.iter().map(Sha256::to_string).collect();
    let key = Sha256::of(format!("{LACKS}\0{names:?}").as_bytes());
    let kept = store.derived(key, |dir| {
        let index = kernel::modules(store, &packages, &tree::<AddonsError>(store, kernel)?)?.index;
        let has_it = index.builtin.contains_key(VENDORS) || index.modules.contains_key(VENDORS);
        let answer: &[u8] = if has_it { b"" } else { b"yes" };
        dir.file(LACKS, |file| Ok::<(), AddonsError>(file.append(answer)?))
    })?;
    Ok(kept.get(LACKS).is_some_and(|file| file.size > 0))
}
