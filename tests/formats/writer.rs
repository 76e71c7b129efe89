use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use factory::digest::Sha256;
use factory::image::Run;
use factory::image::extents::{Extents, Source};
use factory::image::write::{Job, Mirror, Watch, WriteError, Written, write};
use factory::interrupt;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::oracle::run_ignored_test;
use crate::trees::noise;

/// A directory with an archive of 200,000 bytes to take pieces from, and room for an image.
struct Workshop {
    dir: TempDir,
}

impl Workshop {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("archive"), noise(1, 200_000)).unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        Workshop { dir }
    }

    fn archive(&self) -> Arc<Path> {
        self.dir.path().join("archive").into()
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out/disk.img")
    }

    /// Names in the directory of the image.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("out")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn write(&self, extents: &Extents, mirrors: &[Mirror], watches: &[Watch]) -> Result<Written, WriteError> {
        write(&self.out(), &Job { extents, mirrors, watches }, |_| ())
    }

    /// 100,000 bytes of the archive in a disk of 10 MiB.
    fn disk(&self) -> Extents {
        let mut disk = Extents::zeros(10 << 20);
        disk.place(1 << 20, &Extents::file(self.archive(), 512, 100_000));
        disk
    }
}

fn watch(name: &str, size: u64, runs: &[(u64, u64, u64)]) -> Watch {
    let runs = runs.iter().map(|&(in_file, at, len)| Run { in_file, at, len }).collect();
    Watch { name: name.into(), size, runs, expected: None }
}

#[test]
fn pieces_stand_at_their_offsets_and_holes_take_no_space() {
    let shop = Workshop::new();
    let written = shop.write(&shop.disk(), &[], &[]).unwrap();
    let image = fs::read(shop.out()).unwrap();
    assert_eq!(image.len(), 10 << 20);
    assert!(image[1 << 20..][..100_000] == noise(1, 200_000)[512..][..100_000]);
    assert!(image[..1 << 20].iter().chain(&image[(1 << 20) + 100_000..]).all(|byte| *byte == 0));
    assert_eq!(written.mapped, vec![1 << 20..(1 << 20) + 102_400]);
    assert!(fs::metadata(shop.out()).unwrap().blocks() * 512 <= 102_400 + 8192);
}

#[test]
fn a_mirror_is_the_same_and_costs_no_digest() {
    let shop = Workshop::new();
    let mirror = Mirror { from: 1 << 20, len: 2 << 20, to: 5 << 20 };
    let whole = watch("whole", 100_000, &[(0, 1 << 20, 100_000)]);
    let written = shop.write(&shop.disk(), &[mirror], &[whole]).unwrap();
    let image = fs::read(shop.out()).unwrap();
    assert!(image[1 << 20..3 << 20] == image[5 << 20..7 << 20]);
    assert_eq!(written.digests["whole"], Sha256::of(&noise(1, 200_000)[512..][..100_000]));
    assert_eq!(written.mapped.len(), 2);
}

#[test]
fn writing_again_makes_the_same_bytes_and_replaces_the_image() {
    let shop = Workshop::new();
    fs::write(shop.out(), "what was there").unwrap();
    let first = shop.write(&shop.disk(), &[], &[]).unwrap();
    let bytes = fs::read(shop.out()).unwrap();
    assert_eq!(shop.write(&shop.disk(), &[], &[]).unwrap(), first);
    assert!(fs::read(shop.out()).unwrap() == bytes);
    assert_eq!(shop.left(), ["disk.img"]);
}

