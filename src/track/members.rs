//! The files that a track takes out of parts, by the names of its picks.

use std::collections::BTreeMap;
use std::ops::Index;
use std::path::PathBuf;

use crate::image::extents::Extents;

/// A file that was taken out of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
}

impl Member {
    /// All of it.
    pub fn content(&self) -> Extents {
        Extents::file(self.path.clone(), 0, self.size)
    }
}

/// All files that were taken.
///
/// Indexed by the name of a pick for one file that is not optional.
#[derive(Clone, Debug, Default)]
pub struct Members {
    one: BTreeMap<String, Member>,
    many: BTreeMap<String, BTreeMap<String, Member>>,
}

impl Members {
    /// Notes the file of the pick `name`.
    pub fn insert(&mut self, name: &str, member: Member) {
        self.one.insert(name.to_owned(), member);
    }

    /// Notes one of the files of the pick `name`, which ends in `/`.
    pub fn insert_into(&mut self, name: &str, file: &str, member: Member) {
        self.many.entry(name.to_owned()).or_default().insert(file.to_owned(), member);
    }

    /// The file of the pick `name`; none when it was optional and is missing.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.one.get(name)
    }

    /// The files of the pick `name`, which ends in `/`, with their own names, sorted by these.
    pub fn all(&self, name: &str) -> impl Iterator<Item = (&str, &Member)> {
        self.many.get(name).into_iter().flatten().map(|(file, member)| (file.as_str(), member))
    }
}

impl Index<&str> for Members {
    type Output = Member;

    /// # Panics
    /// When nobody picked such a file: a build stops before when one that is not optional is missing.
    fn index(&self, name: &str) -> &Member {
        self.get(name).unwrap_or_else(|| panic!("no pick is called `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_pick_are_sorted_by_their_own_names() {
        let member = |size| Member { path: PathBuf::from("/x"), size };
        let mut members = Members::default();
        members.insert("kernel", member(1));
        members.insert_into("dtb/", "b.dtb", member(3));
        members.insert_into("dtb/", "a.dtb", member(2));
        assert_eq!((members["kernel"].content().size(), members.get("config")), (1, None));
        let found: Vec<(&str, u64)> = members.all("dtb/").map(|(name, member)| (name, member.size)).collect();
        assert_eq!(found, [("a.dtb", 2), ("b.dtb", 3)]);
        assert_eq!(members.all("overlays/").count(), 0);
    }
}
