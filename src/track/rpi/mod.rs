//! EEPROM -> VideoCore firmware -> kernel, device tree and initramfs, on a Raspberry Pi.
//!
//! ```text
//!   MBR | 1 control (FAT32)          | 2 boot-a (FAT32)       | 3 boot-b | 4 data (ext4)
//!       | autoboot.txt               | start4.elf fixup4.dat  | the same | state, overlay
//!       | and all that a slot has,   | config.txt cmdline.txt |          |
//!       | but for slot.json and      | kernel8.img initramfs8 |          |
//!       | the root file system       | *.dtb overlays/        |          |
//!       |                            | slot.json rootfs.ext4  |          |
//! ```
//!
//! A boot ROM starts only from a partition that holds `start4.elf` itself (Raspberry Pi 4), or
//! `config.txt` and a device tree for the board (Raspberry Pi 5), so each has all of it. Should
//! `autoboot.txt` be lost, the first partition that can boot is the control partition, which is why
//! it has a kernel of its own. (Raspberry Pi documentation, `config_txt/autoboot.adoc`)

mod boards;
mod config;
mod notes;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bootenv::Slot;
use bootenv::rpi::{self, Autoboot};
use serde::Serialize;

use super::{Choices, Format, Ingredients, Member, Partition, Track, TrackError};
use crate::board::Board;
use crate::config::{BoardConfig, FirmwareSource};
use crate::configtxt::{self, Severity};
use crate::dtb::{Dtb, DtbError};
use crate::firmware::upstream::{NoBase, Upstream, upstream};
use crate::firmware::{self, Part, Parts, Pick};
use crate::image::extents::{Extents, Source};
use crate::image::layout::{PartitionType, Role, Scheme};
use crate::plan::part;
use crate::source::Wanted;
use crate::tree::{FileTree, Kind, TreePath};
use crate::units::Bytes;
use boards::Blob;

/// The track of the Raspberry Pi.
pub struct Rpi;

const CMDLINE: &str = include_str!("../../../tracks/rpi/cmdline.txt");

const FIRMWARE: &str = "firmware";

/// The device trees of the kernel's package.
const DTBS: &str = "dtb/";
/// The overlays of the firmware's package.
const FIRMWARE_OVERLAYS: &str = "overlays/";
/// The firmware's licence, which goes into every partition that has the firmware: the package's, and
/// that of its makers.
const PACKAGED_LICENCE: &str = "LICENCE.raspi-firmware";
const UPSTREAM_LICENCE: &str = "LICENCE.broadcom";

/// Files of the firmware in every slot, as all boards together need them.
const FIRMWARE_FILES: [&str; 2] = [rpi::START, "fixup4.dat"];

/// Oldest build of the firmware that is taken: the first that knows `[boot_partition=N]`
/// (raspberrypi/firmware issue 1940).
const FIRMWARE_SINCE: &str = "2025-03-10";

/// Firmware does not start from FATs of 2 GiB (lf-edge/eve issue 6081).
const LARGEST_FAT: Bytes = Bytes::mib(2047);

static PARTS: LazyLock<Parts> = LazyLock::new(|| {
    firmware::parse(include_str!("../../../firmware/rpi.toml")).expect("`firmware/rpi.toml` is tested")
});

const PARTITIONS: [Partition; 4] = [
    fat(Role::Selector, "control", "CONTROL"),
    fat(Role::Boot(Slot::A), "boot-a", "BOOT"),
    fat(Role::Boot(Slot::B), "boot-b", "BOOT"),
    Partition {
        role: Role::Data,
        name: "data",
        kind: PartitionType::Linux,
        format: Format::Ext4,
        label: "data",
        least: Bytes::mib(256),
        most: None,
    },
];

const fn fat(role: Role, name: &'static str, label: &'static str) -> Partition {
    Partition {
        role,
        name,
        kind: PartitionType::Fat,
        format: Format::Fat32,
        label,
        least: Bytes::mib(64),
        most: Some(LARGEST_FAT),
    }
}

const fn licence(source: FirmwareSource) -> &'static str {
    match source {
        FirmwareSource::Debian => PACKAGED_LICENCE,
        FirmwareSource::Upstream => UPSTREAM_LICENCE,
    }
}

