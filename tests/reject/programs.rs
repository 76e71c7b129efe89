//! Programs and libraries that could not run on the device.

use super::refused_once_fetched;
use super::support::elf;
use super::support::machine::Machine;
use super::support::packages::{Member, deb, tar_of};

const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

/// A project with a rootfs of these members.
fn with_rootfs(members: &[Member]) -> Machine {
    let machine = Machine::with("[[rootfs.layer]]\ntar = \"base.tar\"\n");
    machine.write("base.tar", tar_of(members));
    machine
}

#[test]
fn a_program_for_another_machine_is_refused() {
    let init = Member::program("sbin/init", elf::foreign(elf::program()));
    refused_once_fetched(
        &with_rootfs(&[init]),
        "\
error: `/sbin/init` is made for x86-64, the device runs AArch64

hint: take the file for arm64
",
    );
}

#[test]
fn a_program_whose_library_or_loader_is_missing_is_refused() {
    let init = Member::program("sbin/init", elf::dynamic(LOADER, &["libc.so.6", "libm.so.6"]));
    let libm = Member::file("usr/lib/libm.so.6", elf::program());
    refused_once_fetched(
        &with_rootfs(&[init, libm]),
        "\
error: 2 needed libraries or loaders are not in the tree
  `/sbin/init` needs `/lib/ld-linux-aarch64.so.1`
  `/sbin/init` needs `libc.so.6`

hint: add the packages that ship them, link without them, or name them in `rootfs.allow_missing`
",
    );
}

#[test]
fn a_damaged_program_is_refused() {
    let mut program = elf::dynamic(LOADER, &["libc.so.6"]);
    program.truncate(300);
    refused_once_fetched(
        &with_rootfs(&[Member::program("sbin/init", program)]),
        "\
error: `/sbin/init` is a damaged ELF file
  because: its program headers are damaged
",
    );
}

#[test]
fn a_rootfs_without_init_is_refused() {
    refused_once_fetched(
        &with_rootfs(&[Member::file("etc/hostname", "x")]),
        "\
error: the root file system has no `/sbin/init` that can be started

hint: add a package that ships one, such as `systemd-sysv` or `busybox`, or set `rootfs.init`
",
    );
    refused_once_fetched(
        &with_rootfs(&[Member::file("sbin/init", elf::program())]),
        "\
error: the root file system has no `/sbin/init` that can be started

hint: add a package that ships one, such as `systemd-sysv` or `busybox`, or set `rootfs.init`
",
    );
    refused_once_fetched(
        &with_rootfs(&[Member::symlink("sbin/init", "../../bin/init")]),
        "\
error: the root file system has no `/sbin/init` that can be started
  because: `/sbin/init` leads out of the tree

hint: add a package that ships one, such as `systemd-sysv` or `busybox`, or set `rootfs.init`
",
    );
}

#[test]
fn a_payload_for_another_machine_is_refused() {
    let machine = Machine::with("[substrate]\npayload = \"payload\"\n");
    machine.write("payload/bin/app", elf::foreign(elf::program()));
    refused_once_fetched(
        &machine,
        "\
error: `/payload/bin/app` is made for x86-64, the device runs AArch64

hint: take the file for arm64
",
    );
}

#[test]
fn a_payload_whose_library_is_missing_is_refused() {
    let machine = Machine::with("[substrate]\npayload = \"payload\"\n");
    machine.write("payload/bin/app", elf::dynamic(LOADER, &["libc.so.6"]));
    refused_once_fetched(
        &machine,
        "\
error: 2 needed libraries or loaders are not in the tree
  `/payload/bin/app` needs `/lib/ld-linux-aarch64.so.1`
  `/payload/bin/app` needs `libc.so.6`

hint: add the packages that ship them, link without them, or name them in `rootfs.allow_missing`
",
    );
    let allowed = format!("[rootfs]\nallow_missing = [\"{LOADER}\", \"libc.so.6\"]\n");
    machine.write("factory.toml", format!("[substrate]\npayload = \"payload\"\n\n{allowed}"));
    machine.image();
}

#[test]
fn a_busybox_for_another_machine_is_refused() {
    let mut machine = Machine::new();
    let package = deb(&[("./usr/bin/busybox", &elf::foreign(elf::program()))]);
    machine.archive.add("busybox-static", "2:1", "", &package);
    machine.archive.publish();
    refused_once_fetched(
        &machine,
        "\
error: `/bin/busybox` is made for x86-64, the device runs AArch64

hint: take the file for arm64
",
    );
}

#[test]
fn a_bootenv_that_the_initramfs_cannot_start_is_refused() {
    let machine = Machine::with("[substrate]\nbootenv = \"own\"\n\n[rootfs]\nallow_missing = [\"LOADER\"]\n");
    let foreign = "error: `/bin/bootenv` is made for x86-64, the device runs AArch64\n\nhint: take the file for arm64\n";
    let dynamic = "error: `/bin/bootenv` is no static program\n\nhint: link it statically\n";
    for (own, refusal) in [
        (elf::foreign(elf::program()), foreign),
        (elf::dynamic("LOADER", &[]), dynamic),
        (b"#!/bin/sh\n".to_vec(), dynamic),
    ] {
        machine.write("own", own);
        refused_once_fetched(&machine, refusal);
    }
}
