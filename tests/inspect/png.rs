//! Screenshots: as much of PNG as browsers write (W3C, Portable Network Graphics, third edition).

use std::collections::BTreeSet;
use std::io::Read as _;

/// A picture of pixels of red, green and blue.
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Decodes one with 8 bits for each channel, not interlaced.
    pub(super) fn decode(png: &[u8]) -> Picture {
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
        let (mut header, mut packed) = (Vec::new(), Vec::new());
        let mut rest = &png[8..];
        while rest.len() >= 12 {
            let length = word(rest);
            let data = &rest[8..8 + length];
            match &rest[4..8] {
                b"IHDR" => header = data.to_vec(),
                b"IDAT" => packed.extend(data),
                _ => {}
            }
            rest = &rest[12 + length..];
        }
        let (width, height) = (word(&header), word(&header[4..]));
        let channels = match header[8..] {
            [8, 2, 0, 0, 0] => 3,
            [8, 6, 0, 0, 0] => 4,
            _ => panic!("another kind of PNG: {header:?}"),
        };
        let mut lines = Vec::new();
        flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut lines).unwrap();
        let bytes = unfilter(&lines, width * channels, channels);
        let pixels: Vec<_> = bytes.chunks(channels).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        assert_eq!(pixels.len(), width * height);
        Picture { width, height, pixels }
    }

    /// All colours in it.
    pub(super) fn colours(&self) -> BTreeSet<[u8; 3]> {
        self.pixels.iter().copied().collect()
    }

    /// Part of it, in percent, that has a colour.
    pub(super) fn share(&self, colour: [u8; 3]) -> usize {
        100 * self.pixels.iter().filter(|pixel| **pixel == colour).count() / self.pixels.len()
    }
}

fn word(bytes: &[u8]) -> usize {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
}

/// Undoes the filters: every line begins with the number of its own.
fn unfilter(lines: &[u8], length: usize, step: usize) -> Vec<u8> {
    let mut above = vec![0; length];
    let mut bytes = Vec::new();
    for line in lines.chunks_exact(1 + length) {
        let mut now = line[1..].to_vec();
        for at in 0..length {
            let left = if at < step { 0 } else { now[at - step] };
            let corner = if at < step { 0 } else { above[at - step] };
            let guess = match line[0] {
                0 => 0,
                1 => left,
                2 => above[at],
                3 => u8::midpoint(left, above[at]),
                4 => paeth(left, above[at], corner),
                other => panic!("there is no filter {other}"),
            };
            now[at] = now[at].wrapping_add(guess);
        }
        bytes.extend(&now);
        above = now;
    }
    bytes
}

fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let sum = i16::from(left) + i16::from(above) - i16::from(corner);
    let distance = |one: u8| (sum - i16::from(one)).abs();
    *[left, above, corner].iter().min_by_key(|one| distance(**one)).unwrap()
}
