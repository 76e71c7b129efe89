//! A name in a directory of a FAT.
//!
//! ```text
//!   long name, last part     0 "40 + n", 1, 14, 28 letters of 2 bytes, 11 "0f", 13 sum of the short name
//!   ...                      0 "n"
//!   long name, first part    0 "1"
//!   short name               0 name, 8 extension, 11 attributes, 20 and 26 cluster, 28 size
//! ```

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::LocateError;
use super::bytes::{u16_at, u32_at};
use crate::medium::Sector;

const DELETED: u8 = 0xe5;
const LONG_NAME: u8 = 0x0f;
const LABEL: u8 = 0x08;
const SUBDIRECTORY: u8 = 0x10;

/// Parts of the longest long name.
const LARGEST_NAME: u8 = 20;

/// Where the letters of a part stand.
const LETTERS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// What a directory says of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) cluster: u32,
    pub(super) size: u32,
    pub(super) is_directory: bool,
}

/// A search through a directory, sector by sector.
pub(super) struct Search<'a> {
    name: &'a str,
    found: Option<Entry>,
    more: bool,
    ended: bool,
    long: Long,
}

/// The parts of a long name that came so far, the last first.
#[derive(Default)]
struct Long {
    letters: Vec<u16>,
    /// The part that comes next; 0 when the short name does.
    next: u8,
    sum: u8,
}

impl<'a> Search<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        Search { name, found: None, more: false, ended: false, long: Long::default() }
    }

    /// Goes through the entries of a sector.
    pub(super) fn sector(&mut self, sector: &Sector) {
        for entry in sector.chunks_exact(32) {
            self.ended |= entry[0] == 0;
            if self.ended {
                return;
            }
            self.entry(entry);
        }
    }

    fn entry(&mut self, entry: &[u8]) {
        if entry[0] == DELETED {
            self.long = Long::default();
        } else if entry[11] & 0x3f == LONG_NAME {
            self.long.part(entry);
        } else {
            let long = core::mem::take(&mut self.long).of(entry);
            if entry[11] & LABEL != 0 {
                return;
            }
            let is = |name: &str| name.eq_ignore_ascii_case(self.name);
            if is(&short_name(entry)) || long.is_some_and(|long| is(&long)) {
                self.more |= self.found.is_some();
                self.found = Some(Entry {
                    cluster: u32::from(u16_at(entry, 26)) | u32::from(u16_at(entry, 20)) << 16,
                    size: u32_at(entry, 28),
                    is_directory: entry[11] & SUBDIRECTORY != 0,
                });
            }
        }
    }

    pub(super) fn result(self, path: &str) -> Result<Entry, LocateError> {
        match self.found {
            Some(_) if self.more => Err(LocateError::Twice(path.to_owned())),
            Some(entry) => Ok(entry),
            None => Err(LocateError::Missing(path.to_owned())),
        }
    }
}

impl Long {
    fn part(&mut self, entry: &[u8]) {
        let number = entry[0] & 0x3f;
        if entry[0] & 0x40 != 0 {
            *self = Long { letters: Vec::new(), next: number, sum: entry[13] };
        }
        if number == 0 || number > LARGEST_NAME || number != self.next || entry[13] != self.sum {
            *self = Long::default();
            return;
        }
        self.next -= 1;
        let part = LETTERS.map(|at| u16_at(entry, at));
        self.letters.splice(0..0, part);
    }

    /// The name, when it is whole and belongs to the short name that follows.
    fn of(self, entry: &[u8]) -> Option<String> {
        let sum = entry[..11].iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.letters.is_empty() || self.next != 0 || sum != self.sum {
            return None;
        }
        let letters = self.letters.iter().copied().take_while(|letter| *letter != 0);
        char::decode_utf16(letters).collect::<Result<String, _>>().ok()
    }
}

/// The short name with its dot. Names of ours are plain, so others need not come out right.
fn short_name(entry: &[u8]) -> String {
    let text =
        |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>().trim_end().to_owned();
    let (name, extension) = (text(&entry[..8]), text(&entry[8..11]));
    if extension.is_empty() { name } else { [name, extension].join(".") }
}
