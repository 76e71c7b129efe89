//! What is loaded from the partition that was taken.

use factory::emulate::eeprom::{Answer, Question};

use crate::disk::{AUTOBOOT, Card, Part, start4, tree};
use crate::{board, check};

/// Asks about a card with one partition.
fn only(name: &str, part: Part, question: &Question, boots: bool) -> Answer {
    check(name, &Card::mbr(&[part]), question, boots.then_some(1))
}

fn config(part: Part, text: &str) -> Part {
    part.with("config.txt", text)
}

#[test]
fn a_missing_kernel_is_the_end_and_no_other_partition_is_tried() {
    let control = Part::pi4().with("autoboot.txt", AUTOBOOT);
    let card = Card::mbr(&[control, Part::pi4().without("kernel8.img"), Part::pi4()]);
    let answer = check("kernel-missing", &card, &board("rpi4"), None);
    assert_eq!(answer.steps.last().unwrap().rule, "kernel-missing");
}

#[test]
fn kernels_have_names_by_board() {
    let kernels = config(Part::pi5(), "").with("kernel_2712.img", "pi 5").with("kernel7l.img", "32 bits");
    let pi5 = only("kernel-pi5", kernels.clone(), &board("rpi5"), true);
    assert_eq!(pi5.boots.unwrap().kernel, "kernel_2712.img");
    let kernels = config(Part::pi4(), "arm_64bit=0\n").with("kernel7l.img", "32 bits");
    let pi4 = only("kernel-32", kernels, &board("rpi4"), true);
    assert_eq!(pi4.boots.unwrap().kernel, "kernel7l.img");
}

#[test]
fn raspberry_pi_4_does_without_config_and_not_without_a_device_tree() {
    let bare = Part::pi4().without("config.txt").without("cmdline.txt").without("fixup4.dat");
    let answer = only("pi4-bare", bare, &board("rpi4"), true);
    assert_eq!(answer.boots.unwrap().initramfs, None);
    only("pi4-without-dtb", Part::pi4().without("bcm2711-rpi-4-b.dtb"), &board("rpi4"), false);
    let broken = Part::pi4().with("bcm2711-rpi-4-b.dtb", "no device tree");
    only("pi4-broken-dtb", broken, &board("rpi4"), false);
}

#[test]
fn a_compute_module_asks_for_a_name_that_mainline_has_not() {
    let io =
        || Part::pi4().with("bcm2711-rpi-cm4-io.dtb", tree("raspberrypi,4-compute-module", "brcm,bcm2711"));
    only("cm4-mainline-name", io(), &board("cm4"), false);
    let named = config(
        io(),
        "[pi4]\nkernel=none\n[cm4]\nkernel=kernel8.img\ndevice_tree=bcm2711-rpi-cm4-io.dtb\n[all]\n",
    );
    only("cm4-device-tree", named, &board("cm4"), true);
    only("cm4-upstream", config(io(), "upstream_kernel=1\n"), &board("cm4"), true);
}

#[test]
fn raspberry_pi_5_wants_config_and_a_device_tree_for_its_chip() {
    let control = Part::pi5().with("autoboot.txt", AUTOBOOT);
    let card = |slot: Part| Card::mbr(&[control.clone(), slot, Part::pi5()]);
    check("pi5-without-dtb", &card(Part::pi5().without("bcm2712-rpi-5-b.dtb")), &board("rpi5"), Some(3));
    check("pi5-without-config", &card(Part::pi5().without("config.txt")), &board("rpi5"), Some(3));
    let wrong = Part::pi5().with("bcm2712-rpi-5-b.dtb", tree("raspberrypi,4-model-b", "brcm,bcm2711"));
    check("pi5-wrong-dtb", &card(wrong), &board("rpi5"), Some(3));
    let damaged = Part::pi5().with("bcm2712-rpi-5-b.dtb", "no device tree");
    check("pi5-broken-dtb", &card(damaged), &board("rpi5"), Some(3));
    let unchecked = config(Part::pi5().without("bcm2712-rpi-5-b.dtb"), "os_check=0\n");
    let answer = check("pi5-os-check", &card(unchecked), &board("rpi5"), Some(2));
    assert_eq!(answer.boots.unwrap().dtb, None);
    let long = config(Part::pi5(), &"#\n".repeat(9000));
    check("pi5-long-config", &card(long), &board("rpi5"), None);
}

#[test]
fn a_stepping_asks_for_its_own_device_tree_first() {
    let d0 = Question { variant: Some("d0".to_owned()), ..board("rpi5") };
    let answer = only("pi5-d0-with-c0-dtb", Part::pi5(), &d0, true);
    assert_eq!(answer.steps.iter().filter(|step| step.rule == "dtb-variant").count(), 1);
    let vendors = Part::pi5().with("overlays/bcm2712d0.dtbo", "overlay");
    let answer = only("pi5-d0-vendors-overlay", vendors, &d0, true);
    assert_eq!(answer.boots.unwrap().overlays, ["overlays/bcm2712d0.dtbo"]);
    let both = Part::pi5().with("bcm2712-d-rpi-5-b.dtb", tree("raspberrypi,5-model-b", "brcm,bcm2712"));
    let answer = only("pi5-d0", both, &d0, true);
    assert_eq!(answer.boots.unwrap().dtb.as_deref(), Some("bcm2712-d-rpi-5-b.dtb"));
}

