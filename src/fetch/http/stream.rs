//! A file that is read as it comes, and goes on where the connection broke.
//!
//! ```text
//!   GET                          200, its version by ETag or Last-Modified
//!   |===========x                broken
//!   GET, from there on,          206  |=========x       the rest of the same version
//!   if it is still that version  200                    another version, or a server that has no ranges: an error
//! ```

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};

use super::download::{MIN_PACE, Transfer};
use super::{Client, HttpError, parse, shown, sleep};
use crate::interrupt;

/// When so many bytes have come since the last break, tries are counted anew.
const PROGRESS: u64 = 1 << 20;

/// A file on its way.
#[derive(Debug)]
pub struct Stream {
    client: Client,
    url: Url,
    transfer: Option<Transfer>,
    /// Bytes that were read.
    at: u64,
    size: Option<u64>,
    version: Option<HeaderValue>,
    tries: Tries,
    pace: Pace,
}

/// How often it may break still.
#[derive(Debug)]
struct Tries {
    left: u32,
    pause: Duration,
    /// Where it broke last.
    broke_at: u64,
}

/// How fast it comes, not counting the time that nobody asks for more.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    received: u64,
}

impl Client {
    /// Begins to read the file at `url`.
    ///
    /// # Errors
    /// When the server is not to be reached, or does not have it.
    pub fn stream(&self, url: &str) -> Result<Stream, HttpError> {
        let mut stream = Stream {
            client: self.clone(),
            url: parse(url)?,
            transfer: None,
            at: 0,
            size: None,
            version: None,
            tries: Tries::new(self),
            pace: Pace::default(),
        };
        let (client, (begun, wanted)) = (self.clone(), sync_channel(1));
        // Not here: a server that is silent must not keep the user from ending this.
        thread::spawn(move || {
            // Who does not wait any more has been interrupted.
            let _ = begun.send(client.with_retries(|| stream.start()).map(|()| stream));
        });
        let cut = || HttpError::Cut { url: url.to_owned(), received: 0 };
        interrupt::receive(&wanted)?.ok_or_else(cut)?
    }
}

impl Stream {
    /// Its length in bytes, if the server tells.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    fn start(&mut self) -> Result<(), HttpError> {
        if self.at > 0 {
            return self.go_on();
        }
        let transfer = self.client.start(&self.url, 0, None)?;
        (self.size, self.version) = (transfer.response.content_length(), transfer.version());
        self.transfer = Some(transfer);
        Ok(())
    }

    /// Asks for the rest.
    fn go_on(&mut self) -> Result<(), HttpError> {
        let started = self.client.start(&self.url, self.at, self.version.as_ref());
        let (url, at) = (shown(&self.url), self.at);
        let transfer = match started {
            Err(HttpError::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) => {
                return Err(HttpError::Changed { url, at });
            }
            started => started?,
        };
        let sizes = transfer.size().zip(self.size);
        let is_same = transfer.version() == self.version && sizes.is_none_or(|(now, then)| now == then);
        if transfer.start() == Some(at) && is_same {
            self.transfer = Some(transfer);
            return Ok(());
        }
        Err(if is_same { HttpError::NoRanges { url, at } } else { HttpError::Changed { url, at } })
    }

    /// One try.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, HttpError> {
        if self.transfer.is_none() {
            self.start()?;
        }
        let Some(transfer) = &mut self.transfer else { return Ok(0) };
        let asked = Instant::now();
        let count = transfer.receive(buffer, self.at)?;
        if count == 0 && self.size.is_some_and(|size| self.at < size) {
            return Err(HttpError::Cut { url: shown(&self.url), received: self.at });
        }
        if count > 0 && !self.pace.is_bearable(asked.elapsed(), count, transfer.timeout) {
            return Err(HttpError::Slow { url: shown(&self.url), timeout: transfer.timeout });
        }
        self.at += count as u64;
        Ok(count)
    }

    /// As many tries as the client has patience for.
    fn insist(&mut self, buffer: &mut [u8]) -> Result<usize, HttpError> {
        loop {
            interrupt::check()?;
            match self.receive(buffer) {
                Err(error) if error.may_pass() => {
                    tracing::debug!(%error, at = self.at, "the connection broke");
                    self.transfer = None;
                    self.pace = Pace::default();
                    if self.at - self.tries.broke_at > PROGRESS {
                        self.tries = Tries::new(&self.client);
                    }
                    self.tries.broke_at = self.at;
                    self.tries.left = self.tries.left.checked_sub(1).ok_or(error)?;
                    sleep(self.tries.pause)?;
                    self.tries.pause *= 2;
                }
                result => return result,
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.insist(buffer).map_err(|error| match error {
            HttpError::Interrupted(interrupted) => interrupted.into(),
            // Of a kind that decompressors do not have, so that it passes them as it is.
            error => io::Error::new(ErrorKind::ConnectionAborted, error),
        })
    }
}

impl Tries {
    fn new(client: &Client) -> Self {
        let patience = client.patience;
        Tries { left: patience.tries.saturating_sub(1), pause: patience.pause, broke_at: 0 }
    }
}

impl Pace {
    /// Counts what came, and whether that goes on.
    fn is_bearable(&mut self, waited: Duration, count: usize, timeout: Duration) -> bool {
        self.waited += waited;
        self.received += count as u64;
        if self.waited <= timeout {
            return true;
        }
        std::mem::take(self).received >= MIN_PACE
    }
}
