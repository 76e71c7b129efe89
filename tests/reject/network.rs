//! Mirrors that are not there, slow, or lying.

use std::process::Command;
use std::time::Duration;

use super::support::archive::Archive;
use super::support::machine::Machine;
use super::support::server::Answer;
use super::{IMAGE, refused, refuses};

const BUSYBOX: (&str, &str) = ("busybox-static", "1:1.37-1");

/// Has the server answer for busybox with what `answer` makes of the right file.
fn serve(machine: &Machine, answer: impl Fn(&[u8]) -> Answer + Send + Sync + 'static) {
    let path = Archive::pool_path(BUSYBOX.0, BUSYBOX.1);
    let right = machine.server().get(&path);
    machine.server().route(&path, move |_| answer(&right));
}

fn length(machine: &Machine) -> usize {
    machine.server().get(&Archive::pool_path(BUSYBOX.0, BUSYBOX.1)).len()
}

#[test]
fn a_mirror_that_is_not_there_is_named() {
    let machine = Machine::with("[sources.debian]\nmirror = \"http://127.0.0.1:1/debian\"\n");
    refused(
        &machine,
        "\
error: fetching `http://127.0.0.1:1/debian/dists/trixie/InRelease`
  because: Connection refused (os error 111)
",
    );
}

#[test]
fn a_mirror_that_is_no_web_address_is_refused() {
    refused(
        &Machine::with("[sources.debian]\nmirror = \"/srv/debian\"\n"),
        "\
error: `/srv/debian/dists/trixie/InRelease` is not an http or https URL

hint: name the whole address, from `http://` on
",
    );
}

#[test]
fn a_mirror_without_the_suite_is_refused() {
    refused(
        &Machine::with("[sources.debian]\nsuites = [\"trixi\"]\n"),
        "\
error: the archive has no suite `trixi`: there is no `http://HOST/debian/dists/trixi/InRelease`

hint: check `sources.debian.suites`, and the address of the mirror
",
    );
}

#[test]
fn a_mirror_that_hangs_is_given_up() {
    let machine = Machine::new();
    serve(&machine, |right| Answer::of(right).dripping(1, Duration::from_secs(5)));
    refused(
        &machine,
        "error: `http://HOST/debian/pool/main/busybox-static_1.1.37-1.deb`: the server hangs, it sent nothing to speak of for 0.5 s\n",
    );
}

#[test]
fn a_mirror_that_says_another_length_is_refused() {
    for difference in [-1, 1] {
        let machine = Machine::new();
        let length = length(&machine);
        let said = length.checked_add_signed(difference).unwrap();
        serve(&machine, move |right| Answer::announcing(said, right));
        refused(&machine, &"error: `http://HOST/debian/pool/main/busybox-static_1.1.37-1.deb` has SAID bytes instead of LENGTH\n".replace("SAID", &said.to_string()).replace("LENGTH", &length.to_string()));
    }
}

#[test]
fn a_mirror_that_sends_more_than_it_should_is_refused() {
    let machine = Machine::new();
    let length = length(&machine);
    serve(&machine, |right| Answer::without_length(&[right, b"more"].concat()));
    refused(&machine, &"error: `http://HOST/debian/pool/main/busybox-static_1.1.37-1.deb` has more than LENGTH bytes instead of LENGTH\n".replace("LENGTH", &length.to_string()));
}

#[test]
fn a_mirror_that_cuts_half_way_is_told_and_the_next_build_goes_on_from_there() {
    let machine = Machine::new();
    let half = length(&machine) / 2;
    let path = Archive::pool_path(BUSYBOX.0, BUSYBOX.1);
    let right = machine.server().get(&path);
    serve(&machine, move |right| Answer::of(right).cut(half));
    refused(
        &machine,
        &"error: `http://HOST/debian/pool/main/busybox-static_1.1.37-1.deb` was cut off after HALF bytes\n"
            .replace("HALF", &half.to_string()),
    );
    machine.server().file(&path, right);
    machine.image();
    assert_eq!(machine.server().asked(&path).last().unwrap().range, Some(half));
}

#[test]
fn a_mirror_in_trouble_is_told() {
    let machine = Machine::new();
    serve(&machine, |_| Answer::status(503));
    refused(
        &machine,
        "error: `http://HOST/debian/pool/main/busybox-static_1.1.37-1.deb`: the server answered 503 Service Unavailable\n",
    );
}

/// Runs in a mount namespace of its own, as root there, where the shell command `set_up` was run.
fn in_namespace(machine: &Machine, set_up: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("{set_up} && exec \"$0\" \"$@\"");
    command.args(["-rm", "sh", "-c", &script, env!("CARGO_BIN_EXE_factory")]).args(IMAGE);
    machine.surround(&mut command);
    command
}

#[test]
fn without_any_mirror_the_ways_to_name_one_are_told() {
    let machine = Machine::new();
    let mut command = in_namespace(&machine, "mount -t tmpfs none /etc/apt");
    command.env_remove("FACTORY_DEBIAN_MIRROR");
    refuses(
        &machine,
        command,
        1,
        "\
error: no Debian archive is known: APT on this machine has no source for its own release

hint: set `sources.debian.mirror` in `factory.toml`, or `FACTORY_DEBIAN_MIRROR`
",
    );
}

#[test]
fn without_keys_the_ways_to_get_them_are_told() {
    let machine = Machine::with("[sources.debian]\nkeyring = \"keys.gpg\"\n");
    refused(&machine, "\
error: there is no keyring `keys.gpg`

hint: on Debian, `apt-get install debian-archive-keyring`; for another archive, set `sources.debian.keyring` in `factory.toml`
");
    machine.write("keys.gpg", "these are no keys");
    refused(
        &machine,
        "\
error: `keys.gpg` is no keyring
  because: there are no OpenPGP keys in it
",
    );
}
