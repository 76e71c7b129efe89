//! A range of a file or device, read at random; or pieces of one, as a file's content lies on its disk.
//!
//! ```text
//!   a file's bytes   0 .. 8192 | 8192 .. 12288 | 12288 .. 20480
//!   runs             at 40960  |  zeros        | at 16384
//! ```

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ext4_view::Ext4Read;

use crate::files;

/// Bytes of a file, wherever they lie.
#[derive(Clone, Debug)]
pub struct Region {
    file: Arc<File>,
    place: Place,
    size: u64,
}

#[derive(Clone, Debug)]
enum Place {
    /// All of it from here on.
    From(u64),
    /// Sorted, and not overlapping. What is in none of them is zeros.
    Runs(Arc<[Run]>),
}

/// Bytes that lie next to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where they stand in what they are a part of.
    pub at: u64,
    /// Where they lie in what that is made of.
    pub from: u64,
    /// How many they are.
    pub len: u64,
}

impl Run {
    /// Where it ends in what it is a part of.
    pub const fn end(&self) -> u64 {
        self.at.saturating_add(self.len)
    }
}

impl Region {
    /// The first `size` bytes of `file`.
    pub fn new(file: Arc<File>, size: u64) -> Self {
        Region { file, place: Place::From(0), size }
    }

    /// The part of this from `start` on, cut off where this ends.
    pub fn part(&self, start: u64, size: u64) -> Self {
        let start = start.min(self.size);
        let size = size.min(self.size - start);
        let place = match &self.place {
            Place::From(offset) => Place::From(offset + start),
            Place::Runs(_) => {
                let moved = self.runs(start..start + size).map(|run| Run { at: run.at - start, ..run });
                Place::Runs(moved.collect())
            }
        };
        Region { file: self.file.clone(), place, size }
    }

    /// Something of `size` bytes whose runs lie in this. Runs that overlap, or lie outside, are left out.
    pub fn gather(&self, runs: &[Run], size: u64) -> Self {
        let mut sorted: Vec<&Run> = runs.iter().collect();
        sorted.sort_by_key(|run| run.at);
        let mut found: Vec<Run> = Vec::new();
        for run in sorted {
            let is_sound = found.last().is_none_or(|last| last.end() <= run.at) && run.at < size;
            let end = run.from.checked_add(run.len).filter(|end| is_sound && *end <= self.size);
            let Some(end) = end else { continue };
            let moved = |part: Run| Run { at: part.at - run.from + run.at, ..part };
            found.extend(self.runs(run.from..end.min(run.from.saturating_add(size - run.at))).map(moved));
        }
        Region { file: self.file.clone(), place: Place::Runs(found.into()), size }
    }

    /// What of `range` is not zeros by the map, as runs of the file.
    fn runs(&self, range: Range<u64>) -> impl Iterator<Item = Run> + '_ {
        let whole = match &self.place {
            Place::From(start) => Some(Run { at: 0, from: *start, len: self.size }),
            Place::Runs(_) => None,
        };
        let runs = match &self.place {
            Place::From(_) => &[][..],
            Place::Runs(runs) => &runs[runs.partition_point(|run| run.end() <= range.start)..],
        };
        let reached = whole.into_iter().chain(runs.iter().copied());
        reached.take_while(move |run| run.at < range.end).filter_map(move |run| {
            let at = run.at.max(range.start);
            let len = run.end().min(range.end).checked_sub(at).filter(|len| *len > 0)?;
            Some(Run { at, from: run.from + (at - run.at), len })
        })
    }

    /// The file that this is a part of.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from `at` on.
    pub fn read_exact(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        let end = end.ok_or(ErrorKind::UnexpectedEof)?;
        if let Place::From(start) = self.place {
            return self.file.read_exact_at(buffer, start + at);
        }
        buffer.fill(0);
        for run in self.runs(at..end) {
            let start = (run.at - at) as usize;
            self.file.read_exact_at(&mut buffer[start..start + run.len as usize], run.from)?;
        }
        Ok(())
    }

    /// `size` bytes from `at` on; nothing is allocated for bytes that are not there.
    pub fn read(&self, at: u64, size: u64) -> io::Result<Vec<u8>> {
        if at.checked_add(size).is_none_or(|end| end > self.size) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        self.read_exact(at, &mut buffer)?;
        Ok(buffer)
    }

    /// The next bytes from `at` on that may be other than zeros: neither in a hole of the file nor in
    /// none of the runs. Where the file cannot tell, all of them may be.
    pub fn next_data(&self, at: u64) -> Option<Range<u64>> {
        self.runs(at..self.size).find_map(|run| {
            let moved = |from: u64| from - run.from + run.at;
            let start = match files::next_data(&self.file, run.from) {
                Ok(start) => start?.min(run.from + run.len),
                Err(_) => return Some(run.at..run.end()),
            };
            let end = files::next_hole(&self.file, start).unwrap_or(u64::MAX).min(run.from + run.len);
            (start < end).then(|| moved(start)..moved(end))
        })
    }

    /// All bytes, from the first to the last.
    pub fn reader(&self) -> impl Read + Send + use<> {
        Reader { region: self.clone(), at: 0 }
    }
}

struct Reader {
    region: Region,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (self.region.size - self.at).min(buffer.len() as u64) as usize;
        self.region.read_exact(self.at, &mut buffer[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Ext4Read for Region {
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.read_exact(at, buffer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(region: &Region) -> Vec<u8> {
        region.read(0, region.size()).unwrap()
    }

    fn disk(size: u64) -> Region {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&(1..=size).map(|at| at as u8).collect::<Vec<_>>(), 0).unwrap();
        Region::new(Arc::new(file), size)
    }

    #[test]
    fn a_file_in_pieces_reads_as_one_with_zeros_where_it_has_no_run() {
        let runs = [Run { at: 4, from: 1, len: 3 }, Run { at: 0, from: 7, len: 2 }];
        let file = disk(20).gather(&runs, 9);
        assert_eq!(bytes(&file), [8, 9, 0, 0, 2, 3, 4, 0, 0]);
        assert_eq!(bytes(&file.part(1, 5)), [9, 0, 0, 2, 3]);
        let nested = file.gather(&[Run { at: 1, from: 3, len: 3 }], 5);
        assert_eq!(bytes(&nested), [0, 0, 2, 3, 0]);
        assert_eq!((file.next_data(2), file.next_data(7)), (Some(4..7), None));
        let mut streamed = Vec::new();
        file.reader().read_to_end(&mut streamed).unwrap();
        assert_eq!(streamed, bytes(&file));
    }

    proptest! {
        #[test]
        fn any_runs_make_a_file_that_can_be_read(
            runs in prop::collection::vec((0..60_u64, 0..60_u64, 0..40_u64), 0..6),
            size in 0..64_u64,
            (start, len) in (0..70_u64, 0..70_u64),
        ) {
            let runs: Vec<Run> = runs.into_iter().map(|(at, from, len)| Run { at, from, len }).collect();
            let file = disk(50).gather(&runs, size);
            let all = bytes(&file);
            prop_assert_eq!(all.len() as u64, size);
            let part = bytes(&file.part(start, len));
            let start = start.min(size) as usize;
            prop_assert_eq!(&part[..], &all[start..start + part.len()]);
            let is_zero = |from: u64, to: u64| all[from as usize..to as usize].iter().all(|byte| *byte == 0);
            let mut at = 0;
            while let Some(data) = file.next_data(at) {
                prop_assert!(is_zero(at, data.start) && data.start < data.end);
                at = data.end;
            }
            prop_assert!(is_zero(at, size));
        }
    }
}
