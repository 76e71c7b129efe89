//! Files in frames, read in any order.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::formats::pieces::Packer as _;
use crate::formats::zst::{SEEKABLE_MAGIC, SKIPPABLE_MAGIC, Zstd};

/// A file of `frames`, with a table of what they unpack to.
fn seekable(frames: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let mut file: Vec<u8> = frames.iter().flat_map(|(frame, _)| frame.clone()).collect();
    file.extend(SKIPPABLE_MAGIC);
    file.extend((frames.len() as u32 * 8 + 9).to_le_bytes());
    for (frame, len) in frames {
        file.extend([frame.len() as u32, *len as u32].map(u32::to_le_bytes).concat());
    }
    file.extend((frames.len() as u32).to_le_bytes().into_iter().chain([0]).chain(SEEKABLE_MAGIC));
    file
}

fn open(bytes: &[u8]) -> io::Result<Option<Frames>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Frames::open(file, bytes.len() as u64)
}

/// Bytes, or zeros, in frames of these lengths; and what they are.
fn disk(lengths: &[(usize, bool)]) -> (Vec<(Vec<u8>, usize)>, Vec<u8>) {
    let mut packer = Zstd::new().unwrap();
    let (mut frames, mut disk) = (Vec::new(), Vec::new());
    for (len, is_zero) in lengths {
        let start = disk.len();
        disk.extend((0..*len).map(|at| if *is_zero { 0 } else { (at * 31 + start) as u8 | 1 }));
        let frame = match is_zero {
            true if *len > 0 => packer.pack_zeros(*len as u64),
            _ => packer.pack(&disk[start..]),
        };
        frames.push((frame.unwrap(), *len));
    }
    (frames, disk)
}

proptest! {
    #[test]
    fn any_part_is_what_was_packed(
        lengths in prop::collection::vec((0..60_000_usize, any::<bool>()), 0..8),
        asked in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let (frames, disk) = disk(&lengths);
        let parts = open(&seekable(&frames)).unwrap().unwrap();
        prop_assert_eq!(parts.blocks().size, disk.len() as u64);
        for (a, b) in asked {
            let (a, b) = (a.index(disk.len() + 1), b.index(disk.len() + 1));
            let (start, end) = (a.min(b), a.max(b));
            let mut buffer = vec![7; end - start];
            parts.read_at(start as u64, &mut buffer).unwrap();
            prop_assert!(buffer == disk[start..end]);
        }
        let mut covered = vec![0; disk.len()];
        for range in &parts.blocks().ranges {
            parts.read_at(range.start, &mut covered[range.start as usize..range.end as usize]).unwrap();
        }
        prop_assert!(covered == disk, "something is in no range");
    }

    #[test]
    fn damage_is_an_error_or_harmless(at in any::<prop::sample::Index>(), byte: u8) {
        let (frames, disk) = disk(&[(5000, false), (200_000, true), (5000, false)]);
        let mut file = seekable(&frames);
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok(Some(parts)) = open(&file) {
            let mut buffer = vec![0; parts.blocks().size.min(1 << 20) as usize];
            // Frames of zeros have no digest, and neither has the table.
            let is_whole = parts.blocks().size == disk.len() as u64;
            let is_frame = at < frames[0].0.len();
            if parts.read_at(0, &mut buffer).is_ok() && is_whole && is_frame {
                prop_assert!(buffer[..5000] == disk[..5000], "at {}", at);
            }
        }
    }
}

#[test]
fn only_what_is_not_zeros_is_in_blocks() {
    let (frames, disk) = disk(&[(8192, false), (2 << 20, true), (64 << 10, true), (100, false)]);
    let parts = open(&seekable(&frames)).unwrap().unwrap();
    let end = disk.len() as u64;
    assert_eq!(parts.blocks().ranges, [0..8192, end - 100..end]);
    assert_eq!(
        (parts.together(0), parts.together(8191), parts.together(8192)),
        (8192, 8192, 8192 + (2 << 20))
    );
    assert!(parts.read_at(end - 1, &mut [0; 2]).is_err());
    assert!(parts.read_at(u64::MAX, &mut [0; 2]).is_err());
}

#[test]
fn a_frame_of_another_length_than_the_table_says_is_damaged() {
    let (mut frames, _) = disk(&[(8192, false), (4096, false)]);
    frames[1].1 += 1;
    let parts = open(&seekable(&frames)).unwrap().unwrap();
    parts.read_at(0, &mut [0; 8192]).unwrap();
    let error = parts.read_at(8192, &mut [0]).unwrap_err().to_string();
    assert!(error.starts_with("its zstd data is damaged ("), "{error}");
}

#[test]
fn frames_that_are_too_long_for_memory_are_not_taken() {
    let long = vec![3; LONGEST as usize + 1];
    let frame = Zstd::new().unwrap().pack(&long).unwrap();
    assert!(open(&seekable(&[(frame, long.len())])).unwrap().is_none());
}

#[test]
fn several_readers_of_the_same_frames_get_the_same() {
    let (frames, disk) = disk(&[(300_000, false); 6]);
    let parts = open(&seekable(&frames)).unwrap().unwrap();
    let starts: Vec<usize> = (0..200).map(|index| index * 7919 % (disk.len() - 5000)).collect();
    let read = crate::parallel::map(&starts, 4, |(): &mut (), start| {
        let mut buffer = vec![0; 5000];
        parts.read_at(*start as u64, &mut buffer).map(|()| buffer == disk[*start..*start + 5000])
    });
    assert!(read.unwrap().into_iter().all(|is_same| is_same));
}
