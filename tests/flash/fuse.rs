//! A file whose bytes this test answers for, by the kernel's FUSE: under a loop device it is a disk that fails as it
//! is told.
//!
//! ```text
//!   kernel: length, number, id, ...  | offset, size, ...  | data       <- read from /dev/fuse
//!   answer: length, error, id        | data                            -> written to it
//! ```
//! (Linux, `include/uapi/linux/fuse.h`, protocol 7.31.) The file is the root of its file system, so there are no names.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// What the disk does wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Nothing,
    /// Cannot write the byte at this offset.
    Writing(u64),
    /// Cannot read it.
    Reading(u64),
    /// Never changes the 4 KiB with this offset, and says nothing.
    Stuck(u64),
    /// Throws away all that is written, and says nothing.
    Forgets,
    /// Has only so many bytes, and takes offsets modulo that.
    Wraps(u64),
}

/// Operations.
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const FALLOCATE: u32 = 43;

/// Bytes before what an operation is about, and before the data of a write.
const HEAD: usize = 40;
const WRITE_HEAD: usize = HEAD + 40;

/// Most bytes of one write.
const MOST: usize = 128 << 10;

/// No page of the file is kept by the kernel (`FOPEN_DIRECT_IO`).
const UNCACHED: u32 = 1;

/// The file, which is gone with this.
pub(super) struct Mount {
    pub(super) path: PathBuf,
    server: Option<JoinHandle<()>>,
    is_gone: Arc<AtomicBool>,
}

impl Mount {
    /// A file at `path`, which exists, with the bytes of `back`; none where this user may not mount.
    pub(super) fn new(path: &Path, back: File, fault: Fault) -> Option<Mount> {
        let channel = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let handed_over = Stdio::from(channel.try_clone().unwrap());
        // Without a helper, which would want to start the server.
        let output = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=100000,user_id=0,group_id=0", "factory-test"])
            .arg(path)
            .stdin(handed_over)
            .output();
        output.is_ok_and(|output| output.status.success()).then(|| {
            let is_gone = Arc::new(AtomicBool::new(false));
            let disk = Disk { size: back.metadata().unwrap().len(), back, fault };
            let flag = is_gone.clone();
            // What is not mounted yet cannot be served.
            let server = Some(thread::spawn(move || serve(channel, &disk, &flag)));
            Mount { path: path.to_owned(), server, is_gone }
        })
    }

    /// From the next byte that is asked for on, there is nobody to answer.
    pub(super) fn vanish(&self) {
        self.is_gone.store(true, Ordering::Relaxed);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The last one to use it may not have noticed yet that it is to end.
        let _ = Command::new("umount").arg("-l").arg(&self.path).stderr(Stdio::null()).status();
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// Answers until the file system is unmounted, or gone.
fn serve(mut channel: File, disk: &Disk, is_gone: &AtomicBool) {
    let mut request = vec![0; WRITE_HEAD + MOST + (64 << 10)];
    loop {
        let length = match channel.read(&mut request) {
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => return,
            // Who asked did not wait for the answer.
            Err(_) => continue,
        };
        if is_gone.load(Ordering::Relaxed) {
            return;
        }
        let request = &request[..length];
        let operation = u32_at(request, 4);
        if matches!(operation, FORGET | BATCH_FORGET | INTERRUPT) {
            continue;
        }
        let (error, data) = match disk.answer(operation, request) {
            Ok(data) => (0, data),
            Err(error) => (-error.raw_os_error(), Vec::new()),
        };
        let mut answer = ((16 + data.len()) as u32).to_ne_bytes().to_vec();
        answer.extend(error.to_ne_bytes());
        answer.extend(&request[8..16]);
        answer.extend(data);
        // Whoever asked may be gone.
        let _ = channel.write_all(&answer);
    }
}

struct Disk {
    back: File,
    size: u64,
    fault: Fault,
}

impl Disk {
    fn answer(&self, operation: u32, request: &[u8]) -> Result<Vec<u8>, Errno> {
        match operation {
            INIT => Ok(words(&[7, 31, 0, 0, 0, MOST as u32, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            GETATTR | SETATTR => Ok(self.attributes()),
            OPEN => Ok(words(&[0, 0, UNCACHED, 0])),
            STATFS => Ok(words(&[0; 20])),
            RELEASE | FSYNC | FLUSH => Ok(Vec::new()),
            READ => self.read(u64_at(request, HEAD + 8), u32_at(request, HEAD + 16)),
            WRITE => self.write(u64_at(request, HEAD + 8), &request[WRITE_HEAD..]),
            FALLOCATE => self.punch(u64_at(request, HEAD + 8), u64_at(request, HEAD + 16)),
            _ => Err(Errno::NOSYS),
        }
    }

    /// A regular file of its size: 6 long words of which the second is the size, then times, mode, links ...
    fn attributes(&self) -> Vec<u8> {
        let mut bytes = words(&[0; 4]);
        for long in [1, self.size, self.size / 512, 0, 0, 0] {
            bytes.extend(long.to_ne_bytes());
        }
        bytes.extend(words(&[0, 0, 0, 0o100_600, 1, 0, 0, 0, 4096, 0]));
        bytes
    }

    fn read(&self, at: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let end = (at + u64::from(size)).min(self.size);
        if matches!(self.fault, Fault::Reading(bad) if (at..end).contains(&bad)) {
            return Err(Errno::IO);
        }
        let mut bytes = vec![0; end.saturating_sub(at) as usize];
        for (place, part) in self.parts(at, bytes.len()) {
            self.back.read_exact_at(&mut bytes[part], place).map_err(|_| Errno::IO)?;
        }
        Ok(bytes)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<Vec<u8>, Errno> {
        if matches!(self.fault, Fault::Writing(bad) if (at..at + bytes.len() as u64).contains(&bad)) {
            return Err(Errno::IO);
        }
        for (place, part) in self.parts(at, bytes.len()) {
            let is_lost = match self.fault {
                Fault::Forgets => true,
                Fault::Stuck(block) => place / 4096 == block / 4096,
                _ => false,
            };
            if !is_lost {
                self.back.write_all_at(&bytes[part], place).map_err(|_| Errno::IO)?;
            }
        }
        Ok(words(&[bytes.len() as u32, 0]))
    }

    /// Blocks of 4 KiB at the places where they really are.
    fn parts(&self, at: u64, length: usize) -> Vec<(u64, std::ops::Range<usize>)> {
        let mut parts = Vec::new();
        let mut done = 0;
        while done < length {
            let from = at + done as u64;
            let count = (4096 - from % 4096).min((length - done) as u64) as usize;
            let place = if let Fault::Wraps(room) = self.fault { from % room } else { from };
            parts.push((place, done..done + count));
            done += count;
        }
        parts
    }

    fn punch(&self, at: u64, length: u64) -> Result<Vec<u8>, Errno> {
        match self.fault {
            Fault::Stuck(_) | Fault::Wraps(_) => Err(Errno::OPNOTSUPP),
            Fault::Forgets => Ok(Vec::new()),
            _ => {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(&self.back, flags, at, length).map(|()| Vec::new())
            }
        }
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}
