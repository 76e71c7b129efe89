//! Packages that are damaged although the archive vouches for them.

use super::refused_once_fetched;
use super::support::elf;
use super::support::machine::{KERNEL, Machine, RELEASE, control, kernel, module};
use super::support::packages::{Member, deb, deb_of, tar, tar_of, xz, zstd};

/// A machine whose archive has another busybox.
fn with_busybox(package: &[u8]) -> Machine {
    with_newer("busybox-static", package)
}

/// A machine whose kernel package holds these files.
fn with_kernel(members: &[Member]) -> Machine {
    with_newer(KERNEL, &deb_of(&control(KERNEL), &xz(&tar_of(members))))
}

fn with_newer(name: &str, package: &[u8]) -> Machine {
    let mut machine = Machine::new();
    machine.archive.add(name, "2:9.9-1", "", package);
    if name == KERNEL {
        machine.archive.add("linux-image-arm64", "10", &format!("Depends: {KERNEL} (= 2:9.9-1)"), b"meta");
    }
    machine.archive.publish();
    machine
}

fn busybox() -> Vec<u8> {
    deb(&[("./usr/bin/busybox", &elf::program())])
}

#[test]
fn a_package_that_is_cut_off_is_refused() {
    let whole = busybox();
    refused_once_fetched(
        &with_busybox(&whole[..whole.len() - 60]),
        "\
error: package `busybox-static` is damaged
  because: reading the archive
  because: the archive is cut off
",
    );
}

#[test]
fn a_package_with_a_flipped_bit_is_refused() {
    let mut package = busybox();
    let at = package.len() - 100;
    package[at] ^= 1;
    refused_once_fetched(
        &with_busybox(&package),
        "\
error: package `busybox-static` is damaged
  because: reading the archive
  because: its xz data is damaged (dist overflow)
",
    );
}

#[test]
fn a_package_that_is_none_is_refused() {
    refused_once_fetched(
        &with_busybox(b"<html>Please log in</html>"),
        "\
error: package `busybox-static` is damaged
  because: it is no `ar` archive
",
    );
}

#[test]
fn a_package_without_files_is_refused() {
    let whole = busybox();
    let data = whole.windows(8).position(|name| name == b"data.tar").unwrap();
    refused_once_fetched(
        &with_busybox(&whole[..data]),
        "\
error: package `busybox-static` is damaged
  because: it has no `data.tar`
",
    );
}

#[test]
fn a_package_without_the_wanted_file_is_refused() {
    refused_once_fetched(
        &with_busybox(&deb(&[("./bin/busybox", b"")])),
        "error: package `busybox-static` has no file `usr/bin/busybox`\n",
    );
}

#[test]
fn a_package_that_unpacks_to_too_much_is_refused() {
    let bomb = zstd_zeros((1 << 30) + (64 << 20));
    refused_once_fetched(
        &with_busybox(&deb_of("Package: x\n", &bomb)),
        "\
error: package `busybox-static` is damaged
  because: reading the archive
  because: it unpacks to more than 1.0 GiB
",
    );
}

