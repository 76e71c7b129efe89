//! Extended headers (POSIX.1-2001 pax): records `LENGTH KEY=VALUE\n` in front of a member.

use std::collections::BTreeMap;

/// The records of one extended header, the last of each key.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(BTreeMap<String, Vec<u8>>);

impl Records {
    /// Reads the content of an extended header; `None` when it is malformed.
    pub(super) fn parse(mut content: &[u8]) -> Option<Self> {
        let mut records = BTreeMap::new();
        while !content.is_empty() {
            let space = content.iter().position(|byte| *byte == b' ')?;
            // The length counts itself, the space and the line feed.
            let length: usize = std::str::from_utf8(&content[..space]).ok()?.parse().ok()?;
            let record = content.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let key = std::str::from_utf8(&record[..equals]).ok()?;
            records.insert(key.to_owned(), record[equals + 1..].to_vec());
            content = &content[length..];
        }
        Some(Records(records))
    }

    /// Takes over the records of `newer`, in place of those with the same keys.
    pub(super) fn update(&mut self, newer: Records) {
        self.0.extend(newer.0);
    }

    /// The value of `key`. An empty value means: as in the header, like no record at all.
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    /// The whole number of `key`, decimals cut off downwards; `Some(None)` when it is malformed.
    pub(super) fn number(&self, key: &str) -> Option<Option<i64>> {
        self.get(key).map(|value| {
            let text = std::str::from_utf8(value).ok()?;
            let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
            let number: i64 = whole.parse().ok()?;
            let below = whole.starts_with('-') && decimals.bytes().any(|digit| digit != b'0');
            decimals.bytes().all(|digit| digit.is_ascii_digit()).then_some(number - i64::from(below))
        })
    }

    /// Whether the member is stored as GNU's sparse format, in any version.
    pub(super) fn is_sparse(&self) -> bool {
        self.0.keys().any(|key| key.starts_with("GNU.sparse."))
    }

    /// The extended attributes, by full name; `Err` with the key of one that is malformed.
    pub(super) fn xattrs(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let mut all = BTreeMap::new();
        for (key, value) in &self.0 {
            let attribute = if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                Some((name.to_owned(), value.clone()))
            } else if let Some(name) = key.strip_prefix("LIBARCHIVE.xattr.") {
                percent_decode(name).zip(base64_decode(value))
            } else {
                continue;
            };
            all.extend([attribute.ok_or_else(|| key.clone())?]);
        }
        Ok(all)
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.extend(hex::decode(part.get(..2)?).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

/// RFC 4648 section 4; libarchive leaves the padding out.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.iter().take_while(|digit| **digit != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_may_hold_line_feeds_and_equal_signs() {
        let records = Records::parse(b"12 path=a\nb\n16 comment=x=yz\n").expect("two sound records");
        assert_eq!(records.get("path"), Some(&b"a\nb"[..]));
        assert_eq!(records.get("comment"), Some(&b"x=yz"[..]));
    }

    #[test]
    fn malformed_records_are_refused() {
        for content in
            [&b"6 a=b"[..], b"7 a=b\n", b"x a=b\n", b"5 ab\n", b"2 ", b"99999999999999999999 a=b\n"]
        {
            assert!(Records::parse(content).is_none(), "{content:?}");
        }
    }

    #[test]
    fn times_are_cut_down_to_whole_seconds() {
        let number = |text: &str| {
            let record = format!("mtime={text}\n");
            let length = record.len() + 3;
            Records::parse(format!("{length} {record}").as_bytes()).and_then(|all| all.number("mtime"))
        };
        assert_eq!(number("12345.99"), Some(Some(12345)));
        assert_eq!(number("-12345.5"), Some(Some(-12346)));
        assert_eq!(number("12345.5x"), Some(None));
    }

    #[test]
    fn both_spellings_of_xattrs_are_read() {
        let records = Records::parse(b"25 SCHILY.xattr.user.a=1\n35 LIBARCHIVE.xattr.user.b%3D=AQID\n");
        let xattrs = records.expect("two sound records").xattrs().expect("both are sound");
        assert_eq!(xattrs["user.a"], b"1");
        assert_eq!(xattrs["user.b="], [1, 2, 3]);
    }
}
