//! What `factory flash` does not write, where no device is needed to say so. Those of devices are in tests/flash.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use super::refuses;
use super::support::machine::Machine;

/// The head of an image of 4 MiB: a GPT whose second header is in the last sector.
fn image(machine: &Machine, name: &str, size: u64) {
    machine.write(name, "");
    let file = OpenOptions::new().write(true).open(machine.project(name)).unwrap();
    file.write_all_at(b"EFI PART", 512).unwrap();
    file.write_all_at(&8191_u64.to_le_bytes(), 512 + 32).unwrap();
    file.set_len(size).unwrap();
}

fn refused(machine: &Machine, arguments: &[&str], expected: &str) {
    let command = machine.factory(&[&["flash"], arguments].concat());
    refuses(machine, command, 3, expected);
}

#[test]
fn nothing_is_overwritten_when_nobody_can_be_asked() {
    let machine = Machine::new();
    image(&machine, "disk.img", 4 << 20);
    machine.write("copy.img", "precious");
    let expected = "\
error: nobody can be asked whether `copy.img` may be overwritten

hint: run it in a terminal, or say `--yes`
";
    refused(&machine, &["disk.img", "copy.img"], expected);
}

#[test]
fn what_is_no_image_is_not_flashed() {
    let machine = Machine::new();
    machine.write("notes.txt", "milk, bread\n".repeat(100));
    let expected = "\
error: `notes.txt` is not an image of a disk: it has no partition table

hint: `factory inspect` shows what a file holds
";
    refused(&machine, &["notes.txt", "copy.img", "--yes"], expected);
}

#[test]
fn an_image_that_was_cut_off_is_not_flashed() {
    let machine = Machine::new();
    image(&machine, "disk.img", 3 << 20);
    let expected = "\
error: `disk.img` is cut off: it has 3145728 bytes, and should have 4194304

hint: copy or download it again
";
    machine.write("copy.img", "precious");
    refused(&machine, &["disk.img", "copy.img", "--yes"], expected);
}

#[test]
fn an_image_is_not_written_over_itself() {
    let machine = Machine::new();
    image(&machine, "disk.img", 4 << 20);
    std::fs::hard_link(machine.project("disk.img"), machine.project("same.img")).unwrap();
    let expected = "\
error: `same.img` is the image itself

hint: name another target
";
    refused(&machine, &["disk.img", "same.img", "--yes"], expected);
}

#[test]
fn what_is_no_device_is_not_written() {
    let machine = Machine::new();
    image(&machine, "disk.img", 4 << 20);
    let expected = "\
error: `/dev/null` is neither a block device nor a file

hint: `factory devices` lists what can be written
";
    refused(&machine, &["disk.img", "/dev/null", "--yes"], expected);
    let expected = "\
error: there is no device `/dev/mistyped`

hint: `factory devices` lists what can be written
";
    refused(&machine, &["disk.img", "/dev/mistyped", "--yes"], expected);
}

#[test]
fn an_address_without_a_digest_is_not_flashed() {
    let machine = Machine::new();
    machine.write("copy.img", "precious");
    let expected = "\
error: nothing tells what `https://host.example/disk.img.zst` should hold

hint: name the digest that goes with it by `--sha256`
";
    refused(&machine, &["https://host.example/disk.img.zst", "copy.img", "--yes"], expected);
}

#[test]
fn what_is_not_a_digest_is_wrong_usage() {
    let machine = Machine::new();
    image(&machine, "disk.img", 4 << 20);
    let expected = "\
error: invalid value 'abc' for '--sha256 <HEX>': `abc` is not a sha256; it has 64 hexadecimal digits

For more information, try '--help'.
";
    let command = machine.factory(&["flash", "disk.img", "copy.img", "--sha256", "abc"]);
    refuses(&machine, command, 2, expected);
}

#[test]
fn a_digest_or_map_beside_the_image_that_cannot_be_used_is_told_before_anything_is_written() {
    let machine = Machine::new();
    image(&machine, "disk.img", 4 << 20);
    machine.write("copy.img", "precious");
    machine.write("disk.img.sha256", "milk, bread\n");
    let expected = "\
error: flashing `copy.img`
  because: nothing was written
  because: `disk.img.sha256` has no sha256 of `disk.img`

hint: remove it, or name the digest by `--sha256`
";
    let flash = || machine.factory(&["flash", "disk.img", "copy.img", "--yes"]);
    refuses(&machine, flash(), 1, expected);
    std::fs::remove_file(machine.project("disk.img.sha256")).unwrap();
    machine.write("disk.bmap", "<bmap version=\"1.2\">");
    let expected = "\
error: flashing `copy.img`
  because: nothing was written
  because: reading `disk.bmap`
  because: it is a block map of version `1.2`, and only 2.0 is known
";
    refuses(&machine, flash(), 1, expected);
}
