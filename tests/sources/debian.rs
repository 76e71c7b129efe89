//! From a plan's question to verified packages.

use std::fs;

use factory::digest::Sha256;
use factory::fetch::Options;
use factory::lock::Location;
use factory::source::{Origin, PathKind, Suite, Wanted};

use crate::support::archive::{key, sign};
use crate::support::packages::{deb, xz};
use crate::support::server::Answer;
use crate::world::{NOW, World, package, told, wanted};

const OFFLINE: Options = Options { offline: true, update: false, jobs: 2 };
const UPDATE: Options = Options { offline: false, update: true, jobs: 2 };

#[test]
fn a_package_is_found_by_its_name_and_fetched_with_its_digest_checked() {
    let world = World::new();
    let (parts, pins) = world.fetch(None, &Options::default()).unwrap();
    let part = parts.one("app").unwrap();
    let content = fs::read(&part.path).unwrap();
    assert_eq!(content, deb(&[("./usr/bin/app", b"the app")]));
    assert_eq!((part.pin.size, part.pin.sha256), (content.len() as u64, Sha256::of(&content)));
    assert_eq!(part.pin.version.as_deref(), Some("1:1.0-1"));
    let pool = "pool/main/app_1.1.0-1.deb".to_owned();
    assert_eq!(part.pin.location, Location::Pool { suite: "trixie".into(), pool });
    assert_eq!((pins.newest(), pins.pins.len()), (Some(NOW), 1));
    assert_eq!(world.archive.server.asked("tool").len(), 0, "only what is needed is fetched");
}

#[test]
fn indexes_are_asked_for_by_name_where_the_archive_has_no_digests() {
    let mut world = World::new();
    world.archive.server.route(&world.archive.index_path(), |_| Answer::status(404));
    assert!(world.refusal().ends_with("the server answered 404 Not Found"));
    world.archive.set("Acquire-By-Hash", "no");
    let packages = world.archive.release_text();
    let digest = packages.lines().last().unwrap().split_whitespace().next().unwrap().to_owned();
    let by_name = "/debian/dists/trixie/main/binary-arm64/Packages.xz";
    let index = world.archive.index_path();
    assert!(index.ends_with(&digest));
    let copy = world.archive.server.clone();
    world.archive.publish();
    world.archive.server.route(by_name, move |_| Answer::redirect(&format!("{}{index}", copy.url)));
    assert!(world.fetch(None, &Options::default()).is_ok());
    assert_eq!(world.archive.server.asked("Packages.xz").len(), 1);
}

#[test]
fn a_release_that_nobody_trusted_has_signed_is_refused() {
    let world = World::new();
    let text = world.archive.release_text();
    let refused = "the `InRelease` of suite `trixie` is not trusted: ";
    let hint = "\n\nhint: use another mirror; for an archive with its own keys, set `sources.debian.keyring`";
    world.archive.publish_release(&text);
    assert_eq!(world.refusal(), format!("{refused}it is not signed{hint}"));
    let other = key();
    world.archive.publish_release(&sign(&other, &text));
    let refusal = world.refusal();
    let start = format!("{refused}it is signed by `");
    assert!(
        refusal.starts_with(&start) && refusal.contains("`, and the keyring has no such key\n"),
        "{refusal}"
    );
    world.archive.publish_release(&sign(&world.archive.key, &text).replace("Suite: stable", "Suite: staple"));
    let refusal = world.refusal();
    assert!(refusal.contains("is wrong: the text was changed after it was signed\n"), "{refusal}");
    assert_eq!(world.archive.server.asked("by-hash").len(), 0, "nothing of it was believed");
}

