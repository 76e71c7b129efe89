//! Running an image in QEMU: real firmware, real loader, real kernel.
//!
//! ```text
//!   Boot --> Chain (UEFI, or the Pi's) --> Machine --> Session (console, events, keys, clock) --> Report
//!              ^                                           |
//!              +----------------- reset -------------------+
//! ```
//! The image is not changed unless the run shall [persist](Boot::persist). How a run ended comes
//! from QEMU's events, since its exit status is the same for a power-off, a reset and a quit.

mod chain;
mod console;
pub mod eeprom;
pub mod firmware;
mod keyboard;
mod messages;
pub mod pi;
mod qemu;
mod qmp;
mod session;
mod source;
pub mod timeline;
mod uefi;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;
use serde::Serialize;

use crate::dtb::DtbError;
use crate::tool::ToolError;
use crate::units::Bytes;
use crate::volume::fat::FatError;
use crate::volume::{OpenError, TableError};
use eeprom::ModelError;
use firmware::{Choice, Firmware, FirmwareError};
use pi::OnAPi;
use session::Session;
use timeline::BootLog;

/// What to run, and for how long.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The image, or a device that holds one.
    pub image: PathBuf,
    /// Keep what the machine writes. Else it goes to an overlay that is thrown away.
    pub persist: bool,
    /// Ends the run at the first console line that matches, or prompt on which the machine waits.
    pub until: Option<Regex>,
    /// Ends the run after so long.
    pub timeout: Option<Duration>,
    /// Ends the run at the reset after so many; 0 at the first.
    pub max_resets: Option<u32>,
    /// Where to keep all bytes of the console.
    pub log: Option<PathBuf>,
    /// Memory of the machine, where one can choose it; 512 MiB when nothing is said.
    pub memory: Option<Bytes>,
    /// Processors of the machine, where one can choose them; 1 when nothing is said.
    pub cpus: Option<u32>,
    /// A network card. Its network has DHCP and nothing else: no host, no outside.
    pub network: bool,
    /// What a UEFI machine starts with.
    pub firmware: Choice,
    /// How a Raspberry Pi starts.
    pub pi: OnAPi,
    /// Gives the machine the keys of standard input, which must be a terminal. Ctrl-C is not one
    /// of them: it ends the run.
    pub interactive: bool,
    /// More arguments for QEMU, after ours.
    pub extra: Vec<OsString>,
}

/// What ended a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Ended {
    /// The machine switched itself off.
    PowerOff,
    /// It reset more often than [`Boot::max_resets`] allows.
    Reset {
        /// The resets before that one.
        resets: u32,
    },
    /// After a reset, the board finds nothing that it can start.
    Dark {
        /// What the model of its firmware says last.
        reason: String,
    },
    /// Kernel or firmware gave up for good: nothing but its line would ever have come.
    Panic {
        /// The line that says so.
        line: String,
    },
    /// [`Boot::until`] matched.
    Until {
        /// The line that matched.
        line: String,
    },
    /// [`Boot::timeout`] was over.
    Timeout,
    /// Ctrl-C, or SIGTERM.
    Interrupted,
    /// QEMU itself ended.
    Died {
        /// What it said.
        reason: String,
    },
}

/// The course of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The image.
    pub image: PathBuf,
    /// The firmware that QEMU ran, if it did.
    pub firmware: Option<Firmware>,
    /// Whether it went as wanted: the line that was waited for came; or none was waited for and
    /// the machine switched itself off, or the person at its console was done.
    pub success: bool,
    /// What ended it.
    pub ended: Ended,
    /// The boots, from one reset to the next.
    pub boots: Vec<BootLog>,
    /// How long it took.
    pub seconds: f64,
    /// Where the console was kept.
    pub log: Option<PathBuf>,
}

