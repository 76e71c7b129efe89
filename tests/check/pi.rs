//! Raspberry Pi images that do not boot, each for one reason.

use bootenv::rpi::{AUTOBOOT, CMDLINE, CONFIG, INITRAMFS, KERNEL, START};
use factory::archive::compress::Packing;

use super::image::{PI4_DTB, Recipe, config};
use super::{broken, expect, expect_all, parts};

fn autoboot(text: &str) -> Recipe {
    Recipe::rpi().selector(AUTOBOOT, format!("{text:\n<512}"))
}

#[test]
fn an_autoboot_txt_that_is_not_there_or_elsewhere_is_told() {
    let mut recipe = Recipe::rpi();
    recipe.selector.remove(AUTOBOOT);
    expect(&recipe.build(), "autoboot-missing", "control: autoboot.txt: there is no such file");
    let recipe = Recipe::rpi().system("boot/autoboot.txt", "");
    let image = recipe.build();
    expect(&image, "autoboot-place", "control: boot/autoboot.txt, boot-a: boot/autoboot.txt, boot-b");
}

#[test]
fn an_autoboot_txt_that_is_too_long_is_told() {
    let text = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";
    let image = Recipe::rpi().selector(AUTOBOOT, format!("{text:\n<1500}")).build();
    expect(&image, "autoboot-size", "control: autoboot.txt: it has 1500 bytes, of which 512 are read");
}

#[test]
fn what_autoboot_txt_says_is_checked() {
    let both = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\n";
    for (text, expected) in [
        ("", "no `boot_partition` under `[all]`"),
        ("[all]\nboot_partition=2\n[pi4]\n", "line 3: `[pi4]` is no filter of autoboot.txt"),
        (
            "[all]\ntryboot_a_b=1\nboot_partition=4\n[tryboot]\nboot_partition=3\n",
            "under `[all]` it names partition 4",
        ),
        (both, "a trial would start the same partition"),
        ("[all]\nboot_partition=2\n[tryboot]\nboot_partition=3\n", "a trial reads tryboot.txt"),
        ("\0\0\0", "bytes that are not text"),
    ] {
        expect(&autoboot(text).build(), "autoboot-content", expected);
    }
}

#[test]
fn an_autoboot_txt_of_another_program_is_taken_with_a_warning() {
    let text = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";
    let image = Recipe::rpi().selector(AUTOBOOT, text).build();
    expect(&image, "autoboot-foreign", "it has 64 bytes instead of 512");
    let image = autoboot(&format!("# by hand\n{text}")).build();
    expect(&image, "autoboot-foreign", "it is worded otherwise");
}

#[test]
fn missing_firmware_is_told_for_every_partition() {
    let image = Recipe::rpi().without("fixup4.dat").build();
    let places = "control: fixup4.dat, boot-a: fixup4.dat, boot-b: fixup4.dat: there is no such file";
    expect(&image, "firmware-missing", places);
    let image = Recipe::rpi().without(CONFIG).build();
    expect(&image, "firmware-missing", "config.txt: there is no such file, without which the EEPROM");
}

#[test]
fn firmware_that_is_something_else_is_told() {
    let image = Recipe::rpi().system(START, parts::program(4000)).build();
    expect(&image, "firmware-kind", "start4.elf: it is no program for a VideoCore");
    let image = Recipe::rpi().system("fixup4.dat", parts::start("Feb 11 2026")).build();
    expect(&image, "firmware-kind", "fixup4.dat: it holds no relocations");
}

#[test]
fn firmware_of_two_builds_is_told() {
    let image = Recipe::rpi().selector(START, parts::start("Mar 11 2026")).build();
    expect_all(
        &image,
        &[
            ("firmware-pair", "start4.elf: it differs from that of control, and its partner does not"),
            (
                "firmware-differs",
                "boot-a: start4.elf, boot-b: start4.elf: it is another than that of control",
            ),
        ],
    );
    let mut other = parts::fixup();
    other[7] ^= 0x10;
    let image =
        Recipe::rpi().selector(START, parts::start("Mar 11 2026")).selector("fixup4.dat", other).build();
    expect(&image, "firmware-differs", "it is another");
}