#[test]
fn the_mode_is_what_the_umask_leaves() {
    let shop = Workshop::new();
    shop.write(&shop.disk(), &[], &[]).unwrap();
    fs::write(shop.dir.path().join("plain"), "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&shop.out()), mode(&shop.dir.path().join("plain")));
}

#[test]
fn a_source_that_has_vanished_leaves_no_image() {
    let shop = Workshop::new();
    let disk = shop.disk();
    fs::remove_file(shop.archive()).unwrap();
    let error = shop.write(&disk, &[], &[]).unwrap_err();
    assert!(matches!(&error, WriteError::Source { path, .. } if *path == *shop.archive()), "{error}");
    assert_eq!(shop.left(), [""; 0]);
}

#[test]
fn a_source_that_is_too_short_leaves_the_image_of_before() {
    let shop = Workshop::new();
    fs::write(shop.out(), "what was there").unwrap();
    fs::write(shop.archive(), noise(1, 50_000)).unwrap();
    let error = shop.write(&shop.disk(), &[], &[]).unwrap_err();
    assert!(matches!(error, WriteError::Short { end: 100_512, .. }), "{error}");
    assert_eq!(fs::read_to_string(shop.out()).unwrap(), "what was there");
    assert_eq!(shop.left(), ["disk.img"]);
}

#[test]
fn a_file_that_is_not_what_was_expected_leaves_no_image() {
    let shop = Workshop::new();
    let expected = Sha256::of(b"something else");
    let kernel = Watch { expected: Some(expected), ..watch("kernel", 10, &[(0, 1 << 20, 10)]) };
    let error = shop.write(&shop.disk(), &[], &[kernel]).unwrap_err();
    assert!(matches!(&error, WriteError::Digest { name, .. } if name == "kernel"), "{error}");
    assert_eq!(shop.left(), [""; 0]);
}

#[test]
fn places_that_cannot_take_an_image_are_named() {
    let shop = Workshop::new();
    let disk = shop.disk();
    let to =
        |path: &Path| write(path, &Job { extents: &disk, mirrors: &[], watches: &[] }, |_| ()).unwrap_err();
    assert!(matches!(to(shop.dir.path()), WriteError::Directory(_)));
    assert!(matches!(to(Path::new("/dev/null")), WriteError::NotAFile(_)));
    assert!(matches!(to(&shop.dir.path().join("no/such/dir/x")), WriteError::Output { .. }));
    assert!(matches!(to(Path::new("/proc/image")), WriteError::Output { .. }));
}

#[test]
fn late_bytes_are_made_of_the_digests_of_all_others() {
    let shop = Workshop::new();
    let mut disk = shop.disk();
    let late = Extents::late(64, Arc::new(|digests| digests["kernel"].to_string().into_bytes()));
    // In two runs, as a file system may keep it, before and behind what it is made of.
    disk.place_part(0, &late, 0, 40);
    disk.place_part(4 << 20, &late, 40, 24);
    disk.sort();
    let mirror = Mirror { from: 0, len: 5 << 20, to: 5 << 20 };
    let slot = watch("slot.json", 64, &[(0, 0, 40), (40, 4 << 20, 24)]);
    let kernel = watch("kernel", 100, &[(0, 1 << 20, 100)]);
    let written = shop.write(&disk, &[mirror], &[slot, kernel]).unwrap();
    let text = Sha256::of(&noise(1, 200_000)[512..612]).to_string();
    let image = fs::read(shop.out()).unwrap();
    assert_eq!([&image[..40], &image[4 << 20..][..24]].concat(), text.as_bytes());
    assert!(image[..5 << 20] == image[5 << 20..]);
    assert_eq!(written.digests["slot.json"], Sha256::of(text.as_bytes()));
}

#[test]
fn late_bytes_of_another_length_leave_no_image() {
    let shop = Workshop::new();
    let mut disk = Extents::zeros(4096);
    disk.place(0, &Extents::late(3, Arc::new(|_| b"four".to_vec())));
    let error = shop.write(&disk, &[], &[]).unwrap_err();
    assert!(matches!(error, WriteError::Late { expected: 3, found: 4 }), "{error}");
    assert_eq!(shop.left(), [""; 0]);
}

#[test]
fn a_full_disk_is_told_and_leaves_no_image() {
    let mount = "mount -t tmpfs -o size=1m none /mnt && exec \"$0\" \"$@\"";
    run_ignored_test("writer::on_a_full_disk", &["unshare", "-rm", "sh", "-c", mount]);
}

#[test]
#[ignore = "started in a mount namespace of its own, with a small /mnt, by the test above"]
fn on_a_full_disk() {
    let shop = Workshop::new();
    let mut disk = Extents::zeros(100 << 20);
    (0..20).for_each(|n| disk.place(n << 20, &Extents::file(shop.archive(), 0, 200_000)));
    let job = Job { extents: &disk, mirrors: &[], watches: &[] };
    let error = write(Path::new("/mnt/disk.img"), &job, |_| ()).unwrap_err();
    assert!(
        error.to_string().starts_with("no space is left for `/mnt/disk.img`, which takes 3.8 MiB"),
        "{error}"
    );
    assert_eq!(fs::read_dir("/mnt").unwrap().count(), 0);
}

#[test]
fn an_interrupt_ends_the_pass_and_leaves_no_image() {
    run_ignored_test("writer::while_interrupted", &[]);
}

#[test]
#[ignore = "started in a process of its own by the test above, as it sends that a SIGINT"]
fn while_interrupted() {
    interrupt::catch().unwrap();
    let shop = Workshop::new();
    let mut disk = Extents::zeros(100 << 20);
    (0..100).for_each(|n| disk.place(n << 20, &Extents::file(shop.archive(), 0, 200_000)));
    let interrupt = |_| {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::INT).unwrap();
        while interrupt::check().is_ok() {
            std::thread::yield_now();
        }
    };
    let job = Job { extents: &disk, mirrors: &[], watches: &[] };
    let error = write(&shop.out(), &job, interrupt).unwrap_err();
    assert!(matches!(error, WriteError::Interrupted(_)), "{error}");
    assert_eq!(shop.left(), [""; 0]);
}

