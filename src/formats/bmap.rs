//! Block maps, version 2.0: which blocks of an image hold something, and their digests.
//!
//! ```text
//! <bmap version="2.0">
//!     <ImageSize> 1048576 </ImageSize>            bytes
//!     <BlockSize> 4096 </BlockSize>
//!     <BlocksCount> 256 </BlocksCount>            the last may be cut off by the end of the image
//!     <MappedBlocksCount> 3 </MappedBlocksCount>
//!     <ChecksumType> sha256 </ChecksumType>
//!     <BmapFileChecksum> 64 digits </BmapFileChecksum>   of this file with 64 zeros in this place
//!     <BlockMap>
//!         <Range chksum="64 digits"> 0-1 </Range>        first and last block, both included
//!         <Range chksum="64 digits"> 5 </Range>
//!     </BlockMap>
//! </bmap>
//! ```
//!
//! Source: BmapCreate.py and BmapCopy.py of bmap-tools 3.6; the format has no other description.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use super::blocks::{BLOCK, Blocks};
use super::xml::{Attributes, Token, Tokens, XmlError};
use super::{FormatError, Out, Raw, sha256};
use crate::digest::{DigestError, Sha256};

/// The version that is written and read.
const VERSION: &str = "2.0";
/// Stands for the digest of the file while that is computed.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The longest file that is read, in bytes: a million ranges have less.
const LONGEST: u64 = 128 << 20;

/// A block map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMap {
    /// Size of the image, and its ranges.
    pub blocks: Blocks,
    /// What each range holds, in the same order.
    pub digests: Vec<Sha256>,
}