#[test]
fn old_firmware_is_told() {
    let image = Recipe::rpi().system(START, parts::start("Apr 17 2024")).build();
    expect(&image, "firmware-age", "start4.elf: it was built on 2024-04-17");
}

#[test]
fn an_update_of_the_eeprom_is_told() {
    for file in ["recovery.bin", "PIEEPROM.UPD"] {
        let image = Recipe::rpi().system(file, "an update").build();
        expect(&image, "eeprom-update", "it updates the EEPROM");
    }
}

#[test]
fn lines_that_firmware_does_not_read_as_meant_are_told() {
    let long = format!("{}\n", config(&format!("device_tree_param={}", "x".repeat(90))));
    let image = Recipe::rpi().system(CONFIG, long).build();
    expect(&image, "config-syntax", "config.txt: line 5: ");
    let image = Recipe::rpi().system(CONFIG, config("[pi4]\narm_boost=1\n")).build();
    expect(&image, "config-doubtful", "line 5: `[pi4]` is still in effect at the end");
}

#[test]
fn a_command_line_of_two_lines_or_none_is_told() {
    let image = Recipe::rpi().system(CMDLINE, "panic=10\nquiet\n").build();
    expect(&image, "config-cmdline", "cmdline.txt: it has more than one line");
    let image = Recipe::rpi().without(CMDLINE).build();
    expect(&image, "config-cmdline", "cmdline.txt: there is no such file");
}

#[test]
fn a_kernel_or_initramfs_that_is_not_there_is_told_with_its_boards() {
    let image = Recipe::rpi().without(KERNEL).build();
    expect(&image, "kernel-missing", "kernel8.img: there is no such file, which rpi4, rpi5 will look for");
    let image = Recipe::rpi().without(INITRAMFS).build();
    expect(&image, "initramfs-missing", "initramfs8: there is no such file");
    let other = config("[pi5]\nkernel=kernel_2712.img\n[all]\n");
    let image = Recipe::rpi().system(CONFIG, other).build();
    expect(&image, "kernel-missing", "kernel_2712.img: there is no such file, which rpi5 will look for");
}

#[test]
fn kernels_that_firmware_cannot_start_are_told() {
    let kernel = parts::kernel(parts::RELEASE);
    let gzip = parts::pack(Packing::Gzip, &kernel);
    assert_eq!(broken(&Recipe::rpi().system(KERNEL, gzip.clone()).build()), [], "gzip is unpacked");
    for packing in [Packing::Xz, Packing::Zstd] {
        let image = Recipe::rpi().system(KERNEL, parts::pack(packing, &kernel)).build();
        expect(&image, "kernel-magic", "and the firmware unpacks only gzip");
    }
    let image = Recipe::rpi().system(KERNEL, parts::program(5000)).build();
    expect(&image, "kernel-magic", "it is no arm64 Image");
    let image = Recipe::rpi().system(KERNEL, &gzip[..gzip.len() / 2]).build();
    expect(&image, "kernel-damaged", "its gzip data is cut off");
}

#[test]
fn missing_and_wrong_device_trees_are_told() {
    let all = ["bcm2712-rpi-5-b.dtb", "bcm2712d0-rpi-5-b.dtb", "bcm2712-d-rpi-5-b.dtb", PI4_DTB];
    let image = all.iter().fold(Recipe::rpi(), |recipe, name| recipe.without(name)).build();
    expect(&image, "dtb-missing", "control, boot-a, boot-b: it has no device tree");
    let image = all[1..3].iter().fold(Recipe::rpi(), |recipe, name| recipe.without(name)).build();
    expect(&image, "dtb-variant", "bcm2712d0-rpi-5-b.dtb: there is none for Raspberry Pi 5, variant d0");
    let good = Recipe::rpi().slot[PI4_DTB].clone();
    let image = Recipe::rpi().system(PI4_DTB, &good[..good.len() / 2]).build();
    expect(&image, "dtb-damaged", "bcm2711-rpi-4-b.dtb: it is not a sound device tree");
    let other = parts::dtb("raspberrypi,400", "brcm,bcm2711").encode();
    let image = Recipe::rpi().system(PI4_DTB, other).build();
    expect(
        &image,
        "dtb-board",
        "compatible with raspberrypi,400, brcm,bcm2711, and not with raspberrypi,4-model-b",
    );
}

