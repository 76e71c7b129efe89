//! What goes wrong with servers and on the way to them.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use crate::digest::Sha256;
use crate::interrupt::Interrupted;
use crate::store::StoreError;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// This is no URL that can be fetched from.
    #[error("`{url}` is not an http or https URL\n\nhint: name the whole address, from `http://` on")]
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
    /// The rest is not of the file that was begun.
    #[error(
        "`{url}` was cut off after {at} bytes, and is another file now\n\nhint: begin again, with its new digest"
    )]
    Changed {
        /// What was fetched.
        url: String,
        /// How much came.
        at: u64,
    },
    /// The rest cannot be had alone.
    #[error(
        "`{url}` was cut off after {at} bytes, and the server does not send the rest alone\n\nhint: begin again, or download it to a file first"
    )]
    NoRanges {
        /// What was fetched.
        url: String,
        /// How much came.
        at: u64,
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

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Exactly(bytes) => write!(f, "{bytes}"),
            Found::MoreThan(bytes) => write!(f, "more than {bytes}"),
        }
    }
}

impl HttpError {
    /// Whether another try may go better.
    pub(super) fn may_pass(&self) -> bool {
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