#[test]
fn a_release_of_another_suite_or_time_is_refused() {
    let mut world = World::new();
    let refused = "the `InRelease` of suite `trixie` is not the right one: ";
    world.sources.debian.suites[0].components.push("nonsense".into());
    assert_eq!(
        world.refusal(),
        format!("{refused}it has no component `nonsense`\n\nhint: there are main, contrib")
    );
    world.sources.debian.suites[0].components = vec!["contrib".into()];
    assert_eq!(world.refusal(), "suite `trixie` has no packages for `arm64`\n\nhint: use another mirror");
    world.archive.set("Codename", "forky");
    assert_eq!(
        world.refusal(),
        format!(
            "{refused}it is of the suite `stable` (`forky`)\n\nhint: use another mirror, or change \
             `sources.debian.suites`"
        )
    );
    world.archive.set("Codename", "trixie");
    world.sources.debian.suites[0].components = vec!["main".into()];
    world.host.now = NOW + 8 * 86_400;
    assert_eq!(
        world.refusal(),
        format!(
            "{refused}it was valid until 2025-11-22\n\nhint: use another mirror; for a snapshot of the past, \
             set `FACTORY_DEBIAN_CHECK_VALID_UNTIL=no`"
        )
    );
    world.host.check_valid_until = false;
    assert!(world.fetch(None, &Options::default()).is_ok());
}

#[test]
fn an_index_that_is_not_the_signed_one_is_refused() {
    let world = World::new();
    let path = world.archive.index_path();
    let right = world.archive.server.clone();
    let length = world
        .archive
        .release_text()
        .lines()
        .last()
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    right.file(&path, vec![0; length]);
    let found = Sha256::of(&vec![0; length]);
    let expected = path.rsplit('/').next().unwrap();
    assert_eq!(world.refusal(), format!("`http://HOST{path}` has the sha256 {found} instead of {expected}"));
    right.file(&path, xz(b"Package: other"));
    let refusal = world.refusal();
    assert!(refusal.ends_with(&format!(" bytes instead of {length}")), "{refusal}");
}

#[test]
fn a_package_that_is_not_the_one_in_the_index_is_refused() {
    let world = World::new();
    let right = deb(&[("./usr/bin/app", b"the app")]);
    let mut wrong = right.clone();
    wrong[100] ^= 1;
    world.archive.server.file("/debian/pool/main/app_1.1.0-1.deb", wrong.clone());
    assert_eq!(
        world.refusal(),
        format!(
            "`http://HOST/debian/pool/main/app_1.1.0-1.deb` has the sha256 {} instead of {}",
            Sha256::of(&wrong),
            Sha256::of(&right)
        )
    );
    assert!(!world.blob(Sha256::of(&right)).exists() && !world.blob(Sha256::of(&wrong)).exists());
    world.archive.server.file("/debian/pool/main/app_1.1.0-1.deb", right);
    assert!(world.fetch(None, &Options::default()).is_ok(), "the wrong one has left nothing behind");
}

#[test]
fn metapackages_dependencies_and_provided_names_are_resolved() {
    let mut world = World::new();
    world.archive.add("linux-image-arm64", "6.12-1", "Depends: linux-image-6.12+1-arm64 (= 6.12-1)", b"meta");
    world.archive.add("linux-image-6.12+1-arm64", "6.12-1", "", b"kernel");
    world.archive.add("top", "1", "Pre-Depends: libc (>= 2)\nDepends: none | mail, tool (<< 3)", b"top");
    world.archive.add("libc", "2", "Essential: yes", b"libc");
    world.archive.add("exim", "1", "Provides: mail", b"exim");
    world.archive.publish();
    let follow = Some("linux-image-".to_owned());
    world.sources.wanted = vec![
        wanted("kernel", Origin::Package { package: "linux-image-arm64".into(), follow, with: Vec::new() }),
        wanted("rootfs.1", Origin::Packages { packages: vec!["top".into()], essential: true }),
    ];
    let (parts, pins) = world.fetch(None, &Options::default()).unwrap();
    assert_eq!(fs::read(&parts.one("kernel").unwrap().path).unwrap(), b"kernel");
    let names: Vec<&str> = parts.get("rootfs.1").iter().map(|part| &*part.pin.name).collect();
    assert_eq!(names, ["exim", "libc", "tool", "top"]);
    let names: Vec<&str> = pins.pins.iter().map(|pin| &*pin.name).collect();
    assert_eq!(names, ["linux-image-6.12+1-arm64", "exim", "libc", "tool", "top"]);
}

