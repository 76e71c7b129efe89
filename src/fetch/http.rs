//! Downloads that go on where they were cut off, from servers that may be slow, gone or lying.

use std::error::Error as _;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client as Inner, Response};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use crate::digest::Sha256;
use crate::interrupt::{self, Interrupted};
use crate::progress;
use crate::store::{Partial, StoreError};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

/// The longest file whose length nobody has told before, in bytes.
const MAX_UNKNOWN: u64 = 64 << 30;

/// A server that sends less than this per read timeout, in bytes, hangs.
const MIN_PACE: u64 = 1 << 10;

/// How patient downloads are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a connection may take, and a silence of the server.
    pub timeout: Duration,
    /// How often a download is tried in all; at least once.
    pub tries: u32,
    /// The pause before the second try; it doubles with each further one.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { timeout: Duration::from_secs(30), tries: 5, pause: Duration::from_millis(500) }
    }
}

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// This is no URL that can be fetched from.
    #[error("`{url}` is not an http or https URL")]
    Url {
        /// What was given.
        url: String,
    },
    /// The system cannot do TLS, or the proxy settings make no sense.
    #[error("setting up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// The server could not be reached, or the connection broke.
    #[error("fetching `{url}`")]
    Connection {
        /// What was fetched, without passwords.
        url: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server was silent for too long.
    #[error("`{url}`: the server hangs, it sent nothing to speak of for {} s", timeout.as_secs_f32())]
    Slow {
        /// What was fetched.
        url: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The server refused.
    #[error("`{url}`: the server answered {status}")]
    Status {
        /// What was fetched.
        url: String,
        /// Its answer.
        status: StatusCode,
    },
    /// The server sends in circles, or from `https` to `http`.
    #[error("`{url}`: {reason}")]
    Redirect {
        /// What was fetched.
        url: String,
        /// What is the matter.
        reason: String,
    },
    /// The file has another length than it must have.
    #[error("`{url}` has {found} bytes instead of {expected}")]
    Length {
        /// What was fetched.
        url: String,
        /// How long it is, as far as is known.
        found: Found,
        /// How long it must be.
        expected: u64,
    },
    /// The connection ended before the file did.
    #[error("`{url}` was cut off after {received} bytes")]
    Cut {
        /// What was fetched.
        url: String,
        /// How much came, in all tries.
        received: u64,
    },
    /// The file has another content than it must have.
    #[error("`{url}` has the sha256 {found} instead of {expected}")]
    Digest {
        /// What was fetched.
        url: String,
        /// Its digest.
        found: Sha256,
        /// What it must be.
        expected: Sha256,
    },
    /// What came cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// What is known of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All.
    Exactly(u64),
    /// It is more than that.
    MoreThan(u64),
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Found::Exactly(bytes) => write!(f, "{bytes}"),
            Found::MoreThan(bytes) => write!(f, "more than {bytes}"),
        }
    }
}

impl HttpError {
    /// Whether another try may go better.
    fn may_pass(&self) -> bool {
        match self {
            HttpError::Connection { .. } | HttpError::Slow { .. } | HttpError::Cut { .. } => true,
            HttpError::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            _ => false,
        }
    }
}

/// What a download must come to.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Length in bytes, if that is known.
    pub size: Option<u64>,
    /// Digest.
    pub sha256: Sha256,
}

/// A client for HTTP, by way of the proxies that the environment names.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Inner,
    patience: Patience,
}

