//! Downloads from servers that are slow, gone, or lying.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use factory::digest::Sha256;
use factory::fetch::http::{Client, Expected, HttpError, Patience};
use factory::store::Store;

use crate::support::server::{Answer, Request, Server};
use crate::world::{ms, told};

const FILE: &[u8] = &[7; 100_000];

struct Download {
    server: Server,
    dir: tempfile::TempDir,
    patience: Patience,
    size: Option<u64>,
}

impl Download {
    fn new(route: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let server = Server::start();
        server.route("/file", route);
        let patience = Patience { timeout: ms(300), tries: 3, pause: ms(1) };
        Download { server, dir: tempfile::tempdir().unwrap(), patience, size: Some(FILE.len() as u64) }
    }

    fn part(&self) -> PathBuf {
        self.dir.path().join("blobs").join(format!("{}.part", Sha256::of(FILE)))
    }

    /// Leaves `content` behind as a download that was killed does.
    fn leave(&self, content: &[u8]) {
        Store::open(self.dir.path()).unwrap();
        fs::write(self.part(), content).unwrap();
    }

    fn run(&self) -> Result<Vec<u8>, HttpError> {
        let client = Client::new(self.patience)?;
        let sha256 = Sha256::of(FILE);
        let expected = Expected { size: self.size, sha256 };
        let url = format!("{}/file", self.server.url);
        let path = Store::open(self.dir.path())?
            .blob_or(sha256, |partial| client.download(&url, expected, "file", partial))?;
        assert!(!self.part().exists());
        Ok(fs::read(path).unwrap())
    }

    fn assert_comes(&self) {
        assert!(self.run().unwrap() == FILE);
    }

    fn refusal(&self) -> String {
        told(&self.run().unwrap_err()).replace(&self.server.url, "http://HOST")
    }

    /// Where the ranges that were asked for start.
    fn ranges(&self) -> Vec<Option<usize>> {
        self.server.asked("/file").iter().map(|request| request.range).collect()
    }
}

#[test]
fn what_is_not_there_is_asked_for_once() {
    let download = Download::new(|_| Answer::status(404));
    assert_eq!(download.refusal(), "`http://HOST/file`: the server answered 404 Not Found");
    assert_eq!(download.ranges(), [None]);
    assert!(!download.part().exists(), "nothing came, nothing is left");
}

#[test]
fn a_server_that_is_down_for_a_moment_is_asked_again() {
    let download =
        Download::new(|request| if request.count < 2 { Answer::status(503) } else { Answer::of(FILE) });
    download.assert_comes();
    assert_eq!(download.ranges().len(), 3);
}

#[test]
fn a_server_that_stays_down_is_given_up() {
    let download = Download::new(|_| Answer::status(503));
    assert_eq!(download.refusal(), "`http://HOST/file`: the server answered 503 Service Unavailable");
    assert_eq!(download.ranges().len(), 3);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let mut download = Download::new(|_| Answer::status(404));
    download.server.url = "http://127.0.0.1:1".into();
    let refusal = download.refusal();
    assert!(refusal.starts_with("fetching `http://HOST/file`: "), "{refusal}");
    assert!(refusal.contains("Connection refused"), "{refusal}");
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let mut download = Download::new(|_| Answer::of(FILE).dripping(1, ms(2_000)));
    (download.patience.tries, download.patience.timeout) = (1, ms(200));
    let start = Instant::now();
    let expected = "`http://HOST/file`: the server hangs, it sent nothing to speak of for 0.2 s";
    assert_eq!(download.refusal(), expected);
    assert!(start.elapsed() < ms(1_500));
}