/// A wanted package, split into pieces that start with these, from a suite of its own.
fn split(package: &str, with: &[&str], suite: Option<Suite>) -> Wanted {
    let origin = Origin::Package {
        package: package.into(),
        follow: Some("linux-image-".into()),
        with: with.iter().map(ToString::to_string).collect(),
    };
    Wanted { suite, ..wanted("kernel", origin) }
}

fn suite(name: &str, component: &str) -> Suite {
    Suite { name: name.into(), components: vec![component.into()], mirror: None }
}

#[test]
fn a_kernel_in_pieces_comes_whole_and_one_of_a_piece_alone() {
    let mut world = World::new();
    let depends = "Depends: linux-binary-7 (= 7-1), linux-base-7 (= 7-1), linux-base (>= 4)";
    world.archive.add("linux-image-arm64", "7-1", "Depends: linux-image-7 (= 7-1)", b"meta");
    world.archive.add("linux-image-7", "7-1", depends, b"empty");
    world.archive.add("linux-base-7", "7-1", "", b"base");
    world.archive.add("linux-base-7", "7-2", "", b"newer base");
    world.archive.add("linux-base", "4.1", "", b"scripts");
    world.archive.add("linux-binary-7", "7-1", "", b"binary");
    world.archive.add("linux-image-6.12", "6.12-1", "Depends: linux-base (>= 4)", b"all of it");
    world.archive.publish();
    let with = ["linux-binary-", "linux-modules-", "linux-base-"];
    let mut names = |package: &str| -> Vec<String> {
        world.sources.wanted = vec![split(package, &with, None)];
        let (parts, pins) = world.fetch(None, &Options::default()).unwrap();
        assert!(pins.pins.iter().eq(parts.get("kernel").iter().map(|part| &part.pin)));
        pins.pins.iter().map(|pin| format!("{}={}", pin.name, pin.version.as_deref().unwrap())).collect()
    };
    assert_eq!(names("linux-image-arm64"), ["linux-image-7=7-1", "linux-binary-7=7-1", "linux-base-7=7-1"]);
    assert_eq!(names("linux-image-6.12"), ["linux-image-6.12=6.12-1"]);
}

#[test]
fn a_part_with_a_suite_of_its_own_looks_only_there_and_others_never() {
    let mut world = World::new();
    let mut forky = world.archive.beside("forky", "non-free-firmware");
    forky.add("app", "9", "", b"newer app");
    forky.add("firmware", "2", "", b"firmware");
    forky.publish();
    let own = Some(suite("forky", "non-free-firmware"));
    let firmware = Wanted { suite: own.clone(), ..wanted("firmware", package("firmware")) };
    let again = Wanted { suite: own, ..wanted("again", package("firmware")) };
    world.sources.wanted = vec![firmware, wanted("app", package("app")), again];
    let (parts, pins) = world.fetch(None, &Options::default()).unwrap();
    assert_eq!(parts.one("app").unwrap().pin.version.as_deref(), Some("1:1.0-1"));
    assert_eq!(fs::read(&parts.one("firmware").unwrap().path).unwrap(), b"firmware");
    let suites: Vec<(&str, &str)> =
        pins.suites.iter().map(|suite| (&*suite.name, &*suite.components[0])).collect();
    assert_eq!(suites, [("trixie", "main"), ("forky", "non-free-firmware")]);
    assert_eq!(pins.requests["firmware"], "package firmware from forky/non-free-firmware");
    assert_eq!(world.archive.server.asked("InRelease").len(), 2, "each suite is asked once");
    assert!(world.fetch(Some(&pins), &OFFLINE).is_ok());

    world.sources.wanted[0].suite = Some(suite("forky", "main"));
    let error = world.fetch(Some(&pins), &OFFLINE).unwrap_err();
    assert!(told(&error).contains("wants `package firmware from forky/main`"), "{}", told(&error));
    world.sources.wanted[0].suite = None;
    let refusal = world.refusal();
    assert!(refusal.starts_with("there is no package `firmware` in trixie/main for arm64\n"), "{refusal}");
}

