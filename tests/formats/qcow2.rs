//! Images in QEMU's format as its own tool makes them, read back.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use factory::formats::read::parts::Parts;
use factory::formats::{self, read};
use factory::tool::Tool;
use proptest::prelude::*;

use super::bench::{Bench, MIB, noise};
use super::oracle::{QEMU_IMG, run};

const QEMU_IO: Tool = Tool { program: "qemu-io", package: "qemu-utils" };

/// How an image may be made: options of `qemu-img convert`.
const KINDS: [&[&str]; 10] = [
    &["-o", "compat=0.10"],
    &["-o", "cluster_size=512"],
    &["-o", "cluster_size=4k,preallocation=metadata"],
    &["-o", "cluster_size=2M"],
    &["-S", "0"],
    &["-c"],
    &["-c", "-o", "compat=0.10,cluster_size=1k"],
    &["-c", "-o", "cluster_size=2M"],
    &["-c", "-o", "compression_type=zstd"],
    &["-c", "-o", "compression_type=zstd,cluster_size=4k"],
];

/// The image as QEMU's tool makes it.
fn theirs(bench: &Bench, options: &[&str]) -> PathBuf {
    let path = bench.path("theirs.qcow2");
    // One that is open keeps what it is.
    let _ = fs::remove_file(&path);
    let files = [bench.text("disk.img"), path.to_str().unwrap().to_owned()];
    let convert = ["convert", "-f", "raw", "-O", "qcow2"];
    let arguments = [&convert[..], options, &[&files[0], &files[1]]].concat();
    run(&QEMU_IMG, &arguments);
    path
}

fn parts(path: &Path) -> Box<dyn Parts> {
    read::open(path).unwrap().parts().unwrap().unwrap()
}

/// What `convert` makes of it must be what QEMU's tool makes of it.
fn reads_back(bench: &Bench, path: &Path, what: &str) {
    let (ours, raw) = (bench.path("ours.qcow2"), bench.text("theirs.img"));
    let source = read::open(path).unwrap();
    let made =
        formats::convert(&source, &ours, &[formats::find("raw").unwrap()], None, |_, _| |_| ()).unwrap();
    let made = made.keep().unwrap().remove(0);
    run(&QEMU_IMG, &["convert", "-O", "raw", path.to_str().unwrap(), &raw]);
    assert_eq!(made.size, fs::metadata(&raw).unwrap().len(), "{what}");
    run(&QEMU_IMG, &["compare", "-f", "raw", "-F", "raw", made.file.to_str().unwrap(), &raw]);
}

