//! How large the parts of a FAT file system are, and the sectors that say so.

use super::{FatError, Kind, Options};
use crate::units::{Bytes, MIB, SECTOR, Sectors};

/// Marks the last cluster of a chain; a FAT16 keeps the lower half.
pub(super) const END: u32 = 0x0fff_ffff;
/// What a fixed disk is called in the boot sector and in the first entry of the table.
pub(super) const MEDIA: u8 = 0xf8;

/// Sectors of the boot area of FAT32: what every formatter reserves, and room to align.
const RESERVED_32: u64 = 32;
const INFO_SECTOR: u64 = 1;
const BACKUP_BOOT_SECTOR: u64 = 6;
const TABLES: u64 = 2;
const DIR_ENTRY: u64 = 32;
/// The root directory of FAT16 has at least this many entries.
const ROOT_ENTRIES_16: u64 = 512;

/// Cluster counts decide which FAT it is, and drivers disagree by a few at the limits: the
/// specification advises a distance of 16.
const CLUSTERS_32: std::ops::RangeInclusive<u64> = 65_525 + 16..=0x0fff_fff5 - 16;
const CLUSTERS_16: std::ops::RangeInclusive<u64> = 4_085 + 16..=65_524 - 16;

/// Most sectors per cluster up to a size in sectors; the specification's table for FAT32.
const LARGEST_CLUSTER: [(u64, u64); 4] =
    [(16_777_216, 8), (33_554_432, 16), (67_108_864, 32), (u64::MAX, 64)];

/// Sizes of the parts, in sectors where not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    wide: bool,
    sectors: u64,
    reserved: u64,
    table: u64,
    /// Entries of the root directory before the data; 0 on FAT32.
    root_entries: u64,
    per_cluster: u64,
    clusters: u64,
}

impl Kind {
    /// The smallest size in whole mebibytes.
    pub(super) const fn least(self) -> Bytes {
        match self {
            Kind::Fat32 => Bytes::mib(33),
            Kind::Auto => Bytes::mib(3),
        }
    }

    /// The largest size in whole mebibytes: 32 bits of sectors.
    const fn most() -> Bytes {
        Bytes(u32::MAX as u64 * SECTOR / MIB * MIB)
    }
}

impl Geometry {
    /// The largest clusters that make a legal FAT of this size, FAT32 before FAT16.
    pub(super) fn new(size: Bytes, kind: Kind, root_entries: u64) -> Result<Self, FatError> {
        let sectors = size.0 / SECTOR;
        let widths: &[bool] = if kind == Kind::Fat32 { &[true] } else { &[true, false] };
        let largest =
            LARGEST_CLUSTER.iter().find(|(limit, _)| sectors <= *limit).map_or(64, |(_, most)| *most);
        let clusters = std::iter::successors(Some(largest), |per| (*per > 1).then_some(per / 2));
        widths
            .iter()
            .flat_map(|wide| clusters.clone().map(|per_cluster| (*wide, per_cluster)))
            .filter(|_| size <= Kind::most())
            .find_map(|(wide, per_cluster)| Self::fit(sectors, wide, per_cluster, root_entries))
            .ok_or(FatError::Size { size, least: kind.least(), most: Kind::most() })
    }

    fn fit(sectors: u64, wide: bool, per_cluster: u64, root_entries: u64) -> Option<Self> {
        let root_entries = if wide { 0 } else { root_entries.max(ROOT_ENTRIES_16).next_multiple_of(16) };
        let clusters = sectors / per_cluster;
        let mut geometry =
            Geometry { wide, sectors, reserved: 0, table: 0, root_entries, per_cluster, clusters };
        // The table takes from the data, which needs less of a table then: from too much to nearly
        // enough, and from there in single steps.
        for _ in 0..3 {
            geometry.set_table(geometry.table_needed())?;
        }
        while geometry.table_needed() > geometry.table {
            geometry.set_table(geometry.table + 1)?;
        }
        let legal = if wide { CLUSTERS_32 } else { CLUSTERS_16 };
        legal.contains(&geometry.clusters).then_some(geometry)
    }

    /// Sets the length of one table, and what follows from it. The data starts on 4 KiB, and on a
    /// whole cluster where that is larger.
    fn set_table(&mut self, table: u64) -> Option<()> {
        let align = self.per_cluster.max(super::ALIGNMENT / SECTOR);
        let least = if self.wide { RESERVED_32 } else { 1 };
        let after = TABLES * table + self.root_entries * DIR_ENTRY / SECTOR;
        let data = (least + after).next_multiple_of(align);
        self.table = table;
        self.reserved = data - after;
        self.clusters = self.sectors.checked_sub(data)? / self.per_cluster;
        Some(())
    }

    fn table_needed(&self) -> u64 {
        ((self.clusters + 2) * self.entry_width() as u64).div_ceil(SECTOR)
    }

    pub(super) fn size(&self) -> Bytes {
        Sectors(self.sectors).bytes()
    }

    /// Clusters for files and directories.
    pub(super) fn clusters(&self) -> u64 {
        self.clusters
    }

    /// Bytes in one cluster.
    pub(super) fn cluster_size(&self) -> u64 {
        self.per_cluster * SECTOR
    }

    /// Bytes of one entry of the table.
    pub(super) fn entry_width(&self) -> usize {
        if self.wide { 4 } else { 2 }
    }

    /// Whether the root directory has its own place before the data.
    pub(super) fn is_root_fixed(&self) -> bool {
        !self.wide
    }

