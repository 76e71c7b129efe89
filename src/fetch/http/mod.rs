//! Downloads that go on where they were cut off, from servers that may be slow, gone or lying.

mod download;
mod error;
mod stream;

use std::error::Error as _;
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::blocking::Client as Inner;
use reqwest::header::{ACCEPT_ENCODING, HeaderValue, IF_RANGE, RANGE};
use reqwest::redirect::Policy;

use crate::digest::Sha256;
use crate::interrupt::{self, Interrupted};
use crate::progress;
use crate::store::Partial;
use download::{Download, Transfer};
pub use error::{Found, HttpError};
pub use stream::Stream;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

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
        // What stands between is only that a request was sent by a client over a connection.
        let error = error.without_url();
        let root = std::iter::successors(error.source(), |cause| (*cause).source()).last();
        HttpError::Connection { url, source: root.map_or(error.to_string(), ToString::to_string).into() }
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
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not an http or https URL")), "{error}");
        }
    }
}
