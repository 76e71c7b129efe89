//! Archives that cannot be trusted or do not have what is wanted, and locks that do not fit.

use std::fs;

use factory::digest::Sha256;

use super::support::archive::{Archive, key, sign};
use super::support::machine::{KERNEL, Machine};
use super::support::packages::{deb, xz};
use super::support::server::Answer;
use super::{IMAGE, refused, refuses};

#[test]
fn an_unsigned_release_is_refused() {
    let machine = Machine::new();
    machine.archive.publish_release(&machine.archive.release_text());
    refused(
        &machine,
        "\
error: the `InRelease` of suite `trixie` is not trusted
  because: it is not signed

hint: use another mirror; for an archive with its own keys, set `sources.debian.keyring`
",
    );
}

#[test]
fn a_release_signed_by_a_stranger_is_refused() {
    use pgp::types::KeyDetails as _;
    let (machine, stranger) = (Machine::new(), key());
    machine.archive.publish_release(&sign(&stranger, &machine.archive.release_text()));
    let id = stranger.secret_subkeys[0].key.fingerprint().to_string().to_uppercase();
    refused(
        &machine,
        &"\
error: the `InRelease` of suite `trixie` is not trusted
  because: it is signed by `KEY`, and the keyring has no such key

hint: use another mirror; for an archive with its own keys, set `sources.debian.keyring`
"
        .replace("KEY", &id),
    );
}

#[test]
fn a_release_that_was_changed_after_it_was_signed_is_refused() {
    use pgp::types::KeyDetails as _;
    let machine = Machine::new();
    let signed = sign(&machine.archive.key, &machine.archive.release_text());
    machine.archive.publish_release(&signed.replace("Suite: stable", "Suite: staple"));
    let id = machine.archive.key.secret_subkeys[0].key.fingerprint().to_string().to_uppercase();
    refused(
        &machine,
        &"\
error: the `InRelease` of suite `trixie` is not trusted
  because: the signature by key `KEY` is wrong: the text was changed after it was signed

hint: use another mirror; for an archive with its own keys, set `sources.debian.keyring`
"
        .replace("KEY", &id),
    );
}

#[test]
fn a_release_of_another_suite_is_refused() {
    let mut machine = Machine::new();
    machine.archive.set("Codename", "forky");
    refused(
        &machine,
        "\
error: the `InRelease` of suite `trixie` is not the right one
  because: it is of the suite `stable` (`forky`)

hint: use another mirror, or change `sources.debian.suites`
",
    );
}

#[test]
fn a_release_that_is_over_is_refused() {
    let machine = Machine::new();
    let mut command = machine.factory(&IMAGE);
    command.env_remove("FACTORY_DEBIAN_CHECK_VALID_UNTIL");
    refuses(
        &machine,
        command,
        1,
        "\
error: the `InRelease` of suite `trixie` is not the right one
  because: it was valid until 2025-11-22

hint: use another mirror; for a snapshot of the past, set `FACTORY_DEBIAN_CHECK_VALID_UNTIL=no`
",
    );
}

#[test]
fn a_component_that_does_not_exist_is_refused() {
    refused(
        &Machine::with("[sources.debian]\ncomponents = [\"mian\"]\n"),
        "\
error: the `InRelease` of suite `trixie` is not the right one
  because: it has no component `mian`

hint: there are main, contrib
",
    );
}

#[test]
fn an_index_with_another_digest_than_the_signed_one_is_refused() {
    let machine = Machine::new();
    let path = machine.archive.index_path();
    let index = machine.server().get(&path);
    let wrong = vec![0; index.len()];
    machine.server().file(&path, wrong.clone());
    let digests = format!("{} instead of {}", Sha256::of(&wrong), Sha256::of(&index));
    refused(
        &machine,
        &"error: `http://HOSTPATH` has the sha256 DIGESTS\n"
            .replace("PATH", &path)
            .replace("DIGESTS", &digests),
    );
}

#[test]
fn an_index_that_is_damaged_although_signed_is_refused() {
    let mut machine = Machine::new();
    let index = machine.archive.packed_index();
    machine.archive.damaged_index = Some(index[..index.len() - 40].to_vec());
    machine.archive.publish();
    refused(
        &machine,
        "\
error: the packages of `trixie/main` cannot be read
  because: reading the index of packages
  because: its xz data is cut off

hint: use another mirror
",
    );
}

#[test]
fn an_index_that_unpacks_to_more_than_was_signed_is_refused() {
    let mut machine = Machine::new();
    machine.archive.damaged_index = Some(xz(&vec![b'\n'; 1 << 20]));
    machine.archive.publish();
    refused(
        &machine,
        "\
error: the packages of `trixie/main` cannot be read
  because: reading the index of packages
  because: it unpacks to more than 762 B

hint: use another mirror
",
    );
}

#[test]
fn a_package_with_another_digest_than_in_the_index_is_refused() {
    let machine = Machine::new();
    let path = Archive::pool_path("busybox-static", "1:1.37-1");
    let right = machine.server().get(&path);
    let mut wrong = right.clone();
    wrong[100] ^= 1;
    machine.server().file(&path, wrong.clone());
    let digests = format!("{} instead of {}", Sha256::of(&wrong), Sha256::of(&right));
    refused(
        &machine,
        &"error: `http://HOST/debian/pool/main/busybox-static_1.1.37-1.deb` has the sha256 DIGESTS\n"
            .replace("DIGESTS", &digests),
    );
}

