//! What an image can be written as, and read back from.
//!
//! ```text
//!   disk.img, a file with holes             one row of FORMATS, one file here, each
//!        |                  +--pieces, packed several at once--> .zst .gz .xz .vmdk .tar.gz .zstd.qcow2
//!        +--Raw: blocks-----+--clusters that hold something----> .qcow2 .vdi .vhd
//!        |                  +--digests of ranges---------------> .bmap
//!   .qcow2, a zstd with a seek table, ...
//! ```
//!
//! Writers never read holes, write from front to back (but for tables that tell what follows), need the same
//! memory for any size, and write the same bytes for the same image: no times, no random ids.

pub mod blocks;
pub mod bmap;
pub mod read;

mod gce;
mod gz;
mod os_list;
mod out;
mod pieces;
mod qcow2;
mod raw;
mod sha256;
mod vdi;
mod vhd;
mod vmdk;
mod xml;
mod xz;
mod zst;

use std::path::{Path, PathBuf};

use crate::image::write::WriteError;
use crate::interrupt::Interrupted;

use os_list::About;
use out::Out;
pub use raw::Raw;
use read::{ReadError, Source};
pub use sha256::whole as digest;

/// A format of images, or of what lies beside one.
#[derive(Debug)]
pub struct Format {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    suffix: Suffix,
    write: Writer,
}

/// How a file is named after the image.
#[derive(Debug)]
enum Suffix {
    /// As the image is when it is not packed.
    Plain,
    /// Comes behind the whole name: `disk.img.zst`.
    Added(&'static str),
    /// Takes the place of `.img`: `disk.qcow2`.
    Instead(&'static str),
}

/// The suffix of images that are not packed. They may have another.
const IMG: &str = ".img";

/// The largest disk that is written, in bytes: no file of ext4 is larger. Tables in memory follow from it, and
/// images from outside may say that they are of any size.
const LARGEST: u64 = 16 << 40;

type WriteFn = fn(&Raw, &mut Out, &dyn Fn(u64)) -> Result<(), FormatError>;

#[derive(Debug)]
enum Writer {
    /// Writes the image, and tells of its [`Raw::mapped`] bytes as they are done.
    Image(WriteFn),
    /// Writes what Raspberry Pi Imager wants to know.
    Entry,
    /// Writes the digests of the other files, or of the image when it is alone.
    Digests,
}

/// All formats.
pub const FORMATS: &[Format] = &[
    image("raw", "the bytes of the disk, in a file with holes", Suffix::Plain, raw::write),
    image("zst", "zstd, in frames that can be unpacked each by itself", Suffix::Added(".zst"), zst::write),
    image("gz", "gzip", Suffix::Added(".gz"), gz::write),
    image("xz", "xz, in blocks that can be unpacked each by itself", Suffix::Added(".xz"), xz::write),
    image("qcow2", "QEMU's format, version 3", Suffix::Instead(".qcow2"), qcow2::plain::write),
    image(
        "qcow2-zstd",
        "the same with clusters packed by zstd, for QEMU 5.1 and later",
        Suffix::Instead(".zstd.qcow2"),
        qcow2::packed::write,
    ),
    image("vdi", "VirtualBox's format, dynamic", Suffix::Instead(".vdi"), vdi::write),
    image("vhd", "a fixed disk of whole MiB, as Azure takes it", Suffix::Instead(".vhd"), vhd::write),
    image("vmdk", "VMware's format, stream-optimised", Suffix::Instead(".vmdk"), vmdk::write),
    image(
        "gce",
        "`disk.raw` in a .tar.gz, as Google's cloud takes it",
        Suffix::Instead(".tar.gz"),
        gce::write,
    ),
    image("bmap", "a block map for `bmaptool copy`", Suffix::Added(".bmap"), bmap::write),
    Format {
        name: "os-list",
        title: "an entry for Raspberry Pi Imager, of the packed file made at once, or of the image",
        suffix: Suffix::Instead(".os_list.json"),
        write: Writer::Entry,
    },
    Format {
        name: "sha256",
        title: "digests for `sha256sum -c`, of all files made at once, or of the image",
        suffix: Suffix::Added(".sha256"),
        write: Writer::Digests,
    },
];

const fn image(name: &'static str, title: &'static str, suffix: Suffix, write: WriteFn) -> Format {
    Format { name, title, suffix, write: Writer::Image(write) }
}

/// Why an image was not written in another format. Nothing new stands under any name then.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// There is no such format.
    #[error("there is no format `{name}`\n\nhint: there are {}", names())]
    Unknown {
        /// The name.
        name: String,
    },
    /// Its file is where the image already is.
    #[error(
        "`{}` is the image itself\n\nhint: write it elsewhere with `-o`", .0.display()
    )]
    Itself(PathBuf),
    /// Something that is not a file stands there, or no file can be made.
    #[error(transparent)]
    Target(#[from] WriteError),
    /// Less is there than its partition table speaks of, as when a packed image was cut between two frames.
    #[error(
        "`{}` is cut off: it has {has} bytes, and should have {needs}\n\nhint: copy or download it again",
        path.display()
    )]
    CutOff {
        /// The image.
        path: PathBuf,
        /// Its length in bytes.
        has: u64,
        /// The length that its partition table tells, in bytes.
        needs: u64,
    },
    /// The disk is too large, or the format cannot hold that much.
    #[error("`{}` would become larger than it can be", .0.display())]
    TooLarge(PathBuf),
    /// Raspberry Pi Imager has no use for it.
    #[error(
        "`{}` starts on no Raspberry Pi, so that its Imager has no use for it\n\nhint: leave out `os-list`",
        .0.display()
    )]
    NoRaspberryPi(PathBuf),
    /// The file system is full.
    #[error("no space is left for `{}`\n\nhint: free some space, or write it elsewhere", .0.display())]
    Full(PathBuf),
    /// The file cannot be written.
    #[error("writing `{}`", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The image cannot be read.
    #[error("reading `{}`", path.display())]
    Source {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// What is packed cannot be unpacked.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// The names of all formats, for people.
pub fn names() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ")
}

