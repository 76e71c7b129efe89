//! Images with bits that flipped, and images that end too early: told, and never fatal.

use std::sync::OnceLock;

use factory::check::{self, Options, render};
use proptest::prelude::*;

use super::image::{Image, Recipe};

/// The images, made once.
fn samples() -> &'static [Image; 2] {
    static SAMPLES: OnceLock<[Image; 2]> = OnceLock::new();
    SAMPLES.get_or_init(|| [Recipe::generic().build(), Recipe::rpi().build()])
}

/// Where damage hurts: tables, superblocks, FATs, directories and the files behind them.
fn places() -> impl Strategy<Value = (usize, u64)> {
    (0..2_usize, 0..5_usize).prop_flat_map(|(which, partition)| {
        let image = &samples()[which];
        let (start, length) = match partition {
            0 => (0, 34 * 512),
            number => (image.offset(number), 1 << 20),
        };
        (Just(which), start..start + length)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn damage_is_told_but_never_fatal(
        (which, first) in places(),
        more in prop::collection::vec((0..1_u64 << 20, any::<[u8; 4]>()), 1..24),
        cut in prop::option::weighted(0.2, 0_u64..140 << 20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        super::support::tools::run(
            "cp", ["--sparse=always".as_ref(), samples()[which].path.as_os_str(), path.as_os_str()],
        );
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        for (at, bytes) in &more {
            std::os::unix::fs::FileExt::write_all_at(&file, bytes, first + at % 8192).unwrap();
        }
        if let Some(size) = cut {
            file.set_len(size).unwrap();
        }
        let report = check::check(&path, Options::default(), &|_, _| {}).unwrap();
        prop_assert!(!render(&report).contains('\x1b'));
    }
}
