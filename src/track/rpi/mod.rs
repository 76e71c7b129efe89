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
mod error;
mod notes;
mod wardrobe;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bootenv::Slot;
use bootenv::rpi::{self, Autoboot};
use serde::Serialize;

use super::{Choices, Dressed, Format, Ingredients, KernelBase, Partition, Track, TrackError};
use crate::board;
use crate::config::{BoardConfig, FirmwareSource};
use crate::firmware::upstream::{Upstream, upstream};
use crate::firmware::{self, Part, Parts, Pick};
use crate::image::extents::Extents;
use crate::image::layout::{PartitionType, Role, Scheme};
use crate::oot;
use crate::plan::part;
use crate::source::Wanted;
use crate::units::Bytes;
pub use error::RpiError;
use wardrobe::Wardrobe;

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
const FIRMWARE_FILES: [&str; 2] = [rpi::START, rpi::FIXUP];

/// Oldest build of the firmware that is taken: the first that knows `[boot_partition=N]`
/// (raspberrypi/firmware issue 1940).
pub const FIRMWARE_SINCE: &str = "2025-03-10";

/// Firmware does not start from FATs of 2 GiB (lf-edge/eve issue 6081).
pub const LARGEST_FAT: Bytes = Bytes::mib(2047);

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
        match named.find(|name| board::find(name).is_none()) {
            Some(name) => Err(RpiError::UnknownBoard(name.clone())),
            None => Ok(()),
        }
    }
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

    fn check(&self, choices: &Choices) -> Result<(), TrackError> {
        Ok(choices.rpi.check()?)
    }

    fn kernel(&self) -> Part {
        PARTS[part::KERNEL].clone()
    }

    /// The vendor's tree has a defconfig of its own, whose kernel serves all 64-bit boards.
    fn kernel_bases(&self) -> &'static [KernelBase] {
        &[
            KernelBase {
                defconfig: "bcm2711_defconfig",
                fragments: &["container.fragment", "rpi-overrides.fragment"],
            },
            KernelBase {
                defconfig: "defconfig",
                fragments: &["container.fragment", "rpi-mainline.fragment"],
            },
        ]
    }

    fn wanted(&self, kernel: Option<&Part>, choices: &Choices) -> Result<Vec<Wanted>, TrackError> {
        let firmware = match choices.rpi.firmware {
            FirmwareSource::Debian => vec![PARTS[FIRMWARE].wanted(FIRMWARE)],
            FirmwareSource::Upstream => {
                let base = choices.rpi.upstream.as_deref();
                needed_upstream().wanted(base).map_err(RpiError::from)?
            }
        };
        let headers = kernel.and_then(oot::headers_of).map(|headers| headers.wanted(part::HEADERS));
        let kernel = kernel.map(|kernel| kernel.wanted(part::KERNEL));
        let busybox = PARTS[part::BUSYBOX].wanted(part::BUSYBOX);
        Ok(kernel.into_iter().chain([busybox]).chain(firmware).chain(headers).collect())
    }

    fn members(&self, choices: &Choices) -> Vec<Pick> {
        let firmware = match choices.rpi.firmware {
            FirmwareSource::Debian => PARTS[FIRMWARE].picks(FIRMWARE),
            FirmwareSource::Upstream => needed_upstream().picks(),
        };
        let others = [part::KERNEL, part::BUSYBOX].into_iter().flat_map(|name| PARTS[name].picks(name));
        others.chain(firmware).collect()
    }

    fn dtbs(&self) -> Vec<String> {
        let trees = board::all().iter().flat_map(|board| &board.dtb).flat_map(|dtb| &dtb.from);
        let names: BTreeSet<String> = trees.map(|name| format!("broadcom/{name}")).collect();
        names.into_iter().collect()
    }

    fn wants_vcio(&self) -> bool {
        true
    }

    fn cmdline(&self) -> &'static str {
        CMDLINE.trim_end()
    }

    fn dress(&self, ingredients: &Ingredients<'_>) -> Result<Dressed, TrackError> {
        let wardrobe = Wardrobe::open(ingredients)?;
        let mut slot = wardrobe.bootable()?;
        let mut selector = slot.clone();
        selector.file(rpi::AUTOBOOT, 0o644, Extents::bytes(Autoboot::initial().encode()));
        if let Some((name, content)) = &ingredients.rootfs {
            slot.file(name, 0o644, content.clone());
        }
        super::add_files(&mut slot, ingredients.files)?;
        super::add_files(&mut selector, ingredients.files)?;
        Ok(Dressed { slot, selector, notes: wardrobe.notes() })
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
}