/// Of the firmware's files at its makers', those that go into an image.
fn needed_upstream() -> Upstream {
    let mut upstream = upstream();
    upstream.files.retain(|file| FIRMWARE_FILES.contains(&file.name()) || file.name() == UPSTREAM_LICENCE);
    upstream
}

/// What a project chooses about its Raspberry Pi image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Options {
    /// Boards that the image must serve; none for all that its kernel serves.
    pub boards: Vec<String>,
    /// Where the firmware comes from.
    pub firmware: FirmwareSource,
    /// Address that tags of the firmware lie under, at its makers'.
    #[serde(skip)]
    pub upstream: Option<String>,
    /// Whether the header has no serial console.
    pub no_uart: bool,
    /// What all boards are told besides.
    pub all: BoardConfig,
    /// What single boards are told besides, by their names.
    pub boards_config: BTreeMap<String, BoardConfig>,
}

impl Options {
    /// Whether nothing was chosen that makes a difference on the device.
    pub fn is_default(&self) -> bool {
        Options { upstream: None, ..self.clone() } == Options::default()
    }

    /// Checks the names of boards.
    ///
    /// # Errors
    /// When a board is not known.
    pub fn check(&self) -> Result<(), RpiError> {
        let mut named = self.boards.iter().chain(self.boards_config.keys());
        match named.find(|name| crate::board::find(name).is_none()) {
            Some(name) => Err(RpiError::UnknownBoard(name.clone())),
            None => Ok(()),
        }
    }
}

