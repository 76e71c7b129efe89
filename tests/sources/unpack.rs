//! Packages and archives, sound and damaged, on their way into the store.

use std::fs;

use factory::archive::deb::{self, DebError, Section};
use factory::archive::tar::Kind;
use factory::digest::Sha256;
use factory::fetch::Part;
use factory::fetch::unpack::{self, UnpackError};
use factory::firmware::Pick;
use factory::lock::{Location, Pin};
use factory::store::Store;
use proptest::prelude::*;

use crate::support::packages::{deb, tar, xz};
use crate::world::told;

struct Shelf {
    dir: tempfile::TempDir,
    store: Store,
}

impl Shelf {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Shelf { dir, store }
    }

    fn part(&self, content: &[u8]) -> Part {
        let sha256 = Sha256::of(content);
        let path = self.dir.path().join(sha256.to_string());
        fs::write(&path, content).unwrap();
        let location = Location::Path { path: "x".into() };
        let (wanted, name, size) = ("x".into(), "x".into(), content.len() as u64);
        Part { pin: Pin { wanted, name, version: None, location, size, sha256 }, path }
    }

    fn leaves_nothing(&self) -> bool {
        fs::read_dir(self.dir.path().join("store/derived")).unwrap().count() == 0
    }
}

/// A pick of a part that is called `x` like all here.
fn pick(name: &str, paths: &[&str]) -> Pick {
    let paths = paths.iter().map(ToString::to_string).collect();
    Pick { part: "x".into(), name: name.into(), paths, is_optional: false }
}

fn kernel() -> Pick {
    pick("vmlinuz", &["boot/vmlinuz-*"])
}

const FILES: [(&str, &[u8]); 3] =
    [("./boot/System.map", b"map"), ("./boot/vmlinuz-6.12+1-arm64", b"kernel"), ("./usr/a", b"a")];

fn refusal<T: std::fmt::Debug>(result: Result<T, UnpackError>) -> String {
    told(&result.unwrap_err())
}

#[test]
fn members_are_taken_out_under_the_names_that_are_wanted() {
    let shelf = Shelf::new();
    let part = shelf.part(&deb(&FILES));
    let parts = [part];
    let taken = unpack::members(&shelf.store, &parts, &[&kernel()]).unwrap();
    let file = taken.one(&kernel()).unwrap();
    assert_eq!(fs::read(&file.path).unwrap(), b"kernel");
    assert_eq!((file.size, file.sha256, taken.all(&kernel()).len()), (6, Sha256::of(b"kernel"), 1));
    fs::remove_file(&parts[0].path).unwrap();
    assert!(unpack::members(&shelf.store, &parts, &[&kernel()]).is_ok(), "the package is not read twice");
}

#[test]
fn a_package_without_a_wanted_member_is_refused() {
    let shelf = Shelf::new();
    let part = shelf.part(&deb(&FILES[..1]));
    let refused = refusal(unpack::members(&shelf.store, &[part], &[&kernel()]));
    assert_eq!(refused, "package `x` has no file `boot/vmlinuz-*`");
    assert!(shelf.leaves_nothing());
}

#[test]
fn files_are_found_in_any_package_of_a_part_and_in_any_of_their_places() {
    let shelf = Shelf::new();
    let dtb = |name: &str| format!("./usr/lib/modules/7/dtb/broadcom/{name}");
    let (b, a) = (dtb("b.dtb"), dtb("a.dtb"));
    let base: [(&str, &[u8]); 4] =
        [(&b, b"dtb b"), (&a, b"dtb a"), ("./usr/lib/modules/7/dtb/broadcom/x.txt", b"x"), ("./usr/c", b"c")];
    let binary: [(&str, &[u8]); 2] = [("./usr/lib/modules/7/vmlinuz", b"kernel"), (&b, b"of another")];
    let parts = [&deb(&[]), &deb(&base), &deb(&binary)].map(|content| shelf.part(content));
    let image = pick("kernel", &["boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"]);
    let config = Pick { is_optional: true, ..pick("config", &["boot/config-*"]) };
    let dtbs = pick("dtb/", &["usr/lib/modules/*/dtb/broadcom/*.dtb"]);
    let taken = unpack::members(&shelf.store, &parts, &[&config, &dtbs, &image]).unwrap();
    let content = |pick: &Pick| -> Vec<(String, Vec<u8>)> {
        taken.all(pick).iter().map(|(name, file)| (name.clone(), fs::read(&file.path).unwrap())).collect()
    };
    assert_eq!(content(&image), [("vmlinuz".to_owned(), b"kernel".to_vec())]);
    let expected = [("a.dtb", b"dtb a"), ("b.dtb", b"dtb b")];
    assert_eq!(content(&dtbs), expected.map(|(name, content)| (name.to_owned(), content.to_vec())));
    assert!(taken.one(&config).is_none());
    let required = Pick { is_optional: false, ..config };
    let alone = pick("overlays/", &["boot/overlays/*.dtbo", "boot/*/x"]);
    for (missing, told) in [(required, "boot/config-*"), (alone, "boot/overlays/*.dtbo` or `boot/*/x")] {
        let refused = refusal(unpack::members(&shelf.store, &parts, &[&image, &missing]));
        assert_eq!(refused, format!("package `x`, `x`, `x` has no file `{told}`"));
    }
}

