//! One thread makes bytes, another takes them, and neither waits while a few chunks lie between.

use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

/// Bytes that are handed over at once.
const CHUNK: usize = 256 << 10;
/// Chunks that may lie between the two, so that neither a hard spot of the archive nor a slow moment of
/// the disk stops the other: 16 MiB.
const BETWEEN: usize = 64;

/// The end that bytes go into.
pub(super) struct Inlet(SyncSender<Vec<u8>>);

/// The end that bytes come out of.
pub(super) struct Outlet {
    receiver: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

/// Runs `make` on a thread of its own and `take` on this one. When `make` fails, its error is the
/// result, as `take` has seen no more than an early end.
pub(super) fn pipe<T, E: Send>(
    make: impl FnOnce(&Inlet) -> Result<(), E> + Send,
    take: impl FnOnce(Outlet) -> Result<T, E>,
) -> Result<T, E> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(BETWEEN);
        let maker = scope.spawn(move || make(&Inlet(sender)));
        let taken = take(Outlet { receiver, chunk: Vec::new(), at: 0 });
        maker.join().expect("the maker does not panic")?;
        taken
    })
}

impl Inlet {
    /// Puts all of `from` in, or as much as anybody takes.
    pub(super) fn put(&self, mut from: impl Read) -> io::Result<()> {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            from.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() || self.0.send(chunk).is_err() {
                return Ok(());
            }
        }
    }
}

impl Read for Outlet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            let Ok(chunk) = self.receiver.recv() else { return Ok(0) };
            (self.chunk, self.at) = (chunk, 0);
        }
        let count = buffer.len().min(self.chunk.len() - self.at);
        buffer[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let bytes: Vec<u8> = (0..3 * CHUNK + 7).map(|at| (at % 251) as u8).collect();
        let result = pipe(
            |inlet| inlet.put(&bytes[..]),
            |mut outlet| {
                let mut all = Vec::new();
                outlet.read_to_end(&mut all).map(|_| all)
            },
        );
        assert!(result.unwrap() == bytes);
    }

    #[test]
    fn a_taker_that_has_enough_ends_an_endless_maker() {
        let result = pipe(|inlet| inlet.put(io::repeat(7)), |mut outlet| outlet.read_exact(&mut [0; 10]));
        assert!(result.is_ok());
    }

    #[test]
    fn the_makers_error_explains_the_early_end() {
        let result = pipe(
            |_| Err("damaged"),
            |mut outlet| match outlet.read(&mut [0]) {
                Ok(0) => Err("cut off"),
                _ => Ok(()),
            },
        );
        assert_eq!(result, Err("damaged"));
    }
}