/// Why no Raspberry Pi image can be dressed.
#[derive(Debug, thiserror::Error)]
pub enum RpiError {
    /// No board has this name.
    #[error("there is no board `{0}`\n\nhint: {hint}", hint = board_hint(.0))]
    UnknownBoard(String),
    /// Nobody says where the firmware is published.
    #[error(transparent)]
    NoBase(#[from] NoBase),
    /// The kernel does not serve a board.
    #[error(
        "board `{board}` needs the device tree `{wanted}`, which this kernel has not\n\n\
         hint: take another kernel, or one of the boards that it serves: {served}"
    )]
    NoDtb {
        /// Name of the board.
        board: String,
        /// Names of the file.
        wanted: String,
        /// Boards that the kernel serves.
        served: String,
    },
    /// The kernel's package has no device tree for any board.
    #[error("the kernel has no device tree for any board\n\nhint: is it a kernel for arm64?")]
    NoBoards,
    /// A device tree is damaged.
    #[error("`{name}` cannot be used: {source}")]
    Dtb {
        /// Name of the file.
        name: String,
        /// What is wrong.
        source: DtbError,
    },
    /// A device tree is for another board than its name says.
    #[error("`{name}` is not for a {board}: it is compatible with {found}")]
    WrongBoard {
        /// Name of the file.
        name: String,
        /// The board it should be for.
        board: String,
        /// What it is compatible with.
        found: String,
    },
    /// The project brings a device tree of another kernel family.
    #[error(
        "`{name}` of the project is for a {theirs} kernel, and this kernel is {ours}\n\n\
         hint: leave it out; the kernel's own device trees are in the image already"
    )]
    Mixed {
        /// Name of the file.
        name: String,
        /// Family of the file.
        theirs: &'static str,
        /// Family of the kernel.
        ours: &'static str,
    },
    /// An overlay is nowhere to be found.
    #[error(
        "there is no overlay `{name}`\n\nhint: put `overlays/{name}.dtbo` into the directory of `rpi.files`, \
         or take one of the firmware's: {known}"
    )]
    NoOverlay {
        /// Name of the overlay.
        name: String,
        /// Those that the firmware's package has.
        known: String,
    },
    /// An overlay does not fit a board.
    #[error(
        "overlay `{name}` needs `{symbol}`, which the device tree of `{board}` has not\n\n\
         hint: take an overlay that is made for this kernel, or name it under `rpi.board.NAME.overlays`"
    )]
    Overlay {
        /// Name of the overlay.
        name: String,
        /// The label that is missing.
        symbol: String,
        /// The board.
        board: String,
    },
    /// A file that should be an overlay is none.
    #[error("`overlays/{0}.dtbo` is no overlay")]
    NotAnOverlay(String),
    /// Parameters are set that the kernel's device trees do not have.
    #[error(
        "`rpi.params` needs a device tree of the vendor's kernel, and this kernel has none\n\n\
         hint: take an overlay instead; mainline device trees have no parameters"
    )]
    Params,
    /// A firmware file is not what its name says.
    #[error("`{0}` is not firmware of a Raspberry Pi")]
    NotFirmware(String),
    /// The firmware is too old for A/B boot.
    #[error(
        "the firmware was built on {built}, and A/B boot needs one from {FIRMWARE_SINCE} on\n\n\
         hint: take `raspi-firmware` from a newer suite"
    )]
    OldFirmware {
        /// The day it was built.
        built: String,
    },
    /// `config.txt` would not be read as it is meant.
    #[error("{problem}\n  --> factory.toml  rpi.config, rpi.overlays or rpi.params\n\nhint: {hint}")]
    Config {
        /// What is wrong, and where.
        problem: String,
        /// A way out.
        hint: String,
    },
    /// A file cannot be read.
    #[error("reading `{name}`")]
    Read {
        /// Its name.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

fn board_hint(name: &str) -> String {
    let names = || crate::board::all().iter().map(|board| board.name.as_str());
    match crate::suggest::nearest(name, names()).first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// What a slot is dressed from, read and checked.
struct Wardrobe<'a> {
    ingredients: &'a Ingredients<'a>,
    options: &'a Options,
    blobs: Vec<Blob>,
    boards: Vec<&'static Board>,
}

impl<'a> Wardrobe<'a> {
    fn open(ingredients: &'a Ingredients<'a>) -> Result<Self, RpiError> {
        let options = &ingredients.choices.rpi;
        let files = ingredients.members.all(DTBS);
        let blobs = files.map(|(name, file)| Blob::decode(name, &bytes(name, &file.content())?));
        let blobs: Vec<Blob> = blobs.collect::<Result<_, _>>()?;
        let boards = boards::served(&options.boards, &blobs)?;
        if boards.is_empty() {
            return Err(RpiError::NoBoards);
        }
        if config::has_params(options) && !blobs.iter().any(Blob::is_vendors) {
            return Err(RpiError::Params);
        }
        let wardrobe = Wardrobe { ingredients, options, blobs, boards };
        wardrobe.check_files()?;
        Ok(wardrobe)
    }

    /// All that firmware and kernel need, which makes a partition bootable.
    fn bootable(&self) -> Result<FileTree, RpiError> {
        let mut tree = FileTree::new();
        self.add_firmware(&mut tree)?;
        self.add_device_trees(&mut tree)?;
        self.add_config(&mut tree)?;
        tree.file(rpi::KERNEL, 0o644, self.ingredients.kernel.clone());
        tree.file(rpi::INITRAMFS, 0o644, padded(&self.ingredients.initramfs));
        tree.file(
            rpi::CMDLINE,
            0o644,
            Extents::bytes(format!("{}\n", self.ingredients.cmdline).into_bytes()),
        );
        Ok(tree)
    }

    fn add_firmware(&self, tree: &mut FileTree) -> Result<(), RpiError> {
        for name in FIRMWARE_FILES.into_iter().chain([licence(self.options.firmware)]) {
            tree.file(name, 0o644, self.ingredients.members[name].content());
        }
        let start = bytes(rpi::START, &self.ingredients.members[rpi::START].content())?;
        let firmware = crate::videocore::read(&start);
        let firmware = firmware.ok_or_else(|| RpiError::NotFirmware(rpi::START.to_owned()))?;
        match firmware.built {
            Some(built) if built.as_str() < FIRMWARE_SINCE => Err(RpiError::OldFirmware { built }),
            _ => Ok(()),
        }
    }

    fn add_device_trees(&self, tree: &mut FileTree) -> Result<(), RpiError> {
        let files: BTreeMap<&str, &Member> = self.ingredients.members.all(DTBS).collect();
        for (name, from) in boards::choose(&self.boards, &self.blobs)? {
            tree.file(&name, 0o644, files[from.as_str()].content());
        }
        Ok(())
    }

    fn add_config(&self, tree: &mut FileTree) -> Result<(), RpiError> {
        let text = config::text(self.options);
        let problems = configtxt::problems(text.as_bytes());
        if let Some(problem) = problems.into_iter().find(|problem| problem.severity == Severity::Error) {
            return Err(RpiError::Config { hint: problem.hint.clone(), problem: problem.to_string() });
        }
        tree.file(rpi::CONFIG, 0o644, Extents::bytes(text.into_bytes()));
        for (name, board) in config::overlays(self.options) {
            let path = overlay_path(&name);
            let (content, is_own) = self.overlay(&name, &path)?;
            self.check_overlay(&name, &content, board.as_deref())?;
            // The project's own go in with all its files.
            if !is_own {
                tree.file(&path, 0o644, content);
            }
        }
        Ok(())
    }
}

impl Wardrobe<'_> {
    /// An overlay, and whether it is the project's own or the firmware package's.
    fn overlay(&self, name: &str, path: &str) -> Result<(Extents, bool), RpiError> {
        let own = files(self.ingredients.files).find(|(own, _)| own.as_str() == path);
        if let Some((_, content)) = own {
            return Ok((content.clone(), true));
        }
        let packaged = || self.ingredients.members.all(FIRMWARE_OVERLAYS);
        let file = packaged().find(|(file, _)| file.strip_suffix(".dtbo") == Some(name));
        let known = || packaged().filter_map(|(file, _)| file.strip_suffix(".dtbo"));
        let (_, file) = file.ok_or_else(|| RpiError::NoOverlay {
            name: name.to_owned(),
            known: known().collect::<Vec<_>>().join(", "),
        })?;
        Ok((file.content(), false))
    }

    /// Without the labels that it refers to, the firmware leaves an overlay out and says nothing.
    fn check_overlay(&self, name: &str, content: &Extents, board: Option<&str>) -> Result<(), RpiError> {
        let overlay = Dtb::decode(&bytes(name, content)?)
            .map_err(|source| RpiError::Dtb { name: overlay_path(name), source })?;
        if !overlay.is_overlay() {
            return Err(RpiError::NotAnOverlay(name.to_owned()));
        }
        let boards = self.boards.iter().filter(|served| match board {
            Some(board) => served.name == board,
            None => !served.emulated,
        });
        for board in boards {
            let base = board.dtb[0].from.iter().find_map(|from| self.blobs.iter().find(|b| b.name == *from));
            let missing = |label: &String| base.is_some_and(|base| base.tree.symbol(label).is_none());
            if let Some(symbol) = overlay.needed_symbols().into_iter().find(missing) {
                return Err(RpiError::Overlay { name: name.to_owned(), symbol, board: board.name.clone() });
            }
        }
        Ok(())
    }

    /// Device trees of the project must be of the kernel's family.
    fn check_files(&self) -> Result<(), RpiError> {
        let family = |is_vendors| if is_vendors { "vendor's" } else { "mainline" };
        let ours = self.blobs.iter().any(Blob::is_vendors);
        for (path, content) in files(self.ingredients.files) {
            if !path.as_str().ends_with(".dtb") {
                continue;
            }
            let blob = Blob::decode(path.as_str(), &bytes(path.as_str(), content)?)?;
            if blob.is_vendors() != ours {
                let (theirs, ours) = (family(!ours), family(ours));
                return Err(RpiError::Mixed { name: blob.name, theirs, ours });
            }
        }
        Ok(())
    }
}

