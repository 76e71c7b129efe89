//! The SD card: the image as QEMU takes it, a power of two in size.
//!
//! ```text
//!   throw away   a copy without a name: it lives from reset to reset, and dies with us
//!   keep         the image itself, made longer for the run by a hole that is cut off afterwards
//! ```

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use crate::emulate::BootError;
use crate::files;
use crate::volume::{Disk, OpenError};

/// A card in the reader.
#[derive(Debug)]
pub(super) struct Card {
    /// Kept open: it is all that a copy lives by.
    file: File,
    path: PathBuf,
    /// The length that the image gets back.
    length: Option<u64>,
}

impl Card {
    /// The image itself.
    pub(super) fn keep(image: &Path) -> Result<Card, BootError> {
        let failed = |source| BootError::Image { path: image.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).open(image).map_err(failed)?;
        let length = check(&file, image)?;
        file.set_len(size(length)).map_err(failed)?;
        Ok(Card { file, path: image.to_owned(), length: Some(length) })
    }

    /// A copy of it, in `TMPDIR`, else `/var/tmp`, as QEMU's own overlays are.
    pub(super) fn copy(image: &Path) -> Result<Card, BootError> {
        let from = File::open(image).map_err(|source| BootError::Image { path: image.to_owned(), source })?;
        let length = check(&from, image)?;
        let dir = std::env::var_os("TMPDIR").map_or_else(|| "/var/tmp".into(), PathBuf::from);
        let copied = || -> io::Result<File> {
            let file = tempfile::tempfile_in(&dir)?;
            file.set_len(size(length))?;
            files::copy_sparse(&from, &file, length)?;
            Ok(file)
        };
        let file = copied().map_err(|source| BootError::Copy {
            path: image.to_owned(),
            dir: dir.clone(),
            source,
        })?;
        Ok(Card { path: path_of(&file), file, length: None })
    }

    /// Where QEMU finds it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The card as it is now.
    pub(super) fn open(&self) -> Result<Disk, OpenError> {
        Disk::open(&self.path)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // Nobody is left to hear of an error, and a hole at the end does no harm.
        if let Some(length) = self.length {
            let _ = shorten(&self.file, length);
        }
    }
}

/// A file of this process as another one of the same user can open it, name or not.
pub(super) fn path_of(file: &File) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

/// The length of an image that nobody else is writing.
fn check(file: &File, path: &Path) -> Result<u64, BootError> {
    let metadata = file.metadata().map_err(|source| BootError::Image { path: path.to_owned(), source })?;
    if !metadata.is_file() {
        let hint = "copy it into a file first";
        return Err(BootError::NotADisk { path: path.to_owned(), what: "a device", hint });
    }
    if is_in_use(path) {
        return Err(BootError::Busy { path: path.to_owned() });
    }
    Ok(metadata.len())
}

/// Whether a QEMU has the image open, by the locks that it takes (`block/file-posix.c`). Only who
/// may write a file can find out, and some file systems know no locks.
fn is_in_use(image: &Path) -> bool {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(image) else { return false };
    let lock = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
    matches!(lock, Err(Errno::AGAIN | Errno::ACCESS))
}

/// QEMU refuses cards of other sizes (`hw/sd/sd.c`).
fn size(length: u64) -> u64 {
    length.checked_next_power_of_two().unwrap_or(length)
}

/// Cuts `file` back to `length`, unless something was written behind it.
fn shorten(file: &File, length: u64) -> io::Result<()> {
    if files::next_data(file, length)?.is_none() {
        file.set_len(length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::emulate::qemu::{Machine, drive};
    use crate::emulate::qmp::Notice;
    use crate::units::MIB;

    const LENGTH: u64 = 5 * MIB;

    /// An image of holes, and bytes near its start and at its end.
    fn image() -> tempfile::NamedTempFile {
        let mut image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(LENGTH).unwrap();
        image.as_file().write_all_at(b"start", 70_000).unwrap();
        image.seek(SeekFrom::Start(LENGTH - 3)).unwrap();
        image.write_all(b"end").unwrap();
        image
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_the_size_of_a_card_and_no_effect_on_the_image() {
        let image = image();
        let before = std::fs::read(image.path()).unwrap();
        let card = Card::copy(image.path()).unwrap();
        let copy = std::fs::read(card.path()).unwrap();
        assert_eq!((&copy[..before.len()], copy.len() as u64), (&before[..], 8 * MIB));
        std::fs::write(card.path(), b"scribble").unwrap();
        drop(card);
        assert_eq!(std::fs::read(image.path()).unwrap(), before);
    }

    #[test]
    fn an_image_that_is_kept_gets_its_length_back() {
        let image = image();
        let card = Card::keep(image.path()).unwrap();
        assert_eq!(image.as_file().metadata().unwrap().len(), 8 * MIB);
        card.file.write_all_at(b"kept", 9).unwrap();
        drop(card);
        let bytes = std::fs::read(image.path()).unwrap();
        assert_eq!((&bytes[9..13], bytes.len() as u64), (&b"kept"[..], LENGTH));
    }

    #[test]
    fn what_was_written_behind_the_end_is_not_cut_off() {
        let image = image();
        let card = Card::keep(image.path()).unwrap();
        card.file.write_all_at(b"grown", 7 * MIB).unwrap();
        drop(card);
        assert_eq!(image.as_file().metadata().unwrap().len(), 8 * MIB);
    }

    #[test]
    fn an_image_that_another_machine_writes_is_refused() {
        let image = image();
        let disk = drive("if=none,id=disk,format=raw", image.path());
        let arguments = ["-M", "virt", "-device", "virtio-blk-pci,drive=disk", "-drive"].map(Into::into);
        let mut machine = Machine::start(&[&arguments[..], &[disk]].concat()).unwrap();
        while !machine.qmp.poll().unwrap().contains(&Notice::Resumed) {}
        for card in [Card::copy, Card::keep] {
            assert!(matches!(card(image.path()), Err(BootError::Busy { .. })));
        }
        machine.stop().unwrap();
        Card::copy(image.path()).unwrap();
    }
}
