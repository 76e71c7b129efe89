//! The journal as a file of the data partition, which keeps its length and is written in place.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::string::ToString;
use std::vec::Vec;

use rustix::fs::FlockOperation;

use super::{Journal, Record, SIZE};
use crate::Error;

/// An open journal, locked as long as this lives.
#[derive(Debug)]
pub struct JournalFile {
    file: File,
}

impl JournalFile {
    /// Opens a journal, and makes an empty one where there is none. One of a wrong length gets the
    /// right one; its records are kept.
    ///
    /// # Errors
    /// [`Error::Journal`] when it cannot be opened, made or locked.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let made = !path.exists();
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(error)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(error)?;
        if file.metadata().map_err(error)?.len() != SIZE as u64 {
            let mut bytes = read(&file)?;
            bytes.resize(SIZE, 0);
            file.set_len(SIZE as u64).map_err(error)?;
            // All of it is written once, so that later there is room even when the disk is full.
            file.write_all_at(&bytes, 0).and_then(|()| file.sync_all()).map_err(error)?;
        }
        if made && let Some(directory) = path.parent().filter(|directory| *directory != Path::new("")) {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(error)?;
        }
        Ok(JournalFile { file })
    }

    /// Opens a journal that is only read, while others write it.
    ///
    /// # Errors
    /// [`Error::Journal`] when there is none, or it cannot be opened.
    pub fn look(path: &Path) -> Result<Self, Error> {
        Ok(JournalFile { file: File::open(path).map_err(error)? })
    }

    /// What it holds.
    ///
    /// # Errors
    /// [`Error::Journal`] when it cannot be read.
    pub fn read(&self) -> Result<Journal, Error> {
        Ok(Journal::decode(&read(&self.file)?))
    }

    /// Adds a record, whose number it gives. It lasts when this returns.
    ///
    /// # Errors
    /// [`Error::Journal`] when it cannot be written; the record before is still there then.
    pub fn add(&mut self, record: Record) -> Result<Record, Error> {
        let (number, at) = self.read()?.next();
        let record = Record { number, ..record };
        self.file.write_all_at(&record.encode(), at as u64).map_err(error)?;
        self.file.sync_data().map_err(error)?;
        if self.read()?.newest != Some(record) {
            return Err(Error::Journal("another thing is read back than was written".to_owned()));
        }
        Ok(record)
    }
}

/// At most a journal's length, whatever the file's is.
fn read(file: &File) -> Result<Vec<u8>, Error> {
    let mut bytes = std::vec![0; SIZE];
    let mut length = 0;
    while length < SIZE {
        match file.read_at(&mut bytes[length..], length as u64).map_err(error)? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn error(cause: impl ToString) -> Error {
    Error::Journal(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::{Event, RecordError, Reset};
    use super::*;
    use crate::Slot;

    fn record(event: Event) -> Record {
        let (number, trial, time, reset, asked) = (0, None, 5, Reset::Unknown, None);
        Record { number, event, slot: Slot::B, committed: Slot::A, trial, time, reset, asked }
    }

    #[test]
    fn the_last_record_is_read_by_the_next_process_and_the_length_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        for (number, event) in
            [Event::Staged, Event::Armed, Event::InTrial, Event::Committed].into_iter().enumerate()
        {
            let mut journal = JournalFile::open(&path).unwrap();
            let written = journal.add(record(event)).unwrap();
            assert_eq!(written.number, number as u64);
            drop(journal);
            assert_eq!(JournalFile::open(&path).unwrap().read().unwrap().newest, Some(written));
            assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE as u64);
        }
    }

    #[test]
    fn a_short_long_or_torn_file_is_recovered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        JournalFile::open(&path).unwrap().add(record(Event::Armed)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for (content, kept) in [
            (bytes[..512].to_vec(), true),
            ([&bytes[..], b"more"].concat(), true),
            (bytes[..100].to_vec(), false),
            (std::vec![], false),
        ] {
            std::fs::write(&path, content).unwrap();
            let mut journal = JournalFile::open(&path).unwrap();
            assert_eq!(journal.read().unwrap().newest.is_some(), kept);
            journal.add(record(Event::Committed)).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE as u64);
        }
        std::fs::write(&path, [&bytes[..512], &bytes[..512]].concat()).unwrap();
        std::fs::write(&path, [&bytes[..512], &[9; 512]].concat()).unwrap();
        let read = JournalFile::open(&path).unwrap().read().unwrap();
        assert_eq!(read.problems, [None, Some(RecordError::Torn)]);
    }
}
