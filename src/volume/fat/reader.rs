//! Files as streams: neighbouring clusters are read at once, and memory does not grow with the file.

use std::io::{self, ErrorKind, Read};

use super::{Fat, FatError};
use crate::volume::Region;

/// Most bytes that one read asks of the disk.
const STEP: u64 = 1 << 20;

/// A file that is read from its beginning to its end.
#[derive(Debug)]
pub struct FatReader<'a> {
    fat: &'a Fat,
    /// The cluster that is read next.
    cluster: u32,
    /// Bytes of it that were read.
    within: u64,
    /// Bytes of the file that are left.
    left: u64,
}

impl Fat {
    /// The file at `path` as a stream, `None` when there is none.
    ///
    /// # Errors
    /// When a directory on the way cannot be read.
    pub fn reader(&self, path: &str) -> Result<Option<FatReader<'_>>, FatError> {
        let entry = self.find(path)?;
        Ok(entry.map(|entry| FatReader {
            fat: self,
            cluster: entry.cluster,
            within: 0,
            left: entry.size.into(),
        }))
    }

    /// The bytes of the file at `path`, to be read at random; `None` when there is none, or when it is empty
    /// or in several pieces.
    ///
    /// # Errors
    /// When a directory on the way cannot be read.
    pub fn region(&self, path: &str) -> Result<Option<Region>, FatError> {
        let Some(entry) = self.find(path)?.filter(|entry| entry.size > 0) else { return Ok(None) };
        let size = u64::from(entry.size);
        let place = self.offset(entry.cluster).filter(|_| self.stretch(entry.cluster, 0, size).0 == size);
        Ok(place.map(|at| self.region.part(at, size)))
    }

    /// Bytes from `within` of `cluster` on that lie next to each other, up to `most`, and the
    /// cluster after the last one that they fill.
    fn stretch(&self, cluster: u32, within: u64, most: u64) -> (u64, u32) {
        let mut length = self.cluster_size - within;
        let mut next = self.next(cluster);
        let mut last = cluster;
        while length < most && next == last + 1 && self.has_cluster(next) {
            last = next;
            length += self.cluster_size;
            next = self.next(last);
        }
        if length > most { (most, last) } else { (length, next) }
    }
}

impl Read for FatReader<'_> {
    /// Every read is shorter than the file, whatever its chain says, so that rings end as well.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.left.min(buffer.len() as u64).min(STEP);
        if most == 0 {
            return Ok(0);
        }
        let broken = || io::Error::new(ErrorKind::InvalidData, "its chain of clusters is broken");
        let at = self.fat.offset(self.cluster).ok_or_else(broken)? + self.within;
        let (length, next) = self.fat.stretch(self.cluster, self.within, most);
        self.fat.region.read_exact(at, &mut buffer[..length as usize])?;
        let end = self.within + length;
        self.within = end % self.fat.cluster_size;
        self.cluster = next;
        self.left -= length;
        Ok(length as usize)
    }
}
