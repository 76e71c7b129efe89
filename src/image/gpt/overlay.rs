//! A disk of zeros that keeps only the sectors written to it.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::image::extents::{Extents, Source};
use crate::units::{Bytes, SECTOR};

const LEN: usize = SECTOR as usize;

/// An in-memory device of any size for code that wants to seek, read and write.
#[derive(Debug)]
pub(super) struct Overlay {
    size: u64,
    at: u64,
    sectors: BTreeMap<u64, [u8; LEN]>,
}

impl Overlay {
    pub(super) fn new(size: Bytes) -> Self {
        Overlay { size: size.0, at: 0, sectors: BTreeMap::new() }
    }

    /// What was written and is not zero; neighbouring sectors become one piece.
    pub(super) fn into_extents(self) -> Extents {
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        for (lba, sector) in self.sectors.into_iter().filter(|(_, sector)| *sector != [0; LEN]) {
            let at = lba * SECTOR;
            match runs.last_mut() {
                Some((start, bytes)) if *start + bytes.len() as u64 == at => bytes.extend(sector),
                _ => runs.push((at, sector.to_vec())),
            }
        }
        let mut extents = Extents::zeros(self.size);
        for (at, bytes) in runs {
            let len = bytes.len() as u64;
            extents.push(at, len, Source::Bytes { buffer: bytes.into(), start: 0 });
        }
        extents
    }

    /// The sector at the position, the offset in it, and how many of `wanted` bytes lie in it.
    fn window(&self, wanted: usize) -> (u64, usize, usize) {
        let offset = (self.at % SECTOR) as usize;
        let left = self.size.saturating_sub(self.at).min(wanted as u64) as usize;
        (self.at / SECTOR, offset, left.min(LEN - offset))
    }
}

impl Read for Overlay {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (lba, offset, len) = self.window(buffer.len());
        match self.sectors.get(&lba) {
            Some(sector) => buffer[..len].copy_from_slice(&sector[offset..offset + len]),
            None => buffer[..len].fill(0),
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl Write for Overlay {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (lba, offset, len) = self.window(bytes.len());
        if len > 0 {
            let sector = self.sectors.entry(lba).or_insert([0; LEN]);
            sector[offset..offset + len].copy_from_slice(&bytes[..len]);
        }
        self.at += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Overlay {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_the_rest_is_zero() {
        let mut device = Overlay::new(Bytes(4096));
        device.seek(SeekFrom::Start(500)).unwrap();
        device.write_all(&[7; 600]).unwrap();
        device.seek(SeekFrom::End(-4096)).unwrap();
        let mut all = Vec::new();
        device.read_to_end(&mut all).unwrap();
        let expected = [vec![0; 500], vec![7; 600], vec![0; 2996]].concat();
        assert_eq!(all, expected);
        assert_eq!(device.into_extents().pieces().len(), 1);
    }

    #[test]
    fn nothing_is_written_past_the_end() {
        let mut device = Overlay::new(Bytes(512));
        assert!(device.write_all(&[1; 513]).is_err());
    }
}
