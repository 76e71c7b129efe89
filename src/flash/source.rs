//! What was named as the image: a file, the standard input, or an address; and what lies beside it.
//!
//! ```text
//!   disk.img.zst                 the image, which is read in any order if it can be
//!   disk.img.zst.sha256, disk.img.sha256             its digest, as sha256sum tells it
//!   disk.img.zst.bmap, disk.img.bmap, disk.bmap      its block map
//! ```

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::find::FindError;
use super::proof::{Promise, Proofs};
use super::rules::{self, Refusal};
use super::{Buffer, Picture};
use crate::digest::Sha256;
use crate::fetch::host::Host;
use crate::fetch::http::Client;
use crate::formats::bmap::BlockMap;
use crate::formats::read::parts::Parts;
use crate::formats::{self, read};

/// The longest file of digests that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// What was named, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// A path, `-`, the standard input, or an address.
    pub image: &'a Path,
    /// Digest of what was named, packed as it is.
    pub sha256: Option<Sha256>,
    /// Its block map.
    pub bmap: Option<&'a Path>,
}

/// An image of which the first MiB was read.
pub struct Source {
    /// What it is called.
    pub name: String,
    /// All that follows.
    pub picture: Picture,
    /// The first MiB, or all of it.
    pub head: Buffer,
}

/// Where an image comes from.
enum Origin<'a> {
    File(&'a Path),
    Input,
    Address(&'a str),
}

/// Opens an image.
///
/// # Errors
/// When it cannot be read, is none, or is not what was promised, as far as that can be told yet.
pub fn open(wanted: &Wanted<'_>) -> Result<Source, FindError> {
    let origin = Origin::of(wanted.image);
    let name = match origin {
        Origin::Input => "standard input".to_owned(),
        Origin::File(_) | Origin::Address(_) => wanted.image.display().to_string(),
    };
    let proofs = Proofs::new(&name, origin.promise(wanted.sha256)?, origin.map(wanted.bmap)?);
    let failed = |source| FindError::Image { image: name.clone(), source };
    let mut picture = match origin {
        Origin::File(path) => file(path, proofs, &failed)?,
        Origin::Input => {
            let input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(&failed)?);
            let len = input.metadata().ok().filter(|about| about.is_file()).map(|about| about.len());
            Picture::stream(input, len, proofs)
        }
        Origin::Address(url) => {
            let stream = Client::new(Host::current().patience)?.stream(url)?;
            let len = stream.size();
            Picture::stream(stream, len, proofs)
        }
    };
    let mut head = Buffer::default();
    picture.next(&mut head).map_err(failed)?;
    if picture.size().is_none() && read::Kind::detect(head.bytes()) == read::Kind::Qcow2 {
        return Err(FindError::InAnyOrder(name));
    }
    rules::image(&name, head.bytes())?;
    Ok(Source { name, picture, head })
}

/// The image at a path.
fn file(
    path: &Path,
    mut proofs: Proofs,
    failed: &dyn Fn(io::Error) -> FindError,
) -> Result<Picture, FindError> {
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() && !about.is_dir() && !is_block(&about) {
        return Ok(Picture::stream(File::open(path).map_err(failed)?, None, proofs));
    }
    let source = read::open(path)?;
    let packed = source.file().try_clone().map_err(failed)?;
    let Some(parts) = source.parts()? else {
        return Ok(Picture::stream(packed, Some(source.size()), proofs));
    };
    let parts: Arc<dyn Parts> = parts.into();
    proofs.digest(path, packed, source.size());
    Picture::of(&parts, proofs).map_err(failed)
}

fn is_block(about: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&about.file_type())
}

