//! What goes into the images: a real arm64 root file system, and files for the ESP.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use factory::fetch::{self, unpack};
use factory::source::{Debian, Origin, Sources, Suite, Wanted};
use factory::store::Store;

/// Packages that come to about 230 MB in 5,500 entries with all that they depend on.
const PACKAGES: &[&str] = &["bash", "coreutils", "podman", "tzdata"];
const SMOKE_PACKAGES: &[&str] = &["bash"];

/// Bytes of the file on the ESP.
const ESP: u64 = 55 << 20;

/// The material of a run.
pub(super) struct Material {
    work: PathBuf,
    /// The root file system.
    pub(super) tar: PathBuf,
    /// Directory that holds `esp`, the files for the ESP.
    pub(super) inputs: PathBuf,
    entries: usize,
}

impl Material {
    pub(super) fn prepare(work: &Path, is_smoke: bool) -> Self {
        let (tar, inputs) = (work.join("rootfs.tar"), work.join("inputs"));
        let entries = rootfs(&tar, if is_smoke { SMOKE_PACKAGES } else { PACKAGES });
        fs::create_dir_all(inputs.join("esp")).unwrap();
        noise(&inputs.join("esp/firmware.bin"), if is_smoke { ESP / 8 } else { ESP });
        Material { work: work.to_owned(), tar, inputs, entries }
    }

    pub(super) fn summary(&self) -> String {
        let size = fs::metadata(&self.tar).unwrap().len() / 1_000_000;
        format!("a rootfs tar of {size} MB with {} entries", self.entries)
    }

    /// Size of a system partition that holds the root file system so many times.
    pub(super) fn system_size(&self, times: u64) -> String {
        format!("{} MiB", 1024 * times)
    }

    /// A project that makes an image of the material; `times` layers hold the root file system, each
    /// below a directory of its own but for the first.
    pub(super) fn project(&self, name: &str, times: u64) -> PathBuf {
        let dir = self.work.join(name);
        fs::create_dir_all(&dir).unwrap();
        let mut layers = format!("[[rootfs.layer]]\ntar = {:?}\n", self.tar);
        for number in 1..times {
            let copy = self.copy_below(number);
            layers += &format!("[[rootfs.layer]]\ntar = {copy:?}\n");
        }
        let (esp, system) = (self.inputs.join("esp"), self.system_size(times));
        let text = format!(
            "[sizes]\nselector = \"128 MiB\"\nsystem = {system:?}\ndata = \"4 GiB\"\n\n\
             [generic]\nesp = {esp:?}\n\n[rootfs]\ninit = \"/bin/bash\"\n\n{layers}"
        );
        fs::write(dir.join("factory.toml"), text).unwrap();
        dir
    }

    /// The same tar with all names below `/copyN`, and links that follow them.
    fn copy_below(&self, number: u64) -> PathBuf {
        let (dir, tar) =
            (self.work.join(format!("copy{number}")), self.work.join(format!("copy{number}.tar")));
        if !tar.exists() {
            fs::create_dir_all(&dir).unwrap();
            super::run(std::process::Command::new("tar").arg("-xf").arg(&self.tar).arg("-C").arg(&dir));
            super::run(
                std::process::Command::new("tar")
                    .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-cf"])
                    .arg(&tar)
                    .arg("-C")
                    .arg(&self.work)
                    .arg(format!("copy{number}")),
            );
            fs::remove_dir_all(dir).unwrap();
        }
        tar
    }
}

/// Joins the unpacked packages to one tar. Returns how many entries it has.
fn rootfs(tar: &Path, packages: &[&str]) -> usize {
    let store = Store::open(&Store::default_dir().unwrap()).unwrap();
    let packages = packages.iter().map(|name| (*name).to_owned()).collect();
    let origin = Origin::Packages { packages, essential: false };
    let suite = Suite { name: "trixie".into(), components: vec!["main".into()], mirror: None };
    let sources = Sources {
        debian: Debian { mirror: None, suites: vec![suite], arch: "arm64".into(), keyring: None },
        wanted: vec![Wanted::new("rootfs", origin)],
    };
    let (parts, _) = fetch::all(&sources, None, &store, &fetch::Options::default()).unwrap();
    let mut joined = File::create(tar).unwrap();
    let mut entries = 0;
    for unpacked in unpack::debs(&store, parts.get("rootfs"), 2).unwrap() {
        entries += unpacked.files().unwrap().len();
        let mut bytes = Vec::new();
        File::open(&unpacked.data.path).unwrap().read_to_end(&mut bytes).unwrap();
        joined.write_all(&bytes[..end_of_members(&bytes)]).unwrap();
    }
    joined.write_all(&[0; 1024]).unwrap();
    entries
}

/// Where the zero blocks at the end of a tar start.
fn end_of_members(tar: &[u8]) -> usize {
    let last = tar.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    last.next_multiple_of(512)
}

/// A file that compresses to nothing less: the same bytes in every run.
fn noise(path: &Path, size: u64) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..size / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    fs::write(path, words.collect::<Vec<u8>>()).unwrap();
}
