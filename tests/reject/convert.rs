//! Images that cannot be read, and formats that cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::refuses;
use super::support::machine::Machine;

/// A machine with an image that is hard to pack.
fn machine() -> Machine {
    let machine = Machine::new();
    let noise = (0_u32..1 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b1).rotate_left(n % 31).to_le_bytes());
    machine.write("disk.img", noise.collect::<Vec<u8>>());
    machine
}

fn convert(machine: &Machine, arguments: &[&str], code: i32, expected: &str) {
    refuses(machine, machine.factory(&[&["convert"], arguments].concat()), code, expected);
}

#[test]
fn what_is_no_image_is_refused() {
    let machine = machine();
    machine.write("images/readme", "");
    let none = "\
error: opening `none.img`
  because: No such file or directory (os error 2)
";
    convert(&machine, &["none.img", "--to", "zst"], 1, none);
    convert(
        &machine,
        &["images", "--to", "zst"],
        1,
        "error: `images` is not an image\n\nhint: name a file\n",
    );
    convert(&machine, &["images/readme", "--to", "zst"], 1, "error: `images/readme` is empty\n");
}

#[test]
fn a_packed_image_that_is_cut_off_or_damaged_is_refused() {
    let machine = machine();
    for format in ["zst", "gz", "xz"] {
        machine.run(&["convert", "disk.img", "--to", format]);
        let name = format!("disk.img.{format}");
        let packed = fs::read(machine.project(&name)).unwrap();
        machine.write(&name, &packed[..packed.len() * 3 / 4]);
        let known =
            [("zst", "zstd"), ("gz", "gzip"), ("xz", "xz")].into_iter().find(|(name, _)| *name == format);
        let expected = "error: reading `NAME`\n  because: its PACKING data is cut off\n";
        let expected = expected.replace("NAME", &name).replace("PACKING", known.unwrap().1);
        convert(&machine, &[&name, "--to", "qcow2"], 1, &expected);
    }
}