fn overlay_path(name: &str) -> String {
    format!("{}/{name}.dtbo", rpi::OVERLAYS)
}

/// The initramfs, filled up to whole words: firmware has joined odd lengths wrongly
/// (raspberrypi/firmware issue 1843), and the kernel skips zeros.
fn padded(initramfs: &Extents) -> Extents {
    let size = initramfs.size();
    let fill = (size.next_multiple_of(4) - size) as usize;
    let mut padded = Extents::zeros(size + fill as u64);
    padded.place(0, initramfs);
    if fill > 0 {
        padded.push(size, fill as u64, Source::Bytes { buffer: Arc::from(vec![0; fill]), start: 0 });
    }
    padded
}

/// The regular files of a tree.
fn files(tree: &FileTree) -> impl Iterator<Item = (&TreePath, &Extents)> {
    tree.iter().filter_map(|(path, node)| match &node.kind {
        Kind::File(content) => Some((path, &**content)),
        _ => None,
    })
}

fn bytes(name: &str, content: &Extents) -> Result<Vec<u8>, RpiError> {
    let mut bytes = vec![0; content.size() as usize];
    let read = content.read_at(0, &mut bytes);
    read.map_err(|source| RpiError::Read { name: name.to_owned(), source })?;
    Ok(bytes)
}

