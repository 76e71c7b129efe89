//! Cards in QEMU, with kernels of a dozen instructions: what a reset means, and what is refused.

use std::path::Path;
use std::time::Duration;

use dtoolkit::model::{DeviceTree, DeviceTreeProperty};
use factory::emulate::firmware::Choice;
use factory::emulate::pi::{OnAPi, machine};
use factory::emulate::{Boot, BootError, Ended, Report, run};
use factory::units::Bytes;

use crate::disk::{AUTOBOOT, Card, Part};

/// Registers of Raspberry Pi 3 (BCM2835 ARM Peripherals, and Linux' `bcm2835_wdt.c` and
/// `bcm2835-mailbox.c`): the second serial port, the watchdog, and the mailbox of the firmware.
const SERIAL: u32 = 0x3f21_5040;
const RSTC: u32 = 0x3f10_001c;
const RSTS: u32 = 0x3f10_0020;
const WDOG: u32 = 0x3f10_0024;
const MAILBOX: u32 = 0x3f00_b8a0;
const PASSWORD: u32 = 0x5a00_0000;

/// Memory for a request to the firmware.
const REQUEST: u32 = 0x0100_0000;

const SET_REBOOT_FLAGS: u32 = 0x0003_8064;
const NOTIFY_REBOOT: u32 = 0x0003_0048;

/// A kernel that writes words to addresses, one after the other, and then waits for ever.
#[derive(Default)]
struct Kernel {
    code: Vec<u32>,
}

impl Kernel {
    fn store(mut self, address: u32, value: u32) -> Self {
        for (register, word) in [(0, address), (1, value)] {
            self.code.push(0xd280_0000 | (word & 0xffff) << 5 | register); // movz
            self.code.push(0xf2a0_0000 | (word >> 16) << 5 | register); // movk, upper half
        }
        self.code.push(0xb900_0001); // str w1, [x0]
        self
    }

    fn say(self, text: &str) -> Self {
        text.bytes().fold(self, |kernel, byte| kernel.store(SERIAL, byte.into()))
    }

    /// Asks the firmware for something, with one word as argument.
    fn ask(self, tag: u32, value: u32) -> Self {
        let request = [28, 0, tag, 4, 4, value, 0];
        let places = (REQUEST..).step_by(4).zip(request);
        places.fold(self, |kernel, (at, word)| kernel.store(at, word)).store(MAILBOX, REQUEST | 8)
    }

    fn reset(self) -> Vec<u8> {
        self.store(WDOG, PASSWORD | 10).store(RSTC, PASSWORD | 0x20).wait()
    }

    fn power_off(self) -> Vec<u8> {
        self.store(RSTS, PASSWORD | 0x555).reset()
    }

