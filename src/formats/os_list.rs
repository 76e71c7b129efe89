//! An entry for the list of operating systems that Raspberry Pi Imager offers, as a list of its own.
//!
//! ```text
//! {"os_list": [{
//!     "name", "description", "icon"            shown to people
//!     "url"                                    what is downloaded
//!     "extract_size", "extract_sha256"         of the image
//!     "image_download_size", "..._sha256"      of what is downloaded
//!     "release_date"                           YYYY-MM-DD
//!     "devices": ["pi4-64bit", ...]            offered for these boards only
//!     "init_format": "none"                    nothing can be set before the first start
//! }]}
//! ```
//!
//! Source: raspberrypi/rpi-imager, `doc/json-schema/os-list-schema.json`, `doc/schema-notes.md` and
//! `doc/os_customisation_formats.md`. Imager unpacks `.xz`, `.gz` and, since 1.7, `.zst`, by the end of the
//! address (`src/imagewriter.cpp`). Without `init_format`, Imager 1 would take the image for one that runs
//! `firstrun.sh`; nothing in our images reads that, nor cloud-init's files beside it.

use std::path::Path;

use bootenv::calendar::civil;
use serde::Serialize;

use super::{Format, FormatError, Job, Out, Raw, sha256};
use crate::board;
use crate::digest::Sha256;
use crate::slot::{SLOT_FILE, SlotJson};
use crate::volume::{Disk, Opened, Region, ext4};

/// Formats that Imager unpacks; what more versions of it know comes first.
const PACKED: [&str; 3] = ["xz", "gz", "zst"];

/// Largest list of a slot's files that is read, in bytes.
const LARGEST_LIST: u32 = 16 << 20;

#[derive(Serialize)]
struct List<'a> {
    os_list: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    description: String,
    /// Imager wants one, and takes none.
    icon: &'static str,
    url: String,
    extract_size: u64,
    extract_sha256: Sha256,
    image_download_size: u64,
    image_download_sha256: Sha256,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_date: Option<&'a str>,
    devices: &'a [&'static str],
    init_format: &'static str,
    architecture: &'static str,
}

/// What the image says of itself.
#[derive(Debug)]
pub(super) struct About {
    slot: SlotJson,
    devices: Vec<&'static str>,
    date: Option<String>,
}

impl About {
    /// Reads it, before anything that takes long is begun.
    ///
    /// # Errors
    /// When the image starts on no board that Imager offers images for, or cannot be read.
    pub(super) fn read(raw: &Raw, image: &Path) -> Result<Self, FormatError> {
        let disk = opened(raw, image)?;
        About::of(&disk).ok_or_else(|| FormatError::NoRaspberryPi(raw.path().to_owned()))
    }

    fn of(disk: &Disk) -> Option<Self> {
        let table = disk.table().ok()?.table;
        let regions: Vec<_> = table.entries.iter().map(|entry| disk.partition(entry)).collect();
        let (slot, devices) = regions.iter().filter_map(slot).find(|(_, devices)| !devices.is_empty())?;
        let written = regions.iter().filter_map(|region| ext4::state(region).ok().flatten());
        let date = written.map(|state| state.written).max().filter(|time| *time > 0).map(date);
        Some(About { slot, devices, date })
    }
}

/// The image as a file: what is packed becomes one beside `image`, which has no name and is gone when it is
/// closed.
fn opened(raw: &Raw, image: &Path) -> Result<Disk, FormatError> {
    let file = match raw.file() {
        Some(file) => file.try_clone(),
        None => {
            let mut unpacked = Out::create(&super::FORMATS[0].path(image))?;
            super::raw::write(raw, &mut unpacked, &|_| ())?;
            unpacked.file().try_clone()
        }
    };
    Ok(Disk::new(file.map_err(|source| raw.error(source))?, raw.size()))
}

/// What a slot says of itself, and the boards that it has device trees for, as Imager calls them.
fn slot(region: &Region) -> Option<(SlotJson, Vec<&'static str>)> {
    let opened = Opened::enter(region).ok()?;
    let slot = serde_json::from_slice(&opened.read(SLOT_FILE, LARGEST_LIST)?).ok()?;
    let has = |name: &String| opened.reader(name).is_ok_and(|file| file.is_some());
    let serves = |board: &&board::Board| board.dtb.iter().any(|tree| tree.asks.iter().any(has));
    let mut devices: Vec<_> =
        board::all().iter().filter(serves).filter_map(|board| board.imager.as_deref()).collect();
    // The newest first, as Imager has them.
    devices.sort_unstable_by(|one, other| other.cmp(one));
    devices.dedup();
    Some((slot, devices))
}

/// The day of a time in seconds since 1970.
fn date(time: u32) -> String {
    let (year, month, day) = civil(i64::from(time) / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Writes the entry for what was packed in the same run, or else for the image.
pub(super) fn write<P: Fn(u64)>(
    job: &Job<'_>,
    about: &About,
    drafts: &[(&'static Format, Out)],
    out: &mut Out,
    begin: impl Fn(&str, u64) -> P,
) -> Result<(), FormatError> {
    let packed = PACKED.iter().find_map(|name| drafts.iter().find(|(format, _)| format.name == *name));
    let packed = packed.map(|(_, out)| out.raw()).transpose()?;
    let progress = begin("os-list", job.raw.size() + packed.as_ref().map_or(0, Raw::size));
    let extract_sha256 = sha256::whole(job.raw, &progress)?;
    let image = super::FORMATS[0].path(job.image);
    let (path, size, sha256) = match &packed {
        Some(packed) => (packed.path(), packed.size(), sha256::whole(packed, &progress)?),
        None => (image.as_path(), job.raw.size(), extract_sha256),
    };
    let slot = &about.slot;
    let entry = Entry {
        name: format!("{} {}", slot.name, slot.version),
        description: format!("Two slots, so that updates can fall back; build {}", slot.build),
        icon: "",
        url: url(job.url_base, path),
        extract_size: job.raw.size(),
        extract_sha256,
        image_download_size: size,
        image_download_sha256: sha256,
        release_date: about.date.as_deref(),
        devices: &about.devices,
        init_format: "none",
        architecture: "armv8",
    };
    let mut text =
        serde_json::to_string_pretty(&List { os_list: [entry] }).map_err(|error| out.error(error.into()))?;
    text.push('\n');
    out.put(text.as_bytes())
}

/// The address of a file below `base`, or its name alone. What has a meaning in addresses is written as its
/// bytes (RFC 3986, section 2.1).
fn url(base: Option<&str>, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    let mut url = base.map(|base| format!("{}/", base.trim_end_matches('/'))).unwrap_or_default();
    for byte in name.as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                url.push(char::from(*byte))
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_made_of_what_addresses_may_have() {
        let path = Path::new("out/a b#ü.img.xz");
        assert_eq!(url(None, path), "a%20b%23%C3%BC.img.xz");
        let base = Some("https://example.org/images/");
        assert_eq!(url(base, path), "https://example.org/images/a%20b%23%C3%BC.img.xz");
    }

    #[test]
    fn the_day_of_a_time_is_told() {
        assert_eq!((date(0), date(1_789_199_741)), ("1970-01-01".to_owned(), "2026-09-12".to_owned()));
    }
}
