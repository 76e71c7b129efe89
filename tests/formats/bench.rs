//! An image in a directory of its own, and what is made of it.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use factory::formats::blocks::BLOCK;
use factory::formats::read;
use factory::formats::{self, Job, Made, Raw};
use factory::tool::Tool;
use tempfile::TempDir;

use super::oracle::{CMP, run};

pub(crate) const MIB: u64 = 1 << 20;

/// A directory with an image of the given length in it.
pub(crate) struct Bench {
    dir: TempDir,
    size: u64,
}

impl Bench {
    /// `parts` are bytes and where they stand.
    pub(crate) fn new(size: u64, parts: &[(u64, Vec<u8>)]) -> Self {
        let bench = Bench { dir: tempfile::tempdir().unwrap(), size };
        let file = File::create(bench.path("disk.img")).unwrap();
        file.set_len(size).unwrap();
        parts.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
        bench
    }

    /// Text, noise, zeros that are no hole, small holes and large ones, and an end within a block.
    pub(crate) fn varied() -> Self {
        let text: Vec<u8> = (0..700_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let noise: Vec<u8> = (0..5 * MIB / 4).flat_map(|n| noise(n).to_le_bytes()).collect();
        let parts = [
            (0, vec![7; 512]),
            (3 * BLOCK, vec![9; 1]),
            (MIB, text),
            (30 * MIB + 5 * BLOCK, noise),
            (50 * MIB, vec![0; 1 << 20]),
            (80 * MIB + 512, vec![1; 512]),
        ];
        Bench::new(80 * MIB + 1024, &parts)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn dir(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn raw(&self) -> Raw {
        let path = self.path("disk.img");
        Raw::of(&path, File::open(&path).unwrap(), self.size).unwrap()
    }

    /// Writes the image in a format beside itself.
    pub(crate) fn write(&self, format: &str) -> PathBuf {
        self.write_all("disk.img", &[format]).remove(0).file
    }

    /// Writes it in several formats, in files named after `name`.
    pub(crate) fn write_all(&self, name: &str, formats: &[&str]) -> Vec<Made> {
        let names: Vec<String> = formats.iter().map(|name| (*name).to_owned()).collect();
        let formats = formats::find_all(&names).unwrap();
        let raw = self.raw();
        let image = self.path(name);
        let job = Job { raw: &raw, image: &image, formats: &formats, keeps_raw: false, url_base: None };
        formats::write(&job, |_, _| |_| ()).unwrap().keep().unwrap()
    }

    /// What a program makes of a packed image must be the image.
    pub(crate) fn unpacks_with(&self, tool: &Tool, packed: &Path) {
        let packed = packed.to_str().unwrap();
        run(tool, &["-t", packed]);
        let unpacked = self.path("unpacked");
        let output = tool.run(&["-dc", packed]).unwrap();
        fs::write(&unpacked, &output.stdout).unwrap();
        run(&CMP, &[&self.text("disk.img"), unpacked.to_str().unwrap()]);
        fs::remove_file(unpacked).unwrap();
    }

    /// So must be what our own reader makes of it, with the holes back.
    pub(crate) fn unpacks_here(&self, packed: &Path, kind: &str) {
        let source = read::open(packed).unwrap();
        assert!(format!("{:?}", source.kind()).contains(kind), "{:?}", source.kind());
        let path = self.path("unpacked");
        let file = File::create_new(&path).unwrap();
        assert_eq!(source.unpack(&file, |_| ()).unwrap(), self.size);
        run(&CMP, &[&self.text("disk.img"), path.to_str().unwrap()]);
        let used = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
        assert!(used(&path) <= used(&self.path("disk.img")));
        fs::remove_file(path).unwrap();
    }
}

pub(crate) fn noise(n: u64) -> u64 {
    // The finalizer of MurmurHash3.
    let n = (n ^ n >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let n = (n ^ n >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    n ^ n >> 33
}
