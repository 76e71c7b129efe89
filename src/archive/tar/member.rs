//! One member, from its header and what stood in front of that.

use super::header::{Field, Header};
use super::pax::Records;
use super::{Kind, TarError, damaged};
use crate::tree::{Meta, TreePath};

/// A member with its names settled.
pub(super) struct Member<'a> {
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub header: &'a Header<'a>,
    pub records: &'a Records,
}

impl Member<'_> {
    pub(super) fn kind(&self, offset: u64) -> Result<Kind, TarError> {
        if self.records.is_sparse() {
            return Err(self.unsupported("a sparse file"));
        }
        match self.header.kind() {
            // Before ustar, a directory was a file whose name ends in a slash.
            b'0' | b'7' | 0 if self.name.ends_with(b"/") => Ok(Kind::Dir),
            b'0' | b'7' | 0 => Ok(Kind::File { offset, size: self.size()? }),
            // Star writes sizes of hard links with no content behind, others with it.
            b'1' if self.size()? > 0 => Err(self.unsupported("a hard link with content")),
            b'1' => Ok(Kind::HardLink(TreePath::parse(&self.link)?)),
            b'2' => self.target().map(Kind::Symlink),
            b'3' => Ok(Kind::CharDevice { major: self.id(Field::Major)?, minor: self.id(Field::Minor)? }),
            b'4' => Ok(Kind::BlockDevice { major: self.id(Field::Major)?, minor: self.id(Field::Minor)? }),
            b'5' => Ok(Kind::Dir),
            b'6' => Ok(Kind::Fifo),
            b'S' => Err(self.unsupported("a sparse file")),
            other => Err(self.unsupported(&format!("of type `{}`", other.escape_ascii()))),
        }
    }

    pub(super) fn meta(&self) -> Result<Meta, TarError> {
        let xattrs =
            self.records.xattrs().map_err(|key| damaged(&self.name, &format!("attribute `{key}`")))?;
        Ok(Meta {
            mode: (self.number(Field::Mode)? & 0o7777) as u16,
            uid: self.id(Field::Uid)?,
            gid: self.id(Field::Gid)?,
            mtime: Some(self.number(Field::Mtime)?),
            xattrs,
        })
    }

    fn size(&self) -> Result<u64, TarError> {
        u64::try_from(self.number(Field::Size)?).map_err(|_| damaged(&self.name, "size"))
    }

    /// A number that must fit 32 bits.
    fn id(&self, field: Field) -> Result<u32, TarError> {
        u32::try_from(self.number(field)?).map_err(|_| damaged(&self.name, field.name()))
    }

    fn number(&self, field: Field) -> Result<i64, TarError> {
        let record = match field {
            Field::Uid => self.records.number("uid"),
            Field::Gid => self.records.number("gid"),
            Field::Size => self.records.number("size"),
            Field::Mtime => self.records.number("mtime"),
            Field::Mode | Field::Major | Field::Minor => None,
        };
        let number = record.unwrap_or_else(|| self.header.number(field));
        number.ok_or_else(|| damaged(&self.name, field.name()))
    }

    /// A symbolic link's target: any text that Linux takes.
    fn target(&self) -> Result<String, TarError> {
        let sound = !self.link.is_empty() && self.link.len() < 4096 && !self.link.contains(&0);
        let text = std::str::from_utf8(&self.link).ok().filter(|_| sound);
        text.map(str::to_owned).ok_or_else(|| damaged(&self.name, "link target"))
    }

    fn unsupported(&self, what: &str) -> TarError {
        TarError::Unsupported { member: self.name.escape_ascii().to_string(), what: what.to_owned() }
    }
}
