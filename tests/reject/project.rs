//! What a person may write into a project, or on the command line, and should not.

use std::fs;

use super::support::elf;
use super::support::machine::Machine;
use super::{IMAGE, refused, refuses};

#[test]
fn an_unknown_field_is_named_with_the_nearest_known_one() {
    refused(
        &Machine::with("[image]\nname = \"kiosk\"\nvresion = \"1\"\n"),
        "\
error: unknown field `vresion`
  --> factory.toml:3  vresion = \"1\"

hint: did you mean `version`?
",
    );
}

#[test]
fn an_unknown_section_is_named_with_all_known_ones() {
    refused(
        &Machine::with("[network]\ndhcp = true\n"),
        "\
error: unknown field `network`
  --> factory.toml:1  [network]

hint: known here: image, sizes, kernel, substrate, rootfs, health, generic, rpi, sources
",
    );
}

#[test]
fn a_size_that_is_none_is_shown_in_its_line() {
    refused(
        &Machine::with("[sizes]\nsystem = \"many\"\n"),
        "\
error: `many` is not a size; write a whole number and KiB, MiB, GiB or TiB, as in \"512 MiB\"
  --> factory.toml:2  system = \"many\"
",
    );
}

#[test]
fn a_check_that_needs_a_shell_and_a_trial_without_time_are_shown_in_their_lines() {
    refused(
        &Machine::with("[health]\ncheck = \"/payload/a && /payload/b\"\n"),
        "\
error: a check cannot hold '&', as no shell reads it; name a script that does what is meant
  --> factory.toml:2  check = \"/payload/a && /payload/b\"
",
    );
    refused(
        &Machine::with("[health]\ntimeout = 0\n"),
        "\
error: a trial takes 10 to 86400 seconds
  --> factory.toml:2  timeout = 0
",
    );
}

#[test]
fn a_value_of_another_type_is_shown_in_its_line() {
    refused(
        &Machine::with("[substrate]\nshell = \"yes\"\n"),
        "\
error: invalid type: string \"yes\", expected a boolean
  --> factory.toml:2  shell = \"yes\"
",
    );
}

#[test]
fn a_choice_that_does_not_exist_is_named_with_the_nearest() {
    refused(
        &Machine::with("[substrate]\ncompression = \"gzpi\"\n"),
        "\
error: unknown value `gzpi`
  --> factory.toml:2  compression = \"gzpi\"

hint: did you mean `gzip`?
",
    );
}

#[test]
fn a_name_that_cannot_be_a_host_name_is_refused() {
    refused(
        &Machine::with("[image]\nname = \"My Kiosk\"\n"),
        "\
error: `My Kiosk` is not a name; it has 1 to 63 letters, digits and inner hyphens
  --> factory.toml:2  name = \"My Kiosk\"
",
    );
}

