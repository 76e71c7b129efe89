//! Disks for the tests: small ones of our own making, and one that records and fails.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "every test takes what it needs")]

mod disk;
mod foreign;
mod machine;

pub use disk::{
    Layout, SLOTS, crc32, grub_disk, pi_disk, seal_gpt, set_link, slot_boot_sector, write_sparse,
};
pub use foreign::{foreign, tool};
pub use machine::GenericMachine;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bootenv::flow::Chip;
use bootenv::medium::{Medium, MediumError, SECTOR, Sector};
use bootenv::{Error, Trial};

/// A disk that shares what was not changed, so that thousands of them are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    base: Rc<Vec<u8>>,
    pub changed: BTreeMap<u64, Sector>,
}

impl Disk {
    pub fn new(bytes: Vec<u8>) -> Self {
        Disk { base: Rc::new(bytes), changed: BTreeMap::new() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.base.to_vec();
        for (sector, changed) in &self.changed {
            bytes[*sector as usize * SECTOR..][..SECTOR].copy_from_slice(changed);
        }
        bytes
    }

    /// Some bytes, from the start of a sector on.
    pub fn get(&mut self, first: u64, length: usize) -> Vec<u8> {
        let sectors = length.div_ceil(SECTOR) as u64;
        let mut bytes: Vec<u8> = (0..sectors).flat_map(|index| self.read(first + index).unwrap()).collect();
        bytes.truncate(length);
        bytes
    }

    /// Puts whole sectors.
    pub fn put(&mut self, first: u64, bytes: &[u8]) {
        for (index, sector) in bytes.chunks_exact(SECTOR).enumerate() {
            self.write(first + index as u64, sector.try_into().unwrap()).unwrap();
        }
    }
}

impl Medium for Disk {
    fn sectors(&self) -> u64 {
        (self.base.len() / SECTOR) as u64
    }

    fn read(&mut self, sector: u64) -> Result<Sector, MediumError> {
        if sector >= self.sectors() {
            return Err(MediumError::Bounds { sector, sectors: self.sectors() });
        }
        let changed = self.changed.get(&sector).copied();
        Ok(changed.unwrap_or_else(|| self.base[sector as usize * SECTOR..][..SECTOR].try_into().unwrap()))
    }