#[test]
fn an_unpacked_package_has_its_files_by_offset_and_its_control_files() {
    let shelf = Shelf::new();
    let unpacked = unpack::deb(&shelf.store, &shelf.part(&deb(&FILES))).unwrap();
    let data = fs::read(&unpacked.data.path).unwrap();
    assert_eq!((unpacked.data.size, unpacked.data.sha256), (data.len() as u64, Sha256::of(&data)));
    let files = unpacked.files().unwrap();
    let Kind::File { offset, size: 6 } = files[1].kind else { panic!("{:?}", files[1]) };
    assert_eq!(
        (files[1].path.as_str(), &data[offset as usize..][..6]),
        ("boot/vmlinuz-6.12+1-arm64", &b"kernel"[..])
    );
    assert_eq!(unpacked.control_files().unwrap()["control"], b"Package: x\n");
}

#[test]
fn packed_tars_are_unpacked_and_plain_ones_taken_where_they_are() {
    let shelf = Shelf::new();
    let plain = tar(&FILES);
    let part = shelf.part(&plain);
    assert_eq!(unpack::tar(&shelf.store, &part).unwrap().path, part.path);
    let zstd = zstd::encode_all(&plain[..], 3).unwrap();
    for packed in [xz(&plain), zstd] {
        let file = unpack::tar(&shelf.store, &shelf.part(&packed)).unwrap();
        assert_eq!(fs::read(&file.path).unwrap(), plain);
        assert_eq!(unpack::index(&file.path).unwrap().len(), 3);
    }
}

#[test]
fn a_package_that_is_cut_anywhere_is_refused_and_leaves_nothing() {
    let shelf = Shelf::new();
    let bytes = deb(&FILES);
    for cut in (0..bytes.len() - 1).step_by(7) {
        let refused = refusal(unpack::deb(&shelf.store, &shelf.part(&bytes[..cut])));
        assert!(refused.starts_with("package `x` is damaged: "), "{cut}: {refused}");
    }
    assert!(shelf.leaves_nothing());
}

#[test]
fn what_is_no_package_is_refused_with_its_reason() {
    let shelf = Shelf::new();
    let refused = |bytes: &[u8]| refusal(unpack::deb(&shelf.store, &shelf.part(bytes)));
    assert_eq!(refused(b"PK\x03\x04nonsense"), "package `x` is damaged: it is no `ar` archive");
    let mut old = deb(&FILES);
    old[68] = b'3';
    assert_eq!(refused(&old), "package `x` is damaged: it is no Debian package of format 2");
    let bytes = deb(&FILES);
    assert_eq!(refused(&bytes[..72]), "package `x` is damaged: it has no `control.tar`");
    let packed = [&xz(&tar(&FILES))[..100], &[0; 100]].concat();
    let error = refusal(unpack::tar(&shelf.store, &shelf.part(&packed)));
    assert!(error.starts_with("archive `x` is damaged: reading the archive: "), "{error}");
}

#[test]
fn a_package_that_unpacks_to_too_much_is_stopped() {
    let bytes = deb(&[("./zeros", &vec![0; 1 << 20])]);
    let mut total = 0;
    let result: Result<(), DebError> = deb::sections(&bytes[..], 1 << 16, |section, archive| {
        let copied = std::io::copy(archive, &mut std::io::sink());
        total += *copied.as_ref().unwrap_or(&0);
        copied.map(|_| true).map_err(|source| DebError::Unpack { member: format!("{section:?}"), source })
    });
    assert_eq!(told(&result.unwrap_err()), "unpacking `Data`: it unpacks to more than 64 KiB");
    assert!(total < 1 << 17);
}

#[test]
fn reading_stops_where_nobody_wants_more() {
    let mut bytes = deb(&FILES);
    let end = bytes.len();
    bytes[end - 40..].fill(0xff);
    let seen = |wanted: Section| {
        let mut seen = Vec::new();
        let result: Result<(), DebError> = deb::sections(&bytes[..], 1 << 20, |section, _| {
            seen.push(section);
            Ok(section != wanted)
        });
        result.map(|()| seen).unwrap()
    };
    assert_eq!(seen(Section::Control), [Section::Control]);
    assert_eq!(seen(Section::Data), [Section::Control, Section::Data]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_damaged_package_is_refused_or_reads_as_something(at in 0..700_usize, value in any::<u8>()) {
        let shelf = Shelf::new();
        let mut bytes = deb(&FILES);
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(unpacked) = unpack::deb(&shelf.store, &shelf.part(&bytes)) {
            let _ = unpacked.files();
            let _ = unpacked.control_files();
        }
    }
}

#[test]
fn what_dpkg_packs_is_unpacked_however_it_is_packed() {
    let shelf = Shelf::new();
    let root = shelf.dir.path().join("root");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::create_dir_all(root.join("boot")).unwrap();
    let control =
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: x\n";
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    fs::write(root.join("boot/vmlinuz-1"), b"kernel").unwrap();
    for packing in ["xz", "zstd", "gzip", "none"] {
        let file = shelf.dir.path().join(packing);
        let mut dpkg = std::process::Command::new("dpkg-deb");
        dpkg.args(["--root-owner-group", "--build"]).arg(format!("-Z{packing}")).args([&root, &file]);
        let output = dpkg.output().expect("`dpkg-deb` is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let part = shelf.part(&fs::read(&file).unwrap());
        let unpacked = unpack::deb(&shelf.store, &part).unwrap();
        assert_eq!(unpacked.control_files().unwrap()["control"], control.as_bytes(), "{packing}");
        let taken = unpack::members(&shelf.store, &[part], &[&kernel()]).unwrap();
        assert_eq!(fs::read(&taken.one(&kernel()).unwrap().path).unwrap(), b"kernel", "{packing}");
    }
}
