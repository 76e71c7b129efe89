//! Directories of a FAT: what each holds, and its 32-byte entries.
//!
//! ```text
//!    0 short name (8 + 3)       20 first cluster, upper half
//!   11 attributes               22 time written
//!   13 tenths of creation       24 date written
//!   14 time, 16 date of it      26 first cluster, lower half
//!   18 date of access           28 size in bytes
//! ```

use std::collections::BTreeMap;

use bootenv::calendar::civil;

use super::names::{self, Name, Short};
use super::{Chain, FatError, Plan};
use crate::image::extents::Extents;
use crate::tree::{FileTree, Kind, Node, TreePath};
use crate::units::Bytes;

const ENTRY: u64 = 32;
/// Most entries in a directory: what the 16-bit count of a FAT16 root can say.
const MOST_ENTRIES: u64 = 65_520;
const LARGEST_FILE: u64 = u32::MAX as u64;

const ATTRIBUTE_LABEL: u8 = 0x08;
pub(crate) const ATTRIBUTE_DIR: u8 = 0x10;
pub(crate) const ATTRIBUTE_FILE: u8 = 0x20;

/// A tree as FAT sees it, before anything has a place.
pub(super) struct Shape<'a> {
    /// Sorted by path, the root first.
    pub(super) dirs: Vec<Dir<'a>>,
    /// Sorted by path.
    pub(super) files: Vec<File<'a>>,
}

pub(super) struct Dir<'a> {
    path: &'a TreePath,
    parent: usize,
    entries: Vec<(Name, Target)>,
}

pub(super) struct File<'a> {
    pub(super) path: &'a TreePath,
    pub(super) content: &'a Extents,
}

/// What an entry stands for, by its place in the [`Shape`].
#[derive(Clone, Copy)]
enum Target {
    Dir(usize),
    File(usize),
}

impl<'a> Shape<'a> {
    pub(super) fn of(tree: &'a FileTree) -> Result<Self, FatError> {
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        let mut index = BTreeMap::new();
        let mut children: Vec<Vec<(&str, Target)>> = Vec::new();
        for (path, node) in tree.iter() {
            let parent = match path.parent() {
                Some(above) => *index.get(&above).ok_or(FatError::Orphan { path: path.clone() })?,
                None => 0,
            };
            let target = target(path, node, dirs.len(), files.len())?;
            match (&node.kind, target) {
                (Kind::File(content), _) => files.push(File { path, content }),
                _ => {
                    index.insert(path.clone(), dirs.len());
                    dirs.push(Dir { path, parent, entries: Vec::new() });
                    children.push(Vec::new());
                }
            }
            if !path.name().is_empty() {
                children[parent].push((path.name(), target));
            }
        }
        for (dir, children) in dirs.iter_mut().zip(children) {
            dir.fill(&children)?;
        }
        Ok(Shape { dirs, files })
    }

    /// Entries of the root directory, the one for the label included.
    pub(super) fn root_entries(&self) -> u64 {
        self.dirs[0].bytes() / ENTRY
    }
}

fn target(path: &TreePath, node: &Node, dirs: usize, files: usize) -> Result<Target, FatError> {
    let refused = |what| Err(FatError::Kind { path: path.clone(), what });
    match &node.kind {
        Kind::Dir => Ok(Target::Dir(dirs)),
        _ if path.as_str().is_empty() => refused("root that is not a directory"),
        Kind::File(content) if content.size() > LARGEST_FILE => {
            Err(FatError::FileTooLarge { path: path.clone(), size: Bytes(content.size()) })
        }
        Kind::File(_) => Ok(Target::File(files)),
        Kind::Symlink(_) => refused("symbolic link"),
        Kind::HardLink(_) => refused("hard link"),
        Kind::CharDevice { .. } => refused("character device"),
        Kind::BlockDevice { .. } => refused("block device"),
        Kind::Fifo => refused("named pipe"),
        Kind::Socket => refused("socket"),
    }
}

impl Dir<'_> {
    fn fill(&mut self, children: &[(&str, Target)]) -> Result<(), FatError> {
        let names: Vec<&str> = children.iter().map(|(name, _)| *name).collect();
        let names = names::assign(self.path, &names)?;
        self.entries = names.into_iter().zip(children.iter().map(|(_, target)| *target)).collect();
        if self.bytes() / ENTRY > MOST_ENTRIES {
            return Err(FatError::DirectoryTooLarge { path: self.path.clone() });
        }
        Ok(())
    }

    pub(super) fn is_root(&self) -> bool {
        self.path.as_str().is_empty()
    }

    /// Length of its entries: the label in the root, `.` and `..` elsewhere, and one a name with
    /// those of the long name before it.
    pub(super) fn bytes(&self) -> u64 {
        let own = if self.is_root() { 1 } else { 2 };
        let named: usize = self.entries.iter().map(|(name, _)| name.long_entries() + 1).sum();
        (own + named as u64) * ENTRY
    }
}

