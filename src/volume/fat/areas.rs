//! Which structure of a FAT file system a byte belongs to.

use super::geometry::Geometry;
use super::{Bits, ENTRY, Fat, LARGEST_DIRECTORY, Node, short_name, u16_at};
use crate::volume::{Field, Run, Show, Spot};

/// What a boot sector of FAT12 and FAT16 says.
pub const BOOT_FIELDS: &[Field] = &[
    Field::new("jump", 0, 3, Show::Hex),
    Field::new("maker", 3, 8, Show::Text),
    Field::new("bytes of a sector", 11, 2, Show::Number),
    Field::new("sectors of a cluster", 13, 1, Show::Number),
    Field::new("reserved sectors", 14, 2, Show::Number),
    Field::new("copies of the FAT", 16, 1, Show::Number),
    Field::new("entries of the root", 17, 2, Show::Number),
    Field::new("sectors", 19, 2, Show::Number),
    Field::new("media", 21, 1, Show::Hex),
    Field::new("sectors of a FAT", 22, 2, Show::Number),
    Field::new("sectors of a track", 24, 2, Show::Number),
    Field::new("heads", 26, 2, Show::Number),
    Field::new("hidden sectors", 28, 4, Show::Number),
    Field::new("sectors, where they are many", 32, 4, Show::Number),
    Field::new("drive", 36, 1, Show::Hex),
    Field::new("flags", 37, 1, Show::Hex),
    Field::new("signature", 38, 1, Show::Hex),
    Field::new("serial", 39, 4, Show::Serial),
    Field::new("label", 43, 11, Show::Text),
    Field::new("name of the format", 54, 8, Show::Text),
    Field::new("boot code", 62, 448, Show::Bytes),
    Field::new("mark", 510, 2, Show::Hex),
];

/// What a boot sector of FAT32 says.
pub const BOOT_FIELDS_32: &[Field] = &[
    BOOT_FIELDS[0],
    BOOT_FIELDS[1],
    BOOT_FIELDS[2],
    BOOT_FIELDS[3],
    BOOT_FIELDS[4],
    BOOT_FIELDS[5],
    BOOT_FIELDS[6],
    BOOT_FIELDS[7],
    BOOT_FIELDS[8],
    BOOT_FIELDS[9],
    BOOT_FIELDS[10],
    BOOT_FIELDS[11],
    BOOT_FIELDS[12],
    BOOT_FIELDS[13],
    Field::new("sectors of a FAT, where they are many", 36, 4, Show::Number),
    Field::new("flags of the copies", 40, 2, Show::Hex),
    Field::new("version", 42, 2, Show::Hex),
    Field::new("cluster of the root", 44, 4, Show::Number),
    Field::new("sector of counts", 48, 2, Show::Number),
    Field::new("copy of this sector", 50, 2, Show::Number),
    Field::new("drive", 64, 1, Show::Hex),
    Field::new("flags", 65, 1, Show::Hex),
    Field::new("signature", 66, 1, Show::Hex),
    Field::new("serial", 67, 4, Show::Serial),
    Field::new("label", 71, 11, Show::Text),
    Field::new("name of the format", 82, 8, Show::Text),
    Field::new("boot code", 90, 420, Show::Bytes),
    Field::new("mark", 510, 2, Show::Hex),
];

/// What an entry of a directory says; the last one stands for its end.
const ENTRY_FIELDS: [(usize, &str); 10] = [
    (0, "name"),
    (11, "attributes"),
    (12, "case of the name"),
    (13, "creation time"),
    (18, "access date"),
    (20, "first cluster"),
    (22, "mtime"),
    (26, "first cluster"),
    (28, "size"),
    (32, ""),
];

/// Everything that is known of where bytes belong.
#[derive(Debug)]
pub struct Areas<'a> {
    fat: &'a Fat,
    nodes: &'a [Node],
    /// Clusters that follow each other, as bytes of the file system, with the node that they belong to;
    /// sorted by their starts.
    runs: Vec<(Run, usize)>,
}

