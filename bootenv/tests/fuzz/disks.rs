//! Disks with a partition table and a FAT of each width, of our making and of others'.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;

use bootenv::flow::{Grub, Rpi};
use bootenv::grub::{GRUBENV_PLACE, GRUBENV_SPARE_PLACE};
use bootenv::locate::{Extent, Place, locate, partuuid};
use bootenv::medium::{Medium, MediumError, SECTOR, Sector};
use bootenv::rpi::{AUTOBOOT_PLACE, has_table};
use bootenv::{BootFlow, Error, How, Operation, Running, Slot};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::damage::{Damage, damaged, in_place};
use super::support::{Board, Disk, foreign, grub_disk, pi_disk, seal_gpt};
use super::{Verdict, judge};

/// More reads than three directories of the largest size take, with their chains.
const READS: usize = 80_000;

/// Sectors of a GPT, with what lies before it.
const GPT: usize = 34;

/// A sound disk, and where something stands on it: that is where damage goes.
struct Original {
    name: String,
    disk: Disk,
    written: Vec<u64>,
    is_gpt: bool,
}

impl Original {
    fn new(name: &str, bytes: Vec<u8>, is_gpt: bool) -> Self {
        let sectors = bytes.chunks_exact(SECTOR).enumerate();
        let written = sectors.filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
        let written = written.map(|(sector, _)| sector as u64).collect();
        Original { name: name.to_owned(), disk: Disk::new(bytes), written, is_gpt }
    }

    /// The disk after it was damaged; the table's checksums may have been made right again.
    fn damaged(&self, damage: &[(Index, Damage)], sealed: bool) -> Disk {
        let mut disk = self.disk.clone();
        for (index, damage) in damage {
            let sector = self.written[index.index(self.written.len())];
            let bytes = disk.read(sector).unwrap();
            disk.put(sector, &damaged(&bytes, std::slice::from_ref(damage)));
        }
        if sealed && self.is_gpt {
            let mut table = disk.get(0, GPT * SECTOR);
            seal_gpt(&mut table);
            disk.put(0, &table);
        }
        disk
    }
}

/// Ours, and those of mkfs.vfat with each width.
fn originals() -> Vec<Original> {
    let mut all = vec![
        Original::new("GPT, FAT12", grub_disk().0, true),
        Original::new("MBR, FAT12", pi_disk().0, false),
    ];
    for is_gpt in [true, false] {
        for (width, mebibytes, cluster) in [("12", 4, "8"), ("16", 16, "1"), ("32", 36, "1")] {
            let dir = tempfile::tempdir().unwrap();
            let path = foreign(dir.path(), is_gpt, width, mebibytes, cluster);
            let name = format!("{}, FAT{width} of mkfs.vfat", if is_gpt { "GPT" } else { "MBR" });
            all.push(Original::new(&name, fs::read(path).unwrap(), is_gpt));
        }
    }
    all
}

/// A disk that counts what is done to it.
struct Watched {
    disk: Disk,
    reads: usize,
    written: BTreeMap<u64, usize>,
}

impl Watched {
    fn new(disk: &Disk) -> Self {
        Watched { disk: disk.clone(), reads: 0, written: BTreeMap::new() }
    }
}

impl Medium for Watched {
    fn sectors(&self) -> u64 {
        self.disk.sectors()
    }

    fn read(&mut self, sector: u64) -> Result<Sector, MediumError> {
        self.reads += 1;
        self.disk.read(sector)
    }

    fn write(&mut self, sector: u64, bytes: &Sector) -> Result<(), MediumError> {
        *self.written.entry(sector).or_default() += 1;
        self.disk.write(sector, bytes)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        self.disk.flush()
    }
}

fn operation(flow: &mut impl BootFlow, operation: Operation) -> Result<(), Error> {
    match operation {
        Operation::Stage(slot) => flow.stage(slot),
        Operation::Try(slot, tries) => flow.try_next(slot, tries),
        Operation::Commit => flow.commit(),
        Operation::Rollback => flow.rollback(),
        Operation::Repair => flow.repair().map(drop),
    }
}

