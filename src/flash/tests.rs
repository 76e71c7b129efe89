//! Whole flashes onto a target that fails in every way, through the same code as devices.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::units::MIB;

const SIZE: u64 = 8 * MIB + 4096;

/// What is wrong with a card.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Takes writes and keeps nothing.
    Stuck,
    /// Addresses count modulo this.
    Wraps(u64),
    /// What is written from here on is thrown away.
    Forgets(u64),
    /// After so many writes all fail, as when it is pulled out.
    Vanishes(u64),
    /// A write of this offset fails.
    Breaks(u64),
    /// Flips a bit of what is written at this offset.
    Flips(u64),
    /// Cannot punch holes.
    CannotPunch,
}

/// A card whose bytes were all 0xaa.
struct Card {
    fault: Fault,
    capacity: u64,
    writes: AtomicU64,
    blocks: Mutex<BTreeMap<u64, Vec<u8>>>,
}

const BLOCK: u64 = 4096;

impl Card {
    fn new(fault: Fault) -> Self {
        let capacity = 32 * MIB;
        Card { fault, capacity, writes: AtomicU64::new(0), blocks: Mutex::default() }
    }

    fn each(at: u64, len: usize, mut what: impl FnMut(u64, std::ops::Range<usize>)) {
        assert!(at.is_multiple_of(BLOCK) && (len as u64).is_multiple_of(BLOCK), "{at} {len} is not aligned");
        for index in 0..len as u64 / BLOCK {
            what(at + index * BLOCK, (index * BLOCK) as usize..((index + 1) * BLOCK) as usize);
        }
    }

    fn bytes(&self, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.read(0, &mut bytes).unwrap();
        bytes
    }

    fn real(&self, at: u64) -> u64 {
        if let Fault::Wraps(room) = self.fault { at % room } else { at }
    }
}

impl Target for Card {
    fn capacity(&self) -> Option<u64> {
        Some(self.capacity)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let count = self.writes.fetch_add(1, Ordering::SeqCst);
        let range = at..at + bytes.len() as u64;
        assert!(range.end <= self.capacity, "nothing is written behind the end");
        match self.fault {
            Fault::Vanishes(after) if count >= after => return Err(io::Error::from_raw_os_error(5)),
            Fault::Breaks(place) if range.contains(&place) => return Err(io::Error::from_raw_os_error(5)),
            Fault::Stuck => return Ok(()),
            _ => {}
        }
        let mut blocks = self.blocks.lock().unwrap();
        Card::each(at, bytes.len(), |at, range| {
            let mut block = bytes[range].to_vec();
            if self.fault == Fault::Flips(at) {
                block[17] ^= 4;
            }
            if !matches!(self.fault, Fault::Forgets(from) if at >= from) {
                blocks.insert(self.real(at), block);
            }
        });
        Ok(())
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let blocks = self.blocks.lock().unwrap();
        Card::each(at, buffer.len(), |at, range| match blocks.get(&self.real(at)) {
            Some(block) => buffer[range].copy_from_slice(block),
            None => buffer[range].fill(0xaa),
        });
        Ok(())
    }