#[test]
fn a_project_file_that_is_not_toml_is_shown_where_it_breaks() {
    refused(
        &Machine::with("[image\nname = 1\n"),
        "\
error: unclosed table, expected `]`
  --> factory.toml:1  [image
",
    );
}

#[test]
fn a_project_file_that_is_not_utf_8_is_refused() {
    let machine = Machine::new();
    machine.write("factory.toml", b"name = \"\xff\"");
    refused(
        &machine,
        "\
error: reading `factory.toml`
  because: stream did not contain valid UTF-8
",
    );
}

#[test]
fn a_layer_is_of_one_kind() {
    let file = "[[rootfs.layer]]\ndir = \"a\"\n\n[[rootfs.layer]]\ndir = \"b\"\ntar = \"b.tar\"\n";
    refused(
        &Machine::with(file),
        "\
error: a layer is one of `tar`, `dir` and `packages`
  --> factory.toml:4  [[rootfs.layer]]

hint: start another `[[rootfs.layer]]` for each
",
    );
}

#[test]
fn a_command_line_that_the_loader_cannot_pass_on_is_refused() {
    refused(
        &Machine::with(&format!("[kernel]\ncmdline = \"{}\"\n", "x".repeat(2000))),
        "\
error: the kernel command line has 2009 bytes, but this track's loader passes on 478 at the most

hint: shorten `kernel.cmdline`
",
    );
    refused(
        &Machine::with("[kernel]\ncmdline = \"init='/bin/sh'\"\n"),
        "\
error: a kernel command line cannot hold '\\'' on every boot path
  --> factory.toml:2  cmdline = \"init='/bin/sh'\"
",
    );
}

#[test]
fn an_unknown_track_is_refused_with_a_way_out() {
    let machine = Machine::new();
    refuses(
        &machine,
        machine.factory(&["image", "--track", "genric"]),
        1,
        "\
error: there is no track `genric`

hint: did you mean `generic`?
",
    );
    refuses(
        &machine,
        machine.factory(&["image", "--track", "pc"]),
        1,
        "\
error: there is no track `pc`

hint: there is `generic`, `rpi`
",
    );
    refuses(
        &machine,
        machine.factory(&["image"]),
        1,
        "\
error: no track is named

hint: add `--track generic`, or `track = \"generic\"` under `[image]`
",
    );
}

#[test]
fn a_project_that_does_not_exist_is_refused() {
    let machine = Machine::new();
    refuses(
        &machine,
        machine.factory(&["image", "--track", "generic", "-C", "nowhere"]),
        1,
        "\
error: there is no directory `nowhere`

hint: `factory init nowhere` starts a project there
",
    );
    refuses(
        &machine,
        machine.factory(&["plan", "--track", "generic", "-C", "nowhere"]),
        1,
        "\
error: there is no directory `nowhere`

hint: `factory init nowhere` starts a project there
",
    );
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let machine = Machine::new();
    refuses(
        &machine,
        machine.factory(&["image", "--jobs", "0"]),
        2,
        "\
error: invalid value '0' for '--jobs <N>': 0 is not in 1..=32

For more information, try '--help'.
",
    );
    refuses(
        &machine,
        machine.factory(&["fetch", "--offline", "--update"]),
        2,
        "\
error: the argument '--offline' cannot be used with '--update'

Usage: factory fetch --offline

For more information, try '--help'.
",
    );
}

#[test]
fn a_build_date_that_is_none_is_refused() {
    for date in ["yesterday", "-1", "4294967296", "1e9"] {
        let machine = Machine::new();
        let mut command = machine.factory(&IMAGE);
        command.env("SOURCE_DATE_EPOCH", date);
        refuses(
            &machine,
            command,
            1,
            &"error: `SOURCE_DATE_EPOCH` is `TEXT`, which is no number of seconds from 1970 to 2106\n"
                .replace("TEXT", date),
        );
    }
}

#[test]
fn a_project_is_not_started_over_another() {
    let machine = Machine::with("# mine\n");
    refuses(
        &machine,
        machine.factory(&["init"]),
        1,
        "\
error: there is a `factory.toml` already

hint: start the project in another directory
",
    );
}

#[test]
fn a_payload_that_is_missing_or_no_directory_is_refused() {
    let machine = Machine::with("[substrate]\npayload = \"payload\"\n");
    refused(
        &machine,
        "\
error: there is no `payload`

hint: paths in `factory.toml` start at its own directory
",
    );
    machine.write("payload", elf::program());
    refused(&machine, "error: `payload` is not a directory\n");
}

#[test]
fn a_layer_that_is_missing_is_refused() {
    refused(
        &Machine::with("[[rootfs.layer]]\ntar = \"base.tar\"\n"),
        "\
error: there is no `base.tar`

hint: paths in `factory.toml` start at its own directory
",
    );
    refused(
        &Machine::with("[[rootfs.layer]]\ndir = \"overlay\"\n"),
        "\
error: there is no `overlay`

hint: paths in `factory.toml` start at its own directory
",
    );
}

#[test]
fn a_layer_that_is_of_the_other_kind_is_refused() {
    let machine = Machine::with("[[rootfs.layer]]\ndir = \"overlay\"\n");
    machine.write("overlay", "no directory");
    refused(&machine, "error: `overlay` is not a directory\n");
    let machine = Machine::with("[[rootfs.layer]]\ntar = \"base\"\n");
    machine.write("base/file", "no archive");
    refused(&machine, "error: `base` is not a regular file\n");
}

#[test]
fn a_name_in_a_directory_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let machine = Machine::with("[substrate]\npayload = \"payload\"\n");
    machine.write("payload/run", "#!/bin/sh\n");
    fs::write(machine.project("payload").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    refused(
        &machine,
        "\
error: a name in `payload` is not supported
  because: `caf\\xe9` is not UTF-8
",
    );
}

#[test]
fn a_socket_in_a_directory_is_refused() {
    let machine = Machine::with("[substrate]\npayload = \"payload\"\n");
    machine.write("payload/run", "#!/bin/sh\n");
    let _socket = std::os::unix::net::UnixListener::bind(machine.project("payload/socket")).unwrap();
    refused(
        &machine,
        "\
error: reading `payload/socket`
  because: it is a socket
",
    );
}

#[test]
fn an_image_that_is_not_there_cannot_be_inspected() {
    let machine = Machine::new();
    refuses(
        &machine,
        machine.factory(&["inspect", "disk.img"]),
        1,
        "\
error: opening `disk.img`
  because: No such file or directory (os error 2)
",
    );
}
