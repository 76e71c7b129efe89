//! An image for the Raspberry Pi, taken apart by tools that have never seen the builder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use factory::board;
use factory::dtb::Dtb;
use serde_json::Value;

use super::disk::{Disk, text};
use super::support::machine::{
    Machine, RELEASE, add_firmware, add_split_kernel, control, device_tree, device_trees, kernel,
};
use super::support::packages::{Member, deb, deb_of, tar_of, xz};
use super::support::tools::{print, run};
use super::support::{boot_files, elf, programs};

const FATS: [&str; 3] = ["control", "boot-a", "boot-b"];

fn disk(machine: &Machine) -> Disk {
    Disk::read(&machine.image_of("rpi"))
}

fn names(disk: &Disk, partition: &str) -> Vec<String> {
    let list = print("mdir", ["-b", "-/", "-i", &disk.fat(partition), "::"]);
    list.lines().map(|name| name.trim_start_matches("::/").to_owned()).collect()
}

#[test]
fn the_table_is_in_disk_order_and_as_the_manifest_says() {
    let machine = Machine::new();
    let disk = disk(&machine);
    let verify = print("sfdisk", ["--verify", text(&disk.path)]);
    assert!(verify.contains("No errors detected"), "{verify}");
    let types: Vec<&str> = disk.rows().iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["c", "c", "c", "83"]);
    let mut free = 1 << 20;
    for (row, said) in disk.rows().iter().zip(disk.manifest["partitions"].as_array().unwrap()) {
        let (start, size) = disk.partition(said["name"].as_str().unwrap());
        assert_eq!(start, free, "partitions follow each other, on whole mebibytes");
        assert_eq!(start % (1 << 20), 0);
        assert_eq!((&said["start"], &said["size"]), (&start.into(), &size.into()));
        assert!(row["node"].as_str().unwrap().ends_with(&said["number"].to_string()));
        free = start + size;
    }
    assert_eq!(disk.manifest["licences"][0]["file"], "LICENCE.raspi-firmware");
}

#[test]
fn every_fat_is_fat32_clean_and_bootable_by_itself() {
    let machine = Machine::new();
    let disk = disk(&machine);
    for partition in FATS {
        let verdict = disk.check_fat(partition);
        assert!(verdict.contains("32 bit entries") || verdict.contains("4 bytes per FAT entry"), "{verdict}");
        let clusters = verdict.lines().find_map(|line| line.trim().split_once(" files, ")?.1.split_once('/'));
        let (_, clusters) = clusters.unwrap();
        let clusters: u32 = clusters.split_whitespace().next().unwrap().parse().unwrap();
        assert!(clusters >= 65_525, "{partition} has {clusters} clusters");
        let names = names(&disk, partition);
        for name in ["start4.elf", "fixup4.dat", "config.txt", "cmdline.txt", "kernel8.img", "initramfs8"] {
            assert!(names.iter().any(|found| found == name), "{partition} has no {name}: {names:?}");
        }
        assert!(disk.read_fat(partition, "kernel8.img") == programs::kernel(RELEASE), "another kernel");
        assert_eq!(disk.read_fat(partition, "initramfs8").len() % 4, 0);
        assert_eq!(disk.read_fat(partition, "cmdline.txt"), b"panic=10\n");
    }
    assert!(names(&disk, "control").iter().any(|name| name == "autoboot.txt"));
    assert!(!names(&disk, "boot-a").iter().any(|name| name == "autoboot.txt"), "only the first is read");
    disk.assert_same("boot-a", "boot-b");
    run("e2fsck", ["-f", "-n", &disk.ext4("data")]);
}

#[test]
fn autoboot_txt_is_the_vendors_text_in_one_sector() {
    let machine = Machine::new();
    let disk = disk(&machine);
    let autoboot = disk.read_fat("control", "autoboot.txt");
    assert_eq!(autoboot.len(), 512);
    let text = String::from_utf8(autoboot).unwrap();
    assert_eq!(text.trim_end(), "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3");
    let clusters = print("mshowfat", ["-i", &disk.fat("control"), "::autoboot.txt"]);
    assert_eq!(clusters.matches('<').count(), 1, "one run of clusters: {clusters}");
}

