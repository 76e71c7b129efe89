//! Images that do not fit where they are to go.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::support::elf;
use super::support::machine::Machine;
use super::{refused_once_fetched, refuses};

fn fetched() -> Machine {
    let machine = Machine::new();
    machine.run(&["fetch", "--track", "generic"]);
    machine
}

fn to(machine: &Machine, output: &str, expected: &str) {
    let command = machine.factory(&["image", "--track", "generic", "-o", output]);
    refuses(machine, command, 1, expected);
}

#[test]
fn a_full_disk_is_told() {
    let machine = fetched();
    // The text tells the size, which no other command may change.
    machine.write("factory.toml", "[substrate]\nbootenv = \"own\"\n");
    machine.write("own", elf::program());
    machine.write("small/disk.img", "");
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=64k none small && \"$0\" \"$@\"; code=$?; ls -A small; exit $code";
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_factory")]);
    command.args(["image", "--track", "generic", "-o", "small/disk.img"]);
    machine.surround(&mut command);
    refuses(
        &machine,
        command,
        1,
        "\
error: no space is left for `small/disk.img`, which takes 2.7 MiB

hint: free some space, or write it elsewhere
",
    );
}

#[test]
fn an_output_that_is_no_file_is_refused() {
    let machine = fetched();
    fs::create_dir(machine.project("images")).unwrap();
    to(
        &machine,
        "images",
        "\
error: `images` is a directory

hint: name a file in it
",
    );
    to(
        &machine,
        "/dev/null",
        "\
error: `/dev/null` is not a regular file

hint: name a file; what is in it can be copied to a device
",
    );
    to(
        &machine,
        "..",
        "\
error: `..` is a directory

hint: name a file in it
",
    );
}

#[test]
fn an_output_in_a_directory_that_does_not_exist_is_refused() {
    to(
        &fetched(),
        "nowhere/disk.img",
        "\
error: writing `nowhere/disk.img`
  because: No such file or directory (os error 2)
",
    );
    let machine = fetched();
    machine.write("images", "a file");
    to(
        &machine,
        "images/disk.img",
        "\
error: writing `images/disk.img`
  because: Not a directory (os error 20)
",
    );
}

#[test]
fn an_output_that_may_not_be_written_is_refused() {
    let machine = fetched();
    fs::create_dir(machine.project("images")).unwrap();
    fs::set_permissions(machine.project("images"), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = machine.factory_as_nobody();
    command.args(["image", "--track", "generic", "-o", "images/disk.img"]);
    refuses(
        &machine,
        command,
        1,
        "\
error: writing `images/disk.img`
  because: Permission denied (os error 13)
",
    );
}

#[test]
fn partitions_that_are_too_small_are_refused() {
    let file = |field: &str| format!("[sizes]\n{field} = \"1 MiB\"\n");
    for (field, expected) in [
        (
            "system",
            "\
error: partition `system-a` has 1 MiB, but its files need 16 MiB

hint: raise `sizes.system`, or leave it at \"auto\"
",
        ),
        (
            "data",
            "\
error: partition `data` has 1 MiB, but its files need 16 MiB

hint: raise `sizes.data`, or leave it at \"auto\"
",
        ),
    ] {
        refused_once_fetched(&Machine::with(&file(field)), expected);
    }
    let machine = Machine::with("[sizes]\nselector = \"8 MiB\"\n\n[generic]\nesp = \"esp\"\n");
    machine.write("esp/large", vec![0; 9 << 20]);
    refused_once_fetched(
        &machine,
        "\
error: partition `esp` has 8 MiB, but its files need 10 MiB

hint: raise `sizes.selector`, or leave it at \"auto\"
",
    );
}

#[test]
fn partitions_that_no_disk_holds_are_refused() {
    refused_once_fetched(
        &Machine::with("[sizes]\ndata = \"9000000 TiB\"\n"),
        "\
error: partition `data` needs 9000000 TiB, but only 8388608.0 TiB are left

hint: make the disk larger, or a partition smaller
",
    );
    refused_once_fetched(
        &Machine::with("[sizes]\nselector = \"3 TiB\"\n"),
        "\
error: formatting partition `esp`
  because: 3 TiB is no size for FAT, which takes 3 MiB to 2.0 TiB

hint: choose a size in between
",
    );
}

#[test]
fn a_file_that_fat_cannot_hold_is_refused() {
    let machine = Machine::with("[generic]\nesp = \"esp\"\n");
    machine.write("esp/movie", "");
    File::options().write(true).open(machine.project("esp/movie")).unwrap().set_len(1 << 32).unwrap();
    refused_once_fetched(
        &machine,
        "\
error: formatting partition `esp`
  because: `/movie` has 4 GiB, but a file on FAT has less than 4 GiB

hint: put it on an ext4 partition
",
    );
}

#[test]
fn names_that_fat_cannot_hold_are_refused() {
    let with = |names: &[&str]| {
        let machine = Machine::with("[generic]\nesp = \"esp\"\n");
        names.iter().for_each(|name| machine.write(&format!("esp/{name}"), "x"));
        machine
    };
    refused_once_fetched(
        &with(&["a:b"]),
        "\
error: formatting partition `esp`
  because: `/a:b` has a name that FAT does not take: it holds one of \" * / : < > ? \\ |

hint: rename it
",
    );
    refused_once_fetched(
        &with(&["Read.me", "READ.ME"]),
        "\
error: formatting partition `esp`
  because: `/Read.me` and `/READ.ME` are the same name on FAT

hint: rename one of them
",
    );
    refused_once_fetched(
        &with(&["efi/boot/bootaa64.efi"]),
        "\
error: formatting partition `esp`
  because: `/efi` and `/EFI` are the same name on FAT

hint: rename one of them
",
    );
    let machine = with(&["a"]);
    std::os::unix::fs::symlink("a", machine.project("esp/b")).unwrap();
    refused_once_fetched(
        &machine,
        "\
error: formatting partition `esp`
  because: `/b` is a symbolic link, which FAT cannot hold

hint: leave it out, or copy what it stands for
",
    );
}

#[test]
fn files_of_the_project_do_not_replace_those_of_the_loader() {
    let machine = Machine::with("[generic]\nesp = \"esp\"\n");
    machine.write("esp/EFI/factory/grubenv", "mine");
    refused_once_fetched(
        &machine,
        "\
error: `/EFI/factory/grubenv` of the project stands in the way of the track's own files

hint: rename it, or leave it out
",
    );
    fs::remove_dir_all(machine.project("esp/EFI")).unwrap();
    machine.write("esp/EFI", "mine");
    refused_once_fetched(
        &machine,
        "\
error: `/EFI` of the project stands in the way of the track's own files

hint: rename it, or leave it out
",
    );
}
