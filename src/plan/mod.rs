//! Every decision of a build, made before anything is done: nothing optional, nothing relative.
//!
//! Defaults live here and nowhere else, and so does the only look at the clock's stand-in,
//! `SOURCE_DATE_EPOCH`.

mod kernel;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{self, BoardConfig, Config, ConfigError, RootfsFormat, Size};
use crate::firmware::upstream;
use crate::identity::BuildId;
use crate::kconfig::{self, NotShipped};
use crate::lock::{Pin, Pins};
use crate::source::{Debian, Origin, PathKind, Sources, Suite, Wanted};
use crate::substrate::{self, initramfs::Compression};
use crate::suggest;
use crate::track::{self, Choices, Track, TrackError, rpi};
use kernel::Asked;
pub use kernel::{Kernel, KernelBuild, KernelRequest};

/// Suite of the archive that parts are taken from when the project names none.
const SUITE: &str = "trixie";
/// The only architecture that images are made for.
const ARCH: &str = "arm64";
/// Time of images whose parts have no date: the first that FAT can hold, 1980-01-01.
const FALLBACK_EPOCH: u32 = 315_532_800;

/// What is asked for on the command line.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directory of the project.
    pub project: PathBuf,
    /// `--track`
    pub track: Option<String>,
    /// `--board`, instead of the project's.
    pub boards: Vec<String>,
    /// What `factory kernel` says of the kernel that it is to build, whatever the project boots.
    pub kernel: Option<KernelRequest>,
}

/// All decisions of a build.
#[derive(Clone, Serialize)]
pub struct Plan {
    /// Directory of the project.
    #[serde(skip)]
    pub project: PathBuf,
    /// Whether a project file was found, or the built-in default project is used.
    #[serde(skip)]
    pub has_file: bool,
    /// The boot chain.
    #[serde(serialize_with = "track_name")]
    pub track: &'static dyn Track,
    /// Name of the product.
    pub name: String,
    /// Version of what the slots hold.
    pub version: String,
    /// Host name of the device.
    pub hostname: String,
    /// What the partitions take.
    pub sizes: Sizes,
    /// The kernel.
    pub kernel: Kernel,
    /// What every image does after the kernel starts.
    pub substrate: Substrate,
    /// The system that is handed over to, if there is one.
    pub rootfs: Option<Rootfs>,
    /// Libraries and loaders that programs ask for and that may be missing.
    pub allow_missing: Vec<String>,
    /// What concerns the loader.
    pub loader: Loader,
    /// What is taken from outside.
    pub sources: Sources,
    /// What its pins are called in the lock; `None` when everything is named by digest or path.
    #[serde(skip)]
    pub pins: Option<String>,
    /// Time of everything in the image in seconds since 1970, when the environment sets it.
    pub source_date_epoch: Option<u32>,
}

/// What a build is called and dated by.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Its id, from which all others follow.
    pub id: BuildId,
    /// Time of everything in the image in seconds since 1970: `SOURCE_DATE_EPOCH`, else the newest
    /// date in the lock.
    pub epoch: u32,
}

/// Sizes of the partitions.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sizes {
    /// The partition that is read first.
    pub selector: Size,
    /// Each system partition.
    pub system: Size,
    /// The data partition.
    pub data: Size,
}

/// Decisions about the substrate.
#[derive(Clone, Debug, Serialize)]
pub struct Substrate {
    /// Modules that are wanted beside the built-in list.
    pub modules: Vec<String>,
    /// Whether a payload goes along.
    pub payload: bool,
    /// How the initramfs is packed.
    pub compression: Compression,
    /// Whether the console gets a root shell.
    pub shell: bool,
    /// Whether wired interfaces ask for an address.
    pub network: bool,
}

/// Decisions about the root file system.
#[derive(Clone, Debug, Serialize)]
pub struct Rootfs {
    /// File system.
    pub format: RootfsFormat,
    /// First program.
    pub init: String,
    /// Number of layers; layer `n` is the wanted part `rootfs.n`, from 1.
    pub layers: usize,
}

/// Decisions about the loader.
#[derive(Clone, Debug, Serialize)]
pub struct Loader {
    /// What the project chooses about its track.
    #[serde(flatten)]
    pub choices: Choices,
    /// Whether files of the project go onto the partitions that the loader reads.
    pub files: bool,
}