#[test]
fn a_kernel_package_that_does_not_exist_is_named_with_the_nearest() {
    refused(
        &Machine::with("[kernel]\npackage = \"linux-image-amr64\"\n"),
        "\
error: there is no package `linux-image-amr64` in trixie/main for arm64

hint: did you mean `linux-image-arm64`?
",
    );
}

#[test]
fn a_layer_package_that_does_not_exist_is_named() {
    refused(
        &Machine::with("[[rootfs.layer]]\npackages = [\"openssh-server\"]\n"),
        "\
error: there is no package `openssh-server` in trixie/main for arm64

hint: if it is in another suite or component, add that to `sources.debian.suites` or `.components`
",
    );
}

#[test]
fn a_package_whose_needs_no_suite_has_is_refused() {
    let mut machine = Machine::with("[[rootfs.layer]]\npackages = [\"app\"]\n");
    machine.archive.add("app", "1", "Depends: libapp (>= 2)", &deb(&[]));
    machine.archive.publish();
    refused(
        &machine,
        "\
error: package `app` depends on `libapp (>= 2)`, which no suite has

hint: if it is in another suite or component, add that to `sources.debian.suites` or `.components`
",
    );
}

#[test]
fn a_kernel_package_that_leads_to_no_kernel_is_refused() {
    refused(
        &Machine::with("[kernel]\npackage = \"busybox-static\"\n"),
        "\
error: package `busybox-static` does not depend on a package whose name starts with `linux-image-`

hint: name a package that does, or one whose own name starts so
",
    );
}

#[test]
fn a_lock_that_is_for_another_project_is_refused() {
    let machine = Machine::new();
    machine.run(&["fetch", "--track", "generic"]);
    machine.write("factory.toml", format!("[kernel]\npackage = \"{KERNEL}\"\n"));
    refused(&machine, "\
error: the lock is out of date: `kernel` was `package linux-image-arm64, followed to linux-image-*`, and the project wants `package linux-image-9.9-arm64, followed to linux-image-*`

hint: `factory fetch --update` resolves it anew
");
    machine.write("factory.toml", "[sources.debian]\ncomponents = [\"contrib\"]\n");
    refused(&machine, "\
error: the lock is out of date: it is of the suites `trixie/main for arm64`, and the project wants `trixie/contrib for arm64`

hint: `factory fetch --update` resolves it anew
");
}

#[test]
fn a_lock_that_is_damaged_is_refused() {
    let machine = Machine::new();
    machine.write("factory.lock", "format = 1\n[track.generic\n");
    refused(
        &machine,
        "\
error: `factory.lock` is damaged: TOML parse error at line 2, column 15
  |
2 | [track.generic
  |               ^
unclosed table, expected `]`

hint: `factory fetch --update` writes it anew
",
    );
    machine.write("factory.lock", "format = 2\n");
    refused(
        &machine,
        "\
error: `factory.lock` has format 2, and this program knows 1

hint: use the newer program, or write it anew with `factory fetch --update`
",
    );
    machine.write(
        "factory.lock",
        "format = 1\n\n[[track.generic.pin]]\nwanted = \"kernel\"\nname = \"x\"\nsize = 1\nsha256 = \"00\"\n",
    );
    refused(
        &machine,
        "\
error: `factory.lock` is damaged: TOML parse error at line 7, column 10
  |
7 | sha256 = \"00\"
  |          ^^^^
`00` is not a sha256; it has 64 hexadecimal digits

hint: `factory fetch --update` writes it anew
",
    );
}

#[test]
fn a_locked_package_that_the_archive_has_dropped_is_named() {
    let machine = Machine::new();
    machine.run(&["fetch", "--track", "generic"]);
    fs::remove_dir_all(machine.path("store")).unwrap();
    let path = Archive::pool_path("busybox-static", "1:1.37-1");
    machine.server().route(&path, |_| Answer::status(404));
    refused(&machine, "\
error: `busybox-static 1:1.37-1` is locked, and `http://HOST/debian/pool/main/busybox-static_1.1.37-1.deb` is gone

hint: `factory fetch --update` locks what there is now; or use a mirror that keeps old packages
");
}

#[test]
fn without_a_network_nothing_can_be_found_or_fetched() {
    let machine = Machine::new();
    let offline = || machine.factory(&[&IMAGE[..], &["--offline"]].concat());
    refuses(
        &machine,
        offline(),
        1,
        "\
error: nothing is locked yet, and `--offline` forbids to look for packages

hint: run `factory fetch` once with a network
",
    );
    machine.run(&["fetch", "--track", "generic"]);
    fs::remove_dir_all(machine.path("store")).unwrap();
    refuses(
        &machine,
        offline(),
        1,
        "\
error: `linux-image-9.9-arm64` is not in the store, and `--offline` forbids to fetch it

hint: run `factory fetch` once with a network
",
    );
}