impl Track for Rpi {
    fn name(&self) -> &'static str {
        "rpi"
    }

    fn scheme(&self) -> Scheme {
        Scheme::Mbr
    }

    fn partitions(&self) -> &'static [Partition] {
        &PARTITIONS
    }

    fn kernel(&self) -> Part {
        PARTS[part::KERNEL].clone()
    }

    fn wanted(&self, kernel: &Part, choices: &Choices) -> Result<Vec<Wanted>, TrackError> {
        let firmware = match choices.rpi.firmware {
            FirmwareSource::Debian => vec![PARTS[FIRMWARE].wanted(FIRMWARE)],
            FirmwareSource::Upstream => {
                let base = choices.rpi.upstream.as_deref();
                needed_upstream().wanted(base).map_err(RpiError::from)?
            }
        };
        let others = [kernel.wanted(part::KERNEL), PARTS[part::BUSYBOX].wanted(part::BUSYBOX)];
        Ok(others.into_iter().chain(firmware).collect())
    }

    fn members(&self, choices: &Choices) -> Vec<Pick> {
        let firmware = match choices.rpi.firmware {
            FirmwareSource::Debian => PARTS[FIRMWARE].picks(FIRMWARE),
            FirmwareSource::Upstream => needed_upstream().picks(),
        };
        let others = [part::KERNEL, part::BUSYBOX].into_iter().flat_map(|name| PARTS[name].picks(name));
        others.chain(firmware).collect()
    }

    fn cmdline(&self) -> &'static str {
        CMDLINE.trim_end()
    }

    fn slot(&self, ingredients: &Ingredients<'_>) -> Result<FileTree, TrackError> {
        let wardrobe = Wardrobe::open(ingredients)?;
        let mut tree = wardrobe.bootable()?;
        if let Some((name, content)) = &ingredients.rootfs {
            tree.file(name, 0o644, content.clone());
        }
        super::add_files(&mut tree, ingredients.files)?;
        Ok(tree)
    }

    fn selector(&self, ingredients: &Ingredients<'_>) -> Result<FileTree, TrackError> {
        let mut tree = Wardrobe::open(ingredients)?.bootable()?;
        tree.file(rpi::AUTOBOOT, 0o644, Extents::bytes(Autoboot::initial().encode()));
        super::add_files(&mut tree, ingredients.files)?;
        Ok(tree)
    }

    /// The kernel takes 2,048 bytes, and the firmware adds its own words to ours
    /// (arm64, `COMMAND_LINE_SIZE` in `include/uapi/asm-generic/setup.h`).
    fn cmdline_limit(&self) -> usize {
        1024
    }

    fn device_files(&self) -> Vec<u8> {
        config::BASE.as_bytes().to_vec()
    }

    fn licences(&self, choices: &Choices) -> Vec<(&'static str, &'static str)> {
        vec![(FIRMWARE, licence(choices.rpi.firmware))]
    }

    fn notes(&self, choices: &Choices, kernel: Option<&str>) -> Vec<String> {
        notes::planned(&choices.rpi, kernel)
    }

    fn findings(&self, ingredients: &Ingredients<'_>) -> Result<Vec<String>, TrackError> {
        let wardrobe = Wardrobe::open(ingredients)?;
        Ok(boards::notes(&wardrobe.boards, &wardrobe.blobs))
    }
}
