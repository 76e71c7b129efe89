//! Texts from outside with random damage: each is refused or read as something, and none ends the
//! program or keeps it busy.

use std::fs;

use factory::archive::ar;
use factory::config::Config;
use factory::lock::Lock;
use factory::source::apt;
use factory::source::packages::Universe;
use factory::source::release::Release;
use factory::source::signature::Keyring;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::archive::{key, public, sign};
use crate::support::packages::deb;
use crate::world::{NOW, World};

/// What happens to a text on the way: bytes change, parts are doubled or lost, the end is cut off.
#[derive(Clone, Debug)]
enum Damage {
    Change(Index, u8),
    Double(Index, Index),
    Lose(Index, Index),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    // Bytes that mean something are hit more often.
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(b"\n:=,|(){}[]<>\"' -.0\0\xff".to_vec())];
    let index = any::<Index>;
    let one = prop_oneof![
        6 => (index(), byte).prop_map(|(at, byte)| Damage::Change(at, byte)),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Double(from, to)),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Lose(from, to)),
        1 => index().prop_map(Damage::Cut),
    ];
    proptest::collection::vec(one, 1..6)
}

fn damaged(content: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        let range = |a: &Index, b: &Index| {
            let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
            a.min(b)..a.max(b)
        };
        match damage {
            Damage::Change(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Double(from, to) => {
                let part = bytes[range(from, to)].to_vec();
                bytes.extend(part);
            }
            Damage::Lose(from, to) => drop(bytes.drain(range(from, to))),
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

fn text(content: &str, damages: &[Damage]) -> String {
    String::from_utf8_lossy(&damaged(content.as_bytes(), damages)).into_owned()
}

const PACKAGES: &str = "\
Package: app
Version: 1:2.0-3~deb13u1
Priority: optional
Depends: libapp (>= 2) | other, tool:any [arm64], round-a
Provides: mail (= 2.0), editor
Conflicts: old (<< 1)
Filename: pool/main/a/app_2.0.deb
Size: 1234
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

Package: round-a
Version: 1
Essential: yes
Depends: round-b, mail
Filename: pool/main/r/a.deb
Size: 1
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

Package: round-b
Version: 1
Pre-Depends: round-a (= 1)
Description: two
 lines
Filename: pool/main/r/b.deb
Size: 1
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
";

const APT: &str = "\
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

# an older entry
Types: deb
URIs: http://other.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQ==
 -----END PGP PUBLIC KEY BLOCK-----
";

const APT_LINES: &str = "\
deb [arch=arm64 signed-by=/usr/share/keyrings/x.gpg check-valid-until=no] http://mirror.example/debian trixie main
deb-src http://mirror.example/debian trixie main # comment
deb cdrom:[Debian]/ trixie main
";

const PROJECT: &str = "\
[image]
name = \"kiosk\"
version = \"1.4.0\"
[sizes]
system = \"512 MiB\"
[kernel]
cmdline = \"quiet\"
console = [\"ttyAMA0,115200\"]
[[rootfs.layer]]
packages = [\"openssh-server\"]
essential = true
[[rootfs.layer]]
tar = \"base.tar\"
";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_index_is_refused_or_read(damages in damage()) {
        let mut universe = Universe::new("here");
        if universe.add(0, &*damaged(PACKAGES.as_bytes(), &damages)).is_ok() {
            let names: Vec<String> = universe.names().map(str::to_owned).collect();
            for name in &names {
                let _ = (universe.newest(name), universe.follow(name, "round-"));
            }
            let _ = universe.closure(&names, true);
        }
    }

    #[test]
    fn a_damaged_release_is_refused_or_read(damages in damage()) {
        let archive = text(&release(), &damages);
        if let Ok(release) = Release::parse(&archive) {
            let _ = release.check("trixie", NOW, true);
        }
    }

    #[test]
    fn damaged_sources_of_apt_are_passed_over_or_read(damages in damage()) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("etc/apt/sources.list.d");
        fs::create_dir_all(&dir).unwrap();
        fs::write(root.path().join("etc/os-release"), text("ID=debian\nVERSION_CODENAME=trixie\n", &damages)).unwrap();
        fs::write(dir.join("debian.sources"), damaged(APT.as_bytes(), &damages)).unwrap();
        fs::write(root.path().join("etc/apt/sources.list"), damaged(APT_LINES.as_bytes(), &damages)).unwrap();
        let _ = apt::host_archive(root.path()).map(|entry| entry.uri().map(str::to_owned));
    }

    #[test]
    fn a_damaged_ar_archive_is_refused_or_read(damages in damage()) {
        let bytes = damaged(&deb(&[("./usr/bin/app", b"the app")]), &damages);
        if let Ok(mut members) = ar::Members::new(&*bytes) {
            while let Ok(Some(_)) = members.next() {
                let _ = std::io::copy(&mut members, &mut std::io::sink());
            }
        }
    }

    #[test]
    fn a_damaged_project_file_is_refused_or_read(damages in damage()) {
        let _ = Config::parse(&text(PROJECT, &damages), "factory.toml");
    }
}

/// What an archive says of itself, unsigned.
fn release() -> String {
    "Suite: stable\nCodename: trixie\nDate: Sat, 15 Nov 2025 10:00:41 UTC\nValid-Until: Sat, 22 Nov 2025 10:00:41 UTC\n\
     Acquire-By-Hash: yes\nComponents: main contrib\nSHA256:\n \
     e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 761 main/binary-arm64/Packages\n"
        .to_owned()
}

#[test]
fn damaged_keys_and_signatures_are_refused_or_read() {
    let key = key();
    let (keys, message) = (public(&key), sign(&key, &release()));
    let keyring = Keyring::parse(&keys).unwrap();
    proptest!(ProptestConfig::with_cases(300), |(damages in damage())| {
        let _ = keyring.verify(&text(&message, &damages), NOW);
        if let Ok(keyring) = Keyring::parse(&damaged(&keys, &damages)) {
            let _ = keyring.verify(&message, NOW);
        }
    });
}

#[test]
fn a_damaged_lock_is_refused_or_read() {
    let world = World::new();
    let (_, pins) = world.fetch(None, &Default::default()).unwrap();
    let mut lock = Lock::default();
    lock.set("generic", pins);
    let (whole, file) = (lock.to_toml(), world.dir.path().join("factory.lock"));
    proptest!(ProptestConfig::with_cases(300), |(damages in damage())| {
        fs::write(&file, damaged(whole.as_bytes(), &damages)).unwrap();
        if let Some(pins) = Lock::read(&file).ok().as_ref().and_then(|lock| lock.track("generic")) {
            let _ = (pins.are_for(&world.sources), pins.newest());
        }
    });
}
