//! Machines in a directory: what the kernel and the firmware would say, and a disk.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::path::Path;

use bootenv::device::{Device, FirmwareError, Found, PlatformError, Started, System, Track};
use bootenv::journal::{Event, Reset};
use bootenv::medium::Access;
use bootenv::{BootFlow as _, Booted, Error, How, Refusal, Slot, Trial};
use proptest::prelude::*;
use support::{SLOTS, grub_disk, pi_disk, write_sparse};

/// Flags of a board's EEPROM that are fit, and the time of its build.
const FIT: [(&str, u32); 2] = [("capabilities", 0x7f), ("build-timestamp", 1_760_000_000)];

struct Machine(tempfile::TempDir);

impl Machine {
    /// One with a disk of that name with four partitions.
    fn new(disk: &str, bytes: &[u8], part: &str) -> Self {
        let machine = Machine(tempfile::tempdir().unwrap());
        fs::create_dir(machine.0.path().join("dev")).unwrap();
        write_sparse(&machine.0.path().join("dev").join(disk), bytes);
        for number in 1..=4 {
            let name = format!("{disk}{part}{number}");
            machine.write(&format!("sys/block/{disk}/{name}/partition"), format!("{number}\n"));
        }
        machine.write("sys/block/loop0/size", "0\n");
        machine
    }

    fn generic(words: &str) -> Self {
        let machine = Machine::new("vda", &grub_disk().0, "");
        machine.started(words);
        machine
    }