/// A tar whose only member is that long.
fn zstd_zeros(length: u64) -> Vec<u8> {
    use std::io::{Read as _, copy, repeat};
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(length);
    header.set_mode(0o644);
    header.set_cksum();
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    copy(&mut header.as_bytes().chain(repeat(0).take(length)), &mut packed).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_package_whose_files_lead_out_of_the_tree_is_refused() {
    let member = Member::file("../../etc/passwd", "root::0:0");
    let package = deb_of("Package: x\n", &zstd(&tar_of(&[member])));
    refused_once_fetched(
        &with_busybox(&package),
        "\
error: package `busybox-static` is damaged
  because: `../../etc/passwd` leads out of the tree with `..`
",
    );
    refused_once_fetched(
        &with_kernel(&[&kernel()[..], &[Member::file("usr/../../x", "")]].concat()),
        "\
error: archive `linux-image-9.9-arm64` cannot be used
  because: `usr/../../x` leads out of the tree with `..`
",
    );
}

#[test]
fn a_kernel_package_without_a_kernel_is_refused() {
    refused_once_fetched(
        &with_kernel(&kernel()[1..]),
        "error: package `linux-image-9.9-arm64` has no file `boot/vmlinuz-*`\n",
    );
}

#[test]
fn a_kernel_package_without_modules_or_with_those_of_two_kernels_is_refused() {
    refused_once_fetched(
        &with_kernel(&kernel()[..1]),
        "error: the kernel has no modules: there is no `/usr/lib/modules/<release>`\n",
    );
    let second = Member::file("./usr/lib/modules/9.8-arm64/kernel/old.ko", elf::module(b""));
    refused_once_fetched(
        &with_kernel(&[&kernel()[..], &[second]].concat()),
        "error: there are modules of several kernels: 9.8-arm64, 9.9-arm64\n",
    );
}

#[test]
fn a_module_for_another_machine_is_refused() {
    let path = format!("./usr/lib/modules/{RELEASE}/kernel/foreign.ko");
    let foreign = Member::file(path, elf::foreign(elf::module(b"name=foreign\0")));
    refused_once_fetched(
        &with_kernel(&[&kernel()[..], &[foreign]].concat()),
        "\
error: `kernel/foreign.ko` is no kernel module for the device
  because: it is not an ELF file for AArch64
",
    );
}

#[test]
fn a_module_that_is_damaged_or_too_large_is_refused() {
    let path = |end: &str| format!("./usr/lib/modules/{RELEASE}/kernel/bad.ko{end}");
    let mut packed = xz(&elf::module(b"name=bad\0"));
    packed.truncate(packed.len() - 30);
    refused_once_fetched(
        &with_kernel(&[&kernel()[..], &[Member::file(path(".xz"), packed)]].concat()),
        "\
error: reading module `kernel/bad.ko.xz`
  because: its xz data is cut off
",
    );
    let bomb = Member::file(path(".zst"), zstd_zeros(129 << 20));
    refused_once_fetched(
        &with_kernel(&[&kernel()[..], &[bomb]].concat()),
        "\
error: reading module `kernel/bad.ko.zst`
  because: it is larger than 128 MiB
",
    );
    let nothing = Member::file(path(""), "");
    refused_once_fetched(
        &with_kernel(&[&kernel()[..], &[nothing]].concat()),
        "\
error: `kernel/bad.ko` is no kernel module for the device
  because: it is not an ELF file for AArch64
",
    );
}

#[test]
fn a_module_of_the_built_in_list_that_the_kernel_lacks_is_refused() {
    let without: Vec<Member> = kernel().into_iter().filter(|member| !member.is("overlay.ko")).collect();
    refused_once_fetched(
        &with_kernel(&without),
        "\
error: kernel 9.9-arm64 has no module `overlay`
  --> modules-arm64.list:9

hint: take another kernel, or put `?` in front of a name that may be missing
",
    );
}

#[test]
fn a_module_that_needs_one_that_is_missing_is_refused() {
    let broken = module("virtio_rng", "depends=rng_core\0");
    refused_once_fetched(
        &with_kernel(&[&kernel()[..], &[broken]].concat()),
        "error: module `virtio_rng` needs `rng_core`, which kernel 9.9-arm64 does not have\n",
    );
}

#[test]
fn a_module_that_the_project_wants_and_the_kernel_lacks_is_named_with_the_nearest() {
    let machine = Machine::with("[substrate]\nmodules = [\"squashsf\"]\n");
    refused_once_fetched(
        &machine,
        "\
error: kernel 9.9-arm64 has no module `squashsf`
  --> factory.toml  substrate.modules

hint: did you mean `squashfs`?
",
    );
    let machine = Machine::with("[substrate]\nmodules = [\"wireguard\"]\n");
    refused_once_fetched(
        &machine,
        "\
error: kernel 9.9-arm64 has no module `wireguard`
  --> factory.toml  substrate.modules

hint: take another kernel, or put `?` in front of a name that may be missing
",
    );
}

#[test]
fn a_layer_package_without_a_sound_control_file_is_refused() {
    let mut machine = Machine::with("[[rootfs.layer]]\npackages = [\"app\"]\n");
    machine.archive.add("app", "1", "", &deb_of("Nonsense\n", &xz(&tar(&[]))));
    machine.archive.publish();
    refused_once_fetched(&machine, "error: package `app` has no sound control file: it names no package\n");
}

#[test]
fn a_layer_package_with_a_member_that_leads_out_is_refused() {
    let mut machine = Machine::with("[[rootfs.layer]]\npackages = [\"app\"]\n");
    let data = xz(&tar_of(&[Member::file("../x", "")]));
    machine.archive.add("app", "1", "", &deb_of(&control("app"), &data));
    machine.archive.publish();
    refused_once_fetched(
        &machine,
        "\
error: package `app` cannot be unpacked
  because: archive `data.tar` cannot be used
  because: `../x` leads out of the tree with `..`
",
    );
}