/// Names of wanted parts.
pub mod part {
    /// The kernel package.
    pub const KERNEL: &str = "kernel";
    /// The source that a kernel is built from.
    pub const KERNEL_SOURCE: &str = "kernel-source";
    /// The headers of the kernel, to build modules against.
    pub const HEADERS: &str = "headers";
    /// The static busybox.
    pub const BUSYBOX: &str = "busybox";
    /// The device's command for the boot state.
    pub const BOOTENV: &str = "bootenv";
    /// The project's payload directory.
    pub const PAYLOAD: &str = "payload";
    /// The project's files for the partitions that the loader reads.
    pub const FILES: &str = "files";

    /// Layer `number` of the rootfs, from 1.
    pub fn layer(number: usize) -> String {
        format!("rootfs.{number}")
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The project file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The project's directory does not exist.
    #[error("there is no directory `{path}`\n\nhint: `factory init {path}` starts a project there", path = .0.display())]
    NoProject(PathBuf),
    /// No track was named.
    #[error("no track is named\n\nhint: add `--track {first}`, or `track = \"{first}\"` under `[image]`")]
    NoTrack {
        /// A track to start with.
        first: &'static str,
    },
    /// The track does not exist.
    #[error("there is no track `{name}`\n\nhint: {hint}")]
    UnknownTrack {
        /// The name that was given.
        name: String,
        /// A way out.
        hint: String,
    },
    /// What is said of the kernel contradicts itself.
    #[error("{message}\n\nhint: {hint}")]
    Kernel {
        /// What is wrong.
        message: String,
        /// A way out.
        hint: &'static str,
    },
    /// A directory is not changed.
    #[error(
        "`{0}` is a directory, which is never changed, and `kernel.patches` would\n\nhint: apply the patches there, or name an archive"
    )]
    PatchedDirectory(PathBuf),
    /// A fragment of the program's own does not exist.
    #[error(transparent)]
    Fragment(#[from] NotShipped),
    /// A profile does not exist.
    #[error("there is no profile `{0}`\n\nhint: there are `{known}`", known = profiles())]
    NoProfile(String),
    /// Modules cannot be built, for nobody knows the kernel's headers.
    #[error(
        "nothing says which headers belong to the kernel in package `{0}`, and `kernel.modules` need them\n\nhint: name a package `linux-image-...`"
    )]
    NoHeaders(String),
    /// Something is chosen about the track that cannot be.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// The loader could not pass the command line on.
    #[error(
        "the kernel command line has {length} bytes, but this track's loader passes on {most} at the most\n\nhint: shorten `kernel.cmdline`"
    )]
    CommandLine {
        /// Its length in bytes.
        length: usize,
        /// The loader's limit.
        most: usize,
    },
    /// `SOURCE_DATE_EPOCH` is no number.
    #[error("`SOURCE_DATE_EPOCH` is `{0}`, which is no number of seconds from 1970 to 2106")]
    Epoch(String),
}

/// Makes all decisions for the project in a directory. Reads its project file if there is one, and
/// no other.
///
/// # Errors
/// When the project file is wrong, or no known track is named.
pub fn load(request: &Request) -> Result<Plan, PlanError> {
    // What is said of a file here is `payload` and not `./payload`.
    let project = request.project.strip_prefix(".").unwrap_or(&request.project);
    if !request.project.is_dir() {
        return Err(PlanError::NoProject(project.to_owned()));
    }
    let file = project.join(config::FILE);
    let has_file = file.exists();
    let mut config = if has_file { Config::read(&file)? } else { Config::default() };
    let track = find_track(request.track.as_deref().or(config.image.track.as_deref()))?;
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().filter(|text| !text.is_empty());
    let source_date_epoch = epoch.map(|text| text.parse().map_err(|_| PlanError::Epoch(text))).transpose()?;
    if !request.boards.is_empty() {
        config.image.boards = Some(request.boards.clone());
    }
    let from_environment = std::env::var(upstream::VARIABLE).ok().filter(|text| !text.is_empty());
    config.rpi.upstream = config.rpi.upstream.or(from_environment);
    let only_kernel = request.kernel.as_ref().is_some_and(|kernel| kernel.replaces(&config.kernel));
    if let Some(kernel) = &request.kernel {
        kernel.apply(&mut config.kernel, project)?;
    }
    let mut plan = decide(config, track, project)?;
    if only_kernel {
        plan.sources.wanted.retain(|wanted| wanted.name == part::KERNEL_SOURCE);
        plan.pins = plan.sources.need_debian().then(|| format!("{}-kernel", track.name()));
    }
    check_command_line(&plan)?;
    track.check(&plan.loader.choices)?;
    plan.sources.resolve_paths(project);
    Ok(Plan { project: project.to_owned(), has_file, source_date_epoch, ..plan })
}

