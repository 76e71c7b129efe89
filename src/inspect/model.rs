//! What an inspection finds.

use serde::Serialize;

use crate::units::Bytes;
use crate::volume::Kind;

/// An image or device, as far as it could be read. All sizes are in bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inspection {
    /// Where it is.
    pub path: String,
    /// Its length.
    pub size: Bytes,
    /// Bytes of it that are not holes of the file; `None` where the file system cannot tell.
    pub mapped: Option<Bytes>,
    /// The partition table.
    pub table: Option<Table>,
    /// The partitions, in order of their addresses.
    pub partitions: Vec<Partition>,
    /// The slots, A first.
    pub slots: Vec<Slot>,
    /// What the loader will read.
    pub boot: Option<BootState>,
    /// The largest files of all partitions, largest first.
    pub biggest: Vec<BigFile>,
    /// What is wrong with the image as a whole.
    pub problems: Vec<String>,
}

/// The partition table.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Its format.
    pub scheme: String,
    /// Identity of the disk.
    pub id: String,
    /// What is wrong with one of its copies.
    pub problem: Option<String>,
}

/// One partition.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// What it is for, by its name and type.
    pub role: Option<String>,
    /// Its name in the table.
    pub name: String,
    /// Its type in the table.
    pub kind: String,
    /// Its identity.
    pub partuuid: String,
    /// Where it starts.
    pub start: Bytes,
    /// Its length.
    pub size: Bytes,
    /// What it is formatted with.
    pub filesystem: Option<Filesystem>,
    /// Bytes of it that are not holes of the file; `None` where the file system cannot tell.
    pub mapped: Option<Bytes>,
    /// What takes the space, by the lengths of its files; `None` when it has none, or was not looked into.
    pub usage: Option<Usage>,
    /// Whether it is a slot that starts with zeroes, so that the boot ROM does not find it.
    pub hidden: bool,
    /// Why its file system could not be read.
    pub problem: Option<String>,
}

/// A directory or a file, and what it takes. A file that is a file system has what that holds below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Its name, empty for the root directory; `None` stands for all that are too small to be told.
    pub name: Option<String>,
    /// Lengths of all its files.
    pub bytes: Bytes,
    /// Regular files, by name.
    pub files: u64,
    /// What is in it, largest first, and the small ones last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Usage>,
}

/// A file system.
#[derive(Clone, Debug, Serialize)]
pub struct Filesystem {
    /// Its format.
    pub kind: Kind,
    /// Its label.
    pub label: Option<String>,
    /// Its UUID, or serial number.
    pub uuid: Option<String>,
    /// Its length: the blocks or clusters that it has.
    pub size: Bytes,
    /// What is in use of that; with ext4, its own tables as well.
    pub used: Bytes,
    /// Regular files, by name; `None` when it was not looked into.
    pub files: Option<u64>,
    /// Why not all of it could be read.
    pub problem: Option<String>,
}

/// One copy of the system.
#[derive(Clone, Debug, Serialize)]
pub struct Slot {
    /// `a` or `b`.
    pub slot: String,
    /// Number of its partition.
    pub partition: u32,
    /// Name of the product.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its build id.
    pub build: Option<String>,
    /// Bytes of its files.
    pub bytes: Bytes,
    /// Number of its files.
    pub files: u64,
    /// The root file system in it.
    pub rootfs: Option<Filesystem>,
    /// How its list of files differs from the files.
    pub problems: Vec<String>,
}

/// What the loader will read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BootState {
    /// The slot of the next start, if its state is sound.
    pub next: Option<String>,
    /// The slot that was committed.
    pub committed: Option<String>,
    /// Starts that are left for the other slot, which is under trial when there are some.
    pub tries: u8,
    /// The file that was read.
    pub file: String,
    /// Names and values, in their order.
    pub variables: Vec<(String, String)>,
    /// What is wrong with either copy.
    pub problems: Vec<String>,
}

/// A large file, which may stand in several places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BigFile {
    /// Its length.
    pub size: Bytes,
    /// Its path, behind that of the file system image that it is in, if it is in one.
    pub path: String,
    /// Names of the partitions that have it.
    pub partitions: Vec<String>,
}