    fn wait(mut self) -> Vec<u8> {
        self.code.push(0x1400_0000); // b .
        self.code.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// A slot with this kernel.
fn slot(kernel: Vec<u8>) -> Part {
    let mut tree = DeviceTree::new();
    for (name, value) in [
        ("compatible", &b"raspberrypi,3-model-b\0brcm,bcm2837\0"[..]),
        ("#address-cells", &[0, 0, 0, 1]),
        ("#size-cells", &[0, 0, 0, 1]),
    ] {
        tree.root.add_property(DeviceTreeProperty::new_unchecked(name, value));
    }
    Part::pi4().with("kernel8.img", kernel).with("bcm2837-rpi-3-b.dtb", tree.to_dtb())
}

fn card(slots: [Vec<u8>; 2]) -> Card {
    let control = slot(Kernel::default().wait()).with("autoboot.txt", AUTOBOOT);
    let [a, b] = slots.map(slot);
    Card::mbr(&[control, a, b])
}

fn boot(image: &Path) -> Boot {
    Boot { timeout: Some(Duration::from_secs(60)), max_resets: Some(3), ..Boot::new(image) }
}

/// The partition of each boot, and whether it was a trial.
fn course(report: &Report) -> Vec<(u32, bool)> {
    let choices = report.boots.iter().map(|boot| &boot.model.as_ref().unwrap().chosen);
    choices.map(|chosen| (chosen.partition, chosen.tryboot)).collect()
}

#[test]
fn a_request_for_the_tryboot_flag_lasts_for_one_start() {
    let a = Kernel::default().say("a\n").ask(SET_REBOOT_FLAGS, 1).reset();
    let b = Kernel::default().say("b\n").ask(NOTIFY_REBOOT, 0).reset();
    let mut console = Vec::new();
    let card = card([a, b]);
    let before = std::fs::read(card.path()).unwrap();
    let report = run(&boot(&card.path()), &mut |bytes| console.extend_from_slice(bytes)).unwrap();
    assert_eq!(report.ended, Ended::Reset { resets: 3 });
    assert_eq!(course(&report), [(2, false), (3, true), (2, false), (3, true)]);
    assert_eq!(console, b"a\nb\na\nb\n");
    assert!(std::fs::read(card.path()).unwrap() == before, "the image has changed");
}

#[test]
fn a_power_off_ends_the_run_and_wishes_for_the_start_are_heard() {
    let card = card([Kernel::default().reset(), Kernel::default().power_off()]);
    let tried = OnAPi { tryboot: true, ..OnAPi::default() };
    let report = run(&Boot { pi: tried, ..boot(&card.path()) }, &mut |_| ()).unwrap();
    assert_eq!((report.ended, report.success, report.boots.len()), (Ended::PowerOff, true, 1));
    let asked = OnAPi { reboot: Some(3), ..OnAPi::default() };
    let report = run(&Boot { pi: asked, ..boot(&card.path()) }, &mut |_| ()).unwrap();
    assert_eq!(course(&report), [(3, false)]);
}

#[test]
fn the_card_is_read_anew_after_each_reset_until_nothing_starts() {
    let card = card([Kernel::default().say("a\n").reset(), Kernel::default().say("b\n").reset()]);
    let kept = Boot { persist: true, ..boot(&card.path()) };
    let length = std::fs::metadata(card.path()).unwrap().len();
    let table = card.disk().region().read(446, 64).unwrap();
    // The first line takes the table's second partition away, the next one all of them.
    let mut rest = [(16, 16), (0, 64)].into_iter();
    let report = run(&kept, &mut |bytes| {
        // A line may come in pieces.
        let ended = bytes.iter().filter(|byte| **byte == b'\n').count();
        for (at, count) in rest.by_ref().take(ended) {
            card.replace(446 + at, &vec![0; count]);
        }
    })
    .unwrap();
    assert!(matches!(&report.ended, Ended::Dark { reason } if !reason.is_empty()), "{report:#?}");
    assert!(!report.success);
    assert_eq!(course(&report), [(2, false), (3, false)]);
    assert_eq!(std::fs::metadata(card.path()).unwrap().len(), length);
    assert_ne!(card.disk().region().read(446, 64).unwrap(), table);
}

#[test]
fn a_card_that_the_board_cannot_start_from_is_an_error_with_a_way_out() {
    let card = Card::mbr(&[Part::pi4(), Part::pi4()]);
    let error = run(&boot(&card.path()), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("bcm2837-rpi-3-b.dtb") && error.contains("\n\nhint: "), "{error}");
}

#[test]
fn options_that_mean_nothing_for_a_machine_are_refused() {
    let (pi, uefi) = (Card::mbr(&[Part::pi4()]), Card::gpt(&[Part::fat()]));
    let refused = |boot: Boot| match run(&boot, &mut |_| ()) {
        Err(BootError::Unfit { option, .. }) => option,
        other => panic!("{other:?}"),
    };
    let on = |card: &Card| Boot::new(card.path());
    assert_eq!(refused(Boot { memory: Some(Bytes::mib(512)), ..on(&pi) }), "--memory");
    assert_eq!(refused(Boot { cpus: Some(2), ..on(&pi) }), "--cpus");
    assert_eq!(refused(Boot { network: true, ..on(&pi) }), "--network");
    assert_eq!(refused(Boot { firmware: Choice::SecureBoot, ..on(&pi) }), "--secure-boot");
    let with = |pi: OnAPi| refused(Boot { pi, ..on(&uefi) });
    assert_eq!(with(OnAPi { machine: machine::find("raspi3b"), ..OnAPi::default() }), "--machine");
    assert_eq!(with(OnAPi { tryboot: true, ..OnAPi::default() }), "--tryboot");
    assert_eq!(with(OnAPi { eeprom: Some("2025-08-20".into()), ..OnAPi::default() }), "--eeprom");
    assert_eq!(with(OnAPi { reboot: Some(2), ..OnAPi::default() }), "--reboot-partition");
}

#[test]
fn the_model_reads_no_qcow2() {
    let card = Card::raw(b"QFI\xfb\0\0\0\x03");
    let pi = OnAPi { machine: machine::find("raspi3b"), ..OnAPi::default() };
    let error = run(&Boot { pi, ..boot(&card.path()) }, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("is in QEMU's own format, not a disk image\n\nhint: unpack it"), "{error}");
}