impl<'a> Origin<'a> {
    fn of(image: &'a Path) -> Origin<'a> {
        let is_address = |text: &&str| {
            let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
            ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
        };
        match image.to_str() {
            Some("-") => Origin::Input,
            Some(text) if is_address(&text) => Origin::Address(text),
            _ => Origin::File(image),
        }
    }

    /// The digest that was named, or lies beside.
    fn promise(&self, named: Option<Sha256>) -> Result<Option<Promise>, FindError> {
        match (named, self) {
            (Some(sha256), _) => Ok(Some(Promise { sha256, by: "`--sha256`".to_owned() })),
            (None, Origin::Address(url)) => Err(Refusal::NoDigest((*url).to_owned()).into()),
            (None, Origin::Input) => Ok(None),
            (None, Origin::File(image)) => digest_beside(image),
        }
    }

    /// The block map that was named, or lies beside.
    fn map(&self, named: Option<&Path>) -> Result<Option<(String, BlockMap)>, FindError> {
        let path = match (named, self) {
            (Some(path), _) => path.to_owned(),
            (None, Origin::Input | Origin::Address(_)) => return Ok(None),
            (None, Origin::File(image)) => match maps(image).into_iter().find(|path| path.is_file()) {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        let map = BlockMap::read(&path);
        let map = map.map_err(|source| FindError::Beside { path: path.clone(), source })?;
        Ok(Some((path.display().to_string(), map)))
    }
}

/// A path with a suffix behind it.
fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A path of what lies beside an image, named as in the table of formats.
fn beside(image: &Path, format: &str) -> Option<PathBuf> {
    formats::find(format).ok().map(|format| format.path(image))
}

/// Where the block map of an image may be.
fn maps(image: &Path) -> Vec<PathBuf> {
    let mut paths = vec![with(image, ".bmap")];
    if let Some(plain) = beside(image, "bmap") {
        let short = plain.with_extension("").with_extension("bmap");
        paths.extend([plain, short]);
    }
    paths
}

/// The digest that lies beside an image. A file that is named after just this one must have it.
fn digest_beside(image: &Path) -> Result<Option<Promise>, FindError> {
    let own = with(image, ".sha256");
    let common = beside(image, "sha256").filter(|path| *path != own);
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    for path in [Some(own.clone()), common].into_iter().flatten() {
        let failed = |source| FindError::Beside { path: path.clone(), source };
        let mut text = String::new();
        match File::open(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            file => file.map_err(failed)?.take(LONGEST).read_to_string(&mut text).map_err(failed)?,
        };
        match digest_of(&name, &text) {
            Some(sha256) => return Ok(Some(Promise { sha256, by: format!("`{}`", path.display()) })),
            None if path == own => return Err(FindError::NoSum { path, image: name.into_owned() }),
            None => {}
        }
    }
    Ok(None)
}

/// The digest of `name` among lines of sha256sum: `HEX  name`, or `HEX *name`; or one that stands alone.
fn digest_of(name: &str, text: &str) -> Option<Sha256> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let is_of = |line: &&str| {
        let file = line.split_once(' ').map_or("", |(_, file)| file.trim_start_matches([' ', '*']));
        file.rsplit('/').next() == Some(name)
    };
    let found = lines.clone().find(is_of);
    let alone = || lines.next().filter(|line| line.split_whitespace().count() == 1 && lines.next().is_none());
    found.or_else(alone)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_by_the_name_of_its_file() {
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let text = format!("{a}  disk.img\n{b} *out/disk.img.zst\n");
        assert_eq!(digest_of("disk.img", &text), Some(a));
        assert_eq!(digest_of("disk.img.zst", &text), Some(b));
        assert_eq!(digest_of("disk", &text), None);
        assert_eq!(digest_of("disk", &format!("{a}\n")), Some(a));
        for none in [String::new(), format!("{a}\n{b}\n"), "no digest".to_owned(), format!("{a}  other")] {
            assert_eq!(digest_of("disk", &none), None, "{none}");
        }
    }

    #[test]
    fn maps_are_looked_for_as_bmaptool_does() {
        let names = |image: &str| {
            maps(Path::new(image)).iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("a/disk.img"), ["a/disk.img.bmap", "a/disk.img.bmap", "a/disk.bmap"]);
        assert_eq!(names("disk.img.zst"), ["disk.img.zst.bmap", "disk.img.bmap", "disk.bmap"]);
        assert_eq!(names("disk.qcow2"), ["disk.qcow2.bmap", "disk.img.bmap", "disk.bmap"]);
    }

    #[test]
    fn addresses_are_told_from_paths() {
        for address in ["http://a.example/disk.img", "HTTPS://a.example"] {
            assert!(matches!(Origin::of(Path::new(address)), Origin::Address(_)), "{address}");
        }
        for path in ["disk.img", "./http://x", "ftp://x", "http", "https:/x"] {
            assert!(matches!(Origin::of(Path::new(path)), Origin::File(_)), "{path}");
        }
    }
}
