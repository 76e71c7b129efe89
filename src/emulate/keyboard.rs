//! A person's keys, sent to the machine as they are pressed.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal of standard input, without echo and without waiting for whole lines: the machine
/// echoes and edits. Ctrl-C and the like keep their meaning, so Ctrl-C still ends the run.
/// The terminal is put back when this is dropped.
#[derive(Debug)]
pub(super) struct Keyboard {
    keys: Receiver<Vec<u8>>,
    before: Termios,
}

impl Keyboard {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When standard input is not a terminal.
    pub(super) fn open() -> io::Result<Keyboard> {
        let before = tcgetattr(io::stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &now)?;
        Ok(Keyboard { keys: listen(), before })
    }

    /// The keys pressed since the last call.
    pub(super) fn keys(&self) -> Vec<u8> {
        self.keys.try_iter().flatten().collect()
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // The terminal may have gone; then there is nothing to put back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Reads on a thread, which ends with the input, or with the first key after the run.
fn listen() -> Receiver<Vec<u8>> {
    let (sender, keys) = sync_channel(64);
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = io::stdin().read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    keys
}