#[test]
fn an_unknown_package_is_answered_with_names_like_it() {
    let mut world = World::new();
    world.want(package("tol"));
    assert_eq!(
        world.refusal(),
        "there is no package `tol` in trixie/main for arm64\n\nhint: did you mean `tool`?"
    );
}

#[test]
fn a_lock_is_kept_to_until_an_update_is_asked_for() {
    let mut world = World::new();
    let (_, old) = world.fetch(None, &Options::default()).unwrap();
    world.archive.add("app", "1:2.0-1", "", b"the new app");
    world.archive.publish();
    let (parts, pins) = world.fetch(Some(&old), &Options::default()).unwrap();
    assert_eq!((parts.one("app").unwrap().pin.version.as_deref(), &pins), (Some("1:1.0-1"), &old));
    let (parts, _) = world.fetch(Some(&old), &UPDATE).unwrap();
    assert_eq!(parts.one("app").unwrap().pin.version.as_deref(), Some("1:2.0-1"));
}

#[test]
fn with_a_lock_and_a_full_store_no_network_is_needed() {
    let world = World::new();
    let (online, pins) = world.fetch(None, &Options::default()).unwrap();
    world.archive.server.clear();
    let asked = world.archive.server.asked("").len();
    let (offline, _) = world.fetch(Some(&pins), &OFFLINE).unwrap();
    assert_eq!((offline, world.archive.server.asked("").len()), (online, asked));
    fs::remove_file(world.blob(pins.pins[0].sha256)).unwrap();
    let error = world.fetch(Some(&pins), &OFFLINE).unwrap_err();
    assert_eq!(
        told(&error),
        "`app` is not in the store, and `--offline` forbids to fetch it\n\nhint: run `factory fetch` once \
         with a network"
    );
}

#[test]
fn without_a_lock_offline_is_refused() {
    let world = World::new();
    let error = world.fetch(None, &OFFLINE).unwrap_err();
    assert_eq!(
        told(&error),
        "nothing is locked yet, and `--offline` forbids to look for packages\n\nhint: run `factory fetch` \
         once with a network"
    );
    let error = world.fetch(None, &Options { offline: true, ..UPDATE }).unwrap_err();
    assert_eq!(
        told(&error),
        "`--update` looks for packages, and `--offline` forbids it\n\nhint: leave one of them out"
    );
    assert_eq!(world.archive.server.asked("").len(), 0);
}

#[test]
fn a_lock_for_other_questions_is_out_of_date() {
    let mut world = World::new();
    let (_, pins) = world.fetch(None, &Options::default()).unwrap();
    world.want(package("tool"));
    let error = world.fetch(Some(&pins), &Options::default()).unwrap_err();
    assert_eq!(
        told(&error),
        "the lock is out of date: `app` was `package app`, and the project wants `package tool`\n\nhint: \
         `factory fetch --update` resolves it anew"
    );
    assert!(world.fetch(Some(&pins), &UPDATE).is_ok());
}

#[test]
fn a_locked_package_that_the_archive_has_dropped_is_reported() {
    let world = World::new();
    let (_, pins) = world.fetch(None, &Options::default()).unwrap();
    fs::remove_file(world.blob(pins.pins[0].sha256)).unwrap();
    world.archive.server.clear();
    let error = world.fetch(Some(&pins), &Options::default()).unwrap_err();
    assert_eq!(
        told(&error).replace(&world.archive.server.url, "http://HOST"),
        "`app 1:1.0-1` is locked, and `http://HOST/debian/pool/main/app_1.1.0-1.deb` is gone\n\nhint: \
         `factory fetch --update` locks what there is now; or use a mirror that keeps old packages"
    );
}