/// Why a text is not a block map to rely on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BmapError {
    /// It is no XML of the kind.
    #[error("it is not a block map: {0}")]
    Xml(#[from] XmlError),
    /// Another version of the format.
    #[error("it is a block map of version `{0}`, and only {VERSION} is known")]
    Version(String),
    /// A field is missing.
    #[error("it has no <{0}>")]
    Missing(&'static str),
    /// A field stands twice.
    #[error("it has <{0}> twice")]
    Twice(&'static str),
    /// A field makes no sense.
    #[error("its <{field}> is `{text}`")]
    Field {
        /// The element.
        field: &'static str,
        /// What stands in it.
        text: String,
    },
    /// A range makes no sense, or not after the one before it.
    #[error("its range `{0}` is outside of the image, empty, or not behind the one before it")]
    Range(String),
    /// A digest is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The counts do not belong to the ranges.
    #[error("its <{field}> is {said}, but it is {found}")]
    Count {
        /// The element.
        field: &'static str,
        /// What it says.
        said: u64,
        /// What was counted.
        found: u64,
    },
    /// The text was changed since it was written.
    #[error("its digest is {found}, and not {said} as it says; it was changed or cut off")]
    Changed {
        /// What it says.
        said: Sha256,
        /// What it is.
        found: Sha256,
    },
}

impl BlockMap {
    /// Reads a block map from a file.
    ///
    /// # Errors
    /// When the file cannot be read, is longer than any block map, or is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
        Self::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Reads a block map, which anybody may have written.
    ///
    /// # Errors
    /// When it is none, contradicts itself, or does not have the digest that it names.
    pub fn parse(text: &str) -> Result<Self, BmapError> {
        let fields = Fields::read(&mut Tokens::new(text))?;
        fields.check_digest(text)?;
        fields.resolve()
    }
}

/// Writes the block map of an image.
pub(super) fn write(raw: &Raw, out: &mut Out, progress: &dyn Fn(u64)) -> Result<(), FormatError> {
    let blocks = raw.blocks().clone();
    let digest = |range: &Range<u64>| {
        let mut hash = sha2::Sha256::default();
        sha256::update(&mut hash, raw, range.clone(), progress)?;
        Ok(Sha256::finish(hash))
    };
    let digests = blocks.ranges.iter().map(digest).collect::<Result<_, FormatError>>()?;
    out.put(BlockMap { blocks, digests }.to_string().as_bytes())
}

const SIZE: &str = "ImageSize";
const BLOCK_SIZE: &str = "BlockSize";
const COUNT: &str = "BlocksCount";
const MAPPED: &str = "MappedBlocksCount";
const KIND: &str = "ChecksumType";
const DIGEST: &str = "BmapFileChecksum";
const MAP: &str = "BlockMap";

/// The elements, in the order in which they are written.
const FIELDS: [&str; 6] = [SIZE, BLOCK_SIZE, COUNT, MAPPED, KIND, DIGEST];

/// A block map as it is spelled.
#[derive(Default)]
struct Fields<'a> {
    texts: [Option<&'a str>; FIELDS.len()],
    /// Text and digest of each.
    ranges: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn read(tokens: &mut Tokens<'a>) -> Result<Self, BmapError> {
        let attributes = match tokens.next()? {
            Some(Token::Open { name: "bmap", attributes }) => attributes,
            _ => return Err(tokens.error("is not <bmap>").into()),
        };
        let version = attributes.get("version").unwrap_or_default();
        if version != VERSION {
            return Err(BmapError::Version(version.to_owned()));
        }
        let mut fields = Fields::default();
        loop {
            match tokens.next()? {
                Some(Token::Open { name: MAP, .. }) => fields.read_ranges(tokens)?,
                Some(Token::Open { name, .. }) => fields.read_field(name, tokens)?,
                Some(Token::Close("bmap")) => return Ok(fields),
                _ => return Err(tokens.error("ends inside of <bmap>, or has text there").into()),
            }
        }
    }

    fn read_field(&mut self, name: &str, tokens: &mut Tokens<'a>) -> Result<(), BmapError> {
        let place = FIELDS.iter().position(|field| *field == name);
        let place = place.ok_or_else(|| tokens.error("has an element that is unknown"))?;
        let text = text_of(name, tokens)?;
        match self.texts[place].replace(text) {
            None => Ok(()),
            Some(_) => Err(BmapError::Twice(FIELDS[place])),
        }
    }

    fn read_ranges(&mut self, tokens: &mut Tokens<'a>) -> Result<(), BmapError> {
        loop {
            match tokens.next()? {
                Some(Token::Open { name: "Range", attributes }) => {
                    let digest = digest_of(attributes, tokens)?;
                    self.ranges.push((text_of("Range", tokens)?, digest));
                }
                Some(Token::Close(MAP)) => return Ok(()),
                _ => return Err(tokens.error("has something else than ranges in <BlockMap>").into()),
            }
        }
    }

    fn text(&self, field: &'static str) -> Result<&'a str, BmapError> {
        let place = FIELDS.iter().position(|known| *known == field);
        place.and_then(|place| self.texts[place]).ok_or(BmapError::Missing(field))
    }

    fn number(&self, field: &'static str) -> Result<u64, BmapError> {
        let text = self.text(field)?;
        text.parse().map_err(|_| BmapError::Field { field, text: text.to_owned() })
    }

    /// Takes the digest of the text as it was before the digest stood in it.
    fn check_digest(&self, text: &str) -> Result<(), BmapError> {
        let spelled = self.text(DIGEST)?;
        let said: Sha256 = spelled.parse()?;
        let found = Sha256::of(text.replacen(spelled, NO_DIGEST, 1).as_bytes());
        if found == said { Ok(()) } else { Err(BmapError::Changed { said, found }) }
    }

    fn resolve(&self) -> Result<BlockMap, BmapError> {
        let known = |field, known: &str| match self.text(field)? {
            text if text == known => Ok(()),
            text => Err(BmapError::Field { field, text: text.to_owned() }),
        };
        known(KIND, "sha256")?;
        known(BLOCK_SIZE, &BLOCK.to_string())?;
        let size = self.number(SIZE)?;
        let mut map = BlockMap { blocks: Blocks { size, ranges: Vec::new() }, digests: Vec::new() };
        for (text, digest) in &self.ranges {
            let end = map.blocks.ranges.last().map_or(0, |range| range.end);
            let range = range_of(text, end, size).ok_or_else(|| BmapError::Range((*text).to_owned()))?;
            map.blocks.ranges.push(range);
            map.digests.push(digest.parse()?);
        }
        for (field, found) in [(COUNT, size.div_ceil(BLOCK)), (MAPPED, map.blocks.mapped().div_ceil(BLOCK))] {
            let said = self.number(field)?;
            if said != found {
                return Err(BmapError::Count { field, said, found });
            }
        }
        Ok(map)
    }
}

/// The text of an element that has been opened, up to its end.
fn text_of<'a>(name: &str, tokens: &mut Tokens<'a>) -> Result<&'a str, BmapError> {
    match (tokens.next()?, tokens.next()?) {
        (Some(Token::Text(text)), Some(Token::Close(closed))) if closed == name => Ok(text),
        _ => Err(tokens.error("has an element that is not just text").into()),
    }
}

fn digest_of<'a>(attributes: Attributes<'a>, tokens: &Tokens<'_>) -> Result<&'a str, BmapError> {
    attributes.get("chksum").ok_or_else(|| tokens.error("has a range without a digest").into())
}

/// The bytes of the blocks `first-last`, or of the one block `first`, where they may follow `after`.
fn range_of(text: &str, after: u64, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let [first, last]: [u64; 2] = [first.trim().parse().ok()?, last.trim().parse().ok()?];
    let start = first.checked_mul(BLOCK)?;
    let end = last.checked_add(1)?.checked_mul(BLOCK)?;
    let is_sound = after <= start && start < end && start < size && end - BLOCK < size;
    is_sound.then(|| start..end.min(size))
}

impl fmt::Display for BlockMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.spell(NO_DIGEST);
        f.write_str(&self.spell(&Sha256::of(text.as_bytes()).to_string()))
    }
}

