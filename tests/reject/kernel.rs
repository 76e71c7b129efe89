//! Kernels that cannot be built, found out before anything is compiled.

use super::refuses;
use super::support::machine::Machine;
use super::support::packages::{Member, tar_of};

const BUILD: [&str; 3] = ["kernel", "--track", "rpi"];

/// `factory kernel` with these arguments must fail so.
fn refused(machine: &Machine, arguments: &[&str], expected: &str) {
    refuses(machine, machine.factory(&[&BUILD[..], arguments].concat()), 1, expected);
}

/// A directory that passes for the source of a kernel, as far as anybody looks here.
fn source(machine: &Machine) {
    for (name, text) in [
        ("linux/Makefile", "VERSION = 9\nPATCHLEVEL = 9\nSUBLEVEL = 0\nEXTRAVERSION =\n"),
        ("linux/Kconfig", ""),
        ("linux/arch/arm64/Makefile", ""),
        ("linux/arch/arm64/configs/defconfig", ""),
    ] {
        machine.write(name, text);
    }
}

#[test]
fn an_archive_of_another_program_is_refused() {
    let machine = Machine::new();
    let members =
        [Member::file("busybox-1.37/Makefile", "VERSION = 1\n"), Member::file("busybox-1.37/README", "")];
    machine.write("busybox.tar", tar_of(&members));
    refused(
        &machine,
        &["--source", "busybox.tar"],
        "\
error: `busybox.tar` is not the source of a kernel for arm64: it has no top `Makefile` with a kernel's version; in it are `Makefile`, `README`
",
    );
}

#[test]
fn a_directory_without_a_kernel_is_refused() {
    let machine = Machine::new();
    machine.write("empty/README", "");
    refused(
        &machine,
        &["--source", "empty"],
        "\
error: `/MACHINE/project/empty` is not the source of a kernel for arm64: it has no top `Makefile` with a kernel's version; in it are `README`
",
    );
}

#[test]
fn an_address_needs_a_digest() {
    refused(
        &Machine::new(),
        &["--source", "https://host.example/linux.tar.xz"],
        "\
error: a `tree` from the web needs its `sha256`

hint: download it once, look at it, and write down what `sha256sum` prints
",
    );
}

#[test]
fn a_fragment_that_is_not_ours_and_one_that_is_not_there_are_named() {
    let machine = Machine::new();
    source(&machine);
    refused(
        &machine,
        &["--source", "linux", "--fragment", "my.fragment"],
        "\
error: reading `my.fragment`
  because: No such file or directory (os error 2)
",
    );
    let output =
        machine.factory(&[&BUILD[..], &["--fragment", "factory:contaner.fragment"]].concat()).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(
        said.starts_with("error: no fragment `factory:contaner.fragment` comes with this program\n"),
        "{said}"
    );
}

#[test]
fn a_defconfig_that_the_source_does_not_have_is_named() {
    let machine = Machine::new();
    source(&machine);
    refused(
        &machine,
        &["--source", "linux", "--defconfig", "bcm2712_defconfig", "--config-only"],
        "\
error: this kernel has no `bcm2712_defconfig`

hint: name a file of `linux/arch/arm64/configs`, or one of tinyconfig, allnoconfig, alldefconfig, allmodconfig, allyesconfig
",
    );
}

#[test]
fn every_line_of_a_fragment_that_the_kernels_tools_would_pass_over_is_told() {
    let machine = Machine::new();
    source(&machine);
    let lines = [
        "CONFIG_LOCALVERSION=-noquote",
        "VIRTIO_BLK=y",
        "#CONFIG_EXT4_FS is not set",
        "# CONFIG_VFAT_FS  is not set",
        "CONFIG_SWAP=y",
        "CONFIG_SWAP=n",
        "CONFIG_net=y",
    ];
    machine.write("bad.fragment", lines.join("\n") + "\n");
    refused(&machine, &["--source", "linux", "--fragment", "bad.fragment", "--config-only"],
        "\
error: bad.fragment:1: `LOCALVERSION` is set to a word without quotes: a text needs them, and only `y`, `m` and `n` have none
bad.fragment:2: `VIRTIO_BLK=y` lacks the prefix: write `CONFIG_VIRTIO_BLK=y`
bad.fragment:3: `#CONFIG_EXT4_FS is not set` unsets nothing: write `# CONFIG_EXT4_FS is not set`, with exactly these spaces
bad.fragment:4: `# CONFIG_VFAT_FS  is not set` unsets nothing: write `# CONFIG_VFAT_FS is not set`, with exactly these spaces
bad.fragment:6: `SWAP` is already in line 5: a fragment says it once
bad.fragment:7: `net` is in small letters, and names of symbols are in capitals

hint: lines are `CONFIG_NAME=VALUE` with y, m, n, a number or a text in double quotes, `# CONFIG_NAME is not set`, or comments
",
    );
}

#[test]
fn patches_are_for_archives() {
    let machine =
        Machine::with("[kernel]\nsource = \"build\"\ntree = \"linux\"\npatches = [\"fix.patch\"]\n");
    source(&machine);
    refused(
        &machine,
        &[],
        "\
error: `linux` is a directory, which is never changed, and `kernel.patches` would

hint: apply the patches there, or name an archive
",
    );
}

#[test]
fn a_source_that_was_built_in_is_told_how_to_be_cleaned() {
    let machine = Machine::new();
    source(&machine);
    machine.write("linux/.config", "");
    refused(
        &machine,
        &["--source", "linux"],
        "\
error: `/MACHINE/project/linux` was built in: it has `.config`, with which it cannot be built elsewhere

hint: `make -C /MACHINE/project/linux ARCH=arm64 mrproper` cleans it; that removes its `.config` too
",
    );
}

#[test]
fn a_launcher_that_does_not_exist_is_wrong_usage() {
    let machine = Machine::new();
    let command = machine.factory(&[&BUILD[..], &["--launcher", "gcache"]].concat()).output().unwrap();
    assert_eq!(command.status.code(), Some(2));
    let said = String::from_utf8(command.stderr).unwrap();
    assert!(said.contains("`gcache` is not a launcher"), "{said}");
}

#[test]
fn what_the_machine_lacks_is_named_with_its_package() {
    let machine = Machine::new();
    source(&machine);
    let arguments = [&BUILD[..], &["--source", "linux", "--launcher", "ccache"]].concat();
    let mut bare = machine.factory(&arguments);
    bare.env("PATH", machine.path("tmp"));
    refuses(
        &machine,
        bare,
        1,
        "\
error: `ccache` is not installed

hint: on Debian, `apt-get install ccache`
",
    );
}