#[test]
fn device_trees_of_another_family_are_told() {
    let mut tree = parts::dtb("raspberrypi,4-model-b", "brcm,bcm2711");
    tree.set("/__overrides__", "uart0", b"");
    let image = Recipe::rpi().system(PI4_DTB, tree.encode()).build();
    expect(&image, "dtb-family", "it is the vendor's, and the kernel `kernel8.img` mainline");
    let initramfs = parts::initramfs_of(0o755, "9.9-v8");
    let recipe = Recipe::rpi().system(KERNEL, parts::vendor_kernel()).system(INITRAMFS, initramfs);
    expect(&recipe.build(), "dtb-family", "it is mainline, and the kernel `kernel8.img` the vendor's");
}

#[test]
fn overlays_that_cannot_be_applied_are_told() {
    let with = |overlay: Vec<u8>| {
        Recipe::rpi().system(CONFIG, config("dtoverlay=sensor\n")).system("overlays/sensor.dtbo", overlay)
    };
    assert_eq!(broken(&with(parts::overlay("i2c1").encode()).build()), []);
    let image = with(parts::overlay("i2c9").encode()).build();
    expect(&image, "overlay", "overlays/sensor.dtbo: it needs `i2c9`, which the device tree has not");
    let image = with(parts::dtb("a", "b").encode()).build();
    expect(&image, "overlay", "it is no overlay");
    let image = Recipe::rpi().system(CONFIG, config("dtoverlay=sensor\n")).build();
    expect(&image, "overlay", "there is no such file, which config.txt asks for");
}

#[test]
fn initramfs_that_do_not_start_are_told() {
    let good = parts::initramfs();
    let padded = [&good[..], &[0; 3]].concat();
    assert_eq!(broken(&Recipe::rpi().system(INITRAMFS, padded).build()), [], "zeros may follow");
    let mut plain = Vec::new();
    zstd::stream::copy_decode(&good[..], &mut plain).unwrap();
    for packing in [Packing::Plain, Packing::Gzip, Packing::Xz] {
        let twice = [parts::pack(packing, &plain), vec![0; 4], good.clone()].concat();
        let image = Recipe::rpi().system(INITRAMFS, twice).build();
        assert_eq!(broken(&image), [], "an archive may follow one packed with {packing:?}");
    }
    for (bytes, text) in [
        (good[..good.len() / 2].to_vec(), "its zstd data is cut off"),
        (vec![], "it is empty"),
        (b"not an archive at all".repeat(10), "it has an entry that makes no sense"),
    ] {
        expect(&Recipe::rpi().system(INITRAMFS, bytes).build(), "initramfs-damaged", text);
    }
    let image = Recipe::rpi().system(INITRAMFS, parts::initramfs_of(0o644, parts::RELEASE)).build();
    expect(&image, "initramfs-init", "its /init is not a program");
    let image = Recipe::rpi().system(INITRAMFS, parts::initramfs_of(0o755, "8.8-arm64")).build();
    expect(&image, "kernel-modules", "it has modules for 8.8-arm64, and the kernel is 9.9-arm64");
    let image = Recipe::rpi().system(INITRAMFS, parts::initramfs_without_command()).build();
    expect(&image, "initramfs-command", "it has our init stages, and no program /bin/bootenv");
}