/// The format of a name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Format, FormatError> {
    let unknown = || FormatError::Unknown { name: name.to_owned() };
    FORMATS.iter().find(|format| format.name == name).ok_or_else(unknown)
}

/// The formats of these names in the order of the table, each once.
///
/// # Errors
/// When there is none of a name.
pub fn find_all(names: &[String]) -> Result<Vec<&'static Format>, FormatError> {
    names.iter().try_for_each(|name| find(name).map(drop))?;
    Ok(FORMATS.iter().filter(|format| names.iter().any(|name| name == format.name)).collect())
}

impl Format {
    /// Path of the file that is made of the image at `image`, beside it. The image may be packed.
    pub fn path(&self, image: &Path) -> PathBuf {
        let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plain = plain_name(&name);
        image.with_file_name(match self.suffix {
            Suffix::Plain => plain,
            Suffix::Added(suffix) => plain + suffix,
            Suffix::Instead(suffix) => plain.strip_suffix(IMG).unwrap_or(&plain).to_owned() + suffix,
        })
    }
}

/// The name of an image when it is not packed.
fn plain_name(name: &str) -> String {
    let strip = |suffix| name.strip_suffix(suffix).filter(|rest| !rest.is_empty());
    let plain = FORMATS.iter().filter_map(|format| match format.suffix {
        Suffix::Plain => None,
        Suffix::Added(suffix) => strip(suffix).map(str::to_owned),
        Suffix::Instead(suffix) => strip(suffix).map(|rest| rest.to_owned() + IMG),
    });
    // Of the suffixes that fit, the longest counts.
    plain.min_by_key(String::len).unwrap_or_else(|| name.to_owned())
}

/// What to write.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The image.
    pub raw: &'a Raw,
    /// Path that files are named after, and lie beside.
    pub image: &'a Path,
    /// What to write.
    pub formats: &'a [&'static Format],
    /// The caller gives the image its name, so that it needs no copy but a digest.
    pub keeps_raw: bool,
    /// Address that the files will lie under, for who downloads them.
    pub url_base: Option<&'a str>,
}

