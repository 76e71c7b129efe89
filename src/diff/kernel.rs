//! Kernels: which one, and how it was configured, where it tells (Linux, `kernel/configs.c`).
//!
//! ```text
//!   Image, packed or not:  ... "Linux version 6.12.0 ..." ... IKCFG_ST | .config, by gzip | IKCFG_ED ...
//!   zboot (Linux, drivers/firmware/efi/libstub/zboot-header.S):
//!     0 "MZ"  4 "zimg"  8 offset  12 length of what is packed  24 how, as in "gzip"
//! ```

use std::io::{self, Read};

use memchr::memmem::Finder;

use super::findings::Findings;
use super::inside;
use super::model::Place;
use crate::archive::compress::{Limited, Packing, Unpacked};
use crate::files::fill;
use crate::interrupt::{self, Interrupted};
use crate::kconfig::{Config, PREFIX, Value};
use crate::volume::Region;

/// Most bytes that a kernel may unpack to. Large ones have 60 MiB.
const LARGEST: u64 = 512 << 20;
/// Most bytes of a configuration; that of a distribution has 300 KiB.
const LARGEST_CONFIG: u64 = 8 << 20;
/// Packed, it has 80 KiB; so many bytes are kept.
const LARGEST_PACKED: usize = 2 << 20;
/// Bytes that are searched at a time.
const WINDOW: usize = 1 << 20;
/// Longest that is looked for, in bytes; as much is searched again with the next window.
const OVERLAP: usize = 512;
const START: &[u8] = b"IKCFG_ST";
const BANNER: &[u8] = b"Linux version ";
/// What every configuration of the kernel's own tools begins with.
const CONFIG: &[u8] = b"#\n# Automatically generated file; DO NOT EDIT.\n";

/// Whether a file that is not packed begins like a kernel for arm64.
pub(super) fn is_kernel(head: &[u8]) -> bool {
    head.get(56..60) == Some(b"ARM\x64") || is_zboot(head)
}

fn is_zboot(head: &[u8]) -> bool {
    head.starts_with(b"MZ") && head.get(4..8) == Some(b"zimg")
}

/// Whether a file begins like a configuration.
pub(super) fn is_config(head: &[u8]) -> bool {
    head.starts_with(CONFIG)
}

/// What a kernel says of itself.
#[derive(Debug, Default)]
struct Kernel {
    banner: Option<String>,
    config: Option<Config>,
}

pub(super) fn compare(found: &mut Findings, place: &Place, files: [&Region; 2]) -> Result<(), Interrupted> {
    let payloads = files.map(payload);
    let files = [0, 1].map(|side| payloads[side].as_ref().unwrap_or(files[side]));
    let Some([a, b]) = inside::both(found, place, files, |reader| probe(Unpacked::new(reader)?))? else {
        return Ok(());
    };
    let banner = |kernel: &Kernel| kernel.banner.clone().unwrap_or_else(|| "none".to_owned());
    found.compare(place, "version", banner(&a), banner(&b));
    match (a.config, b.config) {
        (Some(a), Some(b)) => options(found, place, &a, &b),
        (None, None) => {}
        (a, _) => {
            let told = |has| if has { "in the kernel" } else { "not in the kernel" };
            found.compare(place, "configuration", told(a.is_some()), told(a.is_none()));
        }
    }
    Ok(())
}

/// Files that are configurations.
pub(super) fn compare_configs(
    found: &mut Findings,
    place: &Place,
    files: [&Region; 2],
) -> Result<(), Interrupted> {
    let read = |reader: &mut _| config(Unpacked::new(reader)?);
    if let Some([a, b]) = inside::both(found, place, files, read)? {
        options(found, place, &a, &b);
    }
    Ok(())
}

fn options(found: &mut Findings, place: &Place, a: &Config, b: &Config) {
    let new = b.iter().filter(|(symbol, _)| a.get(symbol).is_none());
    let mut symbols: Vec<&str> = a.iter().chain(new).map(|(symbol, _)| symbol).collect();
    symbols.sort_unstable();
    for symbol in symbols {
        let (from, to) = (a.value(symbol), b.value(symbol));
        if !from.is_same(to) {
            found.compare(place, format!("{PREFIX}{symbol}"), shown(symbol, from), shown(symbol, to));
        }
    }
}

/// A value as it stands in a `.config`, but for what is off.
fn shown(symbol: &str, value: &Value) -> String {
    let line = value.line(symbol);
    line.split_once('=').map_or("n", |(_, value)| value).to_owned()
}

/// What is packed in a kernel that unpacks itself.
fn payload(file: &Region) -> Option<Region> {
    let head = file.read(0, 64).ok().filter(|head| is_zboot(head))?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Some(file.part(number(8).into(), number(12).into()))
}

/// Reads a kernel to its end.
fn probe(unpacked: impl Read) -> io::Result<Kernel> {
    let mut reader = Limited::new(unpacked, LARGEST);
    let mut kernel = Kernel::default();
    // What follows the mark of the configuration.
    let mut packed: Option<Vec<u8>> = None;
    let (start, banner) = (Finder::new(START), Finder::new(BANNER));
    let mut window = vec![0; OVERLAP + WINDOW];
    let mut kept = 0;
    loop {
        interrupt::check()?;
        let end = kept + fill(&mut reader, &mut window[kept..])?;
        let whole = &window[..end];
        if let Some(at) = banner.find(whole).filter(|_| kernel.banner.is_none()) {
            kernel.banner = text(&whole[at + BANNER.len()..]);
        }
        match &mut packed {
            Some(packed) if packed.len() < LARGEST_PACKED => packed.extend(&whole[kept..]),
            Some(_) => {}
            None => packed = start.find(whole).map(|at| whole[at + START.len()..].to_vec()),
        }
        if end < window.len() {
            break;
        }
        window.copy_within(end - OVERLAP.., 0);
        kept = OVERLAP;
    }
    let packed = packed.unwrap_or_default();
    if Packing::detect(&packed) == Packing::Gzip {
        kernel.config = Some(config(Unpacked::first(&packed[..])?)?);
    }
    Ok(kernel)
}

fn config(reader: impl Read) -> io::Result<Config> {
    let mut bytes = Vec::new();
    Limited::new(reader, LARGEST_CONFIG).read_to_end(&mut bytes)?;
    Ok(Config::parse(&String::from_utf8_lossy(&bytes)))
}

/// Text up to the end of its line.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| matches!(byte, 0 | b'\n'))?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty() && !text.starts_with('%')).then(|| text.to_owned())
}