impl Client {
    /// A client that waits as `patience` says.
    ///
    /// # Errors
    /// When the system's certificates cannot be read or a proxy's URL makes no sense.
    pub fn new(patience: Patience) -> Result<Self, HttpError> {
        // Only the first in a process counts, and all want the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = Inner::builder()
            .user_agent(concat!("factory/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.timeout)
            .timeout(patience.timeout)
            .redirect(Policy::custom(|attempt| match redirect_flaw(attempt.previous(), attempt.url()) {
                Some(reason) => attempt.error(RedirectFlaw(reason)),
                None => attempt.follow(),
            }))
            .build()
            .map_err(HttpError::Setup)?;
        Ok(Client { inner, patience })
    }

    /// Fetches a short file into memory.
    ///
    /// # Errors
    /// When it cannot be fetched, or is longer than `limit` bytes.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, HttpError> {
        let url = parse(url)?;
        self.with_retries(|| {
            let mut transfer = self.start(&url, 0, None)?;
            let mut content = Vec::new();
            transfer.each_chunk(limit, |chunk| {
                content.extend_from_slice(chunk);
                Ok(())
            })?;
            Ok(content)
        })
    }

    /// Fetches a file into `partial`, from where that ends, with a bar called `label`.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not what is expected. What has come and may be right is
    /// kept in `partial`.
    pub fn download(
        &self,
        url: &str,
        expected: Expected,
        label: &str,
        partial: &mut Partial,
    ) -> Result<(), HttpError> {
        let mut download = Download {
            client: self,
            url: parse(url)?,
            expected,
            bar: progress::bytes(label, expected.size.unwrap_or(0)),
            tag: None,
        };
        let was_resumed = partial.length() > 0;
        match self.with_retries(|| download.run(partial)) {
            // What was there before may have been of another file, so that is no last word.
            Err(HttpError::Digest { .. } | HttpError::Length { .. }) if was_resumed => {
                partial.restart()?;
                self.with_retries(|| download.run(partial))
            }
            result => result,
        }
    }

    fn with_retries<T>(&self, mut run: impl FnMut() -> Result<T, HttpError>) -> Result<T, HttpError> {
        let mut pause = self.patience.pause;
        for _ in 1..self.patience.tries {
            match run() {
                Err(error) if error.may_pass() => {
                    tracing::debug!(%error, ?pause, "trying again");
                    sleep(pause)?;
                    pause *= 2;
                }
                result => return result,
            }
        }
        run()
    }

    /// Asks for `url` from `offset` on, if it still is the file of `tag`.
    fn start(&self, url: &Url, offset: u64, tag: Option<&HeaderValue>) -> Result<Transfer, HttpError> {
        interrupt::check()?;
        let mut request = self.inner.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
            if let Some(tag) = tag {
                request = request.header(IF_RANGE, tag);
            }
        }
        let response = request.send().map_err(|error| self.send_error(url, error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Transfer { response, url: shown(url), timeout: self.patience.timeout });
        }
        Err(HttpError::Status { url: shown(url), status })
    }

    fn send_error(&self, url: &Url, error: reqwest::Error) -> HttpError {
        let url = shown(url);
        let flaw = error.source().and_then(|source| source.downcast_ref::<RedirectFlaw>());
        if let Some(RedirectFlaw(reason)) = flaw {
            return HttpError::Redirect { url, reason: reason.clone() };
        }
        if error.is_timeout() {
            return HttpError::Slow { url, timeout: self.patience.timeout };
        }
        HttpError::Connection { url, source: Box::new(error.without_url()) }
    }
}

/// One file on its way.
struct Download<'a> {
    client: &'a Client,
    url: Url,
    expected: Expected,
    bar: indicatif::ProgressBar,
    /// The server's name for this version of the file.
    tag: Option<HeaderValue>,
}

impl Download<'_> {
    /// One try.
    fn run(&mut self, partial: &mut Partial) -> Result<(), HttpError> {
        if self.is_overlong(partial) {
            partial.restart()?;
        }
        if partial.length() == 0 || Some(partial.length()) != self.expected.size {
            self.receive(partial)?;
        }
        let found = partial.digest();
        if found == self.expected.sha256 {
            return Ok(());
        }
        partial.restart()?;
        Err(HttpError::Digest { url: shown(&self.url), found, expected: self.expected.sha256 })
    }

    fn is_overlong(&self, partial: &Partial) -> bool {
        self.expected.size.is_some_and(|size| partial.length() > size)
    }

    fn receive(&mut self, partial: &mut Partial) -> Result<(), HttpError> {
        let started = self.client.start(&self.url, partial.length(), self.tag.as_ref());
        let mut transfer = match started {
            // Nothing is left from there on: the server's file is not longer than ours.
            Err(HttpError::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) => {
                if self.expected.size.is_none() && partial.digest() == self.expected.sha256 {
                    return Ok(());
                }
                partial.restart()?;
                self.client.start(&self.url, 0, None)?
            }
            started => started?,
        };
        if !transfer.goes_on_from(partial.length()) {
            partial.restart()?;
        }
        self.tag = transfer.strong_tag();
        let whole = transfer.response.content_length().map(|rest| partial.length() + rest);
        self.check_length(whole)?;
        self.bar.set_length(self.expected.size.or(whole).unwrap_or(0));
        self.bar.set_position(partial.length());
        let limit = self.expected.size.unwrap_or(MAX_UNKNOWN);
        let bar = &self.bar;
        transfer
            .each_chunk(limit - partial.length(), |chunk| {
                bar.inc(chunk.len() as u64);
                Ok(partial.append(chunk)?)
            })
            .map_err(|error| self.whole_length(error, limit))?;
        match self.expected.size.or(whole) {
            Some(size) if partial.length() < size => {
                Err(HttpError::Cut { url: shown(&self.url), received: partial.length() })
            }
            _ => Ok(()),
        }
    }

    /// Refuses at once what a server says will not be right.
    fn check_length(&self, announced: Option<u64>) -> Result<(), HttpError> {
        match (self.expected.size, announced) {
            (Some(expected), Some(announced)) if expected != announced => {
                let found = Found::Exactly(announced);
                Err(HttpError::Length { url: shown(&self.url), found, expected })
            }
            _ => Ok(()),
        }
    }

    /// An error about the rest of the file as one about all of it.
    fn whole_length(&self, error: HttpError, limit: u64) -> HttpError {
        match error {
            HttpError::Length { url, .. } => {
                HttpError::Length { url, found: Found::MoreThan(limit), expected: limit }
            }
            error => error,
        }
    }
}

