//! A disk: an image in a file, or a device.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Region;
use crate::files;
use crate::image::gpt::{self, Copies, GptError};
use crate::image::layout::{Entry, PartitionTable};
use crate::image::mbr::{self, MbrError};

/// An open disk, which is only read.
#[derive(Debug)]
pub struct Disk {
    region: Region,
}

/// A partition table as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The table. Its roles are not known.
    pub table: PartitionTable,
    /// Which copies of a GPT are sound; an MBR has only one.
    pub copies: Option<Copies>,
}

/// Why a disk cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened or measured.
    #[error("opening `{}`", path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is neither a file nor a block device.
    #[error("`{}` is not an image\n\nhint: name a file, or a block device", path.display())]
    NotAnImage {
        /// What was named.
        path: PathBuf,
    },
}

/// Why there is no partition table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is a protective MBR, or none at all, and no sound GPT.
    #[error(transparent)]
    Gpt(#[from] GptError),
    /// The MBR makes no sense.
    #[error(transparent)]
    Mbr(#[from] MbrError),
}

impl Disk {
    /// Opens the image or device at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, or is neither a file nor a block device.
    pub fn open(path: &Path) -> Result<Disk, OpenError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let about = std::fs::metadata(path).map_err(failed)?;
        if !about.is_file() && !about.file_type().is_block_device() {
            return Err(OpenError::NotAnImage { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(failed)?;
        let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Disk::new(file, size))
    }

    /// A disk that is the first `size` bytes of an open file.
    pub fn new(file: File, size: u64) -> Self {
        Disk { region: Region::new(Arc::new(file), size) }
    }

    /// All bytes of it.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.region.size()
    }

    /// What is not a hole, as starts and ends. Some file systems cannot tell.
    pub fn data(&self) -> Option<Vec<(u64, u64)>> {
        files::data(self.region.file(), self.region.size()).collect::<Result<_, _>>().ok()
    }

    /// Reads the partition table: an MBR where that names partitions, else a GPT.
    ///
    /// # Errors
    /// When there is none that is sound.
    pub fn table(&self) -> Result<Table, TableError> {
        let first = self.region.read(0, self.size().min(512)).map_err(MbrError::Io)?;
        if mbr::is_mbr(&first) {
            let table = mbr::decode(&first, crate::units::Bytes(self.size()))?;
            return Ok(Table { table, copies: None });
        }
        let decoded = gpt::decode(&mut self.region.file())?;
        Ok(Table { table: decoded.table, copies: Some(decoded.copies) })
    }

    /// The bytes of a partition, cut off where the disk ends.
    pub fn partition(&self, entry: &Entry) -> Region {
        self.region.part(entry.offset().0, entry.size().0)
    }
}