const FILTERS: &str = "\
# one file for several boards
kernel=kernel8.img
[pi5]
kernel=none
[tryboot]
[pi4]
cmdline=trial.txt
[all]
[gpio4=1]
kernel=none
[all]
[boot_partition=1]
cmdline=one.txt
[all]
";

#[test]
fn filters_choose_what_counts() {
    let part = config(Part::pi4(), FILTERS).with("one.txt", "one").with("trial.txt", "trial");
    let cmdline = |name, part, question| only(name, part, &question, true).boots.unwrap().cmdline;
    assert_eq!(cmdline("filters", part.clone(), board("rpi4")), "one");
    let old = part.clone().with("start4.elf", start4("Apr 17 2024"));
    assert_eq!(cmdline("filters-old-start4", old.clone(), board("rpi4")), "quiet panic=10");
    let trial = Question { tryboot: true, ..board("rpi4") };
    let control = old.with("autoboot.txt", "tryboot_a_b=1\n");
    assert_eq!(cmdline("filters-trial", control, trial), "trial");
}

#[test]
fn a_prefix_counts_when_it_finds_both_kernel_and_device_tree() {
    let part = config(Part::pi4(), "os_prefix=new/\nauto_initramfs=1\ndtoverlay=disable-bt\n")
        .with("new/kernel8.img", "kernel")
        .with("new/initramfs8", "initramfs")
        .with("new/cmdline.txt", "new\n")
        .with("overlays/disable-bt.dtbo", "overlay");
    let ignored = only("prefix-ignored", part.clone(), &board("rpi4"), true).boots.unwrap();
    assert_eq!((ignored.kernel.as_str(), ignored.initramfs.as_deref()), ("kernel8.img", Some("initramfs8")));
    let whole = part.with("new/bcm2711-rpi-4-b.dtb", tree("raspberrypi,4-model-b", "brcm,bcm2711"));
    let taken = only("prefix", whole.clone(), &board("rpi4"), true).boots.unwrap();
    assert_eq!(
        (taken.kernel.as_str(), taken.initramfs.as_deref()),
        ("new/kernel8.img", Some("new/initramfs8"))
    );
    assert_eq!(taken.overlays, ["overlays/disable-bt.dtbo"]);
    let own = whole.with("new/overlays/README", "").with("new/overlays/disable-bt.dtbo", "overlay");
    let taken = only("prefix-overlays", own, &board("rpi4"), true).boots.unwrap();
    assert_eq!(taken.overlays, ["new/overlays/disable-bt.dtbo"]);
}

#[test]
fn overlays_have_parameters_and_missing_files_are_left_out() {
    let text = "kernel=kernel8.img\ninitramfs one,two followkernel\ninclude more.txt\n\
                dtparam=audio=on\ndtoverlay=i2c-rtc,ds3231\ndtparam=addr=0x68\ndtoverlay=missing\n";
    let part = config(Part::pi4(), text)
        .with("one", "1")
        .with("more.txt", "cmdline=more-cmdline.txt\n")
        .with("more-cmdline.txt", "from the included file\n")
        .with("overlays/i2c-rtc.dtbo", "overlay");
    let chosen = only("overlays", part, &board("rpi4"), true).boots.unwrap();
    assert_eq!(chosen.overlays, ["overlays/i2c-rtc.dtbo,ds3231,addr=0x68"]);
    assert_eq!(
        (chosen.initramfs.as_deref(), chosen.cmdline.as_str()),
        (Some("one"), "from the included file")
    );
}

#[test]
fn config_chooses_the_firmware() {
    let part = config(Part::pi4(), "start_x=1\n").with("start4x.elf", start4("Feb 11 2026"));
    only("start-x", part.with("fixup4x.dat", "fixup"), &board("rpi4"), true);
    only("start-file-missing", config(Part::pi4(), "start_file=mine.elf\n"), &board("rpi4"), false);
    only("start4-without-date", Part::pi4().with("start4.elf", "no date"), &board("rpi4"), true);
    // The stage before start4.elf does not see what is included.
    let included = config(Part::pi4(), "include more.txt\n").with("more.txt", "start_file=mine.elf\n");
    only("start-file-included", included, &board("rpi4"), true);
}

#[test]
fn a_ramdisk_is_not_looked_into() {
    let ramdisk = config(Part::pi5(), "boot_ramdisk=1\n");
    only("ramdisk", ramdisk.clone().with("boot.img", "a disk"), &board("rpi5"), false);
    let control = Part::pi5().with("autoboot.txt", AUTOBOOT);
    let card = Card::mbr(&[control, ramdisk, Part::pi5()]);
    check("ramdisk-missing", &card, &board("rpi5"), Some(3));
    let before = Question { eeprom: "2025-08-20".to_owned(), ..board("rpi5") };
    check("ramdisk-missing-2025", &card, &before, None);
}

/// rpi-eeprom#499: an update of the EEPROM in a slot.
#[test]
fn updates_of_the_eeprom_run_first() {
    let control = Part::pi4().with("autoboot.txt", AUTOBOOT);
    let slot = Part::pi4().with("recovery.bin", "recovery").with("pieeprom.upd", "update");
    check("log-499", &Card::mbr(&[control, slot, Part::pi4()]), &board("rpi4"), Some(2));
}
