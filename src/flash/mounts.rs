//! What is mounted and what is swapped to, by the kernel's lists.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Most bytes that are read of a file of the kernel's.
const MOST: u64 = 4 << 20;

/// Mounted file systems and areas of swap.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounts {
    mounts: Vec<Mount>,
    swaps: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
struct Mount {
    /// Major and minor number. btrfs has numbers of its own, which no device has.
    number: String,
    at: String,
    source: PathBuf,
}

impl Mounts {
    /// Reads the lists of the machine below `root`. One that cannot be read has nothing in it: what is in use
    /// cannot be opened exclusively, which is tried last.
    pub(super) fn read(root: &Path) -> Self {
        let mounts = read(&root.join("proc/self/mountinfo")).unwrap_or_default();
        let swaps = read(&root.join("proc/swaps")).unwrap_or_default();
        Mounts {
            mounts: mounts.lines().filter_map(mount).collect(),
            swaps: swaps
                .lines()
                .skip(1)
                .filter_map(|line| Some(unescape(line.split_whitespace().next()?).into()))
                .collect(),
        }
    }

    /// Where the device with this number and node is mounted.
    pub(super) fn of(&self, number: &str, node: &Path) -> impl Iterator<Item = String> {
        let is_of = move |mount: &&Mount| mount.number == number || mount.source == node;
        self.mounts.iter().filter(is_of).map(|mount| mount.at.clone())
    }

    /// Whether memory is swapped out to this device.
    pub(super) fn swaps(&self, node: &Path) -> bool {
        self.swaps.iter().any(|swap| swap == node)
    }
}

/// The text of a file of the kernel's, or none.
pub(super) fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `36 35 98:0 /root /mnt rw master:1 - ext4 /dev/root rw` (proc_pid_mountinfo(5)).
fn mount(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut words = front.split(' ');
    let number = words.nth(2)?.to_owned();
    let at = unescape(words.nth(1)?);
    let source = unescape(back.split(' ').nth(1)?).into();
    Some(Mount { number, at, source })
}

/// Blanks and backslashes are written as three octal digits.
fn unescape(word: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(word.to_owned(), |word, (from, to)| word.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_number_and_by_node() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        let list = "1 0 8:1 / /mnt/my\\040card rw - vfat /dev/sda1 rw\nnonsense\n2 0 0:33 / /b rw,x shared:1 - btrfs /dev/sdb rw\n";
        std::fs::write(dir.path().join("proc/self/mountinfo"), list).unwrap();
        let swaps = "Filename Type Size Used Priority\n/dev/sdc2 partition 1 0 -2\n";
        std::fs::write(dir.path().join("proc/swaps"), swaps).unwrap();
        let mounts = Mounts::read(dir.path());
        let of = |number, node| mounts.of(number, Path::new(node)).collect::<Vec<_>>();
        assert_eq!(of("8:1", "/dev/other"), ["/mnt/my card"]);
        assert_eq!(of("8:16", "/dev/sdb"), ["/b"]);
        assert_eq!(of("8:2", "/dev/sda"), [""; 0]);
        assert!(mounts.swaps(Path::new("/dev/sdc2")) && !mounts.swaps(Path::new("/dev/sdc")));
    }
}
