//! Ctrl-C and SIGTERM as an error that unwinds, so that temporary files are removed on the way.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The user asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Catches SIGINT, SIGTERM and SIGHUP from now on.
///
/// # Errors
/// When the handler cannot be installed, or is installed already.
pub fn catch() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed))
}

/// To be asked by every loop that can take longer than a moment.
///
/// # Errors
/// [`Interrupted`] once the user has asked to stop.
pub fn check() -> Result<(), Interrupted> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

impl From<Interrupted> for std::io::Error {
    fn from(interrupted: Interrupted) -> Self {
        std::io::Error::other(interrupted)
    }
}
