//! The disk that a machine starts from, as a file of the host.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::BootError;
use crate::archive::compress::Packing;

/// A disk image that QEMU can run from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Absolute, since QEMU takes what stands before a colon in any other path for a protocol.
    pub(super) path: PathBuf,
    /// Told to QEMU: if it guessed, a guest could write a header that makes it guess otherwise.
    pub(super) format: Format,
}

/// How the bytes of the disk are kept in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As they are.
    Raw,
    /// In QEMU's own format.
    Qcow2,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        })
    }
}

impl Source {
    /// Opens the image as the machine will, and tells its format from its first bytes.
    pub(super) fn find(path: &Path, persist: bool) -> Result<Source, BootError> {
        let failed = |source| BootError::Image { path: path.to_owned(), source };
        let refused = |what, hint| BootError::NotADisk { path: path.to_owned(), what, hint };
        if path.is_dir() {
            return Err(refused("a directory", "name the image in it"));
        }
        let file = OpenOptions::new().read(true).write(persist).open(path).map_err(failed)?;
        let head = read_head(&file).map_err(failed)?;
        if head.is_empty() {
            return Err(refused("empty", "build it with `factory image`"));
        }
        if Packing::detect(&head) != Packing::Plain {
            return Err(refused("compressed", "unpack it first"));
        }
        let format = if head.starts_with(b"QFI\xfb") { Format::Qcow2 } else { Format::Raw };
        Ok(Source { path: path.canonicalize().map_err(failed)?, format })
    }
}

fn read_head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(8).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Result<Format, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        Source::find(file.path(), false).map(|source| source.format).map_err(|error| error.to_string())
    }

    #[test]
    fn the_format_is_told_by_the_first_bytes() {
        assert_eq!(found(&[0; 512]), Ok(Format::Raw));
        assert_eq!(found(b"QFI\xfb\0\0\0\x03"), Ok(Format::Qcow2));
    }

    #[test]
    fn files_that_are_no_disks_are_refused_with_a_way_out() {
        for (bytes, what) in [(&b""[..], "is empty"), (b"\x1f\x8b\x08\0\0\0\0\0", "is compressed")] {
            let error = found(bytes).expect_err(what);
            assert!(error.contains(what) && error.contains("\n\nhint: "), "{error}");
        }
        let dir = tempfile::tempdir().expect("a directory");
        let error = Source::find(dir.path(), false).expect_err("a directory").to_string();
        assert!(error.contains("is a directory"), "{error}");
    }
}
