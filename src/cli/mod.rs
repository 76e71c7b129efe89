//! The command line, as a table of what can be said.

mod compare;
mod media;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use compare::{Diff, Repro};
use media::formats;
pub use media::{Convert, Devices, Flash};

/// Flashable, reproducible A/B disk images for ARM64 machines.
#[derive(Debug, Parser)]
#[command(name = "factory", version, about, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused for safety, 130 interrupted; diff and repro have their own.

To begin, in an empty directory:
  factory image --track generic    makes factory-generic.img
  factory boot factory-generic.img runs it in QEMU")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Draw no progress bars and print no summaries.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a project: write a commented factory.toml.
    Init(Init),
    /// Print what would be built, from what. Touches neither network nor disk.
    Plan(Plan),
    /// Fill the store with all that the plan needs, and write factory.lock.
    Fetch(Fetch),
    /// Make a disk image, and a manifest beside it.
    Image(Image),
    /// Write an image in other formats, or unpack it.
    Convert(Convert),
    /// Build a kernel from source, after proving that all fragments got what they ask for.
    Kernel(Kernel),
    /// Show what is on an image or a device: table, file systems, slots, boot state.
    Inspect(Inspect),
    /// Check whether an image or a device will boot, by a table of known ways to brick one.
    Check(Check),
    /// Tell what differs between two images, down to the file.
    Diff(Diff),
    /// Build the image twice, under other conditions, and tell what differs.
    Repro(Repro),
    /// Run an image in QEMU; its writes are thrown away afterwards.
    Boot(Boot),
    /// List devices that an image can be written to, and what is on them.
    Devices(Devices),
    /// Write an image to a device, and prove that it is there.
    Flash(Flash),
    /// Print a completion script for a shell.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether its answer is to be JSON.
    pub fn wants_json(&self) -> bool {
        match self {
            Command::Init(_) | Command::Completions { .. } => false,
            Command::Plan(arguments) => arguments.json,
            Command::Fetch(arguments) => arguments.json,
            Command::Image(arguments) => arguments.json,
            Command::Convert(arguments) => arguments.json,
            Command::Kernel(arguments) => arguments.json,
            Command::Inspect(arguments) => arguments.json,
            Command::Check(arguments) => arguments.json,
            Command::Diff(arguments) => arguments.json,
            Command::Repro(arguments) => arguments.json,
            Command::Boot(arguments) => arguments.json,
            Command::Devices(arguments) => arguments.json,
            Command::Flash(arguments) => arguments.json,
        }
    }
}

/// Where the project is, and which track of it is meant.
#[derive(Debug, Args)]
pub struct Project {
    /// Directory of the project; without a factory.toml the built-in default project is built.
    #[arg(long, short = 'C', value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// Boot chain of the image: generic (UEFI and GRUB) or rpi (Raspberry Pi).
    #[arg(long, short, value_name = "TRACK")]
    pub track: Option<String>,
    /// Board that the image must serve, such as rpi4; may be given again [default: all boards
    /// that the kernel serves].
    #[arg(long = "board", value_name = "BOARD")]
    pub boards: Vec<String>,
}

/// How external parts are taken.
#[derive(Debug, Args)]
pub struct Sources {
    /// Take everything from the store; nothing is downloaded.
    #[arg(long)]
    pub offline: bool,
    /// Downloads at the same time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub jobs: u8,
}

/// `factory init`
#[derive(Debug, Args)]
pub struct Init {
    /// Directory of the new project.
    #[arg(default_value = ".")]
    pub directory: PathBuf,
}

/// `factory plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// The project.
    #[command(flatten)]
    pub project: Project,
    /// Print the plan as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `factory fetch`
