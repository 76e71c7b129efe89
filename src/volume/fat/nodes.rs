//! All files and directories with their chains of clusters, for whoever judges them.

use super::{Bits, Fat, FatError, LARGEST_DIRECTORY, Root, entries, u16_at};
use crate::volume::{DEEPEST, MOST_ENTRIES, Region, Run};

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Path from the root, with a slash in front; `/` is the root of FAT32.
    pub path: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Its first cluster, 0 when it has none.
    pub first: u32,
    /// Its size in bytes; a directory says 0.
    pub size: u32,
    /// Its attributes: 1 read-only, 2 hidden, 4 system, 16 directory, 32 to be archived.
    pub attributes: u8,
    /// Its times.
    pub stamps: Stamps,
}

/// Times of a file as they are stored: dates and times that know no zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When it was changed, date and time.
    pub modified: (u16, u16),
    /// When it was made, date, time, and hundredths of a second of the next two.
    pub created: (u16, u16, u8),
    /// The day on which it was read.
    pub accessed: u16,
}

impl Stamps {
    pub(super) fn decode(entry: &[u8]) -> Self {
        let word = |at| u16_at(entry, at) as u16;
        Stamps {
            modified: (word(24), word(22)),
            created: (word(16), word(14), entry[13]),
            accessed: word(18),
        }
    }
}

impl Fat {
    /// Everything that can be reached from the root. Directories that cannot be read have no
    /// children, and those that are nested too deep, or come after too many others, are left out.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn nodes(&self) -> Result<Vec<Node>, FatError> {
        let mut nodes = Vec::new();
        if let Root::Cluster(first) = self.root {
            nodes.push(Node {
                path: "/".to_owned(),
                is_dir: true,
                first,
                size: 0,
                attributes: 0,
                stamps: Stamps::default(),
            });
        }
        let mut directories = vec![(String::new(), self.readable(self.root_bytes())?)];
        while let Some((path, bytes)) = directories.pop() {
            for entry in entries(&bytes, self.bits) {
                let path = format!("{path}/{}", entry.name);
                if entry.is_dir && path.matches('/').count() < DEEPEST {
                    let content = self.chain(entry.cluster, LARGEST_DIRECTORY, &path);
                    directories.push((path.clone(), self.readable(content)?));
                }
                nodes.push(Node {
                    path,
                    is_dir: entry.is_dir,
                    first: entry.cluster,
                    size: entry.size,
                    attributes: entry.attributes,
                    stamps: entry.stamps,
                });
                if nodes.len() as u64 >= MOST_ENTRIES {
                    return Ok(nodes);
                }
            }
        }
        Ok(nodes)
    }

    /// What was read of a directory; nothing of one whose chain is broken.
    fn readable(&self, content: Result<Vec<u8>, FatError>) -> Result<Vec<u8>, FatError> {
        match content {
            Err(FatError::Io(error)) => Err(error.into()),
            content => Ok(content.unwrap_or_default()),
        }
    }

    /// Where the clusters of a chain lie in the file system, up to `most` bytes of them.
    ///
    /// # Errors
    /// When the chain leaves the file system before.
    pub fn runs(&self, first: u32, most: u64, path: &str) -> Result<Vec<Run>, FatError> {
        let (mut runs, mut at, mut cluster): (Vec<Run>, u64, u32) = (Vec::new(), 0, first);
        while at < most && !self.is_end(cluster) {
            let from = self.offset(cluster).ok_or_else(|| FatError::Chain(path.to_owned()))?;
            match runs.last_mut() {
                Some(last) if last.from + last.len == from => last.len += self.cluster_size,
                _ => runs.push(Run { at, from, len: self.cluster_size }),
            }
            at += self.cluster_size;
            cluster = self.next(cluster);
        }
        Ok(runs)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When its chain of clusters is broken, or shorter than the file.
    pub fn content(&self, node: &Node) -> Result<Region, FatError> {
        let size = u64::from(node.size);
        let runs = self.runs(node.first, size, &node.path)?;
        if runs.last().map_or(0, Run::end) < size {
            return Err(FatError::Chain(node.path.clone()));
        }
        Ok(self.region.gather(&runs, size))
    }

    /// Whether there is a cluster of this number.
    pub fn has_cluster(&self, cluster: u32) -> bool {
        self.offset(cluster).is_some()
    }

    /// What follows `cluster` in its chain, `None` at the end or when there is no such cluster.
    pub fn after(&self, cluster: u32) -> Option<u32> {
        let next = self.has_cluster(cluster).then(|| self.next(cluster))?;
        (!self.is_end(next)).then_some(next)
    }

    /// Whether a cluster belongs to something, by its entry in the FAT: it is neither free nor
    /// marked as bad.
    pub fn is_taken(&self, cluster: u32) -> bool {
        let bad = match self.bits {
            Bits::Twelve => 0xff7,
            Bits::Sixteen => 0xfff7,
            Bits::ThirtyTwo => 0x0fff_fff7,
        };
        self.has_cluster(cluster) && !matches!(self.next(cluster), 0) && self.next(cluster) != bad
    }
}
