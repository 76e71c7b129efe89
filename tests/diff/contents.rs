//! What is inside of files: kernels with their configuration, squashfs.

use std::io::Write as _;

use serde_json::Value;

use super::image::{PROJECT, Pair, base, machine_with};
use super::support::machine::Machine;
use super::support::packages::Member;
use super::support::programs;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A kernel that has its configuration, across two windows of what is searched at once.
fn kernel(release: &str, config: &str) -> Vec<u8> {
    let mut kernel = programs::kernel(release);
    let config = [b"IKCFG_ST", &gzip(config.as_bytes())[..], b"IKCFG_ED"].concat();
    kernel.resize((2 << 20) + 508, 7);
    kernel.extend(config);
    kernel.resize(3 << 20, 7);
    kernel
}

/// Two files with these bytes, compared.
fn compare(a: &[u8], b: &[u8]) -> String {
    let machine = Machine::new();
    machine.write("a.img", a);
    machine.write("b.img", b);
    String::from_utf8(machine.factory(&["diff", "a.img", "b.img"]).output().unwrap().stdout).unwrap()
}

#[test]
fn options_of_kernels_are_told() {
    let a = kernel("6.12.1", "CONFIG_A=y\nCONFIG_HZ=250\n# CONFIG_OFF is not set\nCONFIG_S=\"x\"\n");
    let b = kernel("6.12.2", "CONFIG_A=m\nCONFIG_HZ=0xfa\nCONFIG_S=\"y\"\nCONFIG_NEW=y\n");
    let expected = "  ~ version 6.12.1 (builder@host) #1 SMP -> 6.12.2 (builder@host) #1 SMP, \
                    CONFIG_A y -> m, CONFIG_NEW n -> y, CONFIG_S \"x\" -> \"y\"\n";
    let said = compare(&a, &b);
    assert!(said.contains(expected), "{said}");
}

#[test]
fn kernels_that_are_packed_are_unpacked_and_those_that_unpack_themselves_too() {
    let image = |config: &str| kernel("6.12.1", config);
    let zboot = |config: &str| {
        let packed = gzip(&image(config));
        let mut bytes = b"MZ\0\0zimg".to_vec();
        bytes.extend(4096_u32.to_le_bytes());
        bytes.extend((packed.len() as u32).to_le_bytes());
        bytes.resize(4096, 0);
        [bytes, packed].concat()
    };
    let said = compare(&gzip(&image("CONFIG_A=y\n")), &gzip(&image("CONFIG_A=m\n")));
    assert!(said.contains("  ~ CONFIG_A y -> m\n"), "{said}");
    let said = compare(&zboot("CONFIG_A=y\n"), &zboot("CONFIG_B=y\n"));
    assert!(said.contains("  ~ CONFIG_A y -> n, CONFIG_B n -> y\n"), "{said}");
}

/// A slot with a squashfs, and the same with another file in it.
fn squashfs() -> Pair {
    let project = format!("{PROJECT}\n[rootfs]\nformat = \"squashfs\"\n");
    let machine =
        machine_with(&project, &base(vec![Member::file("opt/a", "1"), Member::file("a name", "x")]));
    let pair = Pair::of(machine);
    let changed = vec![Member::file("opt/a", "12").mode(0o600), Member::symlink("opt/b", "a")];
    pair.machine.write("base.tar.xz", base(changed));
    std::fs::rename(pair.machine.image(), pair.b()).unwrap();
    pair
}

#[test]
fn files_of_a_squashfs_are_told() {
    let said = squashfs().said();
    let of = |line: &&str| line.contains("rootfs.squashfs / ");
    assert_eq!(
        said.lines().filter(of).collect::<Vec<_>>(),
        [
            "  - rootfs.squashfs / a name (file, 1 B, 0644)",
            "  ~ rootfs.squashfs / opt/a: mode 0644 -> 0600, size 1 B -> 2 B",
            "  + rootfs.squashfs / opt/b (link, 0777 to a)",
        ],
        "{said}"
    );
}

#[test]
fn without_the_program_that_reads_squashfs_this_is_said() {
    let pair = squashfs();
    let mut command = pair.machine.factory(&["diff", "a.img", "b.img", "--json"]);
    let output = command.env("PATH", pair.machine.path("home")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = found["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(problems[0]["problem"], "`unsquashfs` is not installed");
    assert_eq!(problems[0]["place"], "p2 system-a and p3 system-b / rootfs.squashfs");
}