#[derive(Debug, Args)]
pub struct Fetch {
    /// The project.
    #[command(flatten)]
    pub project: Project,
    /// How to fetch.
    #[command(flatten)]
    pub sources: Sources,
    /// Resolve everything anew instead of taking what factory.lock pins.
    #[arg(long, conflicts_with = "offline")]
    pub update: bool,
    /// Print the pins as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `factory image`
#[derive(Debug, Args)]
pub struct Image {
    /// The project.
    #[command(flatten)]
    pub project: Project,
    /// How to fetch.
    #[command(flatten)]
    pub sources: Sources,
    /// File to write [default: NAME-TRACK.img in the project].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write it as this, in a file named after the image; may be given again. Without `raw`, the raw image
    /// is not kept [default: raw].
    #[arg(long = "format", value_name = "FORMAT", value_parser = formats())]
    pub formats: Vec<String>,
    /// Address that the files will lie under, for `os-list`.
    #[arg(long, value_name = "URL", requires = "formats")]
    pub url_base: Option<String>,
    /// Print the manifest as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `factory kernel`
#[derive(Debug, Args)]
#[command(after_help = "\
Without --source, the kernel is built from what the project's [kernel] names, else from the archive's \
package linux-source. Options of fragments that the kernel does not grant are told with their reasons, \
and nothing is built. The result is kept: a project with [kernel] source = \"build\" boots it.

CROSS_COMPILE, LLVM=1 and FACTORY_LAUNCHER of the environment are heeded.")]
pub struct Kernel {
    /// Directory of the project.
    #[arg(long, short = 'C', value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// Boot chain that the kernel is for: generic or rpi.
    #[arg(long, short, value_name = "TRACK")]
    pub track: Option<String>,
    /// A kernel's source: a directory, an archive, or an address with --sha256.
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Digest of a source that is an address.
    #[arg(long, value_name = "SHA256", requires = "source")]
    pub sha256: Option<crate::digest::Sha256>,
    /// Start from this defconfig of the source, or from tinyconfig, without the track's fragments.
    #[arg(long, value_name = "NAME")]
    pub defconfig: Option<String>,
    /// Fragment to merge after all others, a file or one of factory:NAME; may be given again.
    #[arg(long = "fragment", value_name = "FILE")]
    pub fragments: Vec<String>,
    /// Stop when the configuration is made.
    #[arg(long)]
    pub config_only: bool,
    /// Where to put what comes of it: a directory, or with --config-only a file.
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Only tell what the source says of an option, without CONFIG_.
    #[arg(long, value_name = "OPTION", conflicts_with_all = ["config_only", "output", "fragments"])]
    pub explain: Option<String>,
    /// Check the configuration against a list of needs: containers or kubernetes.
    #[arg(long, value_name = "PROFILE", conflicts_with = "explain")]
    pub profile: Option<String>,
    /// Print what came of it as JSON.
    #[arg(long)]
    pub json: bool,
    /// How to fetch.
    #[command(flatten)]
    pub sources: Sources,
    /// How to compile.
    #[command(flatten)]
    pub compile: Compile,
}

/// How kernels are compiled.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compiling")]
pub struct Compile {
    /// Compiler calls at the same time [default: one for each processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub make_jobs: Option<u16>,
    /// Put a cache or a farm in front of the compiler: ccache, sccache, distcc or icecc.
    #[arg(long, value_name = "LAUNCHER")]
    pub launcher: Option<crate::kbuild::Launcher>,
    /// What the names of the compiler's programs start with [default: aarch64-linux-gnu-, or nothing
    /// where this machine is one of 64-bit ARM].
    #[arg(long, value_name = "PREFIX")]
    pub cross_compile: Option<String>,
    /// Compile with LLVM.
    #[arg(long)]
    pub llvm: bool,
    /// Begin anew, without what earlier builds left in the build tree.
    #[arg(long)]
    pub clean: bool,
}

/// `factory inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// The image or the device.
    pub image: PathBuf,
    /// Write a page with pictures for a browser, instead of text.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `factory check`
#[derive(Debug, Args)]
pub struct Check {
    /// The image or the device.
    #[arg(required_unless_present = "rules")]
    pub image: Option<PathBuf>,
    /// List the rules, with their reasons.
    #[arg(long, conflicts_with_all = ["image", "json"])]
    pub rules: bool,
    /// Print all rules and their state as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `factory boot`
#[derive(Debug, Args)]
pub struct Boot {
    /// The image.
    pub image: PathBuf,
    /// Keep what the system writes to its disk.
    #[arg(long)]
    pub persist: bool,
    /// Stop, with success, at the first console line that matches.
    #[arg(long, value_name = "REGEX")]
    pub until: Option<String>,
    /// Stop, with failure, after so many seconds [default: 120 with --until or --json, else none].
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Stop, with failure, at the reset after so many; 0 at the first.
    #[arg(long, value_name = "N")]
    pub max_resets: Option<u32>,
    /// Write the serial console to a file instead of the terminal.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Memory of a UEFI machine [default: 512 MiB].
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<crate::units::Bytes>,
    /// Processors of a UEFI machine [default: 1].
    #[arg(long, value_name = "N")]
    pub cpus: Option<u32>,
    /// Give the machine a network card; its network has DHCP and nothing else.
    #[arg(long)]
    pub network: bool,
    /// Start UEFI firmware that enforces Secure Boot.
    #[arg(long)]
    pub secure_boot: bool,
    /// Print a time line of stages and how it ended as JSON; the console goes to --log only.
    #[arg(long)]
    pub json: bool,
    /// The Raspberry Pi that is meant.
    #[command(flatten)]
    pub pi: Pi,
    /// Further arguments for QEMU, after `--`.
    #[arg(last = true, value_name = "QEMU-ARGUMENT")]
    pub qemu: Vec<String>,
}

/// Which Raspberry Pi an image is for, and how it starts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Raspberry Pi")]
pub struct Pi {
    /// Do not run the image: tell what a model of the board's firmware would boot, and why.
    #[arg(long)]
    pub explain: bool,
    /// With --explain: list all rules of the model, and where they come from.
    #[arg(long, requires = "explain", conflicts_with = "json")]
    pub rules: bool,
    /// With --explain: the board, and its variant after a colon, as in rpi5:d0.
    #[arg(long, value_name = "BOARD", default_value = "rpi4", requires = "explain")]
    pub board: String,
    /// The machine to run it on: raspi3b, or raspi4b where QEMU has it [default: raspi3b].
    #[arg(long, value_name = "MACHINE", conflicts_with = "explain")]
    pub machine: Option<String>,
    /// Release of the board's EEPROM [default: the newest that is known].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub eeprom: Option<String>,
    /// Partition that the last reboot asked for, as `reboot 3` does.
    #[arg(long, value_name = "N")]
    pub reboot_partition: Option<u32>,
    /// Start with the tryboot flag of a Raspberry Pi set.
    #[arg(long)]
    pub tryboot: bool,
}
