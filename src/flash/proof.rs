//! What was promised of an image: the digest of its file, and its block map. Both are looked at while it is read, and
//! all of both before the table is written.
//!
//! ```text
//!   file, as it is named --> digest --> must be the promised one
//!      | unpack
//!   bytes of the disk    --> only the ranges of the map are taken; what they hold must have their digests
//! ```

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sha2::Digest as _;

use crate::digest::Sha256;
use crate::formats::blocks::{BLOCK, Blocks};
use crate::formats::bmap::BlockMap;
use crate::formats::{self, Raw};
use crate::interrupt;

/// Why an image is not the one that was promised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Its file is another.
    #[error("`{image}` has the sha256 {found}, but {by} says {said}\n\nhint: copy or download it again")]
    Digest {
        /// The image.
        image: String,
        /// Its digest.
        found: Sha256,
        /// What promised another.
        by: String,
        /// Which.
        said: Sha256,
    },
    /// It is longer or shorter.
    #[error(
        "`{map}` is the block map of an image of {said} bytes, but `{image}` has {found}\n\nhint: take the map that was made with the image"
    )]
    Size {
        /// The block map.
        map: String,
        /// The length that it speaks of.
        said: u64,
        /// The image.
        image: String,
        /// Its length, as far as it was read.
        found: u64,
    },
    /// It holds something else.
    #[error(
        "`{image}` has the sha256 {found} in its blocks {} to {}, but `{map}` says {said}\n\nhint: copy or download both again",
        blocks.start / BLOCK, (blocks.end - 1) / BLOCK
    )]
    Range {
        /// The image.
        image: String,
        /// Where, in bytes.
        blocks: Range<u64>,
        /// What it has there.
        found: Sha256,
        /// The block map.
        map: String,
        /// What it should have.
        said: Sha256,
    },
}

impl From<ProofError> for io::Error {
    fn from(error: ProofError) -> Self {
        io::Error::new(ErrorKind::InvalidData, error)
    }
}

/// A digest, and who says that it is that of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The digest.
    pub sha256: Sha256,
    /// Who says so, for people.
    pub by: String,
}

/// All that was promised of one image.
#[derive(Default)]
pub struct Proofs {
    image: String,
    promise: Option<Promise>,
    /// The digest, when all was read.
    found: Option<Box<dyn FnOnce() -> io::Result<Sha256> + Send>>,
    map: Option<Map>,
}

impl Proofs {
    /// What was promised of `image`.
    pub fn new(image: &str, promise: Option<Promise>, map: Option<(String, BlockMap)>) -> Self {
        let map = map.map(|(name, map)| Map {
            image: image.to_owned(),
            name,
            map,
            next: 0,
            hash: sha2::Sha256::default(),
        });
        Proofs { image: image.to_owned(), promise, found: None, map }
    }

    /// Digests a file whose parts are read in any order, on another thread, if somebody wants to know.
    pub(super) fn digest(&mut self, path: &Path, file: File, size: u64) {
        if self.promise.is_none() {
            return;
        }
        let (found, wanted) = sync_channel(1);
        let path = path.to_owned();
        let digest = move || Raw::of(&path, file, size).and_then(|raw| formats::digest(&raw, &|_| ()));
        // Who does not wait for it has another reason to stop.
        thread::spawn(move || drop(found.send(digest().map_err(io::Error::other))));
        let ended = || io::Error::other("the thread that digests the image has ended before it");
        self.found = Some(Box::new(move || interrupt::receive(&wanted)?.ok_or_else(ended)?));
    }

    /// Whether the map is one of an image of this length.
    pub(super) fn is_for(&self, size: u64) -> io::Result<()> {
        self.map.as_ref().map_or(Ok(()), |map| map.is_for(size))
    }

    /// What the map says is there.
    pub(super) fn blocks(&self) -> Option<&Blocks> {
        self.map.as_ref().map(|map| &map.map.blocks)
    }

    pub(super) fn map(&mut self) -> Option<&mut Map> {
        self.map.as_mut()
    }

    /// Whether all was as it should be, when all was read, and the disk has this length.
    pub(super) fn finish(&mut self, size: u64) -> io::Result<()> {
        self.is_for(size)?;
        let (Some(found), Some(promise)) = (self.found.take(), &self.promise) else { return Ok(()) };
        let found = found()?;
        if found == promise.sha256 {
            return Ok(());
        }
        let (image, by, said) = (self.image.clone(), promise.by.clone(), promise.sha256);
        Err(ProofError::Digest { image, found, by, said }.into())
    }
}

/// A block map on its way through the image.
pub(super) struct Map {
    image: String,
    name: String,
    map: BlockMap,
    /// The range that comes next, or has begun.
    next: usize,
    /// What of it has been read.
    hash: sha2::Sha256,
}

impl Map {
    fn is_for(&self, found: u64) -> io::Result<()> {
        let said = self.map.blocks.size;
        if said == found {
            return Ok(());
        }
        Err(ProofError::Size { map: self.name.clone(), said, image: self.image.clone(), found }.into())
    }