/// The bytes of all directories that hold something, with their offsets.
pub(super) fn encode(
    shape: &Shape<'_>,
    plan: &Plan,
    label: Option<[u8; 11]>,
    epoch: i64,
) -> Vec<(u64, Vec<u8>)> {
    let time = Time::of(epoch);
    let fixed = plan.geometry.is_root_fixed();
    let place = |dir: &Dir<'_>, chain: &Chain| match dir.is_root() && fixed {
        true => plan.geometry.root_offset(),
        false => plan.geometry.offset(chain.first),
    };
    let dirs = shape.dirs.iter().zip(&plan.dirs);
    dirs.map(|(dir, chain)| (place(dir, chain), encode_dir(dir, *chain, shape, plan, label, time))).collect()
}

fn encode_dir(
    dir: &Dir<'_>,
    own: Chain,
    shape: &Shape<'_>,
    plan: &Plan,
    label: Option<[u8; 11]>,
    time: Time,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(dir.bytes() as usize);
    if dir.is_root() {
        bytes.extend(label.iter().flat_map(|label| entry(label, ATTRIBUTE_LABEL, 0, 0, time)));
    } else {
        // The root has no number here, wherever it stands.
        let above = if dir.parent == 0 { 0 } else { plan.dirs[dir.parent].first };
        bytes.extend(dots(own.first, above, time));
    }
    for (name, target) in &dir.entries {
        bytes.extend(match *target {
            Target::Dir(n) => named(name, ATTRIBUTE_DIR, plan.dirs[n].first, 0, time),
            Target::File(n) => {
                let size = shape.files[n].content.size() as u32;
                named(name, ATTRIBUTE_FILE, plan.files[n].first, size, time)
            }
        });
    }
    bytes
}

/// What every directory but the root begins with; `above` is 0 for the root.
pub(crate) fn dots(own: u32, above: u32, time: Time) -> Vec<u8> {
    let entries = [(b".          ", own), (b"..         ", above)];
    entries.iter().flat_map(|(name, cluster)| entry(name, ATTRIBUTE_DIR, *cluster, 0, time)).collect()
}

/// The entries of one name.
pub(crate) fn named(name: &Name, attributes: u8, cluster: u32, size: u32, time: Time) -> Vec<u8> {
    let short = entry(&name.short, attributes, cluster, size, time);
    name.encode_long().flatten().chain(short).collect()
}

fn entry(short: &Short, attributes: u8, cluster: u32, size: u32, time: Time) -> [u8; 32] {
    let mut entry = [0; 32];
    let mut set = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, short);
    set(11, &[attributes]);
    // The root's label was never created nor read, only written.
    if attributes != ATTRIBUTE_LABEL {
        set(13, &[time.tenths]);
        set(14, &time.time.to_le_bytes());
        set(16, &time.date.to_le_bytes());
        set(18, &time.date.to_le_bytes());
    }
    set(20, &((cluster >> 16) as u16).to_le_bytes());
    set(22, &time.time.to_le_bytes());
    set(24, &time.date.to_le_bytes());
    set(26, &(cluster as u16).to_le_bytes());
    set(28, &size.to_le_bytes());
    entry
}

/// A moment as directory entries say it, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    date: u16,
    time: u16,
    /// The odd second, in hundredths.
    tenths: u8,
}

impl Time {
    /// The years that seven bits can count.
    const FIRST: i64 = 315_532_800; // 1980-01-01
    const LAST: i64 = 4_354_819_199; // 2107-12-31 23:59:59

    /// When the entry was written, to two seconds.
    pub(crate) fn written(entry: &[u8; ENTRY as usize]) -> Self {
        let word = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        Time { date: word(24), time: word(22), tenths: 0 }
    }

    /// The nearest moment to a time in seconds since 1970.
    pub(crate) fn of(epoch: i64) -> Self {
        let epoch = epoch.clamp(Self::FIRST, Self::LAST);
        let (days, seconds) = (epoch / 86_400, epoch % 86_400);
        let (year, month, day) = civil(days);
        Time {
            date: ((year - 1980) << 9 | month << 5 | day) as u16,
            time: ((seconds / 3600) << 11 | (seconds / 60 % 60) << 5 | (seconds % 60 / 2)) as u16,
            tenths: (seconds % 2 * 100) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_become_dates_in_utc() {
        let time = Time::of(1_700_000_001); // 2023-11-14 22:13:21
        assert_eq!(time, Time { date: 43 << 9 | 11 << 5 | 14, time: 22 << 11 | 13 << 5 | 10, tenths: 100 });
    }

    #[test]
    fn moments_that_fat_cannot_say_become_the_nearest_it_can() {
        assert_eq!(Time::of(0), Time { date: 1 << 5 | 1, time: 0, tenths: 0 });
        assert_eq!(Time::of(i64::MAX).date, 127 << 9 | 12 << 5 | 31);
    }
}
