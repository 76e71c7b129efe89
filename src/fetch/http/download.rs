//! One file on its way: asked for from where it was cut off, and stopped as soon as it cannot come
//! right.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use reqwest::blocking::Response;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, LAST_MODIFIED};
use reqwest::{StatusCode, Url};

use super::{Client, Expected, Found, HttpError, shown};
use crate::interrupt;
use crate::store::Partial;

/// The longest file whose length nobody has told before, in bytes.
const MAX_UNKNOWN: u64 = 64 << 30;

/// A server that sends less than this per timeout, in bytes, hangs.
pub(super) const MIN_PACE: u64 = 1 << 10;

/// One file on its way.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) url: Url,
    pub(super) expected: Expected,
    pub(super) bar: indicatif::ProgressBar,
    /// The server's name for this version of the file.
    pub(super) tag: Option<HeaderValue>,
}

impl Download<'_> {
    /// One try.
    pub(super) fn run(&mut self, partial: &mut Partial) -> Result<(), HttpError> {
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
        match transfer.start() {
            start if start == Some(partial.length()) => {}
            Some(0) => partial.restart()?,
            // Neither what was asked for nor all.
            _ => {
                partial.restart()?;
                transfer = self.client.start(&self.url, 0, None)?;
            }
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
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) response: Response,
    pub(super) url: String,
    pub(super) timeout: Duration,
}

impl Transfer {
    /// Where in the file the content starts.
    pub(super) fn start(&self) -> Option<u64> {
        if self.response.status() != StatusCode::PARTIAL_CONTENT {
            return Some(0);
        }
        let range = self.response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
        range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
    }

    /// Length of the whole file in bytes, if the server tells.
    pub(super) fn size(&self) -> Option<u64> {
        if self.response.status() != StatusCode::PARTIAL_CONTENT {
            return self.response.content_length();
        }
        self.response.headers().get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
    }

    /// What tells this version of the file from others (RFC 9110, 13.1.5).
    pub(super) fn version(&self) -> Option<HeaderValue> {
        self.strong_tag().or_else(|| self.response.headers().get(LAST_MODIFIED).cloned())
    }

    fn strong_tag(&self) -> Option<HeaderValue> {
        let tag = self.response.headers().get(ETAG)?;
        (!tag.as_bytes().starts_with(b"W/")).then(|| tag.clone())
    }

    /// Hands the content to `take`, up to `limit` bytes; more is an error.
    pub(super) fn each_chunk(
        &mut self,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), HttpError>,
    ) -> Result<(), HttpError> {
        let mut buffer = vec![0; 64 << 10];
        let mut received = 0;
        let mut pace = (Instant::now(), 0);
        loop {
            interrupt::check()?;
            let count = self.receive(&mut buffer, received)?;
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

    /// What comes next; `received` bytes came before, for errors.
    pub(super) fn receive(&mut self, buffer: &mut [u8], received: u64) -> Result<usize, HttpError> {
        self.response.read(buffer).map_err(|error| self.read_error(error, received))
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
