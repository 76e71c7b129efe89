//! Kernels: whether this loader can start them, and which they are.
//!
//! ```text
//!   arm64 Image (Linux, Documentation/arch/arm64/booting.rst)     PE/COFF, when it is an EFI program
//!    0 "MZ", when it has the EFI stub    16 size in memory         60 offset of "PE\0\0"
//!   56 "ARMd"                            60 offset of "PE\0\0"     +4 machine, aa64
//!   ...  "Linux version 6.12.0-arm64 (builder) ..."
//! ```

use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::scene::{Partition, Scene};
use super::systems::{self, Part};
use super::{Finding, Rule, Scope, Severity};
use crate::archive::compress::{Limited, Packing, Unpacked};
use crate::files::fill;
use crate::image::layout::Scheme;
use crate::units::Bytes;

/// Most bytes that a kernel may unpack to. Large ones have 60 MiB.
const LARGEST: u64 = 512 << 20;
/// Bytes that are searched at a time, and how many of them are searched again with the next: the
/// longest text that is looked for.
const WINDOW: usize = 1 << 20;
const OVERLAP: usize = 512;
const MACHINE_ARM64: [u8; 2] = [0x64, 0xaa];

/// The banner of `init/version.c`, and a driver that only the vendor's kernels have built in.
static MARKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)Linux version ([0-9][0-9A-Za-z.+_~-]{0,100}) \(|bcm2708_fb").expect("it is tested")
});

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "kernel-missing",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "every system has the kernel that its loader looks for",
        why: "the loader stops there, and nothing walks on to another partition",
        link: "raspberrypi/documentation, config_txt/boot.adoc",
        way_out: "put the kernel there, or name in config.txt the one that is there",
        check: missing,
    },
    Rule {
        name: "kernel-magic",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "kernels are in a form that their loader can start",
        why: "the Raspberry Pi's firmware starts a plain or gzipped arm64 Image, GRUB an EFI program, \
              and neither anything else",
        link: "raspberrypi/documentation, config_txt/boot.adoc; Linux, arch/arm64/booting.rst",
        way_out: "build `Image` or `Image.gz` for arm64, with CONFIG_EFI_STUB for GRUB",
        check: magic,
    },
    Rule {
        name: "kernel-damaged",
        severity: Severity::Error,
        scope: Scope::Table,
        title: "kernels are whole",
        why: "a kernel that was cut short starts, and then stops without a word",
        link: "Linux, arch/arm64/booting.rst",
        way_out: "write the system again",
        check: damaged,
    },
];

/// What a file is that is called a kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    /// How it is packed.
    pub(super) packing: Option<Packing>,
    /// Whether it is an arm64 Image.
    pub(super) is_image: bool,
    /// Whether it is an EFI program for arm64.
    pub(super) is_efi: bool,
    /// Its release, as in `/lib/modules/<release>`.
    pub(super) release: Option<String>,
    /// Whether it is of the family of the vendor's kernels.
    pub(super) is_vendors: bool,
    /// Why it cannot be unpacked to its end.
    pub(super) damage: Option<String>,
}

/// Reads a kernel to its end.
pub(super) fn probe(packed: impl Read) -> Kernel {
    let mut kernel = Kernel::default();
    let read = unpack(packed, &mut kernel);
    kernel.damage = read.err().map(|error| error.to_string());
    kernel
}

fn unpack(packed: impl Read, kernel: &mut Kernel) -> io::Result<()> {
    let mut packed = BufReader::with_capacity(256 << 10, packed);
    kernel.packing = Some(Packing::detect(packed.fill_buf()?));
    scan(Limited::new(Unpacked::new(packed)?, LARGEST), kernel)
}

fn scan(mut reader: impl Read, kernel: &mut Kernel) -> io::Result<()> {
    let mut window = vec![0; OVERLAP + WINDOW];
    // Bytes of the last window that are searched again.
    let mut kept = 0;
    let mut is_first = true;
    loop {
        let end = kept + fill(&mut reader, &mut window[kept..])?;
        if is_first {
            identify(&window[..end], kernel);
        }
        search(&window[..end], kernel);
        if end < window.len() {
            return Ok(());
        }
        window.copy_within(end - OVERLAP.., 0);
        (kept, is_first) = (OVERLAP, false);
    }
}

fn identify(head: &[u8], kernel: &mut Kernel) {
    kernel.is_image = head.get(56..60) == Some(b"ARM\x64");
    kernel.is_efi = is_program(head);
}

/// Whether a file, of which the first bytes will do, is an EFI program for arm64.
pub(super) fn is_program(head: &[u8]) -> bool {
    let pe = head.get(60..64).map_or(0, |at| u32::from_le_bytes([at[0], at[1], at[2], at[3]]) as usize);
    let header = head.get(pe..).unwrap_or_default();
    head.starts_with(b"MZ") && header.starts_with(b"PE\0\0") && header.get(4..6) == Some(&MACHINE_ARM64)
}

fn search(window: &[u8], kernel: &mut Kernel) {
    for found in MARKS.captures_iter(window) {
        match found.get(1) {
            None => kernel.is_vendors = true,
            Some(release) if kernel.release.is_none() => {
                kernel.release = Some(String::from_utf8_lossy(release.as_bytes()).into_owned());
            }
            Some(_) => {}
        }
    }
}

/// All kernels that could be read.
pub(super) fn all(scene: &Scene) -> impl Iterator<Item = (&Partition, &str, &Kernel)> {
    scene.contents.kernels.iter().filter_map(|((number, path), kernel)| {
        let partition = scene.partitions.iter().find(|one| one.entry.number == *number)?;
        Some((partition, path.as_str(), kernel))
    })
}

fn missing(scene: &Scene) -> Vec<Finding> {
    gone(scene, Part::Kernel)
}

/// Files that the loader will look for and not find.
pub(super) fn gone(scene: &Scene, part: Part) -> Vec<Finding> {
    let mut findings = Vec::new();
    for system in systems::all(scene) {
        for ((of, path), boards) in system.named(scene) {
            if of == part && !system.has(&path) {
                let who = if boards.is_empty() { "the loader".to_owned() } else { boards.join(", ") };
                findings.push(Finding::new(
                    system.at(&path),
                    format!("there is no such file, which {who} will look for"),
                ));
            }
        }
    }
    findings
}

fn magic(scene: &Scene) -> Vec<Finding> {
    let is_efi = scene.scheme() == Some(Scheme::Gpt);
    let problem = |kernel: &Kernel| match kernel.packing? {
        packing @ (Packing::Xz | Packing::Zstd) if !is_efi => {
            Some(format!("it is packed with {packing:?}, and the firmware unpacks only gzip").to_lowercase())
        }
        Packing::Zstd => Some("it is packed with zstd, and GRUB unpacks only gzip and xz".to_owned()),
        _ if kernel.damage.is_some() => None,
        _ if is_efi && !kernel.is_efi => Some("it is no EFI program for arm64".to_owned()),
        _ if !is_efi && !kernel.is_image => Some("it is no arm64 Image".to_owned()),
        _ => None,
    };
    let found = all(scene).filter_map(|(partition, path, kernel)| {
        problem(kernel).map(|what| Finding::new(partition.at(path), what))
    });
    found.collect()
}

fn damaged(scene: &Scene) -> Vec<Finding> {
    let found = all(scene).filter_map(|(partition, path, kernel)| {
        let size = Bytes(partition.size(path)?);
        let damage = kernel.damage.as_ref()?;
        Some(Finding::new(partition.at(path), format!("of its {size} not all can be read: {damage}")))
    });
    found.collect()
}
