//! Images from servers that are sound, and from those that are not.

use std::path::Path;
use std::time::Duration;

use factory::digest::Sha256;

use super::interrupted::Left;
use super::sources::{Targets, interrupted_while_it_waits};
use super::support::server::{Answer, Request, Server};
use super::{SIZE, flash, head, said};

/// A server with the packed image, and what it must become.
struct World {
    targets: Targets,
    server: Server,
    packed: Vec<u8>,
    bytes: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let targets = Targets::new();
        let bytes = targets.image().1;
        let packed = targets.converted("zst", "disk.img.zst").1;
        World { targets, server: Server::start(), packed, bytes }
    }

    fn route(&self, route: impl Fn(&Request, &[u8]) -> Answer + Send + Sync + 'static) {
        let packed = self.packed.clone();
        self.server.clear();
        self.server.route("/disk.img.zst", move |request| route(request, &packed));
    }

    fn url(&self) -> String {
        format!("{}/disk.img.zst", self.server.url)
    }

    fn becomes(&self) {
        let sha256 = Sha256::of(&self.packed).to_string();
        self.targets.becomes(&self.url(), &["--sha256", &sha256], &self.bytes);
    }

    fn fails(&self, left: Left, words: &str) {
        let sha256 = Sha256::of(&self.packed).to_string();
        self.targets.fails(&self.url(), &["--sha256", &sha256], left, &words.replace("URL", &self.url()));
    }
}

/// Where the first and third answers break, in bytes: behind what a flash begins with.
const BREAKS: [usize; 2] = [9_000_000, 12_000_000];

/// A sound server whose first two answers break, and whose file has this version.
fn breaking(request: &Request, file: &[u8], tag: &str) -> Answer {
    let whole = Answer::ranged(request, file).tagged(tag);
    let start = request.range.unwrap_or_default();
    match BREAKS.iter().find(|at| **at > start) {
        Some(at) => whole.cut(at - start),
        None => whole,
    }
}

#[test]
fn an_image_comes_from_a_server_and_goes_on_where_the_connection_broke() {
    let world = World::new();
    world.route(Answer::ranged);
    world.becomes();
    world.route(|request, file| breaking(request, file, "\"one\""));
    let before = world.server.asked("disk").len();
    world.becomes();
    let asked = world.server.asked("disk").split_off(before);
    let asked: Vec<_> =
        asked[..3].iter().map(|request| (request.range, request.if_range.as_deref())).collect();
    assert_eq!(asked, [(None, None), (Some(BREAKS[0]), Some("\"one\"")), (Some(BREAKS[1]), Some("\"one\""))]);
    // Without a name for the version its time has to do, or nothing.
    let dated = |mut answer: Answer| {
        answer.headers.push("Last-Modified: Sat, 01 Nov 2025 10:00:00 GMT".into());
        answer
    };
    world.route(move |request, file| dated(breaking(request, file, "W/\"weak\"")));
    world.becomes();
    let last = world.server.asked("disk").pop().unwrap();
    assert_eq!(last.if_range.as_deref(), Some("Sat, 01 Nov 2025 10:00:00 GMT"));
    world.route(|request, file| breaking(request, file, "W/\"weak\""));
    world.becomes();
}

#[test]
fn a_file_that_changes_while_it_is_read_never_boots() {
    let world = World::new();
    let changed = format!("`URL` was cut off after {} bytes, and is another file now", BREAKS[0]);
    world.route(|request, file| {
        let tag = if request.range.is_none() { "\"one\"" } else { "\"two\"" };
        // A sound server sends all of what is new.
        let request = Request { range: None, ..request.clone() };
        if tag == "\"one\"" { breaking(&request, file, tag) } else { Answer::of(file).tagged(tag) }
    });
    world.fails(Left::NotBootable, &changed);
    // One that sends a part of what is new.
    world.route(|request, file| {
        breaking(request, &file[..file.len() - request.range.map_or(0, |_| 1)], "\"one\"")
    });
    world.fails(Left::NotBootable, &changed);
    // One that has less than was read already.
    world.route(|request, file| match request.range {
        Some(_) => Answer::status(416),
        None => breaking(request, file, "\"one\""),
    });
    world.fails(Left::NotBootable, &changed);
    // What nobody notices but the digest.
    world.route(|request, file| {
        let mut other = file.to_vec();
        let at = file.len() - 1_000_000;
        other[at] ^= u8::from(request.range.is_some());
        breaking(request, &other, "\"one\"")
    });
    world.fails(Left::NotBootable, "");
}