    fn punch(&self, at: u64, len: u64) -> io::Result<bool> {
        if self.fault == Fault::CannotPunch {
            return Ok(false);
        }
        let zeros = vec![0; len as usize];
        self.write(at, &zeros).map(|()| true)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn resize(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// An image with an MBR, data in its middle and at its end, and holes.
fn image() -> Vec<u8> {
    let mut image = vec![0; SIZE as usize];
    image[440] = 9;
    image[446 + 4] = 0x83;
    image[446 + 8..446 + 12].copy_from_slice(&4096_u32.to_le_bytes());
    image[446 + 12..446 + 16].copy_from_slice(&8192_u32.to_le_bytes());
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (at, len) in [(2 * MIB + 4096, 2 * MIB), (SIZE - 8192, 8192)] {
        for (index, byte) in image[at as usize..(at + len) as usize].iter_mut().enumerate() {
            *byte = (index * 7 + index / 251) as u8;
        }
    }
    image
}

fn run(card: &Card, image: &[u8]) -> Result<Report, Failed> {
    let mut picture = Picture::stream(io::Cursor::new(image.to_vec()), None, proof::Proofs::default());
    let mut head = Buffer::default();
    picture.next(&mut head).unwrap();
    flash(card, &mut picture, head, None, &|_, _, _| ())
}

fn is_bootable(card: &Card) -> bool {
    let first = card.bytes(4096);
    first[510..512] == [0x55, 0xaa]
}

#[test]
fn a_sound_card_has_the_whole_image_and_nothing_of_an_old_second_table() {
    let card = Card::new(Fault::None);
    let report = run(&card, &image()).unwrap();
    assert!(card.bytes(SIZE) == image());
    assert!(card.bytes(card.capacity)[31 * MIB as usize..].iter().all(|byte| *byte == 0));
    // The first MiB, three that hold data, and the end.
    assert_eq!((report.size, report.written, report.kept), (SIZE, 5 * MIB + 4096, 0));
    assert_eq!((report.verified, report.holes_are_zeros), (report.written, true));
}

#[test]
fn a_card_that_keeps_its_old_bytes_is_told_and_untouched() {
    let failed = run(&Card::new(Fault::Stuck), &image()).unwrap_err();
    assert!(matches!(failed, Failed { state: State::Untouched, error: FlashError::Stuck }), "{failed:?}");
}

#[test]
fn fakes_are_found_before_the_image_is_written() {
    for fault in [Fault::Wraps(16 * MIB), Fault::Wraps(8 * MIB), Fault::Forgets(20 * MIB)] {
        let card = Card::new(fault);
        let failed = run(&card, &image()).unwrap_err();
        assert!(matches!(failed.error, FlashError::Fake { .. }), "{failed:?}");
        assert!(failed.state == State::NotBootable && !is_bootable(&card));
        assert!(card.writes.load(Ordering::SeqCst) < 20, "the image was written");
    }
}

#[test]
fn an_image_on_a_card_that_vanishes_at_any_write_does_not_boot_and_goes_on_later() {
    let sound = Card::new(Fault::None);
    run(&sound, &image()).unwrap();
    let writes = sound.writes.load(Ordering::SeqCst);
    assert!(writes > 15);
    for after in 0..writes {
        let mut card = Card::new(Fault::Vanishes(after));
        let failed = run(&card, &image()).unwrap_err();
        assert!(matches!(failed.error, FlashError::Write { .. }), "{failed:?}");
        assert!(!is_bootable(&card), "after {after} writes");
        card.fault = Fault::None;
        let report = run(&card, &image()).unwrap();
        assert!(card.bytes(SIZE) == image(), "after {after} writes");
        // The writer of the last piece but one and others may have been overtaken.
        assert!(after + 4 < writes || report.kept > 0, "after {after} writes: {report:?}");
    }
}

#[test]
fn a_write_that_fails_names_its_place() {
    let card = Card::new(Fault::Breaks(3 * MIB));
    let failed = run(&card, &image()).unwrap_err();
    assert!(matches!(failed.error, FlashError::Write { at, .. } if at == 3 * MIB), "{failed:?}");
    assert!(!is_bootable(&card));
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    for at in [0, 4096, 2 * MIB + 4096, 4 * MIB, SIZE - 4096] {
        let card = Card::new(Fault::Flips(at));
        let failed = run(&card, &image()).unwrap_err();
        assert!(matches!(failed.error, FlashError::Differs { .. } | FlashError::Fake { .. }), "{failed:?}");
        assert!(!is_bootable(&card), "at {at}");
    }
}

#[test]
fn a_card_that_cannot_forget_is_zeroed_where_it_matters() {
    let card = Card::new(Fault::CannotPunch);
    let report = run(&card, &image()).unwrap();
    assert!(!report.holes_are_zeros);
    assert!(card.bytes(SIZE) == image(), "all holes are short here");
}

#[test]
fn streams_that_end_early_or_late_never_boot() {
    let card = Card::new(Fault::None);
    let failed = run(&card, &image()[..4 * MIB as usize]).unwrap_err();
    assert!(matches!(failed.error, FlashError::Refused(rules::Refusal::CutOff { .. })), "{failed:?}");
    assert!(!is_bootable(&card));
    let mut longer = image();
    longer.resize(33 * MIB as usize, 1);
    let failed = run(&card, &longer).unwrap_err();
    assert!(matches!(failed.error, FlashError::TooLong { .. }), "{failed:?}");
    assert!(!is_bootable(&card));
}

/// An image of a Raspberry Pi, in what seeds and flashes look at: a FAT in the first partition, and data behind.
fn bootable() -> Vec<u8> {
    use crate::image::{extents::Extents, fat};
    let mut tree = crate::tree::FileTree::new();
    tree.file("config.txt", 0o644, Extents::bytes(vec![b'#'; 5000]));
    let options = fat::Options {
        size: Bytes::mib(4),
        serial: 1,
        label: String::new(),
        epoch: 0,
        hidden_sectors: crate::units::Sectors(2048),
        kind: fat::Kind::Auto,
    };
    let mut image = image();
    image[MIB as usize..].fill(0);
    image[446 + 4] = 0x0c;
    image[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
    let fat = fat::format(&tree, &options).unwrap().extents;
    fat.read_at(0, &mut image[MIB as usize..5 * MIB as usize]).unwrap();
    image[SIZE as usize - 5000..].fill(7);
    image
}

fn seed() -> crate::seed::Seed {
    let name = crate::config::Name("kiosk".to_owned());
    let request = crate::seed::Request { hostname: Some(&name), ..Default::default() };
    crate::seed::read(&request).unwrap().unwrap()
}

/// Flashes with a seed.
fn sow(card: &Card, image: &[u8]) -> Result<Report, Failed> {
    let mut picture = Picture::stream(io::Cursor::new(image.to_vec()), None, proof::Proofs::default());
    let mut head = Buffer::default();
    picture.next(&mut head).unwrap();
    let sowing = Sowing::plan("image", head.bytes(), &seed()).unwrap();
    flash(card, &mut picture, head, Some(&sowing), &|_, _, _| ())
}

#[test]
fn a_seeded_flash_that_was_cut_off_at_any_write_does_not_boot_and_ends_the_same_later() {
    let image = bootable();
    let sound = Card::new(Fault::None);
    let report = sow(&sound, &image).unwrap();
    assert_eq!(report.seeded, ["seed/hostname", "seed/user-data", "seed/meta-data"]);
    assert_eq!(report.written, report.verified);
    let whole = sound.bytes(SIZE);
    let (first, last) = (MIB as usize, 5 * MIB as usize);
    assert!(whole[..first] == image[..first] && whole[last..] == image[last..]);
    assert!(whole[first..last] != image[first..last]);
    let writes = sound.writes.load(Ordering::SeqCst);
    for after in 0..writes {
        let mut card = Card::new(Fault::Vanishes(after));
        assert!(sow(&card, &image).is_err() && !is_bootable(&card), "after {after} writes");
        card.fault = Fault::None;
        sow(&card, &image).unwrap();
        assert!(card.bytes(SIZE) == whole, "after {after} writes");
        // One that changes their mind gets what the image has.
        run(&card, &image).unwrap();
        assert!(card.bytes(SIZE) == image, "after {after} writes");
    }
}

#[test]
fn a_bit_of_a_seed_that_flips_is_found() {
    let image = bootable();
    let sound = Card::new(Fault::None);
    sow(&sound, &image).unwrap();
    let now = sound.bytes(SIZE);
    let places: Vec<u64> = (0..SIZE / BLOCK).map(|block| block * BLOCK).collect();
    let differs =
        |at: &&u64| now[**at as usize..][..BLOCK as usize] != image[**at as usize..][..BLOCK as usize];
    let changed: Vec<&u64> = places.iter().filter(differs).collect();
    assert!(changed.len() >= 4, "{changed:?}");
    for at in changed {
        let card = Card::new(Fault::Flips(*at));
        assert!(matches!(sow(&card, &image).unwrap_err().error, FlashError::Differs { .. }), "at {at}");
        assert!(!is_bootable(&card));
    }
}

#[test]
fn a_damaged_or_foreign_partition_takes_no_seed_and_does_not_boot() {
    let mut damaged = bootable();
    damaged[MIB as usize + 14] ^= 0xff;
    let card = Card::new(Fault::None);
    let failed = sow(&card, &damaged).unwrap_err();
    assert!(matches!(failed.error, FlashError::Seed(SowError::Add(_))), "{failed:?}");
    assert!(failed.state == State::NotBootable && !is_bootable(&card));
    let refused = |image: &[u8]| Sowing::plan("image", image, &seed()).err().unwrap().to_string();
    let expected = "`image` has no partition that a seed could go on";
    assert!(refused(&image()).starts_with(expected));
    let mut early = bootable();
    early[446 + 8..446 + 12].copy_from_slice(&63_u32.to_le_bytes());
    assert!(refused(&early).starts_with(expected));
    // Nothing behind it: it would be cut off by the last piece.
    let mut alone = bootable();
    alone[5 * MIB as usize..].fill(0);
    assert!(matches!(sow(&card, &alone).unwrap_err().error, FlashError::Seed(SowError::NoPartition(_))));
}