#[test]
fn a_server_that_drips_is_given_up() {
    let mut download = Download::new(|_| Answer::of(FILE).dripping(20, ms(60)));
    (download.patience.tries, download.patience.timeout) = (1, ms(200));
    let start = Instant::now();
    assert!(download.refusal().contains("the server hangs"));
    assert!(start.elapsed() < ms(1_000));
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was() {
    let download = Download::new(|request| {
        let answer = Answer::ranged(request, FILE);
        if request.count == 0 { answer.cut(40_000) } else { answer }
    });
    download.assert_comes();
    assert_eq!(download.ranges(), [None, Some(40_000)]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let download = Download::new(|request| {
        let answer = Answer::of(FILE);
        if request.count == 0 { answer.cut(40_000) } else { answer }
    });
    download.assert_comes();
    assert_eq!(download.ranges(), [None, Some(40_000)]);
}

#[test]
fn a_range_that_was_not_asked_for_is_not_believed() {
    let download = Download::new(|request| match request.range {
        Some(start) => Answer::ranged(&Request { range: Some(start - 1), ..request.clone() }, FILE),
        None => Answer::of(FILE),
    });
    download.leave(&FILE[..10]);
    download.assert_comes();
    assert_eq!(download.ranges(), [Some(10), None]);
}

#[test]
fn a_killed_download_is_finished_by_the_next_one() {
    let download = Download::new(|request| Answer::ranged(request, FILE));
    download.leave(&FILE[..99_999]);
    download.assert_comes();
    assert_eq!(download.ranges(), [Some(99_999)]);
    let complete = Download::new(|_| Answer::status(500));
    complete.leave(FILE);
    complete.assert_comes();
    assert_eq!(complete.ranges().len(), 0, "only its name was missing");
}

#[test]
fn leftovers_of_something_else_are_dropped() {
    for leftover in [&[8; 50_000][..], &[7; 100_001], &[8; 100_000]] {
        let download = Download::new(|request| Answer::ranged(request, FILE));
        download.leave(leftover);
        download.assert_comes();
        assert_eq!(download.ranges().last(), Some(&None), "the last request was for all");
    }
}

#[test]
fn a_file_of_unknown_length_is_resumed_too() {
    for have in [0, 60_000, 100_000] {
        let mut download = Download::new(|request| Answer::ranged(request, FILE));
        download.size = None;
        download.leave(&FILE[..have]);
        download.assert_comes();
    }
}

#[test]
fn a_server_that_announces_another_length_is_stopped_at_once() {
    for announced in [99_999, 100_001, usize::MAX >> 1] {
        let download = Download::new(move |_| Answer::announcing(announced, &FILE[..10]));
        let expected = format!("`http://HOST/file` has {announced} bytes instead of 100000");
        assert_eq!(download.refusal(), expected);
        assert_eq!(download.ranges().len(), 1);
    }
}

#[test]
fn a_server_that_sends_another_length_is_stopped() {
    let more = [FILE, b"x"].concat();
    let download = Download::new(move |_| Answer::without_length(&more));
    assert_eq!(download.refusal(), "`http://HOST/file` has more than 100000 bytes instead of 100000");
    let mut download = Download::new(|_| Answer::without_length(&FILE[..50_000]));
    download.patience.tries = 1;
    assert_eq!(download.refusal(), "`http://HOST/file` was cut off after 50000 bytes");
}

#[test]
fn redirects_are_followed_for_a_while() {
    let download = Download::new(|_| Answer::redirect("/other"));
    download.server.file("/other", FILE.to_vec());
    download.assert_comes();
    let download = Download::new(|_| Answer::redirect("/file"));
    assert_eq!(download.refusal(), "`http://HOST/file`: more than 10 redirects");
}

#[test]
fn passwords_are_not_told() {
    let mut download = Download::new(|_| Answer::status(403));
    download.server.url = download.server.url.replace("http://", "http://user:secret@");
    let refusal = told(&download.run().unwrap_err());
    assert!(refusal.contains("403 Forbidden") && !refusal.contains("secret"), "{refusal}");
}

#[test]
fn a_short_file_has_a_limit() {
    let server = Server::start();
    server.file("/short", FILE.to_vec());
    let client = Client::new(Patience { timeout: ms(300), tries: 1, pause: ms(1) }).unwrap();
    let url = format!("{}/short", server.url);
    assert_eq!(client.get(&url, 100_000).unwrap(), FILE);
    let error = client.get(&url, 99_999).unwrap_err().to_string();
    assert_eq!(error, format!("`{url}` has more than 99999 bytes instead of 99999"));
}