/// Files that are whole but have temporary names still. Dropped, they are gone.
#[derive(Default)]
pub struct Drafts(Vec<(&'static Format, Out)>);

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Made {
    /// Name of its format.
    pub format: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Its length, in bytes.
    pub size: u64,
}

/// Writes an image in all formats that are asked for. `begin` is told what is done next and how many
/// bytes that are, and makes what is told of them as they are done.
///
/// # Errors
/// When one cannot be written, the image cannot be read, or the user asked to stop.
pub fn write<P: Fn(u64)>(job: &Job<'_>, begin: impl Fn(&str, u64) -> P) -> Result<Drafts, FormatError> {
    let mut drafts = Drafts::default();
    let is_entry = |format: &&Format| matches!(format.write, Writer::Entry);
    let about = job.formats.iter().any(is_entry).then(|| About::read(job.raw, job.image)).transpose()?;
    for format in job.formats.iter().filter(|format| !(job.keeps_raw && is_raw(format))) {
        let mut out = Out::create(&format.path(job.image))?;
        if job.raw.size() > LARGEST {
            return Err(out.too_large());
        }
        match format.write {
            Writer::Image(write) => write(job.raw, &mut out, &begin(format.name, job.raw.mapped()))?,
            Writer::Entry => {
                if let Some(about) = &about {
                    os_list::write(job, about, &drafts.0, &mut out, &begin)?;
                }
            }
            Writer::Digests => {
                let image = job.keeps_raw || drafts.0.is_empty();
                let image = image.then(|| Ok((FORMATS[0].path(job.image), job.raw.clone())));
                let others = drafts.0.iter().map(|(_, out)| Ok((out.path().to_owned(), out.raw()?)));
                let files = image.into_iter().chain(others).collect::<Result<Vec<_>, FormatError>>()?;
                sha256::write(&files, &mut out, &begin)?;
            }
        }
        drafts.0.push((format, out));
    }
    Ok(drafts)
}

fn is_raw(format: &Format) -> bool {
    matches!(format.suffix, Suffix::Plain)
}

/// Writes what was opened in all of `formats`, in files named after `image`; see [`write()`]. What is
/// packed and cannot be read in any order is unpacked to a temporary file before, which then is the raw image.
///
/// # Errors
/// As [`write()`], and when the source is cut off or damaged.
pub fn convert<P: Fn(u64) + Send>(
    source: &Source,
    image: &Path,
    formats: &[&'static Format],
    url_base: Option<&str>,
    begin: impl Fn(&str, u64) -> P,
) -> Result<Drafts, FormatError> {
    let looks_inside = formats.iter().any(|format| matches!(format.write, Writer::Entry));
    let (raw, unpacked) = match source.parts()? {
        Some(parts) if looks_inside && parts.file().is_none() => {
            let mut out = Out::create(&FORMATS[0].path(image))?;
            let raw = Raw::new(source.path(), parts);
            raw::write(&raw, &mut out, &begin("unpacking", raw.mapped()))?;
            (out.raw()?, Some(out))
        }
        Some(parts) => (Raw::new(source.path(), parts), None),
        None => {
            let mut out = Out::create(&FORMATS[0].path(image))?;
            let size = source.unpack(out.file(), begin("unpacking", source.size()))?;
            out.skip_to(size)?;
            (out.raw()?, Some(out))
        }
    };
    raw.check_length(source.path())?;
    let keeps_raw = unpacked.is_some() && formats.iter().any(|format| is_raw(format));
    let mut drafts = write(&Job { raw: &raw, image, formats, keeps_raw, url_base }, begin)?;
    drafts.0.extend(unpacked.filter(|_| keeps_raw).map(|out| (&FORMATS[0], out)));
    Ok(drafts)
}

/// Checks that `source` could be written in all of `formats` in files named after `image`, before anything
/// that takes long is begun.
///
/// # Errors
/// When one of them is the source itself, something that is not a file stands in the way, or no file can
/// be made.
pub fn probe(source: &Source, image: &Path, formats: &[&'static Format]) -> Result<(), FormatError> {
    for path in formats.iter().map(|format| format.path(image)) {
        if source.is_at(&path) {
            return Err(FormatError::Itself(path));
        }
        Out::create(&path)?;
    }
    Ok(())
}

impl Drafts {
    /// Gives all files their names, in place of what has them now.
    ///
    /// # Errors
    /// When one cannot take its name. Those before it have theirs.
    pub fn keep(self) -> Result<Vec<Made>, FormatError> {
        let keep = |(format, out): (&Format, Out)| {
            let (file, size) = out.keep()?;
            Ok(Made { format: format.name, file, size })
        };
        self.0.into_iter().map(keep).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_the_image() {
        let name = |format: &str, image: &str| {
            find(format).unwrap().path(Path::new(image)).to_str().unwrap().to_owned()
        };
        assert_eq!(name("zst", "out/disk.img"), "out/disk.img.zst");
        assert_eq!(name("qcow2", "out/disk.img"), "out/disk.qcow2");
        assert_eq!(name("bmap", "disk.img.xz"), "disk.img.bmap");
        assert_eq!(name("raw", "disk.img.xz"), "disk.img");
        assert_eq!(name("raw", "disk.wic.gz"), "disk.wic");
        assert_eq!(name("raw", "disk.qcow2"), "disk.img");
        assert_eq!(name("raw", "disk.zstd.qcow2"), "disk.img");
        assert_eq!(name("gce", "disk.img.zst"), "disk.tar.gz");
        assert_eq!(name("raw", "disk.wic"), "disk.wic");
        assert_eq!(name("qcow2", "disk.img.zst"), "disk.qcow2");
        assert_eq!(name("xz", "disk"), "disk.xz");
        assert_eq!(name("os-list", "disk.img.xz"), "disk.os_list.json");
    }

    #[test]
    fn each_format_is_made_once_in_the_order_of_the_table() {
        let formats = find_all(&["sha256", "zst", "sha256", "raw"].map(str::to_owned)).unwrap();
        assert_eq!(formats.iter().map(|format| format.name).collect::<Vec<_>>(), ["raw", "zst", "sha256"]);
        assert!(find_all(&["zip".to_owned()]).is_err());
    }
}
