//! Images that are damaged anywhere.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

use factory::diff::{self, Side};
use proptest::prelude::*;

use super::image::{DATA, ESP, MIB, Pair, SYSTEM_A, SYSTEM_B, text};
use super::support::tools::run;

fn sample() -> &'static Pair {
    static SAMPLE: OnceLock<Pair> = OnceLock::new();
    SAMPLE.get_or_init(Pair::new)
}

#[test]
fn a_broken_directory_is_told_and_the_rest_is_compared() {
    let pair = Pair::new();
    pair.put(DATA + 1024 + 0x38, &[0; 2]);
    pair.debugfs(SYSTEM_A, "set_inode_field /Image uid 5");
    let said = pair.said();
    assert!(said.contains("p2 system-a\n  ~ Image: owner 0:0 -> 5:0\n"), "{said}");
    assert!(said.contains("p4 data\n  ~ file system ext4 -> none that is known\n"), "{said}");
}

#[test]
fn a_lost_table_is_told_and_the_other_says_where_partitions_are() {
    let pair = Pair::new();
    let size = fs::metadata(pair.b()).unwrap().len();
    pair.put(512, &[0; 512]);
    pair.put(size - 512, &[0; 512]);
    pair.debugfs(SYSTEM_A, "set_inode_field /Image uid 5");
    let said = pair.said();
    assert!(said.starts_with("disk\n  ~ table GPT -> none, copies of the table 2 -> 0\n"), "{said}");
    assert!(said.contains("\np2 system-a\n  ~ Image: owner 0:0 -> 5:0\n"), "{said}");
    assert!(said.contains("\n  disk, in the second: there is no sound GPT"), "{said}");
}

#[test]
fn a_file_whose_blocks_cannot_be_told_is_a_problem_and_no_end() {
    let pair = Pair::new();
    pair.debugfs(SYSTEM_A, "set_inode_field /Image block[0] 0x1234");
    let said = pair.said();
    assert!(
        said.ends_with(
            "could not be looked into\n  p2 system-a / Image, in the second: its map of blocks is broken\n"
        ),
        "{said}"
    );
}

/// Where damage hurts: in tables, in the metadata of file systems, and anywhere.
fn place() -> impl Strategy<Value = u64> {
    let region = prop_oneof![
        Just((0, 34 * 512)),
        Just((ESP, 64 << 10)),
        Just((SYSTEM_A, 256 << 10)),
        Just((SYSTEM_B, 16 << 10)),
        Just((DATA, 256 << 10)),
        Just((0, 74 * MIB)),
    ];
    region.prop_flat_map(|(start, length)| start..start + length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn images_that_differ_are_never_identical_and_never_fatal(
        damage in prop::collection::vec((place(), any::<[u8; 4]>()), 0..12),
        cut in prop::option::weighted(0.1, 0..74 * MIB),
        is_first: bool,
    ) {
        let a = sample().machine.project("a.img");
        let dir = tempfile::tempdir_in(a.parent().unwrap()).unwrap();
        let b = dir.path().join("b.img");
        run("cp", ["--sparse=always", text(&a), text(&b)]);
        let (original, file) = (File::open(&a).unwrap(), OpenOptions::new().write(true).open(&b).unwrap());
        let size = original.metadata().unwrap().len();
        for (at, bytes) in &damage {
            file.write_all_at(bytes, (*at).min(size - 4)).unwrap();
        }
        if let Some(cut) = cut {
            file.set_len(cut.max(1)).unwrap();
        }
        let is_same = fs::read(&a).unwrap() == fs::read(&b).unwrap();
        let (one, other) = if is_first { (&b, &a) } else { (&a, &b) };
        let found = diff::compare(one, other).unwrap();
        prop_assert_eq!(found.identical, is_same);
        prop_assert_eq!(found.differences.is_empty(), is_same, "{:?}", found.problems);
        prop_assert!(!diff::render(&found).contains('\x1b'));
        // Nothing is wrong with the image that nobody damaged.
        let sound = if is_first { Side::B } else { Side::A };
        prop_assert!(found.problems.iter().all(|problem| problem.image != Some(sound)), "{:?}", found.problems);
    }
}
