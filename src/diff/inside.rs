//! What is in files that are not the same: file systems, initramfs, kernels, packages, configurations.

use std::io::{self, BufReader, Read};

use super::findings::Findings;
use super::model::{Place, Side};
use super::{filesystem, initramfs, kernel, packages};
use crate::archive::compress::{Packing, Unpacked};
use crate::archive::cpio;
use crate::files::fill;
use crate::interrupt::Interrupted;
use crate::volume::Region;

/// Deepest that is looked into files of files.
const DEEPEST: usize = 8;
/// Bytes that tell what a file is.
const HEAD: usize = 4096;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Filesystem,
    Initramfs,
    Kernel,
    Packages,
    Configuration,
}

/// Compares what is in two files whose bytes differ, where both are of a kind that is known.
pub(super) fn compare(
    found: &mut Findings,
    place: &Place,
    name: &str,
    files: [&Region; 2],
) -> Result<(), Interrupted> {
    let formats = files.map(|file| format(file, name));
    let Some(format) = formats[0].filter(|_| formats[0] == formats[1] && place.names().len() < DEEPEST)
    else {
        return Ok(());
    };
    match format {
        Format::Filesystem => filesystem::compare(found, place, files),
        Format::Initramfs => initramfs::compare(found, place, files),
        Format::Kernel => kernel::compare(found, place, files),
        Format::Packages => packages::compare(found, place, files),
        Format::Configuration => kernel::compare_configs(found, place, files),
    }
}

fn format(file: &Region, name: &str) -> Option<Format> {
    if name == packages::STATUS {
        return Some(Format::Packages);
    }
    if filesystem::kind(file).is_some() {
        return Some(Format::Filesystem);
    }
    let head = head(file).unwrap_or_default();
    match () {
        () if cpio::is_archive(&head) => Some(Format::Initramfs),
        () if kernel::is_kernel(&head) => Some(Format::Kernel),
        () if kernel::is_config(&head) => Some(Format::Configuration),
        () => None,
    }
}

/// The first bytes of what a file holds when it is unpacked.
fn head(file: &Region) -> io::Result<Vec<u8>> {
    let mut packed = BufReader::with_capacity(64 << 10, file.reader());
    let mut head = vec![0; HEAD];
    let count = match Packing::detect(&file.read(0, file.size().min(6))?) {
        Packing::Plain => fill(&mut packed, &mut head)?,
        _ => fill(&mut Unpacked::first(packed)?, &mut head)?,
    };
    head.truncate(count);
    Ok(head)
}

/// What `read` makes of both files, when it can.
pub(super) fn both<T>(
    found: &mut Findings,
    place: &Place,
    files: [&Region; 2],
    read: impl Fn(&mut BufReader<Box<dyn Read + Send>>) -> io::Result<T>,
) -> Result<Option<[T; 2]>, Interrupted> {
    let mut open = |side, file: &Region| {
        let reader: Box<dyn Read + Send> = Box::new(file.reader());
        found.tried(place, side, read(&mut BufReader::with_capacity(256 << 10, reader)))
    };
    let (a, b) = (open(Side::A, files[0])?, open(Side::B, files[1])?);
    Ok(a.zip(b).map(|(a, b)| [a, b]))
}