/// Text, noise, and holes of all lengths, up to an end within a cluster.
fn mixed() -> Bench {
    let text: Vec<u8> = (0..100_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let noise: Vec<u8> = (0..MIB / 8).flat_map(|n| noise(n).to_le_bytes()).collect();
    let parts = [
        (0, vec![7; 512]),
        (70_000, vec![8; 1]),
        (MIB, text),
        (5 * MIB + 4096, noise),
        (12 * MIB, vec![9; 600]),
    ];
    Bench::new(12 * MIB + 1024, &parts)
}

#[test]
fn all_kinds_that_qemu_makes_are_read_as_qemu_reads_them() {
    for bench in [mixed(), Bench::new(MIB, &[]), Bench::new(512, &[(0, vec![4; 512])])] {
        for options in KINDS {
            reads_back(&bench, &theirs(&bench, options), &format!("{options:?}"));
        }
    }
}

#[test]
fn disks_that_need_several_tables_are_read() {
    let far = [(0, vec![1; 512]), (300 * MIB + 512, vec![2; 512]), (520 * MIB - 1, vec![3])];
    let bench = Bench::new(520 * MIB, &far);
    for options in &KINDS[1..3] {
        reads_back(&bench, &theirs(&bench, options), &format!("{options:?}"));
    }
}

#[test]
fn clusters_that_were_zeroed_snapshots_and_dirty_images_are_read() {
    let bench = Bench::new(8 * MIB, &[(0, vec![1; 3 << 20]), (5 * MIB, vec![2; 1 << 20])]);
    let image = theirs(&bench, &[]);
    let path = image.to_str().unwrap();
    run(&QEMU_IMG, &["snapshot", "-c", "before", path]);
    run(
        &QEMU_IO,
        &["-f", "qcow2", "-c", "write -z 1M 1M", "-c", "write -z -u 5M 512k", "-c", "write -P 9 7M 1k", path],
    );
    reads_back(&bench, &image, "zeros over data, and a snapshot of before");
    let whole = parts(&image);
    assert!(!whole.blocks().touches(MIB..2 * MIB) && !whole.blocks().touches(5 * MIB..5 * MIB + 512 * 1024));
    // As a machine leaves it that lost power.
    File::options().write(true).open(&image).unwrap().write_all_at(&[1], 79).unwrap();
    reads_back(&bench, &image, "the same with refcounts that may be wrong");
}

#[test]
fn an_image_that_is_cut_off_is_told_when_it_is_opened() {
    let bench = mixed();
    for options in [&[][..], &["-c"]] {
        let image = theirs(&bench, options);
        let file = File::options().write(true).open(&image).unwrap();
        let len = file.metadata().unwrap().len();
        for left in [20, 60_000, len / 3, len - (1 << 19)] {
            theirs(&bench, options);
            File::options().write(true).open(&image).unwrap().set_len(left).unwrap();
            let error = read::open(&image).unwrap().parts().err().map(|error| format!("{:?}", error));
            assert!(error.as_ref().is_some_and(|text| text.contains("Damaged")), "{left} left: {error:?}");
        }
    }
}

/// Opens what may be damaged, and reads of it what that is said to hold, up to some MiB.
fn survives(path: &Path) {
    let Ok(source) = read::open(path) else { return };
    let Ok(Some(parts)) = source.parts() else { return };
    let mut buffer = vec![0; 300_000];
    for range in parts.blocks().ranges.iter().take(30) {
        for at in range.clone().step_by(buffer.len()).take(10) {
            let count = buffer.len().min((range.end - at) as usize);
            let _ = parts.read_at(at, &mut buffer[..count]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn parts_of_any_place_and_length_are_read(at in 0..12 * MIB, len in 0..3_000_000_u64) {
        static IMAGES: OnceLock<(Bench, Vec<Box<dyn Parts>>)> = OnceLock::new();
        let (bench, images) = IMAGES.get_or_init(|| {
            let bench = mixed();
            let kinds: [&[&str]; 3] = [&["-o", "cluster_size=4k"], &["-c"], &["-c", "-o", "compression_type=zstd"]];
            let images = kinds.map(|options| parts(&theirs(&bench, options)));
            (bench, images.into())
        });
        let len = len.min(bench.size() - at);
        let (mut expected, mut found) = (vec![0; len as usize], vec![0xaa; len as usize]);
        File::open(bench.path("disk.img")).unwrap().read_exact_at(&mut expected, at).unwrap();
        for image in images {
            image.read_at(at, &mut found).unwrap();
            prop_assert!(found == expected);
        }
    }

    /// Tables are where a flipped byte does most: the first clusters of an image have them all.
    #[test]
    fn damage_does_no_harm(
        kind in 0..KINDS.len(),
        flips in prop::collection::vec((0..2_000_usize, 0..8_usize, any::<u8>()), 1..8),
    ) {
        static IMAGES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
        let images = IMAGES.get_or_init(|| {
            let some = (0..100_000).map(|n| (n % 251) as u8).collect();
            let bench = Bench::new(3 * MIB, &[(0, vec![1; 5000]), (MIB, some)]);
            KINDS.map(|options| fs::read(theirs(&bench, options)).unwrap()).into()
        });
        let mut bytes = images[kind].clone();
        // Bytes that say something, and those beside them.
        let telling: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).take(2_000).collect();
        for (place, beside, value) in flips {
            let at = telling[place % telling.len()].saturating_sub(beside);
            bytes[at] = value;
        }
        let image = tempfile::NamedTempFile::new().unwrap();
        fs::write(&image, bytes).unwrap();
        survives(image.path());
    }
}