impl BlockMap {
    fn spell(&self, digest: &str) -> String {
        let Blocks { size, ranges } = &self.blocks;
        let (count, mapped) = (size.div_ceil(BLOCK), self.blocks.mapped().div_ceil(BLOCK));
        let values = [size, &BLOCK, &count, &mapped].map(u64::to_string);
        let texts = values.iter().map(String::as_str).chain(["sha256", digest]);
        let mut text = format!("<?xml version=\"1.0\" ?>\n<bmap version=\"{VERSION}\">\n");
        for (field, value) in FIELDS.iter().zip(texts) {
            text += &format!("    <{field}> {value} </{field}>\n");
        }
        text += "    <BlockMap>\n";
        for (range, digest) in ranges.iter().zip(&self.digests) {
            let (first, last) = (range.start / BLOCK, (range.end - 1) / BLOCK);
            let blocks = if first == last { first.to_string() } else { format!("{first}-{last}") };
            text += &format!("        <Range chksum=\"{digest}\"> {blocks} </Range>\n");
        }
        text + "    </BlockMap>\n</bmap>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Maps of up to 20 ranges, the last of which may end within a block.
    fn maps() -> impl Strategy<Value = BlockMap> {
        let steps = prop::collection::vec((1..5_u64, 1..5_u64), 0..20);
        (steps, 0..3 * BLOCK).prop_map(|(steps, rest)| {
            let (mut at, mut ranges) = (0, Vec::new());
            for (hole, data) in steps {
                ranges.push((at + hole) * BLOCK..(at + hole + data) * BLOCK);
                at += hole + data;
            }
            let digests = ranges.iter().map(|range| Sha256::of(&range.start.to_le_bytes())).collect();
            BlockMap { blocks: Blocks { size: at * BLOCK + rest, ranges }, digests }
        })
    }

    fn sample() -> BlockMap {
        let blocks = Blocks { size: 5 * BLOCK + 10, ranges: vec![0..BLOCK, 4 * BLOCK..5 * BLOCK + 10] };
        BlockMap { blocks, digests: vec![Sha256::of(b"a"), Sha256::of(b"b")] }
    }

    /// The map with one text in place of another, and a digest that fits.
    fn changed(from: &str, to: &str) -> Result<BlockMap, BmapError> {
        let text = sample().spell(NO_DIGEST);
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        let digest = Sha256::of(text.as_bytes()).to_string();
        BlockMap::parse(&text.replacen(NO_DIGEST, &digest, 1))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(map in maps()) {
            prop_assert_eq!(BlockMap::parse(&map.to_string()), Ok(map));
        }

        #[test]
        fn no_text_does_harm(text in "[<>/!?&=\"'a-z0-9 -]{0,80}") {
            let _ = BlockMap::parse(&text);
            let _ = BlockMap::parse(&format!("<bmap version=\"2.0\">{text}"));
        }

        #[test]
        fn a_changed_byte_is_noticed(at in 0..1000_usize, byte in b' '..=b'~') {
            let mut text = sample().to_string().into_bytes();
            let at = at % text.len();
            let is_same = std::mem::replace(&mut text[at], byte).eq_ignore_ascii_case(&byte);
            let parsed = BlockMap::parse(&String::from_utf8(text).unwrap());
            prop_assert!(is_same || parsed.is_err());
        }
    }

    #[test]
    fn a_range_ends_with_the_image() {
        assert_eq!(changed("> 4-5 <", "> 4 - 5 <"), Ok(sample()));
        for wrong in ["4-6", "5-4", "0-5", "6", "-1", "4-", "x", "4503599627370496", "18446744073709551615"] {
            let error = changed("> 4-5 <", &format!("> {wrong} <")).unwrap_err();
            assert_eq!(error, BmapError::Range(wrong.to_owned()));
        }
    }

    #[test]
    fn a_map_that_contradicts_itself_is_refused() {
        let count = |field, said, found| BmapError::Count { field, said, found };
        assert_eq!(changed("> 6 <", "> 7 <").unwrap_err(), count(COUNT, 7, 6));
        assert_eq!(changed("> 3 <", "> 4 <").unwrap_err(), count(MAPPED, 4, 3));
        assert_eq!(changed("\"2.0\"", "\"1.3\"").unwrap_err(), BmapError::Version("1.3".to_owned()));
        let field = |field, text: &str| BmapError::Field { field, text: text.to_owned() };
        assert_eq!(changed("> sha256 <", "> sha1 <").unwrap_err(), field(KIND, "sha1"));
        assert_eq!(changed("> 4096 <", "> 0 <").unwrap_err(), field(BLOCK_SIZE, "0"));
        let size = "<ImageSize> 20490 </ImageSize>";
        assert_eq!(changed(size, "").unwrap_err(), BmapError::Missing(SIZE));
        assert_eq!(changed(size, &size.repeat(2)).unwrap_err(), BmapError::Twice(SIZE));
    }
}