#[test]
fn device_trees_have_the_names_that_boards_ask_for() {
    let machine = Machine::new();
    let disk = disk(&machine);
    for name in ["rpi3", "rpi4", "cm4", "rpi5"] {
        let board = board::find(name).unwrap();
        for asked in board.dtb.iter().flat_map(|tree| &tree.asks) {
            let copy = disk.scratch(asked);
            fs::write(&copy, disk.read_fat("boot-a", asked)).unwrap();
            let compatible = print("fdtget", [text(&copy), "/", "compatible"]);
            assert!(compatible.starts_with(&board.compatible), "{asked}: {compatible}");
        }
    }
    assert!(!names(&disk, "boot-a").iter().any(|name| name.contains("cm5")), "this kernel has none");
}

#[test]
fn files_overlays_and_a_root_file_system_go_into_the_slots() {
    let machine = Machine::with(
        "[sizes]\nsystem = \"128 MiB\"\n[rpi]\nfiles = \"boot\"\noverlays = [\"own\", \"pi4-spidev\"]\n\
         [rootfs]\ninit = \"/init\"\n[[rootfs.layer]]\ndir = \"root\"\n",
    );
    machine.write("boot/overlays/own.dtbo", boot_files::overlay());
    machine.write("boot/splash.txt", "hello");
    machine.write("root/init", elf::program());
    fs::set_permissions(machine.project("root/init"), fs::Permissions::from_mode(0o755)).unwrap();
    let disk = disk(&machine);
    for partition in FATS {
        assert_eq!(disk.read_fat(partition, "splash.txt"), b"hello");
        assert_eq!(disk.read_fat(partition, "overlays/own.dtbo"), boot_files::overlay());
        let config = String::from_utf8(disk.read_fat(partition, "config.txt")).unwrap();
        assert!(config.ends_with("dtoverlay=own\ndtoverlay=pi4-spidev\n[all]\n"), "{config}");
    }
    let rootfs = disk.scratch("rootfs.ext4");
    fs::write(&rootfs, disk.read_fat("boot-b", "rootfs.ext4")).unwrap();
    run("e2fsck", ["-f", "-n", text(&rootfs)]);
    assert!(!names(&disk, "control").iter().any(|name| name == "rootfs.ext4"), "p1 is for the last resort");
    let list: Value = serde_json::from_slice(&disk.read_fat("boot-b", "slot.json")).unwrap();
    assert!(list["files"].as_array().unwrap().iter().any(|file| file["path"] == "rootfs.ext4"));
}