    /// Digests what the map has of a piece, and clears all else in it. Pieces ascend, and have all that is mapped.
    pub(super) fn take(&mut self, at: u64, piece: &mut [u8]) -> io::Result<()> {
        let end = at + piece.len() as u64;
        if end > self.map.blocks.size {
            self.is_for(end)?;
        }
        let place = |place: u64| (place - at) as usize;
        let mut done = at;
        while let Some(range) = self.map.blocks.ranges.get(self.next).filter(|range| range.start < end) {
            let (start, stop) = (range.start.max(at), range.end.min(end));
            piece[place(done)..place(start)].fill(0);
            self.hash.update(&piece[place(start)..place(stop)]);
            done = stop;
            if stop < range.end {
                break;
            }
            self.close(range.clone())?;
        }
        piece[place(done)..].fill(0);
        Ok(())
    }

    /// Compares the digest of a range that was read.
    fn close(&mut self, blocks: Range<u64>) -> io::Result<()> {
        let found = Sha256::finish(mem::take(&mut self.hash));
        let said = self.map.digests[self.next];
        self.next += 1;
        if found == said {
            return Ok(());
        }
        let (image, map) = (self.image.clone(), self.name.clone());
        Err(ProofError::Range { image, blocks, found, map, said }.into())
    }
}

/// A stream that is digested on its way, if somebody wants to know.
pub(super) struct Hashed<R> {
    stream: R,
    hash: Option<Arc<Mutex<sha2::Sha256>>>,
}

impl<R> Hashed<R> {
    pub(super) fn new(stream: R, proofs: &mut Proofs) -> Self {
        let hash = proofs.promise.as_ref().map(|_| Arc::<Mutex<sha2::Sha256>>::default());
        proofs.found = hash.clone().map(|hash| {
            Box::new(move || Ok(Sha256::finish(mem::take(&mut *lock(&hash)))))
                as Box<dyn FnOnce() -> _ + Send>
        });
        Hashed { stream, hash }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        if let Some(hash) = &self.hash {
            lock(hash).update(&buffer[..count]);
        }
        Ok(count)
    }
}

fn lock(hash: &Mutex<sha2::Sha256>) -> std::sync::MutexGuard<'_, sha2::Sha256> {
    hash.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The map of `disk` with these blocks, and what is taken of the disk by it, in pieces.
    fn taken(
        disk: &[u8],
        blocks: &[Range<u64>],
        mut map: impl FnMut(&mut BlockMap),
        piece: usize,
    ) -> io::Result<Vec<u8>> {
        let size = disk.len() as u64;
        let ranges: Vec<_> =
            blocks.iter().map(|range| range.start * BLOCK..(range.end * BLOCK).min(size)).collect();
        let digests =
            ranges.iter().map(|range| Sha256::of(&disk[range.start as usize..range.end as usize])).collect();
        let mut all = BlockMap { blocks: Blocks { size, ranges }, digests };
        map(&mut all);
        let mut proofs = Proofs::new("disk.img", None, Some(("disk.bmap".to_owned(), all)));
        let mut out = disk.to_vec();
        for (index, part) in out.chunks_mut(piece).enumerate() {
            proofs.map().unwrap().take((index * piece) as u64, part)?;
        }
        proofs.finish(size)?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn only_what_is_mapped_is_taken_whatever_the_pieces(
            steps in prop::collection::vec((1..4_u64, 1..4_u64), 0..6), rest in 0..5000_usize, piece in 1..20_000_usize,
        ) {
            let (mut blocks, mut at) = (Vec::new(), 0);
            for (hole, data) in steps {
                blocks.push(at + hole..at + hole + data);
                at += hole + data;
            }
            let disk: Vec<u8> = (0..at as usize * BLOCK as usize + rest).map(|at| (at * 7) as u8 | 1).collect();
            let mut expected = vec![0; disk.len()];
            for range in &blocks {
                let range = (range.start * BLOCK) as usize..(range.end * BLOCK) as usize;
                expected[range.clone()].copy_from_slice(&disk[range]);
            }
            prop_assert!(taken(&disk, &blocks, |_| (), piece).unwrap() == expected);
        }
    }

    #[test]
    fn a_wrong_range_is_named() {
        let disk = vec![5; 10 * BLOCK as usize];
        let change = |map: &mut BlockMap| map.digests[1] = Sha256::of(b"other");
        let error = taken(&disk, &[0..2, 4..7], change, 8192).unwrap_err().to_string();
        let found = Sha256::of(&disk[..3 * BLOCK as usize]);
        let said = Sha256::of(b"other");
        let expected = format!(
            "`disk.img` has the sha256 {found} in its blocks 4 to 6, but `disk.bmap` says {said}\n\n"
        );
        assert!(error.starts_with(&expected), "{error}");
    }

    #[test]
    fn a_map_of_another_length_is_told() {
        let disk = vec![5; 10 * BLOCK as usize];
        for size in [9 * BLOCK, 11 * BLOCK] {
            let error =
                taken(&disk, &[0..2, 4..7], |map| map.blocks.size = size, 4096).unwrap_err().to_string();
            let expected = format!(
                "`disk.bmap` is the block map of an image of {size} bytes, but `disk.img` has 40960\n\n"
            );
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_stream_is_digested_on_its_way() {
        let text = b"some text";
        for (said, is_right) in [(Sha256::of(text), true), (Sha256::of(b""), false)] {
            let promise = Promise { sha256: said, by: "`--sha256`".to_owned() };
            let mut proofs = Proofs::new("disk.img", Some(promise), None);
            let mut read = Vec::new();
            Hashed::new(&text[..], &mut proofs).read_to_end(&mut read).unwrap();
            assert_eq!((&read[..], proofs.finish(9).is_ok()), (&text[..], is_right));
        }
    }
}