/// Gap before, length, and whether it is in memory: gaps of all sizes, some larger than a buffer.
fn piece() -> impl Strategy<Value = (u64, u64, bool)> {
    let gap = prop_oneof![Just(0u64), 0u64..600, 0u64..20_000, Just(3 << 20)];
    let length = prop_oneof![1u64..100, 1u64..9000, 1u64..190_000];
    (gap, length, any::<bool>())
}

fn extents(archive: &Arc<Path>, pieces: &[(u64, u64, bool)]) -> Extents {
    let mut extents = Extents::zeros(pieces.iter().map(|(gap, len, _)| gap + len).sum::<u64>() + 4097);
    let mut at = 0;
    for &(gap, len, in_memory) in pieces {
        at += gap;
        let source = match in_memory {
            true => Source::Bytes { buffer: noise(at, len as usize).into(), start: 0 },
            false => Source::File { path: archive.clone(), start: 10_000 },
        };
        extents.push(at, len, source);
        at += len;
    }
    extents
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_written_is_what_was_laid_out(pieces in proptest::collection::vec(piece(), 0..40)) {
        let shop = Workshop::new();
        let extents = extents(&shop.archive(), &pieces);
        let size = extents.size();
        let mut twice = Extents::zeros(2 * size);
        twice.place(0, &extents);
        let mut expected = vec![0; size as usize];
        extents.read_at(0, &mut expected).unwrap();
        // The first two thirds as one file, whose last third is a hole.
        let third = size / 3;
        let file = watch("file", 3 * third, &[(0, 0, third), (third, third, third)]);
        let written = shop.write(&twice, &[Mirror { from: 0, len: size, to: size }], &[file]).unwrap();
        let image = fs::read(shop.out()).unwrap();
        prop_assert!(image[..size as usize] == expected[..]);
        prop_assert!(image[size as usize..] == expected[..]);
        let mut file = expected[..2 * third as usize].to_vec();
        file.resize(3 * third as usize, 0);
        prop_assert_eq!(written.digests["file"], Sha256::of(&file));
        let mapped: u64 = written.mapped.iter().map(|range| range.end - range.start).sum();
        prop_assert!(fs::metadata(shop.out()).unwrap().blocks() * 512 <= mapped + 64 * 1024);
    }
}
