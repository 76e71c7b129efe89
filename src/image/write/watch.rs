//! Digests of files whose bytes pass in the order of the disk.

use sha2::Digest as _;

use super::{Output, Watch, WriteError};
use crate::digest::{Digests, Sha256};
use crate::image::Run;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Digests all watched files at once.
pub(super) struct Watcher<'a> {
    /// Runs of all files in the order of the disk, with the file's place in `files`.
    runs: Vec<(Run, usize)>,
    /// The first run of which bytes may still come.
    next: usize,
    files: Vec<(&'a Watch, Hash)>,
}

/// A file's digest so far.
#[derive(Default)]
struct Hash {
    hash: sha2::Sha256,
    done: u64,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(watches: &[&'a Watch]) -> Self {
        let runs = watches
            .iter()
            .enumerate()
            .flat_map(|(file, watch)| watch.runs.iter().map(move |run| (*run, file)));
        let mut runs: Vec<(Run, usize)> = runs.collect();
        runs.sort_by_key(|(run, _)| run.at);
        let files = watches.iter().map(|watch| (*watch, Hash::default())).collect();
        Watcher { runs, next: 0, files }
    }

    /// Takes note of bytes at `at` on the disk; calls come in ascending order.
    pub(super) fn pass(&mut self, at: u64, bytes: &[u8]) {
        let end = at + bytes.len() as u64;
        while let Some((run, file)) = self.runs.get(self.next).filter(|(run, _)| run.at < end) {
            let run_end = run.at + run.len;
            let (from, to) = (run.at.max(at), run_end.min(end));
            if from < to {
                let hash = &mut self.files[*file].1;
                hash.zeros_until(run.in_file + (from - run.at));
                hash.update(&bytes[(from - at) as usize..(to - at) as usize]);
            }
            if run_end > end {
                break;
            }
            self.next += 1;
        }
    }

    /// The digests of all files.
    ///
    /// # Errors
    /// When one is not what was expected.
    pub(super) fn finish(self) -> Result<Digests, WriteError> {
        let named = self.files.into_iter().map(|(watch, hash)| Ok((watch.name.clone(), hash.finish(watch)?)));
        named.collect()
    }
}

/// Digests a file that has been written.
pub(super) fn read_back(output: &Output, watch: &Watch) -> Result<Sha256, WriteError> {
    let mut hash = Hash::default();
    let mut buffer = vec![0; 64 << 10];
    for run in &watch.runs {
        hash.zeros_until(run.in_file);
        let end = run.at + run.len;
        let mut at = run.at;
        while at < end {
            let len = buffer.len().min((end - at) as usize);
            output.read(at, &mut buffer[..len])?;
            hash.update(&buffer[..len]);
            at += len as u64;
        }
    }
    hash.finish(watch)
}

impl Hash {
    fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.done += bytes.len() as u64;
    }

    fn zeros_until(&mut self, end: u64) {
        while self.done < end {
            let len = ZEROS.len().min((end - self.done) as usize);
            self.update(&ZEROS[..len]);
        }
    }

    fn finish(mut self, watch: &Watch) -> Result<Sha256, WriteError> {
        self.zeros_until(watch.size);
        let found = Sha256::finish(self.hash);
        match watch.expected {
            Some(expected) if expected != found => {
                Err(WriteError::Digest { name: watch.name.clone(), expected, found })
            }
            _ => Ok(found),
        }
    }
}
