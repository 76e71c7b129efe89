//! One store under two fetches, and under damage.

use std::fs;
use std::thread;

use factory::digest::Sha256;
use factory::fetch::Options;
use factory::source::Origin;

use crate::support::packages::deb;
use crate::support::server::Answer;
use crate::world::{World, ms, told, wanted};

#[test]
fn of_two_fetches_at_once_one_downloads() {
    let world = World::new();
    let file = deb(&[("./usr/bin/app", b"the app")]);
    let served = file.clone();
    let slow = move |_: &_| Answer::of(&served).dripping(1, ms(200));
    world.archive.server.route("/debian/pool/main/app_1.1.0-1.deb", slow);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let (parts, _) = world.fetch(None, &Options::default()).unwrap();
                assert_eq!(fs::read(&parts.one("app").unwrap().path).unwrap(), file);
            });
        }
    });
    assert_eq!(world.archive.server.asked("app_").len(), 1);
}

#[test]
fn a_damaged_blob_is_fetched_again() {
    let world = World::new();
    let (parts, pins) = world.fetch(None, &Options::default()).unwrap();
    let path = &parts.one("app").unwrap().path;
    let right = fs::read(path).unwrap();
    let mut wrong = right.clone();
    wrong[50] ^= 0x80;
    fs::write(path, &wrong).unwrap();
    world.fetch(Some(&pins), &Options::default()).unwrap();
    assert_eq!(fs::read(path).unwrap(), right);
    assert_eq!(world.archive.server.asked("app_").len(), 2);
}

#[test]
fn files_from_the_web_are_pinned_by_the_digest_that_the_project_gives() {
    let mut world = World::new();
    world.archive.server.file("/base.tar?x=1", b"content".to_vec());
    let url = format!("{}/base.tar?x=1", world.archive.server.url);
    let origin = |content: &[u8]| Origin::Url { url: url.clone(), sha256: Sha256::of(content) };
    world.sources.wanted = vec![wanted("base", origin(b"content"))];
    let (parts, pins) = world.fetch(None, &Options::default()).unwrap();
    let part = parts.one("base").unwrap();
    assert_eq!(fs::read(&part.path).unwrap(), b"content");
    assert_eq!((&*part.pin.name, part.pin.size, &pins.pins[0]), ("base.tar", 7, &part.pin));
    assert!(pins.suites.is_empty() && world.archive.server.asked("InRelease").is_empty());
    world.sources.wanted = vec![wanted("base", origin(b"other"))];
    assert_eq!(
        world.refusal(),
        format!(
            "`http://HOST/base.tar?x=1` has the sha256 {} instead of {}",
            Sha256::of(b"content"),
            Sha256::of(b"other")
        )
    );
}

#[test]
fn one_failure_stops_the_fetch_and_is_told() {
    let mut world = World::new();
    let absent = |number: usize| Origin::Url {
        url: format!("{}/absent/{number}", world.archive.server.url),
        sha256: Sha256::of(&number.to_le_bytes()),
    };
    world.sources.wanted =
        (0..50).map(|number| wanted(&format!("part.{number:02}"), absent(number))).collect();
    let options = Options { jobs: 1, ..Options::default() };
    let error = world.fetch(None, &options).unwrap_err();
    assert!(told(&error).contains("/absent/0`: the server answered 404"), "{}", told(&error));
    assert_eq!(world.archive.server.asked("absent").len(), 1);
}