#[test]
fn servers_that_cannot_go_on_are_told() {
    let world = World::new();
    world.route(|request, file| breaking(&Request { range: None, ..request.clone() }, file, "\"one\""));
    let words =
        format!("`URL` was cut off after {} bytes, and the server does not send the rest alone", BREAKS[0]);
    world.fails(Left::NotBootable, &words);
    world.route(|request, file| match request.range {
        Some(_) => Answer::status(404),
        None => breaking(request, file, "\"one\""),
    });
    world.fails(Left::NotBootable, "`URL`: the server answered 404 Not Found");
    // More often than patience lasts.
    world.route(|request, file| {
        Answer::ranged(request, file).cut(if request.range.is_some() { 0 } else { 9_000_000 })
    });
    world.fails(Left::NotBootable, "`URL` was cut off after 9000000 bytes");
    world.route(|request, file| {
        Answer::ranged(request, file).dripping(file.len() - 9_000_000, Duration::from_secs(9))
    });
    world.fails(Left::NotBootable, "`URL`: the server hangs");
}

#[test]
fn what_a_server_does_not_have_leaves_the_target_untouched() {
    let world = World::new();
    world.route(|_, _| Answer::status(404));
    world.fails(Left::Untouched, "`URL`: the server answered 404 Not Found");
    world.route(|_, _| Answer::redirect("/disk.img.zst"));
    world.fails(Left::Untouched, "`URL`: more than 10 redirects");
    world.route(|_, file| Answer::announcing(file.len(), &file[..100]));
    world.fails(Left::Untouched, "`URL` was cut off after 100 bytes");
}

#[test]
fn the_digest_must_be_named_and_right() {
    let world = World::new();
    world.route(Answer::ranged);
    let wrong = Sha256::of(b"").to_string();
    let words = format!("has the sha256 {}, but `--sha256` says {wrong}", Sha256::of(&world.packed));
    world.targets.fails(&world.url(), &["--sha256", &wrong], Left::NotBootable, &words);
    // A server that sends less, and does not say so.
    world.route(|_, file| Answer::without_length(&file[..file.len() / 2]));
    world.fails(Left::NotBootable, "its zstd data is cut off");
    let target = world.targets.path("target");
    let asked = world.server.asked("disk").len();
    let output = flash(Path::new(&world.url()), &target).output().unwrap();
    let expected =
        format!("error: nothing tells what `{}` should hold\n\nhint: name the digest", world.url());
    assert!(output.status.code() == Some(3) && said(&output).starts_with(&expected), "{}", said(&output));
    assert_eq!(world.server.asked("disk").len(), asked);
}

#[test]
fn a_flash_that_waits_for_a_server_can_be_interrupted() {
    let world = World::new();
    for (sent, left) in [(0, Left::Untouched), (9_000_000, Left::NotBootable)] {
        world.route(move |_, file| Answer::of(file).dripping(file.len() - sent, Duration::from_secs(60)));
        let target = world.targets.path("target");
        std::fs::write(&target, vec![0xa5; SIZE as usize]).unwrap();
        let mut command = flash(Path::new(&world.url()), &target);
        command.args(["--sha256", &Sha256::of(b"").to_string()]).env("NO_PROXY", "*");
        interrupted_while_it_waits(command, &target, &left);
        assert!(left == Left::NotBootable || head(&target, 4096) == [0xa5; 4096]);
    }
}
