//! What QEMU writes to its standard error: complaints, and the log of what its devices lack.
//!
//! ```text
//!   qemu-system-aarch64: -device x: no such ...            a complaint: kept, within limits
//!   bcm2835_property: unhandled tag 0x00038064             a request to the Pi's firmware: noted
//!   bcm2835_aux_read: AUX_MU_MSR_REG unsupported           noise: a guest can cause any amount
//! ```
//! It comes through a socket and is looked at as it comes, so nothing that a guest does can fill
//! a disk or the memory.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;

/// Most that is kept of complaints, in bytes.
const MOST: usize = 16 << 10;

/// Longest line, in bytes; a longer one is broken there.
const LONGEST: usize = 4096;

/// Most different requests to the firmware that are remembered. There are about a hundred tags.
const MOST_TAGS: usize = 1024;

/// A request that QEMU's firmware of the Pi does not know (`hw/misc/bcm2835_property.c`).
const UNKNOWN_TAG: &str = "bcm2835_property: unhandled tag 0x";

/// How lines begin that tell what a device of the Pi lacks.
const NOISE: [&str; 2] = ["bcm2", "SD: "];

/// The reading end. It never blocks.
#[derive(Debug)]
pub(super) struct Messages {
    stream: UnixStream,
    line: Vec<u8>,
    complaints: String,
    tags: BTreeMap<u32, u64>,
}

impl Messages {
    /// Reads from one end of a connected socket.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Messages { stream, line: Vec::new(), complaints: String::new(), tags: BTreeMap::new() })
    }

    /// Takes what is there. To be called often: QEMU stands still while nobody reads.
    pub(super) fn poll(&mut self) {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.end_line(),
                Ok(count) => buffer[..count].iter().for_each(|byte| self.take(*byte)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing there, or QEMU is gone: no more can be known of its reasons.
                Err(_) => return,
            }
        }
    }

    /// What QEMU has complained about so far, trimmed.
    pub(super) fn complaints(&self) -> String {
        self.complaints.trim().to_owned()
    }

    /// How many requests with this tag, unknown to QEMU, the guest has sent to the Pi's firmware.
    pub(super) fn count(&self, tag: u32) -> u64 {
        self.tags.get(&tag).copied().unwrap_or(0)
    }

    fn take(&mut self, byte: u8) {
        if byte == b'\n' || self.line.len() >= LONGEST {
            self.end_line();
        }
        self.line.push(byte);
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let text = line.trim_start_matches('\n');
        if let Some(tag) = text.strip_prefix(UNKNOWN_TAG) {
            let known = u32::from_str_radix(tag.trim_end(), 16);
            let is_room = |tag: &u32| self.tags.len() < MOST_TAGS || self.tags.contains_key(tag);
            if let Some(tag) = known.ok().filter(is_room) {
                *self.tags.entry(tag).or_default() += 1;
            }
        } else if NOISE.iter().all(|noise| !text.starts_with(noise))
            && self.complaints.len() + line.len() <= MOST
        {
            self.complaints.push_str(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(said: &[u8]) -> Messages {
        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        let mut messages = Messages::new(ours).expect("a reader");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                theirs.write_all(said).expect("a reader");
                drop(theirs);
            });
            while !writer.is_finished() {
                messages.poll();
            }
        });
        messages.poll();
        messages
    }

    #[test]
    fn complaints_are_kept_and_noise_is_not() {
        let said =
            b"qemu: one\nbcm2835_aux_read: AUX_MU_MSR_REG unsupported\nSD: Optional CMD5\n  two\nqemu: three";
        assert_eq!(read(said).complaints(), "qemu: one\n  two\nqemu: three");
    }

    #[test]
    fn requests_to_the_firmware_are_noted_by_their_tag() {
        let messages = read(
            b"bcm2835_property: unhandled tag 0x00038064\nbcm2835_property: unhandled tag 0x\n\
                   bcm2835_property: unhandled tag 0x00038064\n",
        );
        assert_eq!((messages.count(0x0003_8064), messages.count(0)), (2, 0));
        assert_eq!(messages.complaints(), "");
    }

    #[test]
    fn a_talkative_guest_does_not_fill_the_memory() {
        let mut said: Vec<u8> = b"x".repeat(1 << 20);
        said.extend(b"\nqemu: again".repeat(100_000));
        let many = (0..50_000_u32).map(|tag| format!("\n{UNKNOWN_TAG}{tag:08x}"));
        said.extend(many.collect::<String>().bytes());
        let messages = read(&said);
        assert!(messages.complaints.len() <= MOST && messages.line.capacity() <= 4 * LONGEST);
        assert_eq!(messages.tags.len(), MOST_TAGS);
    }
}