#[test]
fn the_mirror_and_its_keys_come_from_the_hosts_own_sources() {
    let mut world = World::new();
    let mirror = world.sources.debian.mirror.take().unwrap();
    let keyring = world.sources.debian.keyring.take().unwrap();
    assert_eq!(
        world.refusal(),
        "no Debian archive is known: APT on this machine has no source for its own release\n\nhint: set \
         `sources.debian.mirror` in `factory.toml`, or `FACTORY_DEBIAN_MIRROR`"
    );
    let etc = world.host.root.join("etc");
    fs::create_dir_all(etc.join("apt/sources.list.d")).unwrap();
    fs::write(etc.join("os-release"), "VERSION_CODENAME=bookworm\n").unwrap();
    let source = format!("Types: deb\nURIs: {mirror}\nSuites: bookworm\nComponents: main\n");
    let file = etc.join("apt/sources.list.d/debian.sources");
    fs::write(&file, &source).unwrap();
    let default = world.host.root.join("usr/share/keyrings/debian-archive-keyring.gpg");
    assert_eq!(
        world.refusal(),
        format!(
            "there is no keyring `{}`\n\nhint: on Debian, `apt-get install debian-archive-keyring`; for \
             another archive, set `sources.debian.keyring` in `factory.toml`",
            default.display()
        )
    );
    let signed = format!("{source}Signed-By: {}\n", keyring.display());
    fs::write(&file, &signed).unwrap();
    assert!(world.fetch(None, &Options::default()).is_ok());
    world.host.now = NOW + 8 * 86_400;
    assert!(world.refusal().contains("it was valid until 2025-11-22"));
    world.host.apt_checks_valid_until = || false;
    assert!(world.fetch(None, &Options::default()).is_ok(), "APT of this machine would take it");
    fs::write(&file, format!("{signed}Check-Valid-Until: yes\n")).unwrap();
    assert!(world.refusal().contains("it was valid until 2025-11-22"), "what the source says is stronger");
    fs::write(&file, &signed).unwrap();
    world.sources.debian.mirror = Some(mirror);
    world.sources.debian.keyring = Some(keyring.clone());
    assert!(world.refusal().contains("it was valid until 2025-11-22"), "an archive of the project's own");
    (world.sources.debian.mirror, world.sources.debian.keyring) = (None, None);
    fs::write(&keyring, "nonsense").unwrap();
    let shown = keyring.display();
    assert_eq!(world.refusal(), format!("`{shown}` is no keyring: there are no OpenPGP keys in it"));
}

#[test]
fn paths_are_taken_as_they_are_and_not_locked() {
    let mut world = World::new();
    let payload = world.dir.path().join("payload");
    fs::create_dir(&payload).unwrap();
    fs::write(payload.join("app"), b"one").unwrap();
    world
        .sources
        .wanted
        .push(wanted("payload", Origin::Path { path: payload.clone(), kind: PathKind::Directory }));
    let (parts, pins) = world.fetch(None, &Options::default()).unwrap();
    let before = parts.one("payload").unwrap().clone();
    assert_eq!((&before.path, &*before.pin.name, before.pin.size), (&payload, "payload", 3));
    assert_eq!(pins.pins.len(), 1);
    fs::write(payload.join("app"), b"two").unwrap();
    let (parts, _) = world.fetch(Some(&pins), &OFFLINE).unwrap();
    assert_ne!(parts.one("payload").unwrap().pin.sha256, before.pin.sha256);
    fs::remove_dir_all(&payload).unwrap();
    let error = world.fetch(Some(&pins), &OFFLINE).unwrap_err();
    assert_eq!(
        told(&error),
        format!(
            "there is no `{}`\n\nhint: paths in `factory.toml` start at its own directory",
            payload.display()
        )
    );
}
