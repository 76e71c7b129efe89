//! The largest files of all partitions.

use std::collections::BTreeMap;

use super::model::BigFile;
use crate::units::Bytes;
use crate::volume::Files;

/// How many are told.
const COUNT: usize = 10;

/// Files by size and path. Both slots hold the same ones, which are told once.
#[derive(Debug, Default)]
pub(super) struct Biggest {
    files: BTreeMap<(u64, String), Vec<String>>,
}

impl Biggest {
    /// Takes the files of a partition. `inside` is the path of the image they are in, if any.
    pub(super) fn add(&mut self, partition: &str, inside: &str, files: &Files) {
        for (path, size) in &files.sizes {
            let holders = self.files.entry((*size, format!("{inside}{path}"))).or_default();
            if holders.iter().all(|holder| holder != partition) {
                holders.push(partition.to_owned());
            }
            while self.files.len() > COUNT {
                self.files.pop_first();
            }
        }
    }

    /// The largest, largest first.
    pub(super) fn into_files(self) -> Vec<BigFile> {
        let largest_first = self.files.into_iter().rev();
        largest_first
            .map(|((size, path), partitions)| BigFile { size: Bytes(size), path, partitions })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_in_both_slots_is_told_once() {
        let mut files = Files::default();
        assert!((1..20).all(|size| files.add(&format!("/f{size}"), size, true)));
        let mut biggest = Biggest::default();
        biggest.add("system-a", "", &files);
        biggest.add("system-b", "", &files);
        let told = biggest.into_files();
        assert_eq!(told.len(), COUNT);
        assert_eq!((told[0].path.as_str(), told[0].size), ("/f19", Bytes(19)));
        assert!(told.iter().all(|file| file.partitions == ["system-a", "system-b"]));
    }
}