fn check_command_line(plan: &Plan) -> Result<(), PlanError> {
    let (length, most) = (plan.kernel.cmdline.len(), plan.track.cmdline_limit());
    if length > most { Err(PlanError::CommandLine { length, most }) } else { Ok(()) }
}

/// The track with this name.
///
/// # Errors
/// When there is none, or no name.
pub fn find_track(name: Option<&str>) -> Result<&'static dyn Track, PlanError> {
    let first = track::ALL[0].name();
    let name = name.ok_or(PlanError::NoTrack { first })?;
    track::ALL.iter().copied().find(|track| track.name() == name).ok_or_else(|| {
        let names: Vec<&str> = track::ALL.iter().map(|track| track.name()).collect();
        let hint = match suggest::nearest(name, names.iter().copied()).first() {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there is `{}`", names.join("`, `")),
        };
        PlanError::UnknownTrack { name: name.to_owned(), hint }
    })
}

/// Fills in every default. Pure.
fn decide(config: Config, track: &'static dyn Track, project: &Path) -> Result<Plan, PlanError> {
    let name = config.image.name.as_ref().map_or("factory", |name| &name.0).to_owned();
    let choices = choices(&config);
    let bare = config.rootfs.layer.is_empty();
    let (kernel, asked) =
        kernel::decide(&config.kernel, track, project, command_line(track, &config.kernel))?;
    Ok(Plan {
        project: PathBuf::new(),
        has_file: false,
        track,
        version: config.image.version.as_ref().map_or("0.1.0", |version| &version.0).to_owned(),
        hostname: config.image.hostname.as_ref().map_or(&name, |hostname| &hostname.0).clone(),
        sizes: Sizes {
            selector: config.sizes.selector.unwrap_or(Size::Auto),
            system: config.sizes.system.unwrap_or(Size::Auto),
            data: config.sizes.data.unwrap_or(Size::Auto),
        },
        kernel,
        substrate: Substrate {
            modules: config.substrate.modules.clone(),
            payload: config.substrate.payload.is_some(),
            compression: config.substrate.compression.unwrap_or(Compression::Zstd),
            shell: config.substrate.shell.unwrap_or(bare && config.substrate.payload.is_none()),
            network: config.substrate.network.unwrap_or(bare),
        },
        rootfs: (!bare).then(|| Rootfs {
            format: config.rootfs.format.unwrap_or(RootfsFormat::Ext4),
            init: config.rootfs.init.clone().unwrap_or_else(|| "/sbin/init".to_owned()),
            layers: config.rootfs.layer.len(),
        }),
        allow_missing: config.rootfs.allow_missing.clone(),
        loader: Loader { files: files(&config, track).is_some(), choices: choices.clone() },
        sources: sources(config, track, asked, &choices)?,
        pins: Some(track.name().to_owned()),
        source_date_epoch: None,
        name,
    })
}

fn choices(config: &Config) -> Choices {
    let rpi = &config.rpi;
    Choices {
        secure_boot: config.generic.secure_boot.unwrap_or(false),
        rpi: rpi::Options {
            boards: config.image.boards.clone().unwrap_or_default(),
            firmware: rpi.firmware.unwrap_or_default(),
            upstream: rpi.upstream.clone(),
            no_uart: !rpi.uart.unwrap_or(true),
            all: BoardConfig {
                config: rpi.config.clone(),
                overlays: rpi.overlays.clone(),
                params: rpi.params.clone(),
            },
            boards_config: rpi.board.clone(),
        },
    }
}

fn profiles() -> String {
    let names: Vec<&str> = kconfig::profiles().iter().map(|profile| profile.name.as_str()).collect();
    names.join("`, `")
}

