//! Archives of a project that hold what no image can take.

use super::refused_once_fetched;
use super::support::machine::Machine;
use super::support::packages::{Member, tar_of, xz, zstd};

/// A project whose rootfs is this archive.
fn with_archive(name: &str, content: &[u8]) -> Machine {
    let machine = Machine::with(&format!("[[rootfs.layer]]\ntar = \"{name}\"\n"));
    machine.write(name, content);
    machine
}

fn with_members(members: &[Member]) -> Machine {
    with_archive("base.tar", &tar_of(members))
}

#[test]
fn a_member_that_climbs_out_is_refused() {
    refused_once_fetched(
        &with_members(&[Member::file("a/../../etc/passwd", "x")]),
        "\
error: archive `base.tar` cannot be used
  because: `a/../../etc/passwd` leads out of the tree with `..`
",
    );
}

#[test]
fn a_member_with_an_absolute_path_is_refused() {
    refused_once_fetched(
        &with_members(&[Member::file("/etc/passwd", "x")]),
        "\
error: archive `base.tar` cannot be used
  because: `/etc/passwd` is an absolute path
",
    );
}

#[test]
fn a_member_below_a_link_that_leads_outside_is_refused() {
    let members = [Member::symlink("out", "../../host"), Member::file("out/file", "x")];
    refused_once_fetched(
        &with_members(&members),
        "\
error: archive `base.tar` cannot be unpacked
  because: member `/out/file` cannot be placed
  because: `out/file` leads out of the tree
",
    );
}

#[test]
fn a_hard_link_that_leads_outside_is_refused() {
    refused_once_fetched(
        &with_members(&[Member::hard_link("shadow", "../../etc/shadow")]),
        "\
error: archive `base.tar` cannot be used
  because: `../../etc/shadow` leads out of the tree with `..`
",
    );
}

#[test]
fn a_hard_link_to_nothing_is_refused() {
    refused_once_fetched(
        &with_members(&[Member::hard_link("a", "b")]),
        "\
error: archive `base.tar` cannot be unpacked
  because: member `/a` is a hard link to `/b`, which is not a file of the tree
",
    );
}

#[test]
fn two_members_of_one_name_are_refused() {
    refused_once_fetched(
        &with_members(&[Member::file("etc/a", "1"), Member::file("./etc/a", "2")]),
        "\
error: archive `base.tar` cannot be used
  because: member `etc/a` is in the archive twice
",
    );
}

#[test]
fn a_name_that_is_not_utf_8_is_refused() {
    refused_once_fetched(
        &with_members(&[Member::file(b"caf\xe9", "x")]),
        "\
error: archive `base.tar` cannot be used
  because: `caf\\xe9` is not UTF-8
",
    );
}

#[test]
fn a_file_in_place_of_a_directory_with_files_is_refused() {
    let members = [Member::file("etc/hosts", "x"), Member::file("etc", "x")];
    refused_once_fetched(
        &with_members(&members),
        "\
error: archive `base.tar` cannot be unpacked
  because: member `/etc` would replace a directory with files of the same layer
",
    );
}

#[test]
fn a_file_below_a_file_is_refused() {
    let members = [Member::file("etc", "x"), Member::file("etc/hosts", "x")];
    refused_once_fetched(
        &with_members(&members),
        "\
error: archive `base.tar` cannot be unpacked
  because: member `/etc/hosts` cannot be placed
  because: `etc/hosts` leads through `/etc`, which is not a directory
",
    );
}

#[test]
fn links_in_a_circle_are_refused() {
    let members = [Member::symlink("a", "b"), Member::symlink("b", "a"), Member::file("a/file", "x")];
    refused_once_fetched(
        &with_members(&members),
        "\
error: archive `base.tar` cannot be unpacked
  because: member `/a/file` cannot be placed
  because: `a/file` leads through a loop of symbolic links
",
    );
}

#[test]
fn an_archive_that_is_cut_off_is_refused() {
    let whole = tar_of(&[Member::file("a", vec![1; 5000])]);
    refused_once_fetched(
        &with_archive("base.tar", &whole[..3000]),
        "\
error: archive `base.tar` cannot be used
  because: the archive is cut off at byte 3000
",
    );
}

#[test]
fn an_archive_without_its_end_is_refused() {
    let whole = tar_of(&[Member::file("a", vec![1; 512])]);
    refused_once_fetched(
        &with_archive("base.tar", &whole[..1024]),
        "\
error: archive `base.tar` cannot be used
  because: the archive is cut off at byte 1024
",
    );
}

#[test]
fn an_archive_with_a_flipped_bit_in_a_header_is_refused() {
    let mut archive = tar_of(&[Member::file("a", "x"), Member::file("b", "x")]);
    archive[1024] ^= 4;
    refused_once_fetched(
        &with_archive("base.tar", &archive),
        "\
error: archive `base.tar` cannot be used
  because: there is no tar header at byte 1024
",
    );
}

#[test]
fn an_archive_that_is_none_is_refused() {
    refused_once_fetched(
        &with_archive("base.tar", &[b'x'; 2000]),
        "\
error: archive `base.tar` cannot be used
  because: there is no tar header at byte 0
",
    );
    refused_once_fetched(
        &with_archive("base.tar", b""),
        "\
error: archive `base.tar` cannot be used
  because: the archive is cut off at byte 0
",
    );
}

#[test]
fn a_packed_archive_that_is_cut_off_is_refused() {
    let whole = xz(&tar_of(&[Member::file("a", vec![1; 5000])]));
    refused_once_fetched(
        &with_archive("base.tar.xz", &whole[..whole.len() - 20]),
        "\
error: archive `base.tar.xz` is damaged
  because: reading the archive
  because: its xz data is cut off
",
    );
    let whole = zstd(&tar_of(&[Member::file("a", vec![1; 5000])]));
    refused_once_fetched(
        &with_archive("base.tar.zst", &whole[..whole.len() - 20]),
        "\
error: archive `base.tar.zst` is damaged
  because: reading the archive
  because: its zstd data is cut off
",
    );
}

#[test]
fn a_packed_archive_with_a_flipped_bit_is_refused() {
    let mut packed = xz(&tar_of(&[Member::file("a", noise(5000))]));
    let middle = packed.len() / 2;
    packed[middle] ^= 1;
    refused_once_fetched(
        &with_archive("base.tar.xz", &packed),
        "\
error: archive `base.tar.xz` is damaged
  because: reading the archive
  because: its xz data is damaged (dist overflow)
",
    );
}

/// Bytes that cannot be packed.
fn noise(len: u32) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_sparse_member_is_refused() {
    let member = Member::file("disk", "x").record("GNU.sparse.major", b"1").record("GNU.sparse.minor", b"0");
    refused_once_fetched(
        &with_members(&[member]),
        "\
error: archive `base.tar` cannot be used
  because: member `disk` is a sparse file, which is not supported
",
    );
}