impl<'a> Areas<'a> {
    /// Notes where all of `nodes` are. Of broken chains nothing is noted.
    pub fn new(fat: &'a Fat, nodes: &'a [Node]) -> Self {
        let mut runs = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let most = if node.is_dir { LARGEST_DIRECTORY as u64 } else { node.size.into() };
            let found = fat.runs(node.first, most, &node.path).unwrap_or_default();
            runs.extend(found.into_iter().map(|run| (run, index)));
        }
        runs.sort_by_key(|(run, _)| run.from);
        Areas { fat, nodes, runs }
    }

    /// What the byte at `at` belongs to.
    pub fn spot(&self, at: u64) -> Spot {
        let geometry = self.fat.geometry();
        let tables = geometry.reserved + geometry.tables * geometry.table_size;
        match at {
            _ if at < geometry.reserved => self.reserved(at, geometry),
            _ if at < tables => self.table(at - geometry.reserved, geometry),
            _ if at < geometry.data_at => self.directory("the root", at, geometry.root_at),
            _ if at >= geometry.size => Spot::new("bytes behind the file system", u64::MAX),
            _ => self.cluster(at),
        }
    }

    fn reserved(&self, at: u64, geometry: &Geometry) -> Spot {
        let (sector, within) = (at / geometry.sector, at % geometry.sector);
        let end = (sector + 1) * geometry.sector;
        let is_32 = self.fat.bits() == Bits::ThirtyTwo;
        let fields = if is_32 { BOOT_FIELDS_32 } else { BOOT_FIELDS };
        let boot =
            |of: &str| Spot::in_fields(of, fields, within, geometry.sector).from(sector * geometry.sector);
        let named = |place: usize| u64::from(u16_at(&self.fat.boot, place));
        match sector {
            0 => boot("boot sector"),
            _ if is_32 && sector == named(50) => boot("copy of the boot sector"),
            _ if is_32 && sector == named(48) => Spot::new("sector of counts", end),
            _ => Spot::new(format!("reserved sector {sector}"), end),
        }
    }

    fn table(&self, within: u64, geometry: &Geometry) -> Spot {
        let (copy, offset) = (within / geometry.table_size.max(1), within % geometry.table_size.max(1));
        let bits = match self.fat.bits() {
            Bits::Twelve => 12,
            Bits::Sixteen => 16,
            Bits::ThirtyTwo => 32,
        };
        let number = offset * 8 / bits;
        let end = ((number + 1) * bits).div_ceil(8).min(geometry.table_size);
        let owner = u32::try_from(number).ok().and_then(|number| self.fat.offset(number));
        let owner = owner.and_then(|at| self.owner(at));
        let of = owner.map_or_else(String::new, |(_, node)| format!(" of {}", name(node)));
        let structure = format!("FAT {}, cluster {number}{of}", copy + 1);
        Spot::new(structure, geometry.reserved + copy * geometry.table_size + end)
    }

    /// The run at `at`, and whose it is.
    fn owner(&self, at: u64) -> Option<(Run, &Node)> {
        let behind = self.runs.partition_point(|(run, _)| run.from <= at);
        let (run, index) = self.runs[..behind].last()?;
        (at < run.from + run.len).then(|| (*run, &self.nodes[*index]))
    }

    fn cluster(&self, at: u64) -> Spot {
        let Some((run, node)) = self.owner(at) else {
            let behind = self.runs.partition_point(|(run, _)| run.from <= at);
            let end = self.runs.get(behind).map_or(u64::MAX, |(run, _)| run.from);
            return Spot::new("clusters that nothing uses", end.min(self.fat.geometry().size));
        };
        if node.is_dir {
            return self.directory(&name(node), at, run.from);
        }
        match u64::from(node.size).checked_sub(run.at + (at - run.from)).filter(|left| *left > 0) {
            None => Spot::new(format!("bytes behind the end of {}", name(node)), run.from + run.len),
            Some(left) => {
                Spot::new(format!("content of {}", name(node)), (run.from + run.len).min(at + left))
            }
        }
    }

    fn directory(&self, of: &str, at: u64, start: u64) -> Spot {
        let within = (at - start) % ENTRY as u64;
        let first = at - within;
        let next = ENTRY_FIELDS.partition_point(|(from, _)| *from as u64 <= within);
        let end = first + ENTRY_FIELDS[next].0 as u64;
        let Ok(entry) = self.fat.region.read(first, ENTRY as u64) else {
            return Spot::new(format!("directory {of}"), end);
        };
        let field = ENTRY_FIELDS[next - 1].1;
        match (entry[0], entry[11]) {
            (0 | 0xe5, _) => Spot::new(format!("directory {of}, an entry not in use"), first + ENTRY as u64),
            (_, kind) if kind & 0x3f == 0x0f => {
                Spot::new(format!("directory {of}, part of a long name"), first + ENTRY as u64)
            }
            (_, kind) if kind & 0x18 == 0x08 => Spot::new(format!("directory {of}, the label, {field}"), end),
            _ => Spot::new(format!("directory {of}, entry `{}`, {field}", short_name(&entry)), end),
        }
    }
}

impl Fat {
    /// The boot sector, 512 bytes.
    pub fn boot(&self) -> &[u8] {
        &self.boot
    }
}

fn name(node: &Node) -> String {
    match node.path.trim_start_matches('/') {
        "" => "the root".to_owned(),
        path => format!("`{path}`"),
    }
}