    fn write(&mut self, sector: u64, bytes: &Sector) -> Result<(), MediumError> {
        self.read(sector)?;
        self.changed.insert(sector, *bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

/// What a recorder saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a log is short")]
pub enum Event {
    Write(u64, Sector),
    Flush,
}

/// A disk that keeps a record of what is done to it, and fails when it is told to.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub disk: Disk,
    pub log: Vec<Event>,
    /// A sector that cannot be read.
    pub unreadable: Option<u64>,
    /// Whether writes fail.
    pub unwritable: Option<MediumError>,
    /// Whether writes are taken and forgotten.
    pub forgets: bool,
    /// Changes a sector as another program would, after so many reads.
    pub meddles: Option<(usize, u64, Sector)>,
    pub reads: usize,
    /// Events so far, for those who record what else happened and when.
    pub clock: Rc<Cell<usize>>,
}

impl Recorder {
    pub fn new(disk: Disk) -> Self {
        let (log, unreadable, unwritable, forgets, meddles) = (Vec::new(), None, None, false, None);
        let clock = Rc::new(Cell::new(0));
        Recorder { disk, log, unreadable, unwritable, forgets, meddles, reads: 0, clock }
    }
}

impl Medium for Recorder {
    fn sectors(&self) -> u64 {
        self.disk.sectors()
    }

    fn read(&mut self, sector: u64) -> Result<Sector, MediumError> {
        self.reads += 1;
        if let Some((reads, sector, bytes)) = self.meddles
            && self.reads == reads
        {
            self.disk.write(sector, &bytes)?;
        }
        if self.unreadable == Some(sector) {
            return Err(MediumError::Read { sector, why: "a test says so".to_owned() });
        }
        self.disk.read(sector)
    }

    fn write(&mut self, sector: u64, bytes: &Sector) -> Result<(), MediumError> {
        if let Some(error) = &self.unwritable {
            return Err(error.clone());
        }
        self.log.push(Event::Write(sector, *bytes));
        self.clock.set(self.log.len());
        if self.forgets { Ok(()) } else { self.disk.write(sector, bytes) }
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        self.log.push(Event::Flush);
        self.clock.set(self.log.len());
        Ok(())
    }
}

/// All disks that a loss of power can leave behind: cut after every event, with every choice of the
/// writes that were not flushed, any of them torn at any byte. The last ones are those of a cut after
/// the end. Each with the number of events that came before it, and how it came about.
pub fn cuts(before: &Disk, log: &[Event], mut visit: impl FnMut(usize, &str, &Disk)) {
    let mut durable = before.clone();
    let mut pending: Vec<(u64, Sector)> = Vec::new();
    for at in 0..=log.len() {
        let how = format!("cut before event {at} of {}", log.len());
        choices(&durable, &pending, &how, &mut |how, disk| visit(at, how, disk));
        match log.get(at) {
            Some(Event::Write(sector, bytes)) => pending.push((*sector, *bytes)),
            Some(Event::Flush) => {
                pending.drain(..).for_each(|(sector, bytes)| durable.write(sector, &bytes).unwrap())
            }
            None => {}
        }
    }
}

/// Every way in which the pending writes can be lost, torn or kept.
fn choices(disk: &Disk, pending: &[(u64, Sector)], how: &str, visit: &mut impl FnMut(&str, &Disk)) {
    let Some(((sector, bytes), rest)) = pending.split_first() else {
        visit(how, disk);
        return;
    };
    choices(disk, rest, how, visit);
    let mut kept = disk.clone();
    kept.write(*sector, bytes).unwrap();
    choices(&kept, rest, how, visit);
    let old = disk.clone().read(*sector).unwrap();
    // With several writes under way, whole combinations of coarser tears.
    let step = if pending.len() == 1 && rest.is_empty() { 1 } else { 64 };
    for at in (step..SECTOR).step_by(step) {
        for (name, torn) in tears(&old, bytes, at).into_iter().take(if at % 8 == 0 { 5 } else { 2 }) {
            let mut torn_disk = disk.clone();
            torn_disk.write(*sector, &torn).unwrap();
            choices(&torn_disk, rest, &format!("{how}, sector {sector} torn at {at}: {name}"), visit);
        }
    }
}

/// A sector that was written up to a byte, or from it on, or of which the rest was erased.
fn tears(old: &Sector, new: &Sector, at: usize) -> [(&'static str, Sector); 5] {
    let join = |first: &[u8], second: &[u8]| {
        let mut sector = [0; SECTOR];
        sector[..at].copy_from_slice(&first[..at]);
        sector[at..].copy_from_slice(&second[at..]);
        sector
    };
    let (zeros, ones) = ([0; SECTOR], [0xff; SECTOR]);
    [
        ("new, then old", join(new, old)),
        ("old, then new", join(old, new)),
        ("new, then zeros", join(new, &zeros)),
        ("new, then ones", join(new, &ones)),
        ("ones, then new", join(&ones, new)),
    ]
}

/// A board that keeps what it is told.
#[derive(Debug, Default)]
pub struct Board {
    flag: bool,
    trial: Option<Trial>,
}

impl Chip for Board {
    fn tryboot(&mut self) -> Result<bool, Error> {
        Ok(self.flag)
    }

    fn set_tryboot(&mut self, set: bool) -> Result<(), Error> {
        self.flag = set;
        Ok(())
    }

    fn trial(&mut self) -> Result<Option<Trial>, Error> {
        Ok(self.trial)
    }

    fn set_trial(&mut self, trial: Option<Trial>) -> Result<(), Error> {
        self.trial = trial;
        Ok(())
    }
}