/// What is said of a machine whose image is not made.
fn refused(machine: &Machine) -> String {
    let output = machine.factory(&["image", "--track", "rpi", "-o", "disk.img"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!machine.project("disk.img").exists());
    said
}

#[test]
fn firmware_that_is_none_or_too_old_is_refused() {
    let firmware = |start4: &[u8]| {
        let machine = Machine::new();
        add_firmware(machine.archive.beside("forky", "non-free-firmware"), start4);
        refused(&machine)
    };
    let said = firmware(&boot_files::start4("Apr 17 2024"));
    let expected = "error: the firmware was built on 2024-04-17, and A/B boot needs one from 2025-03-10";
    assert!(said.starts_with(expected), "{said}");
    let said = firmware(b"<html>not found</html>");
    assert!(said.starts_with("error: `start4.elf` is not firmware of a Raspberry Pi"), "{said}");
}

#[test]
fn firmware_of_its_makers_is_taken_from_where_the_project_says_and_must_be_the_pinned_one() {
    let said = refused(&Machine::with("[rpi]\nfirmware = \"upstream\"\n"));
    assert!(said.starts_with("error: nobody says where the Raspberry Pi's firmware is published"), "{said}");
    let machine = Machine::new();
    let base = &machine.server().url;
    machine.write("factory.toml", format!("[rpi]\nfirmware = \"upstream\"\nupstream = \"{base}/pi\"\n"));
    for name in ["LICENCE.broadcom", "start4.elf", "fixup4.dat"] {
        machine.server().file(&format!("/pi/1.20260408/boot/{name}"), b"something else".to_vec());
    }
    let said = refused(&machine);
    assert!(said.contains("/pi/1.20260408/boot/") && said.contains("sha256"), "{said}");
}

#[test]
fn device_trees_that_are_damaged_or_for_another_board_are_refused() {
    let kernel = |name: &str, bytes: &[u8]| {
        let machine = Machine::new();
        let trees = device_trees().into_iter().filter(|tree| !tree.is(name));
        let trees: Vec<_> = trees.chain([device_tree(name, bytes)]).collect();
        add_split_kernel(machine.archive.beside("trixie-backports", "main"), &trees);
        refused(&machine)
    };
    let tree = boot_files::device_tree("raspberrypi,400", "brcm,bcm2711");
    let said = kernel("bcm2711-rpi-4-b.dtb", &tree);
    let expected = "error: `bcm2711-rpi-4-b.dtb` is not for a Raspberry Pi 4 Model B: it is compatible with \
                    raspberrypi,400, brcm,bcm2711";
    assert!(said.starts_with(expected), "{said}");
    let said = kernel("bcm2712-rpi-5-b.dtb", &tree[..tree.len() / 2]);
    assert!(
        said.starts_with("error: `bcm2712-rpi-5-b.dtb` cannot be used: it is not a sound device"),
        "{said}"
    );
}

#[test]
fn a_project_cannot_mix_families_or_bring_overlays_that_do_not_fit() {
    let project = |config: &str, file: &str, bytes: &[u8]| {
        let machine = Machine::with(config);
        machine.write(file, bytes);
        refused(&machine)
    };
    let mut tree = Dtb::decode(&boot_files::device_tree("a", "b")).unwrap();
    tree.set("/__overrides__", "i2c", b"\0");
    let files = "[rpi]\nfiles = \"boot\"\n";
    let said = project(files, "boot/bcm2711-rpi-cm4s.dtb", &tree.encode());
    assert!(said.contains("is for a vendor's kernel, and this kernel is mainline"), "{said}");
    let said = project(files, "boot/config.txt", b"[all]\n");
    assert!(said.contains("`/config.txt` of the project stands in the way"), "{said}");
    let overlays = "[rpi]\nfiles = \"boot\"\noverlays = [\"own\"]\n";
    let mut overlay = Dtb::decode(&boot_files::overlay()).unwrap();
    overlay.set("/__fixups__", "hdmi0", b"/fragment@0:target:0\0");
    let said = project(overlays, "boot/overlays/own.dtbo", &overlay.encode());
    assert!(
        said.starts_with("error: overlay `own` needs `hdmi0`, which the device tree of `rpi4` has not"),
        "{said}"
    );
    let said = project(overlays, "boot/overlays/own.dtbo", &boot_files::device_tree("a", "b"));
    assert!(said.starts_with("error: `overlays/own.dtbo` is no overlay"), "{said}");
    let said = refused(&Machine::with("[image]\nboards = [\"cm5\"]\n"));
    assert!(said.contains("board `cm5` needs the device tree `bcm2712-rpi-cm5-cm5io.dtb`"), "{said}");
}

#[test]
fn the_same_inputs_make_the_same_bytes() {
    let (one, other) = (Machine::new(), Machine::new());
    let read = |path: &Path| fs::read(path).unwrap();
    assert!(read(&one.image_of("rpi")) == read(&other.image_of("rpi")), "two builds differ");
}

#[test]
fn inspect_knows_the_partitions_by_their_numbers() {
    let machine = Machine::new();
    machine.image_of("rpi");
    let output = machine.run(&["inspect", "disk.img", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let roles: Vec<&str> =
        found["partitions"].as_array().unwrap().iter().map(|row| row["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["selector", "boot-a", "boot-b", "data"]);
    assert_eq!((&found["boot"]["file"], &found["boot"]["next"]), (&"autoboot.txt".into(), &"a".into()));
    for slot in found["slots"].as_array().unwrap() {
        assert_eq!(slot["problems"].as_array().unwrap().len(), 0, "{slot}");
    }
}

/// An archive whose kernel is as Debian's is, without `/dev/vcio`, and has further files.
fn plain_kernel(machine: &Machine, further: Vec<Member>) {
    let mut suite = machine.archive.beside("trixie-backports", "main");
    let builtin = format!("./usr/lib/modules/{RELEASE}/modules.builtin");
    let builtin = Member::file(builtin, b"kernel/fs/ext4/ext4.ko\n");
    let kernel = kernel().into_iter().filter(|member| !member.is("modules.builtin"));
    let files: Vec<Member> = kernel.chain([builtin]).chain(device_trees()).chain(further).collect();
    let package = "linux-image-11-arm64";
    suite.add("linux-image-arm64", "11", &format!("Depends: {package}"), b"a metapackage");
    suite.add(package, "11", "", &deb_of(&control(package), &xz(&tar_of(&files))));
    suite.add("linux-headers-arm64", "11", "", &deb(&[("./usr/share/doc/headers", b"empty")]));
    suite.publish();
}

#[test]
fn an_image_without_a_module_for_vcio_says_that_it_cannot_arm_tryboot() {
    let machine = Machine::new();
    plain_kernel(&machine, Vec::new());
    let bare = |arguments: &[&str]| {
        let output = machine.factory(arguments).env("PATH", "/nowhere").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let note = |unless: &str| {
        format!(
            "this image cannot arm tryboot{unless}: `aarch64-linux-gnu-gcc`, which builds the module rpi-vcio"
        )
    };
    let plan = bare(&["plan", "--track", "rpi"]);
    assert!(plan.contains(&format!("note        {}", note(", unless its kernel has `/dev/vcio`"))), "{plan}");
    let image = bare(&["image", "--track", "rpi", "-o", "disk.img"]);
    assert!(image.contains(&format!("note: {}", note(""))), "{image}");

    // With a compiler, headers that are none stop the build.
    let output = machine.factory(&["image", "--track", "rpi", "-o", "other.img"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("error: the header packages have no `linux-headers-<release>/Module.symvers`"),
        "{said}"
    );
    assert!(!machine.project("other.img").exists());
}

#[test]
fn a_module_that_was_built_with_the_kernel_is_loaded_and_goes_with_its_source() {
    let machine = Machine::new();
    let path = format!("./usr/lib/modules/{RELEASE}/updates/rpi-vcio.ko");
    let module = elf::module(b"name=rpi_vcio\0license=GPL\0depends=\0");
    plain_kernel(&machine, vec![Member::file(path, &module)]);
    let arguments = ["image", "--track", "rpi", "-o", "disk.img"];
    let output = machine.factory(&arguments).env("PATH", "/nowhere").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("tryboot"), "{said}");

    let disk = Disk::read(&machine.project("disk.img"));
    let listed = &disk.manifest["modules"][0];
    assert_eq!((&listed["name"], &listed["licence"]), (&"rpi-vcio".into(), &"GPL".into()));
    assert_eq!(listed["size"], module.len());
    let place = listed["source"]["initramfs"].as_str().unwrap();
    assert_eq!(place, "usr/src/rpi-vcio");
    for name in ["COPYING", "Kbuild", "rpi-vcio.c"] {
        let shipped = initramfs_file(&disk, &format!("{place}/{name}"));
        assert_eq!(shipped, fs::read(format!("modules/rpi-vcio/{name}")).unwrap(), "{name}");
    }
    let order = initramfs_file(&disk, &format!("lib/modules/{RELEASE}/factory.load"));
    assert!(String::from_utf8(order).unwrap().lines().any(|line| line == "updates/rpi-vcio.ko"));
}

/// A file of the initramfs of slot A, by zstd and cpio.
fn initramfs_file(disk: &Disk, name: &str) -> Vec<u8> {
    let packed = disk.path.with_extension("initramfs");
    fs::write(&packed, disk.read_fat("boot-a", "initramfs8")).unwrap();
    let script = "zstd -dc \"$0\" | cpio --extract --to-stdout --quiet \"$1\"";
    print("sh", ["-c", script, text(&packed), name]).into_bytes()
}
