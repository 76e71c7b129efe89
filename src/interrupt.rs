//! Ctrl-C and SIGTERM as an error that unwinds, so that temporary files are removed on the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long a wait goes on before it looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(100);

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

/// Waits for what another thread sends; none when it sends no more.
///
/// # Errors
/// [`Interrupted`] once the user has asked to stop.
pub fn receive<T>(from: &Receiver<T>) -> Result<Option<T>, Interrupted> {
    loop {
        check()?;
        match from.recv_timeout(LOOK) {
            Ok(sent) => return Ok(Some(sent)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl From<Interrupted> for std::io::Error {
    fn from(interrupted: Interrupted) -> Self {
        std::io::Error::other(interrupted)
    }
}
