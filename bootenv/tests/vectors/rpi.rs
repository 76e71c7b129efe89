use std::cell::RefCell;
use std::rc::Rc;

use bootenv::flow::{Chip, Rpi};
use bootenv::machine::rpi::{Bootable, First, Front, Pi, Rows, start};
use bootenv::medium::{Medium, MediumError, Sector};
use bootenv::rpi::Autoboot;
use bootenv::{BootFlow as _, Booted, Error, How, Running, Slot, Trial};

use super::disk::lines;
use super::support::{Disk, SLOTS, pi_disk, slot_boot_sector};

const VECTORS: &str = include_str!("../../vectors/rpi.txt");

/// What was written, in order, wherever it went.
type Written = Rc<RefCell<Vec<String>>>;

/// A disk that says what is written in the words of the vectors.
struct Told {
    disk: Disk,
    autoboot: u64,
    written: Written,
}

impl Medium for Told {
    fn sectors(&self) -> u64 {
        self.disk.sectors()
    }

    fn read(&mut self, sector: u64) -> Result<Sector, MediumError> {
        self.disk.read(sector)
    }

    fn write(&mut self, sector: u64, bytes: &Sector) -> Result<(), MediumError> {
        let slot = Slot::ALL.into_iter().zip(SLOTS).find(|(_, first)| *first == sector);
        let word = match slot {
            _ if sector == self.autoboot => {
                format!("autoboot {}", big(Autoboot::decode(bytes).unwrap().default))
            }
            Some((slot, _)) if *bytes == [0; 512] => format!("hide {slot}"),
            Some((slot, _)) if *bytes == slot_boot_sector() => format!("show {slot}"),
            _ => panic!("sector {sector} is none that is written"),
        };
        self.written.borrow_mut().push(word);
        self.disk.write(sector, bytes)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

/// A board that does the same.
struct Board {
    flag: bool,
    trial: Option<Trial>,
    written: Written,
}

impl Chip for Board {
    fn tryboot(&mut self) -> Result<bool, Error> {
        Ok(self.flag)
    }

    fn set_tryboot(&mut self, set: bool) -> Result<(), Error> {
        self.flag = set;
        self.written.borrow_mut().push(if set { "flag" } else { "no flag" }.to_owned());
        Ok(())
    }

    fn trial(&mut self) -> Result<Option<Trial>, Error> {
        Ok(self.trial)
    }

    fn set_trial(&mut self, trial: Option<Trial>) -> Result<(), Error> {
        self.trial = trial;
        let word = trial.map_or("no trial".to_owned(), |Trial { slot, left }| format!("trial {slot} {left}"));
        self.written.borrow_mut().push(word);
        Ok(())
    }
}

fn big(slot: Slot) -> String {
    slot.to_string().to_uppercase()
}

fn slot(text: &str) -> Slot {
    text.parse().unwrap()
}

/// `autoboot.txt` of a row.
fn autoboot(text: &str) -> Sector {
    let of = |text: &str| Autoboot { default: slot(text) }.encode();
    match text.split(':').collect::<Vec<_>>()[..] {
        ["lost"] => [0; 512],
        [first, at, rest] => {
            let (mut sector, at) = (of(first), at.parse().unwrap());
            sector[at..].copy_from_slice(&of(rest)[at..]);
            sector
        }
        _ => of(text),
    }
}

/// The first sector of a slot, and sector 6.
fn front(text: &str) -> [Sector; 2] {
    let (fat, zeroes, garbage) = (slot_boot_sector(), [0; 512], [0x5a; 512]);
    match text {
        "shown" => [fat, fat],
        "single" => [fat, zeroes],
        "hidden" => [zeroes, fat],
        "empty" => [zeroes, zeroes],
        "cut" => [garbage, fat],
        "garbage" => [garbage, garbage],
        _ => panic!("`{text}`"),
    }
}

fn trial(text: &str) -> Option<Trial> {
    let (name, left) = text.split_once(' ')?;
    Some(Trial { slot: slot(name), left: left.parse().unwrap() })
}

fn booted(text: &str) -> Option<Booted> {
    let (name, how) = text.split_once(' ')?;
    let how = if how == "trial" { How::Trial } else { How::Committed };
    Some(Booted { slot: slot(name), how })
}

fn ask(flow: &mut Rpi<&mut Told, Board>, asked: &str) -> Result<(), Error> {
    match asked.split(' ').collect::<Vec<_>>()[..] {
        ["start"] => Ok(()),
        ["stage", name] => flow.stage(slot(name)),
        ["try", name, tries] => flow.try_next(slot(name), tries.parse().unwrap()),
        ["commit"] => flow.commit(),
        ["rollback"] => flow.rollback(),
        ["repair"] => flow.repair().map(drop),
        ["resume"] => flow.resume().map(drop),
        _ => panic!("`{asked}`"),
    }
}

/// What the ROM boots from what is on the disk and in the chip, by what the library takes it for.
fn boots(disk: &mut Disk, first: u64, flag: bool) -> String {
    let rows = Rows::as_rom_reads(&disk.get(first, 512));
    let fronts = SLOTS.map(|first| {
        let shown = disk.get(first, 512) == slot_boot_sector();
        Front { first: if shown { First::Fat } else { First::Garbage }, backup: false }
    });
    let mut pi = Pi { rows, tryboot: flag, trial: None, fronts };
    start(&mut pi, Bootable::ALL).map_or("-".to_owned(), |number| number.to_string())
}

#[test]
fn a_raspberry_pi_does_what_the_vectors_say() {
    let (bytes, layout) = pi_disk();
    let first = layout.files[0];
    let new = Disk::new(bytes);
    let rows: Vec<&str> = lines(VECTORS).collect();
    for row in &rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [file, flag, left, a, b, runs, last, asked, expected, boot] = columns[..] else {
            panic!("{row}")
        };
        let mut disk = new.clone();
        disk.put(first, &autoboot(file));
        for (at, sectors) in SLOTS.into_iter().zip([a, b].map(front)) {
            disk.put(at, &sectors[0]);
            disk.put(at + 6, &sectors[1]);
        }
        let written = Written::default();
        let running = Running { booted: booted(runs), remembered: last.parse().ok() };
        let board = Board { flag: flag == "set", trial: trial(left), written: Rc::clone(&written) };
        let mut told = Told { disk, autoboot: first, written: Rc::clone(&written) };
        let mut flow = Rpi::open(&mut told, board, running).unwrap();
        let done = ask(&mut flow, asked);
        let flag = flow.chip().flag;
        drop(flow);
        let done = match done {
            Err(error) => format!("refused {}", error.code()),
            Ok(()) if written.borrow().is_empty() => "-".to_owned(),
            Ok(()) => written.borrow().join("; "),
        };
        assert_eq!(done, expected, "{row}");
        assert!(written.borrow().is_empty() || !done.starts_with("refused"), "{row}: {written:?}");
        assert_eq!(boots(&mut told.disk, first, flag), boot, "{row}");
    }
    assert!(rows.len() > 50, "{}", rows.len());
}