/// Why an image cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The image cannot be opened, for writing where it must be.
    #[error("opening `{}`", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The image is a file that no machine can start from.
    #[error("`{}` is {what}, not a disk image\n\nhint: {hint}", path.display())]
    NotADisk {
        /// The image.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// A way out.
        hint: &'static str,
    },
    /// Another program has the image open for writing.
    #[error("`{}` is in use by another program\n\nhint: end the machine that runs from it", path.display())]
    Busy {
        /// The image.
        path: PathBuf,
    },
    /// An option that means nothing for this image.
    #[error("`{option}` does not fit this image: {why}\n\nhint: leave it out")]
    Unfit {
        /// The option.
        option: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// There is no firmware.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The image cannot be copied.
    #[error("copying `{}` into `{}`", path.display(), dir.display())]
    Copy {
        /// The image.
        path: PathBuf,
        /// Where to; the copy has no name.
        dir: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The card cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It has no sound partition table any more.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The model cannot say what the board would start.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The board finds nothing that it can start.
    #[error(
        "{board} does not start from this image: {reason}\n\n\
         hint: see what it reads with `factory boot --explain`, or name another `--machine`"
    )]
    Dark {
        /// The board.
        board: String,
        /// What the model of its firmware says last.
        reason: String,
    },
    /// The partition that was chosen is not in the table.
    #[error("there is no partition {partition}")]
    NoPartition {
        /// Its number.
        partition: u32,
    },
    /// Its file system cannot be read.
    #[error("reading partition {partition}")]
    Fat {
        /// Its number.
        partition: u32,
        /// What is wrong with it.
        source: FatError,
    },
    /// A file that the firmware is told to load is missing, or larger than any memory.
    #[error("there is no `{name}` on partition {partition} that can be loaded")]
    NoFile {
        /// Number of the partition.
        partition: u32,
        /// Path of the file.
        name: String,
    },
    /// `config.txt` wants no device tree, which no emulated board starts without.
    #[error("partition {partition} is to be started without a device tree, which QEMU cannot do")]
    NoDtb {
        /// Number of the partition.
        partition: u32,
    },
    /// A device tree is damaged.
    #[error("reading `{name}` on partition {partition}")]
    Dtb {
        /// Number of the partition.
        partition: u32,
        /// Path of the file.
        name: String,
        /// What is wrong with it.
        source: DtbError,
    },
    /// There is no memory for the files that the firmware loads.
    #[error("keeping kernel, initramfs and device tree in memory")]
    Memory(#[source] io::Error),
    /// QEMU is too old for the machine.
    #[error(
        "this QEMU has no machine `{machine}`\n\n\
         hint: QEMU 9 and newer have it; or leave `--machine` out"
    )]
    NoMachine {
        /// The machine.
        machine: &'static str,
    },
    /// QEMU is missing, or does not start.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// QEMU does not want to run the machine.
    #[error("the machine does not start: {messages}")]
    Refused {
        /// What QEMU says.
        messages: String,
    },
    /// The log cannot be written.
    #[error("writing `{}`", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Standard input is not a terminal.
    #[error("taking over the terminal")]
    Keyboard(#[source] io::Error),
    /// The connection to QEMU broke.
    #[error("talking to QEMU")]
    Channel(#[source] io::Error),
}

/// Runs `boot`, and hands all bytes of the console to `observer` as they come.
///
/// Nothing is left running afterwards. SIGINT and SIGTERM end the run in order when
/// [`crate::interrupt::catch`] has been called.
///
/// # Errors
/// When the machine cannot be started. How a machine that ran came to its end is no error.
pub fn run(boot: &Boot, observer: &mut dyn FnMut(&[u8])) -> Result<Report, BootError> {
    let chain = chain::of(boot)?;
    let firmware = chain.firmware();
    let log = boot.log.as_ref().map(File::create).transpose().map_err(|error| boot.log_error(error))?;
    let mut session = Session::start(boot, chain, log, observer)?;
    let ended = session.watch()?;
    let (boots, ran) = session.finish()?;
    Ok(Report {
        image: boot.image.clone(),
        firmware,
        success: boot.is_success(&ended),
        ended,
        boots,
        seconds: ran.as_millis() as f64 / 1000.0,
        log: boot.log.clone(),
    })
}

impl Boot {
    /// No network, writes thrown away, until it switches itself off.
    pub fn new(image: impl AsRef<Path>) -> Self {
        Boot {
            image: image.as_ref().to_owned(),
            persist: false,
            until: None,
            timeout: None,
            max_resets: None,
            log: None,
            memory: None,
            cpus: None,
            network: false,
            firmware: Choice::Plain,
            pi: OnAPi::default(),
            interactive: false,
            extra: Vec::new(),
        }
    }

    fn is_success(&self, ended: &Ended) -> bool {
        match ended {
            Ended::Until { .. } => true,
            Ended::PowerOff => self.until.is_none(),
            Ended::Interrupted => self.interactive,
            Ended::Reset { .. }
            | Ended::Dark { .. }
            | Ended::Panic { .. }
            | Ended::Timeout
            | Ended::Died { .. } => false,
        }
    }

    fn log_error(&self, source: io::Error) -> BootError {
        BootError::Log { path: self.log.clone().unwrap_or_default(), source }
    }

    /// What QEMU's complaints before the start mean.
    fn start_error(&self, messages: String) -> BootError {
        if messages.contains("Is another process using the image") {
            return BootError::Busy { path: self.image.clone() };
        }
        let machine = self.pi.machine.filter(|_| messages.contains("unsupported machine type"));
        machine
            .map_or(BootError::Refused { messages }, |machine| BootError::NoMachine { machine: machine.name })
    }
}
