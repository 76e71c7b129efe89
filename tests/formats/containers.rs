//! Images in other formats, judged by the tools that read those.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use factory::formats::blocks::Blocks;
use factory::formats::bmap::BlockMap;
use factory::formats::read;
use factory::tool::Tool;

use super::bench::{Bench, MIB};
use super::oracle::{CMP, run};

const BMAPTOOL: Tool = Tool { program: "bmaptool", package: "bmap-tools" };
const SHA256SUM: Tool = Tool { program: "sha256sum", package: "coreutils" };

#[test]
fn zstd_unpacks_zst() {
    let bench = Bench::varied();
    let packed = bench.write("zst");
    bench.unpacks_with(&Tool { program: "zstd", package: "zstd" }, &packed);
    bench.unpacks_here(&packed, "Zstd");
}

#[test]
fn gzip_unpacks_gz() {
    let bench = Bench::varied();
    let packed = bench.write("gz");
    bench.unpacks_with(&Tool { program: "gzip", package: "gzip" }, &packed);
    bench.unpacks_here(&packed, "Gzip");
}

#[test]
fn xz_unpacks_xz() {
    let bench = Bench::varied();
    let packed = bench.write("xz");
    bench.unpacks_with(&Tool { program: "xz", package: "xz-utils" }, &packed);
    bench.unpacks_here(&packed, "Xz");
}

#[test]
fn each_frame_of_zst_unpacks_by_itself_where_the_seek_table_says() {
    let bench = Bench::varied();
    let packed = fs::read(bench.write("zst")).unwrap();
    let image = File::open(bench.path("disk.img")).unwrap();
    let number = |at: usize| u32::from_le_bytes(packed[at..at + 4].try_into().unwrap()) as usize;
    let count = number(packed.len() - 9);
    let table = packed.len() - 9 - count * 8;
    assert_eq!((number(table - 8), number(table - 4)), (0x184D_2A5E, count * 8 + 9));
    let (mut at, mut offset) = (0, 0);
    for entry in 0..count {
        let (len, content) = (number(table + entry * 8), number(table + entry * 8 + 4));
        let frame = zstd::bulk::decompress(&packed[at..at + len], 64 << 20).unwrap();
        let mut expected = vec![0; content];
        image.read_exact_at(&mut expected, offset).unwrap();
        assert!(frame == expected, "frame {entry}");
        (at, offset) = (at + len, offset + content as u64);
    }
    assert_eq!((at, offset), (table - 8, bench.size()));
}

#[test]
fn holes_cost_next_to_nothing_in_zst() {
    let bench = Bench::new(8 << 30, &[(4 << 30, vec![1; 4096])]);
    let size = fs::metadata(bench.write("zst")).unwrap().len();
    assert!(size < 300 << 10, "{size} bytes for 8 GiB of nothing");
}

#[test]
fn bmaptool_makes_the_same_block_map() {
    let bench = Bench::varied();
    let ours = BlockMap::read(&bench.write("bmap")).unwrap();
    let theirs = bench.text("theirs.bmap");
    run(&BMAPTOOL, &["create", "-o", &theirs, &bench.text("disk.img")]);
    assert_eq!(ours, BlockMap::read(Path::new(&theirs)).unwrap());
    let image = File::open(bench.path("disk.img")).unwrap();
    assert_eq!(ours.blocks, Blocks::of(&image, bench.size()).unwrap());
}

#[test]
fn bmaptool_copies_by_our_block_map_and_refuses_a_flipped_byte() {
    let bench = Bench::varied();
    let map = bench.write("bmap");
    let (image, copy) = (bench.text("disk.img"), bench.text("copy.img"));
    let arguments = ["copy", "--bmap", map.to_str().unwrap(), &image, &copy];
    run(&BMAPTOOL, &arguments);
    run(&CMP, &[&image, &copy]);
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"\x08", 100).unwrap();
    let error = BMAPTOOL.run(&arguments).unwrap_err().to_string();
    assert!(error.contains("checksum mismatch"), "{error}");
}

#[test]
fn a_raw_copy_has_the_same_bytes_and_holes() {
    let bench = Bench::varied();
    let there = bench.path("copy.img");
    let made = bench.write_all("copy.img", &["raw"]);
    assert_eq!((made[0].size, &made[0].file), (bench.size(), &there));
    run(&CMP, &[&bench.text("disk.img"), there.to_str().unwrap()]);
    assert_eq!(Blocks::of(&File::open(there).unwrap(), bench.size()).unwrap(), *bench.raw().blocks());
}

#[test]
fn sha256sum_checks_all_files_that_were_made() {
    let bench = Bench::varied();
    let write = || bench.write_all("disk.img", &["zst", "bmap", "sha256"]).pop().unwrap().file;
    let sums = write();
    let text = fs::read_to_string(&sums).unwrap();
    let check = ["-C", bench.dir(), "sha256sum", "-c", sums.to_str().unwrap()];
    let said = run(&Tool { program: "env", package: "coreutils" }, &check);
    assert_eq!(said, "disk.img.zst: OK\ndisk.img.bmap: OK\n");
    // A second time, the same bytes.
    write();
    assert_eq!(fs::read_to_string(&sums).unwrap(), text);
    // Alone, of the image.
    let sums = bench.write("sha256");
    let alone = fs::read_to_string(sums).unwrap();
    assert_eq!(alone[..64], run(&SHA256SUM, &[&bench.text("disk.img")])[..64]);
}

#[test]
fn cut_and_damaged_images_are_told() {
    let text: Vec<u8> = (0..300_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let bench = Bench::new(8 * MIB, &[(0, text)]);
    for format in ["zst", "gz", "xz"] {
        let path = bench.write(format);
        let packed = fs::read(&path).unwrap();
        let unpack = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let mut content = Vec::new();
            read::open(&path).unwrap().reader(|_| ()).unwrap().read_to_end(&mut content).map(|_| content)
        };
        assert_eq!(unpack(&packed).unwrap(), fs::read(bench.path("disk.img")).unwrap());
        for cut in [20, packed.len() / 3, packed.len() / 2] {
            let error = unpack(&packed[..cut]).unwrap_err().to_string();
            assert!(error.contains("is cut off"), "{format} cut at {cut}: {error}");
        }
        let mut flipped = packed.clone();
        flipped[packed.len() / 2] ^= 0x20;
        let error = unpack(&flipped).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{format}: {error}");
    }
}
