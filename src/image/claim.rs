//! What a partition table says of the disk that it is on, by the first sectors alone.

use super::mbr;
use crate::units::{Bytes, SECTOR};

/// Where a GPT's header tells the sector of the other one (UEFI 2.10, table 5.5).
pub(crate) const SECOND_HEADER: usize = 32;

/// Where the table says that the disk ends, at least: behind the second header of a GPT, or behind the last
/// partition.
pub fn end(head: &[u8]) -> Option<u64> {
    if let Some(sector) = sectors(head) {
        let header = head.get(sector as usize..)?;
        let second = u64::from_le_bytes(header.get(SECOND_HEADER..SECOND_HEADER + 8)?.try_into().ok()?);
        return second.checked_add(1)?.checked_mul(sector);
    }
    let table = mbr::decode(head.get(..512)?, Bytes(u64::MAX)).ok()?;
    table.entries.iter().map(|entry| (entry.start + entry.length).bytes().0).max()
}

/// Bytes in the sectors that a GPT is made for: its header is in the second one (UEFI 2.10, 5.3.2).
pub fn sectors(head: &[u8]) -> Option<u64> {
    [SECTOR, 4096]
        .into_iter()
        .find(|size| head.get(*size as usize..).is_some_and(|rest| rest.starts_with(b"EFI PART")))
}