/// The directory of files for the partitions that the track's loader reads.
fn files(config: &Config, track: &dyn Track) -> Option<PathBuf> {
    let of_track =
        [(track::generic::Generic.name(), &config.generic.esp), (rpi::Rpi.name(), &config.rpi.files)];
    of_track.into_iter().find(|(name, _)| *name == track.name()).and_then(|(_, path)| path.clone())
}

fn command_line(track: &dyn Track, kernel: &config::Kernel) -> String {
    let mut words = vec![track.cmdline().to_owned()];
    words.extend(kernel.console.iter().map(|console| format!("console={}", console.0)));
    words.extend(kernel.cmdline.iter().map(|words| words.0.clone()));
    words.join(" ")
}

/// Where a layer comes from; its fields have been checked.
fn origin(layer: config::Layer) -> Option<Origin> {
    match (layer.tar, layer.sha256, layer.dir, layer.packages) {
        (Some(url), Some(sha256), ..) => Some(Origin::Url { url, sha256 }),
        (Some(path), None, ..) => Some(Origin::Path { path: path.into(), kind: PathKind::File }),
        (None, _, Some(path), _) => Some(Origin::Path { path, kind: PathKind::Directory }),
        (None, _, None, packages) => {
            packages.map(|packages| Origin::Packages { packages, essential: layer.essential })
        }
    }
}

fn sources(
    config: Config,
    track: &dyn Track,
    kernel: Asked,
    choices: &Choices,
) -> Result<Sources, TrackError> {
    let files = files(&config, track);
    let debian = config.sources.debian;
    let components = debian.components.unwrap_or_else(|| vec!["main".to_owned()]);
    let suites = debian.suites.unwrap_or_else(|| vec![SUITE.to_owned()]);
    let mut wanted = track.wanted(kernel.packaged.as_ref(), choices)?;
    wanted.extend(kernel.wanted);
    let bootenv = config.substrate.bootenv.map(|path| Origin::Path { path, kind: PathKind::File });
    wanted.push(Wanted::new(part::BOOTENV, bootenv.unwrap_or(Origin::BuiltIn)));
    let directories = [(part::PAYLOAD, config.substrate.payload), (part::FILES, files)];
    for (name, path) in directories {
        let origin = |path| Origin::Path { path, kind: PathKind::Directory };
        wanted.extend(path.map(|path| Wanted::new(name, origin(path))));
    }
    let layers = (1..).zip(config.rootfs.layer);
    wanted
        .extend(layers.filter_map(|(number, layer)| Some(Wanted::new(part::layer(number), origin(layer)?))));
    let suites =
        suites.into_iter().map(|name| Suite { name, components: components.clone(), mirror: None }).collect();
    let debian = Debian { mirror: debian.mirror, suites, arch: ARCH.to_owned(), keyring: debian.keyring };
    Ok(Sources { debian, wanted })
}

impl Plan {
    /// Path of the project's lock.
    pub fn lock_file(&self) -> PathBuf {
        self.project.join(crate::lock::FILE)
    }

    /// Where the image goes when the command line does not say.
    pub fn default_output(&self) -> PathBuf {
        self.project.join(format!("{}-{}.img", self.name, self.track.name()))
    }

    /// The build that this plan leads to with these `parts`, of which some are pinned.
    ///
    /// # Panics
    /// Never: a plan is plain data.
    pub fn build<'a>(&self, parts: impl Iterator<Item = &'a Pin>, pins: &Pins) -> Build {
        let mut decisions = serde_json::to_value(self).expect("a plan is plain data");
        // Where parts come from, and how they are made, is no part of what they are.
        decisions.as_object_mut().and_then(|fields| fields.remove("sources"));
        let kernel = decisions.get_mut("kernel").and_then(serde_json::Value::as_object_mut);
        kernel.map(|fields| [fields.remove("build"), fields.remove("modules")]);
        let parts: String = parts.map(|pin| format!("{} {}\n", pin.wanted, pin.sha256)).collect();
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let device_files = [self.track.device_files(), substrate::device_files()].concat();
        let newest = pins.newest().and_then(|date| u32::try_from(date).ok());
        Build {
            id: BuildId::of(&[version, decisions.to_string().as_bytes(), parts.as_bytes(), &device_files]),
            epoch: self.source_date_epoch.or(newest).unwrap_or(FALLBACK_EPOCH),
        }
    }
}

fn track_name<S: serde::Serializer>(track: &&'static dyn Track, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(track.name())
}
