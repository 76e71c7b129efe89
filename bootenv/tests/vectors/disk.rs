//! Lines that make bytes.

/// Bytes that are made and damaged by lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    /// Does what a line says, if it is one that changes bytes.
    pub(crate) fn obey(&mut self, line: &str) -> bool {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        match (verb, &words[..]) {
            ("put", [at, bytes @ ..]) => {
                for (at, byte) in (hex(at)..).zip(bytes) {
                    self.0[at] = hex(byte).try_into().unwrap();
                }
            }
            ("fill", [at, length, byte]) => {
                self.0[hex(at)..][..hex(length)].fill(hex(byte).try_into().unwrap());
            }
            ("sectors", [number]) => self.0.resize(number.parse::<usize>().unwrap() * 512, 0),
            _ => return false,
        }
        true
    }
}

fn hex(text: &str) -> usize {
    usize::from_str_radix(text, 16).unwrap_or_else(|_| panic!("`{text}` is not in base 16"))
}

/// Lines that are no comments.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}