#[test]
fn an_image_that_ends_with_its_first_frame_is_not_taken_for_a_shorter_one() {
    let machine = machine();
    let mut disk = fs::read(machine.project("disk.img")).unwrap().repeat(4);
    // An MBR with one partition, from sector 1 to the end of the 4 MiB.
    disk[446..512].fill(0);
    disk[446 + 4] = 0x83;
    disk[446 + 8] = 1;
    disk[446 + 12..446 + 16].copy_from_slice(&8191_u32.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    machine.write("disk.img", disk);
    machine.run(&["convert", "disk.img", "--to", "zst"]);
    let packed = fs::read(machine.project("disk.img.zst")).unwrap();
    // Behind the frames is a table of their lengths, 8 bytes for each, and 9 bytes.
    let number = |at: usize| u32::from_le_bytes(packed[at..at + 4].try_into().unwrap()) as usize;
    let first = number(packed.len() - 9 - 8 * number(packed.len() - 9));
    machine.write("disk.img.zst", &packed[..first]);
    let expected = "\
error: `disk.img.zst` is cut off: it has 2097152 bytes, and should have 4194304

hint: copy or download it again
";
    convert(&machine, &["disk.img.zst", "--to", "qcow2"], 1, expected);
}

#[test]
fn a_format_that_does_not_exist_is_wrong_usage() {
    let expected = "\
error: invalid value 'zip' for '--to <FORMAT>'
  [possible values: raw, zst, gz, xz, qcow2, qcow2-zstd, vdi, vhd, vmdk, gce, bmap, os-list, sha256]

For more information, try '--help'.
";
    convert(&machine(), &["disk.img", "--to", "zip"], 2, expected);
}

#[test]
fn an_image_is_not_written_over_itself() {
    let machine = machine();
    let expected = "\
error: `./disk.img` is the image itself

hint: write it elsewhere with `-o`
";
    convert(&machine, &["./disk.img", "--to", "zst", "--to", "raw"], 3, expected);
}

#[test]
fn formats_that_are_not_read_are_told_from_raw_images() {
    let machine = machine();
    let qemu = "make it raw with `qemu-img convert -O raw`";
    let formats = [
        ("vdi", "vdi", "a VDI image", qemu),
        ("vmdk", "vmdk", "a VMDK image", qemu),
        ("gce", "tar.gz", "a tar archive", "unpack it with `tar -xf`"),
    ];
    for (format, suffix, name, hint) in formats {
        machine.run(&["convert", "disk.img", "--to", format]);
        let expected = format!("error: `disk.{suffix}` is {name}, which is not read here\n\nhint: {hint}\n");
        convert(&machine, &[&format!("disk.{suffix}"), "--to", "zst"], 1, &expected);
    }
}

#[test]
fn a_disk_that_no_file_system_holds_is_refused_before_tables_are_made_for_it() {
    let machine = machine();
    let create = ["create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", "x.qcow2", "17T"];
    let made = Command::new("qemu-img").args(create).current_dir(machine.project(".")).output();
    assert!(made.as_ref().is_ok_and(|made| made.status.success()), "{made:?}");
    let expected = "error: `x.vdi` would become larger than it can be\n";
    convert(&machine, &["x.qcow2", "--to", "vdi"], 1, expected);
}

#[test]
fn a_qcow2_image_that_is_not_whole_or_needs_what_is_unknown_is_refused() {
    let machine = machine();
    let create = |options: &[&str]| {
        let made = [&["create", "-q", "-f", "qcow2"][..], options, &["x.qcow2", "1M"]].concat();
        let made = Command::new("qemu-img").args(&made).current_dir(machine.project(".")).output();
        assert!(made.as_ref().is_ok_and(|made| made.status.success()), "{made:?}");
    };
    let refused = |reason: &str| {
        convert(
            &machine,
            &["x.qcow2", "--to", "zst"],
            1,
            &format!("error: opening `x.qcow2`\n  because: {reason}\n"),
        );
    };
    create(&["-b", "disk.img", "-F", "raw"]);
    refused(
        "it is only what differs from another image\n\nhint: make it whole with `qemu-img convert -O qcow2`",
    );
    let plain = "\n\nhint: make it plain with `qemu-img convert -O qcow2`";
    create(&["-o", "data_file=x.data"]);
    refused(&format!("it uses a second file for its data{plain}"));
    create(&["-o", "extended_l2=on"]);
    refused(&format!("it uses subclusters{plain}"));
    create(&[]);
    let made = fs::read(machine.project("x.qcow2")).unwrap();
    let change = |at: usize, byte: u8| {
        let mut changed = made.clone();
        changed[at] = byte;
        machine.write("x.qcow2", changed);
    };
    change(7, 4);
    refused("it has version 4 of the format, and only 2 and 3 are known");
    // `qemu-img` makes one only where it can tell how much time keys take it, which it cannot everywhere.
    change(35, 2);
    refused("it is encrypted\n\nhint: decrypt it with `qemu-img convert -O raw`");
    change(78, 1);
    refused(&format!("it uses features that are unknown here (0x100){plain}"));
    change(79, 2);
    refused("it is marked as damaged\n\nhint: see what `qemu-img check -r all` says of it");
    change(79, 8);
    refused(&format!("it uses a compression that is unknown here (0){plain}"));
    change(23, 40);
    refused("it is cut off or damaged: its header");
    change(40, 1);
    refused("it is cut off or damaged: its L1 table");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_told_before_the_work() {
    let machine = machine();
    let expected = "\
error: writing `nowhere/disk.qcow2`
  because: No such file or directory (os error 2)
";
    convert(&machine, &["disk.img", "--to", "qcow2", "-o", "nowhere"], 1, expected);
    fs::create_dir(machine.project("images")).unwrap();
    fs::set_permissions(machine.project("images"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(machine.project("disk.img"), fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = machine.factory_as_nobody();
    command.args(["convert", "disk.img", "--to", "bmap", "-o", "images"]);
    let expected = "\
error: writing `images/disk.img.bmap`
  because: Permission denied (os error 13)
";
    refuses(&machine, command, 1, expected);
}

#[test]
fn a_full_disk_is_told_and_none_of_the_formats_is_left() {
    let machine = machine();
    machine.write("small/keep", "");
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=64k none small && \"$0\" \"$@\"; code=$?; ls -A small; exit $code";
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_factory")]);
    command.args(["convert", "disk.img", "--to", "bmap", "--to", "zst", "-o", "small"]);
    machine.surround(&mut command);
    let expected = "\
error: no space is left for `small/disk.img.zst`

hint: free some space, or write it elsewhere
";
    refuses(&machine, command, 1, expected);
}

#[test]
fn an_image_for_no_raspberry_pi_is_nothing_for_its_imager() {
    let machine = machine();
    let expected = "\
error: `disk.img` starts on no Raspberry Pi, so that its Imager has no use for it

hint: leave out `os-list`
";
    convert(&machine, &["disk.img", "--to", "xz", "--to", "os-list"], 1, expected);
}