    /// A Raspberry Pi whose firmware started a partition, with a kernel of the vendor's.
    fn pi(partition: u32, tryboot: u32) -> Self {
        let machine = Machine::new("mmcblk0", &pi_disk().0, "p");
        machine.write("proc/sys/kernel/osrelease", "6.12.25+rpt-rpi-v8\n");
        machine.firmware(&FIT);
        machine.firmware(&[("boot-mode", 1)]);
        machine.reset(partition, tryboot);
        machine
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn started(&self, words: &str) {
        self.write("proc/cmdline", format!("quiet {words} panic=10\n"));
        self.write("run/factory/mnt/data/lost+found/.keep", "");
    }

    fn firmware(&self, words: &[(&str, u32)]) {
        for (name, value) in words {
            self.write(&format!("proc/device-tree/chosen/bootloader/{name}"), value.to_be_bytes());
        }
    }

    /// Memory is empty, and the firmware says what it started.
    fn reset(&self, partition: u32, tryboot: u32) {
        let armed = self.0.path().join("run/factory/tryboot");
        let _ = fs::remove_file(armed);
        self.started("");
        self.firmware(&[("partition", partition), ("tryboot", tryboot), ("rsts", 0x20)]);
    }

    fn system(&self) -> System {
        System::below(self.0.path())
    }

    fn open(&self) -> Result<Device, Error> {
        Device::running(&self.system(), Access::Write, None)
    }

    fn device(&self) -> Device {
        self.open().unwrap()
    }

    fn newest(&self) -> Option<(Event, Slot, Option<Trial>)> {
        let newest = self.device().history().unwrap().newest;
        newest.map(|record| (record.event, record.slot, record.trial))
    }

    fn found(&self) -> Found {
        let found = self.system().find();
        let below = |path: Option<std::path::PathBuf>| {
            path.map(|path| Path::new("/").join(path.strip_prefix(self.0.path()).unwrap()))
        };
        let (disk, system, data) = (below(found.disk), below(found.system), below(found.data));
        Found { disk, system, data, ..found }
    }
}

fn booted(slot: Slot, how: How) -> Option<Booted> {
    Some(Booted { slot, how })
}

fn path(name: &str) -> Option<std::path::PathBuf> {
    Some(Path::new("/dev").join(name))
}

#[test]
fn the_generic_track_is_found_by_what_grub_says() {
    let machine = Machine::generic(
        "factory.slot=b factory.state=trial factory.system=03030303-0303-0303-0303-030303030303",
    );
    let (track, disk, system) = (Some(Track::Generic), path("vda"), path("vda3"));
    let found = Found { track, booted: booted(Slot::B, How::Trial), disk, system, data: None };
    assert_eq!(machine.found(), found);

    // By name, on the disk of the slot.
    machine.write("sys/block/vda/vda4/uevent", "PARTN=4\nPARTNAME=data\n");
    machine.write("sys/block/sda/sda1/uevent", "PARTN=1\nPARTNAME=data\n");
    machine.write("sys/block/sda/sda1/partition", "1\n");
    machine.write("dev/sda", [0; 4096]);
    assert_eq!(machine.found(), Found { data: path("vda4"), ..found });
}

#[test]
fn a_raspberry_pi_is_found_by_its_firmware() {
    let machine = Machine::pi(3, 1);
    let (track, disk) = (Some(Track::Rpi), path("mmcblk0"));
    let found = Found {
        track,
        booted: booted(Slot::B, How::Trial),
        disk,
        system: path("mmcblk0p3"),
        data: path("mmcblk0p4"),
    };
    assert_eq!(machine.found(), found);
    // The control partition's own kernel is no slot, and the disk is known all the same.
    machine.reset(1, 0);
    assert_eq!(machine.found(), Found { booted: None, system: None, ..found.clone() });
    // A card in the reader of a machine that started from USB is not the one.
    machine.firmware(&[("boot-mode", 4)]);
    assert_eq!(machine.found(), Found { booted: None, disk: None, system: None, data: None, ..found });
}

#[test]
fn what_nobody_of_ours_started_is_refused() {
    let machine = Machine::new("vda", &grub_disk().0, "");
    machine.started("root=/dev/vda2");
    assert_eq!(machine.open().unwrap_err(), Error::Platform(PlatformError::Unknown));
    machine.started("factory.slot=a factory.system=99999999-0000-0000-0000-000000000000");
    assert_eq!(machine.open().unwrap_err(), Error::Platform(PlatformError::NoDisk));
}

const A: &str = "factory.slot=a factory.state=committed factory.system=02020202-0202-0202-0202-020202020202";
const B_TRIAL: &str =
    "factory.slot=b factory.state=trial factory.system=03030303-0303-0303-0303-030303030303";

#[test]
fn the_life_of_a_machine_is_in_its_journal() {
    let machine = Machine::generic(A);
    let nothing = Started { repaired: false, restart: false };
    assert_eq!(machine.device().start(), Ok(nothing));
    assert_eq!(machine.newest(), None);
    machine.device().stage(Slot::B).unwrap();
    assert_eq!(machine.newest(), Some((Event::Staged, Slot::B, None)));
    machine.device().try_next(Slot::B, 2).unwrap();
    assert_eq!(machine.newest(), Some((Event::Armed, Slot::B, None)));

    machine.started(B_TRIAL);
    assert_eq!(machine.device().start(), Ok(nothing));
    assert_eq!(machine.newest(), Some((Event::InTrial, Slot::B, None)));
    machine.device().commit().unwrap();
    assert_eq!(machine.newest(), Some((Event::Committed, Slot::B, None)));
    assert_eq!(machine.device().default_slot(), Ok(Slot::B));
}

#[test]
fn a_trial_that_ended_is_noted_by_the_next_start_of_the_committed_slot() {
    let machine = Machine::generic(A);
    machine.device().try_next(Slot::B, 1).unwrap();
    // GRUB has counted it, and the slot never came up.
    machine.device().rollback().unwrap();
    machine.device().try_next(Slot::B, 1).unwrap();
    let counted = bootenv::grub::GrubState { good: vec![Slot::A], ..bootenv::grub::GrubState::initial() };
    let (_, layout) = grub_disk();
    let mut disk = fs::read(machine.0.path().join("dev/vda")).unwrap();
    let at = usize::try_from(layout.files[0]).unwrap() * 512;
    disk[at..at + 1024].copy_from_slice(&counted.encode());
    machine.write("dev/vda", disk);
    machine.device().start().unwrap();
    assert_eq!(machine.newest(), Some((Event::RolledBack, Slot::B, None)));
}

#[test]
fn tries_of_a_raspberry_pi_are_counted_in_the_journal() {
    let machine = Machine::pi(2, 0);
    machine.device().try_next(Slot::B, 2).unwrap();
    let left = |left| Some(Trial { slot: Slot::B, left });
    assert_eq!(machine.newest(), Some((Event::Armed, Slot::B, left(1))));
    assert_eq!(machine.device().state().unwrap().next, Some(Slot::B));
    assert_eq!(fs::read(machine.0.path().join("run/factory/tryboot")).unwrap(), b"0 tryboot");

    machine.reset(3, 1);
    assert_eq!(machine.device().start(), Ok(Started { repaired: false, restart: false }));
    assert_eq!(machine.newest(), Some((Event::InTrial, Slot::B, left(1))));
    machine.reset(2, 0);
    assert_eq!(machine.device().start(), Ok(Started { repaired: false, restart: true }));
    assert_eq!(machine.newest(), Some((Event::Armed, Slot::B, left(0))));
    machine.reset(3, 1);
    machine.device().start().unwrap();
    machine.reset(2, 0);
    assert_eq!(machine.device().start(), Ok(Started { repaired: false, restart: false }));
    assert_eq!(machine.newest().unwrap().0, Event::RolledBack);
    assert_eq!(machine.device().state().unwrap().trial, None);
}

#[test]
fn a_slot_of_a_raspberry_pi_is_hidden_from_its_staging_to_its_trial_and_after() {
    let machine = Machine::pi(2, 0);
    let starts_empty = |slot: Slot| {
        let disk = fs::read(machine.0.path().join("dev/mmcblk0")).unwrap();
        let at = usize::try_from(SLOTS[slot as usize]).unwrap() * 512;
        disk[at..at + 512] == [0; 512]
    };
    let ended = Some(Trial { slot: Slot::B, left: 0 });
    machine.device().stage(Slot::B).unwrap();
    assert_eq!((machine.newest(), starts_empty(Slot::B)), (Some((Event::Staged, Slot::B, ended)), true));
    machine.device().try_next(Slot::B, 1).unwrap();
    assert!(!starts_empty(Slot::B));
    for (partition, tryboot, event) in [(3, 1, Event::InTrial), (2, 0, Event::RolledBack)] {
        machine.reset(partition, tryboot);
        assert_eq!(machine.device().start(), Ok(Started { repaired: false, restart: false }));
        assert_eq!(machine.newest(), Some((event, Slot::B, ended)));
    }
    assert!(starts_empty(Slot::B) && !starts_empty(Slot::A));
    // The same image in a reader, without its journal.
    let card = machine.0.path().join("dev/mmcblk0");
    Device::image(&card, Access::Write).unwrap().stage(Slot::B).unwrap();
    assert_eq!(machine.device().start(), Ok(Started { repaired: false, restart: false }));
}

#[test]
fn a_board_that_cannot_do_it_is_not_armed() {
    let old = FirmwareError::Old { built: "2022-12-01".to_owned() };
    let unable = FirmwareError::Unable { what: "tryboot_a_b" };
    for (words, error) in [
        ([("build-timestamp", 1_669_852_800), ("capabilities", 0x7f)], old),
        ([("build-timestamp", 1_760_000_000), ("capabilities", 8)], unable),
    ] {
        let machine = Machine::pi(2, 0);
        machine.firmware(&words);
        assert_eq!(machine.device().try_next(Slot::B, 1), Err(Error::Firmware(error)));
        assert_eq!(machine.newest(), None);
    }
    let machine = Machine::pi(2, 0);
    fs::remove_file(machine.0.path().join("proc/device-tree/chosen/bootloader/build-timestamp")).unwrap();
    assert_eq!(machine.device().try_next(Slot::B, 1), Err(Error::Firmware(FirmwareError::Silent)));

    // A kernel that drops the argument would start the committed slot again.
    let machine = Machine::pi(2, 0);
    machine.write("proc/sys/kernel/osrelease", "6.12.107-arm64\n");
    let refused = machine.device().try_next(Slot::B, 1);
    assert!(matches!(&refused, Err(Error::Tryboot(why)) if why.contains("/dev/vcio")), "{refused:?}");
    assert_eq!(machine.newest(), None);
}

#[test]
fn boards_that_may_lose_the_flag_are_doubted() {
    let machine = Machine::pi(2, 0);
    assert_eq!(machine.device().doubt(), None);
    for (code, is_doubted) in
        [(0x00c0_3112_u32, true), (0x00c0_3114, false), (0x00d0_4170, false), (0xe, false)]
    {
        machine.write("proc/device-tree/system/linux,revision", code.to_be_bytes());
        assert_eq!(machine.device().doubt().is_some(), is_doubted, "{code:x}");
    }
}

#[test]
fn without_a_journal_grub_counts_and_a_raspberry_pi_is_not_armed() {
    for (machine, armed) in [(Machine::generic(A), true), (Machine::pi(2, 0), false)] {
        fs::remove_dir_all(machine.0.path().join("run/factory/mnt")).unwrap();
        let tried = machine.device().try_next(Slot::B, 1);
        assert_eq!(tried.is_ok(), armed, "{tried:?}");
        assert!(armed || matches!(tried, Err(Error::Journal(_))));
        assert_eq!(machine.device().state().unwrap().trial.is_some(), armed);
    }
}

#[test]
fn an_image_has_slots_but_nothing_that_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    fs::write(&path, grub_disk().0).unwrap();
    let mut device = Device::image(&path, Access::Write).unwrap();
    device.try_next(Slot::B, 2).unwrap();
    assert_eq!(device.state().unwrap().trial, Some(Trial { slot: Slot::B, left: 2 }));
    assert_eq!(device.commit(), Err(Error::Refused(Refusal::NothingRuns)));
    drop(device);

