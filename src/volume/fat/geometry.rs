//! What a boot sector says of its file system, and the sectors that repeat or count it.

use std::io;

use super::{Bits, ENTRY, Fat, u16_at, u32_at};

/// Where the parts of a FAT file system lie; offsets and sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a sector.
    pub sector: u64,
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// Clusters for files and directories.
    pub clusters: u64,
    /// The sectors of all of it, in bytes.
    pub size: u64,
    /// Bytes before the first FAT.
    pub reserved: u64,
    /// Copies of the FAT.
    pub tables: u64,
    /// Bytes of one FAT.
    pub table_size: u64,
    /// Offset of the root directory of FAT12 and FAT16.
    pub root_at: u64,
    /// Bytes of that; 0 on FAT32.
    pub root_size: u64,
    /// Offset of cluster 2.
    pub data_at: u64,
    /// Whether the boot sector is laid out as FAT32's are: its 16-bit length of a FAT is 0.
    pub is_wide: bool,
}

/// The sector of FAT32 that counts free clusters (FAT specification 1.03, "FSInfo").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Whether its three signatures are there.
    pub is_signed: bool,
    /// Free clusters; all bits set where nobody knows.
    pub free: u32,
}

impl Info {
    /// Stands for a count that is not known.
    pub const UNKNOWN: u32 = u32::MAX;

    /// Where the count stands, and behind it the cluster that was taken last.
    pub(super) const COUNTS: usize = 488;

    /// Reads the sector, of 512 bytes.
    pub(super) fn decode(sector: &[u8]) -> Info {
        let is_signed =
            sector.starts_with(b"RRaA") && sector[484..488] == *b"rrAa" && sector[510..] == [0x55, 0xaa];
        Info { is_signed, free: u32_at(sector, Info::COUNTS) }
    }
}

impl Geometry {
    /// Reads a boot sector that [`super::is_fat`]; `None` when its numbers contradict each other.
    pub(super) fn decode(boot: &[u8]) -> Option<Geometry> {
        let either = |short, long| match u16_at(boot, short) {
            0 => u64::from(u32_at(boot, long)),
            sectors => u64::from(sectors),
        };
        let sector = u64::from(u16_at(boot, 11));
        let cluster_size = sector * u64::from(boot[13]);
        let reserved = u64::from(u16_at(boot, 14));
        let tables = u64::from(boot[16]);
        let (total, table) = (either(19, 32), either(22, 36));
        let root_size = u64::from(u16_at(boot, 17)) * ENTRY as u64;
        let root = reserved + tables * table;
        let data = root + root_size.div_ceil(sector);
        Some(Geometry {
            sector,
            cluster_size,
            clusters: total.checked_sub(data)? * sector / cluster_size,
            size: total * sector,
            reserved: reserved * sector,
            tables,
            table_size: table * sector,
            root_at: root * sector,
            root_size,
            data_at: data * sector,
            is_wide: u16_at(boot, 22) == 0,
        })
    }

    /// Which FAT it is: the number of clusters alone decides (FAT specification 1.03, "FAT type
    /// determination").
    pub fn bits(&self) -> Bits {
        match self.clusters {
            0..4085 => Bits::Twelve,
            4085..65525 => Bits::Sixteen,
            _ => Bits::ThirtyTwo,
        }
    }

    /// Offset of the sector that counts free clusters, where a boot sector names one.
    pub(super) fn info_at(&self, boot: &[u8]) -> Option<u64> {
        let at = u64::from(u16_at(boot, 48)) * self.sector;
        (self.bits() == Bits::ThirtyTwo && at > 0 && at < self.reserved).then_some(at)
    }

    /// Whether the boot sector is laid out for another kind of FAT than its clusters make it, so
    /// that programs disagree about what it is.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.is_wide != (self.bits() == Bits::ThirtyTwo)
    }

    /// Offset of a cluster, `None` when there are not as many.
    pub(super) fn offset(&self, cluster: u32, clusters: u32) -> Option<u64> {
        let index = cluster.checked_sub(2).filter(|index| *index < clusters)?;
        Some(self.data_at + u64::from(index) * self.cluster_size)
    }

    /// Offset of a copy of the FAT.
    pub(super) fn table_at(&self, copy: u64) -> u64 {
        self.reserved + copy * self.table_size
    }
}

impl Fat {
    /// Whether the boot sector is laid out for another kind of FAT than its clusters make it, so
    /// that programs disagree about what it is.
    pub fn is_ambiguous(&self) -> bool {
        self.geometry.is_ambiguous()
    }

    /// Where its parts lie.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The first byte at which the copies of the FAT differ, `None` when they are the same.
    ///
    /// # Errors
    /// When a copy cannot be read.
    pub fn tables_differ(&self) -> io::Result<Option<u64>> {
        for copy in 1..self.geometry.tables {
            let other = self.region.read(self.geometry.table_at(copy), self.geometry.table_size)?;
            let first = self.table.bytes();
            if other != first {
                let at = other.iter().zip(first).position(|(one, other)| one != other);
                return Ok(at.map(|at| at as u64));
            }
        }
        Ok(None)
    }

    /// Whether the boot sector of FAT32 and the copy that it points to are the same; true where
    /// there is no copy.
    ///
    /// # Errors
    /// When the copy cannot be read.
    pub fn is_boot_repeated(&self) -> io::Result<bool> {
        let copy = u64::from(u16_at(&self.boot, 50)) * self.geometry.sector;
        if self.bits != Bits::ThirtyTwo || copy == 0 || copy >= self.geometry.reserved {
            return Ok(true);
        }
        Ok(self.region.read(copy, 512)? == self.boot)
    }

    /// The sector that counts free clusters, where there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn info(&self) -> io::Result<Option<Info>> {
        let Some(at) = self.geometry.info_at(&self.boot) else { return Ok(None) };
        Ok(Some(Info::decode(&self.region.read(at, 512)?)))
    }

    /// Whether it was unmounted: Linux marks the boot sector, others the second entry of the FAT.
    pub fn is_clean(&self) -> bool {
        let (flags, shutdown) = match self.bits {
            Bits::Twelve => return true,
            _ if self.table.bytes().len() < 8 => return false,
            Bits::Sixteen => (37, 0x8000),
            Bits::ThirtyTwo => (65, 0x0800_0000),
        };
        self.boot[flags] & 1 == 0 && self.next(1) & shutdown != 0
    }
}
