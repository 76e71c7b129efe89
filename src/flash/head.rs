//! The partition table in the first MiB of an image, whose rest is elsewhere.

use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom};

use crate::image::layout::PartitionTable;
use crate::image::{gpt, mbr};
use crate::units::Bytes;

/// The table of an image; none when it has none that is sound.
pub(super) fn table(head: &[u8]) -> Option<PartitionTable> {
    let first = head.get(..512)?;
    match mbr::decode(first, Bytes(u64::MAX)) {
        Ok(table) => Some(table),
        Err(_) => gpt::decode(&mut Endless(Cursor::new(head))).ok().map(|decoded| decoded.table),
    }
}

/// A head that goes on as zeros, so that addresses behind it are not beyond the end.
struct Endless<'a>(Cursor<&'a [u8]>);

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => {
                buffer.fill(0);
                Ok(buffer.len())
            }
            count => Ok(count),
        }
    }
}

impl Seek for Endless<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Start(at) => self.0.set_position(at),
            SeekFrom::End(0) => self.0.set_position(i64::MAX as u64),
            _ => return Err(ErrorKind::Unsupported.into()),
        }
        Ok(self.0.position())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::layout::{self, Layout, Partition, Role, Scheme};
    use crate::units::MIB;

    #[test]
    fn tables_of_both_schemes_are_read_from_the_head_alone() {
        for (scheme, kind) in
            [(Scheme::Gpt, layout::PartitionType::Esp), (Scheme::Mbr, layout::PartitionType::Fat)]
        {
            let partition = Partition {
                role: Role::Selector,
                name: "esp".to_owned(),
                size: Bytes::mib(64),
                kind,
                id: uuid::Uuid::from_u128(2),
            };
            let layout =
                Layout { scheme, id: uuid::Uuid::from_u128(1), disk: None, partitions: vec![partition] };
            let placed = layout::place(&layout).unwrap();
            let mut head = vec![0; MIB as usize];
            placed.encode().read_at(0, &mut head).unwrap();
            let found = table(&head).unwrap();
            let (found, placed) = (&found.entries[0], &placed.entries[0]);
            assert_eq!((found.start, found.length, found.kind), (placed.start, placed.length, placed.kind));
            assert_eq!(crate::track::role(&table(&head).unwrap(), found), Some(Role::Selector));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_head_makes_it_panic(changes in proptest::collection::vec((0..2048_usize, proptest::num::u8::ANY), 0..40)) {
            let mut head = vec![0; 4096];
            head[512..520].copy_from_slice(b"EFI PART");
            head[510..512].copy_from_slice(&[0x55, 0xaa]);
            for (at, byte) in changes {
                head[at] = byte;
            }
            let _ = table(&head);
            let _ = table(&head[..600]);
        }
    }
}