    write_sparse(&path, &pi_disk().0);
    let mut device = Device::image(&path, Access::Write).unwrap();
    assert!(matches!(device.try_next(Slot::B, 1), Err(Error::Tryboot(_))));
    assert_eq!(device.default_slot(), Ok(Slot::A));
    drop(device);
    assert_eq!(fs::read(&path).unwrap(), pi_disk().0, "what is refused changes nothing");

    for (bytes, code) in [(vec![0; 4096], 62), (grub_disk().0[..8192].to_vec(), 32)] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(Device::image(&path, Access::Write).unwrap_err().code(), code);
    }
}

#[test]
fn the_cause_of_a_reset_is_what_somebody_says() {
    let machine = Machine::pi(2, 0);
    assert_eq!(machine.device().reset(), Reset::Reboot);
    machine.firmware(&[("rsts", 0x1000)]);
    assert_eq!(machine.device().reset(), Reset::Power);
    machine.write("sys/class/watchdog/watchdog0/bootstatus", "32\n");
    assert_eq!(machine.device().reset(), Reset::Watchdog);
    machine.write("sys/fs/pstore/dmesg-ramoops-0", "Panic#1");
    assert_eq!(machine.device().reset(), Reset::Panic);
    assert_eq!(Machine::generic(A).device().reset(), Reset::Unknown);
}

proptest! {
    /// The kernel passes on whatever a boot loader gave it, and device trees are files.
    #[test]
    fn nothing_that_a_system_says_makes_it_panic(line in ".{0,200}", partition: Vec<u8>, slot in "[abAB]?.{0,2}", id in "[0-9a-fA-F-]{0,40}") {
        let machine = Machine::generic(&format!("factory.slot={slot} factory.system={id} factory.data={id} {line}"));
        machine.system().find();
        machine.write("proc/device-tree/chosen/bootloader/partition", partition);
        let _ = machine.open();
    }
}