/// An answer whose content is still to come.
struct Transfer {
    response: Response,
    url: String,
    timeout: Duration,
}

impl Transfer {
    /// Whether the content starts at `offset`.
    fn goes_on_from(&self, offset: u64) -> bool {
        let range = self.response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
        offset == 0 || (self.response.status() == StatusCode::PARTIAL_CONTENT && start == Some(offset))
    }

    fn strong_tag(&self) -> Option<HeaderValue> {
        let tag = self.response.headers().get(ETAG)?;
        (!tag.as_bytes().starts_with(b"W/")).then(|| tag.clone())
    }

    /// Hands the content to `take`, up to `limit` bytes; more is an error.
    fn each_chunk(
        &mut self,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), HttpError>,
    ) -> Result<(), HttpError> {
        let mut buffer = vec![0; 64 << 10];
        let mut received = 0;
        let mut pace = (Instant::now(), 0);
        loop {
            interrupt::check()?;
            let count = self.response.read(&mut buffer).map_err(|error| self.read_error(error, received))?;
            if count == 0 {
                return Ok(());
            }
            received += count as u64;
            if received > limit {
                let found = Found::MoreThan(limit);
                return Err(HttpError::Length { url: self.url.clone(), found, expected: limit });
            }
            take(&buffer[..count])?;
            if pace.0.elapsed() > self.timeout {
                if received - pace.1 < MIN_PACE {
                    return Err(HttpError::Slow { url: self.url.clone(), timeout: self.timeout });
                }
                pace = (Instant::now(), received);
            }
        }
    }

    fn read_error(&self, error: io::Error, received: u64) -> HttpError {
        let url = self.url.clone();
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
        let is_timeout = cause.is_some_and(reqwest::Error::is_timeout);
        if is_timeout || error.kind() == io::ErrorKind::TimedOut {
            return HttpError::Slow { url, timeout: self.timeout };
        }
        HttpError::Cut { url, received }
    }
}

/// Why a redirect is not followed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct RedirectFlaw(String);

fn redirect_flaw(previous: &[Url], next: &Url) -> Option<String> {
    if previous.len() > MAX_REDIRECTS {
        return Some(format!("more than {MAX_REDIRECTS} redirects"));
    }
    let was_secure = previous.iter().any(|url| url.scheme() == "https");
    (was_secure && next.scheme() != "https").then(|| format!("it redirects from https to `{}`", shown(next)))
}

fn parse(url: &str) -> Result<Url, HttpError> {
    let parsed =
        Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.ok_or_else(|| HttpError::Url { url: url.to_owned() })
}

/// The URL as it may be shown: without a password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail only for URLs that cannot have a user.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}

fn sleep(pause: Duration) -> Result<(), Interrupted> {
    let end = Instant::now() + pause;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        interrupt::check()?;
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_may_not_give_up_tls_nor_go_on_for_ever() {
        let url = |text: &str| Url::parse(text).unwrap();
        let secure = [url("https://a.example/")];
        assert_eq!(redirect_flaw(&secure, &url("https://b.example/")), None);
        let downgrade = redirect_flaw(&secure, &url("http://user:word@b.example/x")).unwrap();
        assert_eq!(downgrade, "it redirects from https to `http://b.example/x`");
        assert_eq!(redirect_flaw(&[url("http://a.example/")], &url("https://a.example/")), None);
        let many = vec![url("http://a.example/"); 11];
        assert_eq!(redirect_flaw(&many, &many[0]).unwrap(), "more than 10 redirects");
    }

    #[test]
    fn only_web_addresses_are_fetched() {
        for text in ["file:///etc/passwd", "ftp://a.example/", "a.example", "", "http:"] {
            assert_eq!(parse(text).unwrap_err().to_string(), format!("`{text}` is not an http or https URL"));
        }
    }
}