/// A place that is found lies on the disk, and is found with a bounded number of reads.
fn found(disk: &Disk, place: &Place) -> Result<Option<Extent>, TestCaseError> {
    let mut watched = Watched::new(disk);
    let extent = locate(&mut watched, place).ok();
    prop_assert!(watched.reads < READS, "{} reads", watched.reads);
    if let Some(extent) = extent {
        prop_assert!(extent.first + u64::from(extent.sectors) <= disk.sectors(), "{extent:?}");
        prop_assert_eq!(extent.sectors as usize, (place.length as usize).div_ceil(SECTOR));
    }
    Ok(extent)
}

/// Does what is asked for on a disk of either track. Says whether it had the control files of one.
fn disk(disk: &Disk, asked: Operation, running: Running) -> Result<bool, TestCaseError> {
    has_table(&mut disk.clone());
    let _ = partuuid(&mut disk.clone(), "00000000-0000-0000-0000-000000000000");
    let [grub, spare, pi] =
        [GRUBENV_PLACE, GRUBENV_SPARE_PLACE, AUTOBOOT_PLACE].map(|place| found(disk, &place));
    let (grub, pi): (Vec<Extent>, Vec<Extent>) =
        (grub?.into_iter().chain(spare?).collect(), pi?.into_iter().collect());
    let mut watched = Watched::new(disk);
    let done = Grub::open(&mut watched, running).map(|mut flow| operation(&mut flow, asked));
    judge_writes(&watched, &grub, &done)?;
    let is_generic = done.is_ok();
    // Boot sectors of slots are written too, where the table says that they are.
    let pi = pi.into_iter().chain(pi_slots(disk)).collect::<Vec<_>>();
    let mut watched = Watched::new(disk);
    let done = Rpi::open(&mut watched, Board::default(), running).map(|mut flow| operation(&mut flow, asked));
    judge_writes(&watched, &pi, &done)?;
    prop_assert!(!(is_generic && done.is_ok()), "a disk of both tracks");
    Ok(is_generic || done.is_ok())
}

/// The first sectors of partitions 2 and 3 of an MBR.
fn pi_slots(disk: &Disk) -> [Extent; 2] {
    let table = disk.clone().get(0, SECTOR);
    [462, 478].map(|entry| {
        let first = table[entry + 8..entry + 12].try_into().map(u32::from_le_bytes).unwrap();
        Extent { first: first.into(), sectors: 1 }
    })
}

/// Only the files' own sectors are written, and slots' first ones, and none when something is refused.
fn judge_writes(watched: &Watched, own: &[Extent], done: &Result<Result<(), Error>, Error>) -> Verdict {
    if !matches!(done, Ok(Ok(()))) {
        prop_assert!(watched.written.is_empty(), "written, and then {:?}", done);
    }
    for sector in watched.written.keys() {
        let is_own = own.iter().any(|run| (run.first..run.first + u64::from(run.sectors)).contains(sector));
        prop_assert!(is_own, "sector {} is not of a control file", sector);
    }
    Ok(())
}

#[test]
fn damaged_disks_are_refused_or_written_to_in_their_control_files_only() {
    let asked = prop::sample::select(vec![
        Operation::Stage(Slot::B),
        Operation::Try(Slot::B, 3),
        Operation::Commit,
        Operation::Rollback,
        Operation::Repair,
    ]);
    let how = prop::sample::select(vec![How::Committed, How::Trial, How::HandOver]);
    let damage = vec((any::<Index>(), in_place()), 1..8);
    let cases = (damage, any::<bool>(), asked, how);
    for original in originals() {
        let (refused, taken) = (Cell::new(0), Cell::new(0));
        judge(1000, &cases, |(damage, sealed, asked, how)| {
            let is_taken = disk(&original.damaged(&damage, sealed), asked, Running::in_slot(Slot::A, how))?;
            let count = if is_taken { &taken } else { &refused };
            count.set(count.get() + 1);
            Ok(())
        });
        println!("{}: {} taken, {} refused", original.name, taken.get(), refused.get());
        assert!(taken.get() > 0 && refused.get() > 0);
    }
}