    pub(super) fn root_offset(&self) -> u64 {
        (self.reserved + TABLES * self.table) * SECTOR
    }

    /// Offset of a cluster; cluster 2 is the first of the data.
    pub(super) fn offset(&self, cluster: u32) -> u64 {
        let data = self.root_offset() + self.root_entries * DIR_ENTRY;
        data + u64::from(cluster).saturating_sub(2) * self.cluster_size()
    }

    pub(super) fn table_offsets(&self) -> impl Iterator<Item = u64> {
        let (reserved, table) = (self.reserved, self.table);
        (0..TABLES).map(move |n| (reserved + n * table) * SECTOR)
    }

    /// Where the boot sector and its copies stand.
    pub(super) fn boot_sectors(&self) -> &'static [u64] {
        if self.wide { &[0, BACKUP_BOOT_SECTOR] } else { &[0] }
    }

    /// The boot sector: jump, BIOS parameter block, signature.
    pub(super) fn boot_sector(&self, options: &Options, label: Option<[u8; 11]>) -> [u8; 512] {
        let small = u16::try_from(self.sectors).ok().filter(|_| !self.wide).unwrap_or(0);
        let large = if small == 0 { self.sectors as u32 } else { 0 };
        let hidden = u32::try_from(options.hidden_sectors.0).unwrap_or(0); // 0: not known
        let mut sector = [0; 512];
        let mut set = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, if self.wide { &[0xeb, 0x58, 0x90] } else { &[0xeb, 0x3c, 0x90] });
        set(3, b"MSWIN4.1"); // the name that the specification recommends for compatibility
        set(11, &(SECTOR as u16).to_le_bytes());
        set(13, &[self.per_cluster as u8]);
        set(14, &(self.reserved as u16).to_le_bytes());
        set(16, &[TABLES as u8]);
        set(17, &(self.root_entries as u16).to_le_bytes());
        set(19, &small.to_le_bytes());
        set(21, &[MEDIA]);
        set(24, &63_u16.to_le_bytes()); // sectors per track and heads: the usual fiction
        set(26, &255_u16.to_le_bytes());
        set(28, &hidden.to_le_bytes());
        set(32, &large.to_le_bytes());
        let extended = if self.wide {
            set(36, &(self.table as u32).to_le_bytes());
            set(44, &2_u32.to_le_bytes()); // first cluster of the root directory
            set(48, &(INFO_SECTOR as u16).to_le_bytes());
            set(50, &(BACKUP_BOOT_SECTOR as u16).to_le_bytes());
            64
        } else {
            set(22, &(self.table as u16).to_le_bytes());
            36
        };
        set(extended, &[0x80, 0, 0x29]); // a hard disk; serial, label and kind follow
        set(extended + 3, &options.serial.to_le_bytes());
        set(extended + 7, &label.unwrap_or(*b"NO NAME    "));
        set(extended + 18, if self.wide { b"FAT32   " } else { b"FAT16   " });
        set(510, &[0x55, 0xaa]);
        sector
    }

    /// The FSInfo sector, which FAT16 does not have.
    pub(super) fn info_sector(&self, used: u32, last: u32) -> Option<[u8; 512]> {
        if !self.wide {
            return None;
        }
        let mut sector = [0; 512];
        let mut set = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, b"RRaA");
        set(484, b"rrAa");
        set(488, &(self.clusters as u32 - used).to_le_bytes());
        set(492, &last.to_le_bytes()); // search for free clusters from here on
        set(508, &[0, 0, 0x55, 0xaa]);
        Some(sector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(size: Bytes, kind: Kind) -> Geometry {
        Geometry::new(size, kind, 1).unwrap()
    }

    #[test]
    fn clusters_are_as_large_as_a_legal_fat32_allows() {
        for (mib, expected) in
            [(33, 1), (64, 1), (128, 2), (256, 4), (260, 8), (512, 8), (8192, 8), (8193, 16)]
        {
            let found = geometry(Bytes::mib(mib), Kind::Fat32);
            assert!(found.wide);
            assert_eq!(found.per_cluster, expected, "{mib} MiB");
        }
    }

    #[test]
    fn a_fat16_is_made_only_where_a_fat32_is_not_legal() {
        assert!(!geometry(Bytes::mib(32), Kind::Auto).wide);
        assert!(geometry(Bytes::mib(33), Kind::Auto).wide);
    }

    #[test]
    fn the_smallest_sizes_are_the_smallest() {
        for kind in [Kind::Fat32, Kind::Auto] {
            geometry(kind.least(), kind);
            let below = kind.least() - Bytes(MIB);
            assert!(matches!(Geometry::new(below, kind, 1), Err(FatError::Size { .. })));
        }
        assert!(Geometry::new(Bytes(u64::MAX), Kind::Auto, 1).is_err());
    }

    #[test]
    fn the_parts_fill_the_volume_and_the_table_covers_the_clusters() {
        for mib in (3..2000).step_by(7).chain([4096, 20_000, 100_000]) {
            let found = geometry(Bytes::mib(mib), Kind::Auto);
            let data = found.offset(2) / SECTOR;
            assert_eq!(data % 8, 0);
            assert!(data + found.clusters * found.per_cluster <= found.sectors);
            assert!(data + (found.clusters + 1) * found.per_cluster > found.sectors);
            let excess = found.table - found.table_needed();
            assert!(excess <= 8, "{mib} MiB: {excess} sectors too many");
        }
    }
}
