//! Formats of virtual machines and clouds, judged by QEMU's tool and by tar.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use factory::formats::blocks::BLOCK;
use factory::formats::{self, read};
use factory::tool::Tool;

use super::bench::{Bench, MIB, noise};
use super::oracle::{QEMU_IMG, run};

const TAR: Tool = Tool { program: "tar", package: "tar" };

/// Formats, what QEMU calls them, and whether its `check` knows them.
const FORMATS: [(&str, &str, bool); 5] = [
    ("qcow2", "qcow2", true),
    ("qcow2-zstd", "qcow2", true),
    ("vdi", "vdi", true),
    ("vhd", "vpc", false),
    ("vmdk", "vmdk", true),
];

/// Images that formats could trip over, each with what it is.
fn images() -> Vec<(&'static str, Bench)> {
    let all: Vec<u8> = (0..3 * MIB / 8).flat_map(|n| noise(n).to_le_bytes()).collect();
    // The first and last byte, one within, and tables that are left out.
    let far = [(0, vec![1; 512]), (700 * MIB + 512, vec![2; 512]), (1100 * MIB - 1, vec![3])];
    // More runs than the header of a tar has room for, and a block behind it.
    let runs: Vec<_> = (0..60).map(|n| (n * 5 * BLOCK, vec![n as u8; 100])).collect();
    vec![
        ("nothing but a hole", Bench::new(MIB, &[])),
        ("less than a sector", Bench::new(100, &[(0, vec![4; 100])])),
        ("all sorts, of an odd size", Bench::varied()),
        ("no hole at all", Bench::new(3 * MIB, &[(0, all)])),
        ("one byte at the very end", Bench::new(70 * MIB + 1, &[(70 * MIB, vec![5])])),
        ("far apart", Bench::new(1100 * MIB, &far)),
        ("many short runs", Bench::new(2 * MIB, &runs)),
    ]
}

#[test]
fn qemu_reads_the_image_in_each_format() {
    for (what, bench) in images() {
        for (format, theirs, is_checked) in FORMATS {
            let written = bench.write(format);
            let path = written.to_str().unwrap();
            if is_checked {
                run(&QEMU_IMG, &["check", "-f", theirs, path]);
            }
            let compared =
                run(&QEMU_IMG, &["compare", "-f", "raw", "-F", theirs, &bench.text("disk.img"), path]);
            assert!(compared.contains("Images are identical."), "{format} of {what}: {compared}");
            assert_eq!(size_by_qemu(theirs, path), expected_size(format, bench.size()), "{format} of {what}");
        }
    }
}

/// A file must be the image, with nothing but zeros behind it. QEMU's tool does not read holes either.
fn is_the_image(bench: &Bench, path: &str) {
    run(&QEMU_IMG, &["compare", "-f", "raw", "-F", "raw", &bench.text("disk.img"), path]);
}

fn size_by_qemu(format: &str, path: &str) -> u64 {
    let about = run(&QEMU_IMG, &["info", "--output=json", "-f", format, path]);
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    about["virtual-size"].as_u64().unwrap()
}

fn expected_size(format: &str, size: u64) -> u64 {
    size.next_multiple_of(match format {
        "vhd" => MIB,
        "vmdk" => 64 << 10,
        _ => 512,
    })
}

#[test]
fn our_reader_reads_the_image_in_each_kind_of_qcow2() {
    for (what, bench) in images() {
        for format in ["qcow2", "qcow2-zstd"] {
            let source = read::open(&bench.write(format)).unwrap();
            let copy = [formats::find("raw").unwrap()];
            let made =
                formats::convert(&source, &bench.path("copy.img"), &copy, None, |_, _| |_| ()).unwrap();
            let made = made.keep().unwrap().remove(0);
            assert_eq!(made.size, bench.size().next_multiple_of(512), "{format} of {what}");
            is_the_image(&bench, made.file.to_str().unwrap());
        }
    }
}

#[test]
fn clusters_are_packed_where_that_makes_them_smaller() {
    let bench = Bench::varied();
    let size = |format| fs::metadata(bench.write(format)).unwrap().blocks() * 512;
    let (plain, packed) = (size("qcow2"), size("qcow2-zstd"));
    assert!(packed < 14 * MIB && plain > 18 * MIB, "{packed} of {plain} bytes");
}

#[test]
fn tar_unpacks_what_google_takes_with_its_holes() {
    for (what, bench) in images() {
        let written = bench.write("gce");
        let dir = bench.dir();
        run(&TAR, &["-xzSf", written.to_str().unwrap(), "-C", dir]);
        let about = fs::metadata(bench.path("disk.raw")).unwrap();
        assert_eq!(about.len(), bench.size().next_multiple_of(1 << 30), "{what}");
        is_the_image(&bench, &bench.text("disk.raw"));
        assert!(about.blocks() <= fs::metadata(bench.path("disk.img")).unwrap().blocks(), "{what}");
        let listed = run(&TAR, &["-tvzf", written.to_str().unwrap(), "--utc"]);
        assert_eq!(listed, format!("-rw-r--r-- 0/0 {:>15} 1970-01-01 00:00 disk.raw\n", about.len()));
    }
}

#[test]
fn the_tar_is_the_one_that_tar_makes() {
    let bench = Bench::new(9 << 30, &[(0, vec![1; 5000]), (8 << 30, vec![2; 4096])]);
    let unpack = |path: &Path| {
        let packed = fs::File::open(path).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut content).unwrap();
        content
    };
    let ours = unpack(&bench.write("gce"));
    fs::rename(bench.path("disk.img"), bench.path("disk.raw")).unwrap();
    let theirs = bench.text("theirs.tar.gz");
    let owner = ["--owner=0", "--group=0", "--numeric-owner", "--mode=0644", "--mtime=@0"];
    let what = ["--format=oldgnu", "-Sczf", &theirs, "-C", bench.dir(), "disk.raw"];
    run(&TAR, &[&owner[..], &what].concat());
    assert!(ours == unpack(Path::new(&theirs)));
}

#[test]
fn the_same_image_makes_the_same_bytes_and_another_one_other_ids() {
    let part = || vec![(MIB, vec![7_u8; 70_000])];
    let (one, same) = (Bench::new(9 * MIB, &part()), Bench::new(9 * MIB, &part()));
    let other = Bench::new(9 * MIB, &[part(), vec![(440, vec![1])]].concat());
    for format in ["qcow2", "qcow2-zstd", "vdi", "vhd", "vmdk", "gce"] {
        let [one, same] = [&one, &same].map(|bench| fs::read(bench.write(format)).unwrap());
        assert!(one == same, "{format}");
    }
    let id = |bench: &Bench| fs::read(bench.write("vdi")).unwrap()[392..424].to_vec();
    assert_ne!(id(&one), id(&other));
}
