//! Seeds: what one device gets besides the image, through the real program.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use factory::image::extents::Extents;
use factory::image::fat;
use factory::image::layout::{self, Layout, Role};
use factory::track;
use factory::tree::FileTree;
use factory::units::{Bytes, Sectors};

use super::{Desk, MIB, factory, noise, said, succeed};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFKk6d4FDSe5Bp8OyVnQfEeYtYIl0FyRHEyJmMqdcs4L alice";

const SEED: &str = "\
hostname = \"kiosk-17\"
ssh_keys = [\"KEY\"]
user_data = \"cloud.yaml\"
[network.eth0]
addresses = [\"192.0.2.17/24\"]
gateways = [\"192.0.2.1\"]
";

const CLOUD: &str = "#cloud-config\npassword: hunter2\n";

/// Length of the partition that is read first.
const FIRST: u64 = 36 * MIB;

/// The image of a track with this in its first partition, and nothing that starts.
fn image(desk: &Desk, track: &str, tree: &FileTree) -> PathBuf {
    let track = track::ALL.iter().find(|known| known.name() == track).unwrap();
    let rows = track.partitions().iter().zip(2..);
    let partitions = rows.map(|(row, id)| layout::Partition {
        role: row.role,
        name: row.name.to_owned(),
        size: if row.role == Role::Selector { Bytes(FIRST) } else { Bytes::mib(2) },
        kind: row.kind,
        id: uuid::Uuid::from_u128(id),
    });
    let id = uuid::Uuid::from_u128(1);
    let layout = Layout { scheme: track.scheme(), id, disk: None, partitions: partitions.collect() };
    let table = layout::place(&layout).unwrap();
    let options = fat::Options {
        size: Bytes(FIRST),
        serial: 7,
        label: "FIRST".into(),
        epoch: 1_700_000_000,
        hidden_sectors: Sectors(2048),
        kind: fat::Kind::Fat32,
    };
    let file = File::create(desk.path("disk.img")).unwrap();
    file.set_len(table.disk.0).unwrap();
    put(&file, 0, &table.encode());
    put(&file, MIB, &fat::format(tree, &options).unwrap().extents);
    let data = table.find(Role::Data).unwrap().offset().0;
    file.write_all_at(&noise(1, 70_000), data).unwrap();
    desk.path("disk.img")
}

fn put(file: &File, at: u64, extents: &Extents) {
    for piece in extents.pieces() {
        let mut bytes = vec![0; piece.len as usize];
        extents.read_at(piece.at, &mut bytes).unwrap();
        file.write_all_at(&bytes, at + piece.at).unwrap();
    }
}

fn tree() -> FileTree {
    let mut tree = FileTree::new();
    tree.file("EFI/factory/grubenv", 0o644, Extents::bytes(noise(2, 1024)));
    tree.file("start4.elf", 0o644, Extents::bytes(noise(3, 9 * MIB)));
    tree
}

/// A desk with the image of a track and a seed file.
fn desk(track: &str) -> (Desk, PathBuf) {
    let desk = Desk::new();
    fs::write(desk.path("seed.toml"), SEED.replace("KEY", KEY)).unwrap();
    fs::write(desk.path("cloud.yaml"), CLOUD).unwrap();
    let image = image(&desk, track, &tree());
    (desk, image)
}

fn sow(desk: &Desk, image: &Path, target: &Path) -> Command {
    let seed = desk.path("seed.toml");
    let [image, target, seed] = [image, target, &seed].map(|path| path.to_str().unwrap());
    factory(&["flash", "--yes", image, target, "--seed", seed])
}

fn mtools(program: &str, target: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.env("MTOOLS_SKIP_CHECK", "1").arg("-i").arg(format!("{}@@1M", target.display()));
    succeed(command.args(arguments)).stdout
}

#[test]
fn a_device_gets_its_seed_and_all_else_is_the_image() {
    for track in ["generic", "rpi"] {
        let (desk, image) = desk(track);
        let target = desk.path("device");
        let output = succeed(sow(&desk, &image, &target).arg("--json"));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let names = [
            "hostname",
            "authorized_keys",
            "user-data",
            "network",
            "network-config",
            "10-seed-eth0.network",
            "meta-data",
        ];
        assert_eq!(report["seeded"], serde_json::json!(names.map(|name| format!("seed/{name}"))));
        assert_eq!(report["written"], report["verified"]);
        let all = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!all.contains("hunter2") && !all.contains("AAAA"), "{all}");
        let read = |name: &str| mtools("mtype", &target, &[&format!("::/{name}")]);
        assert_eq!(read("seed/hostname"), b"kiosk-17\n");
        assert_eq!(read("seed/authorized_keys"), format!("{KEY}\n").as_bytes());
        assert_eq!(read("seed/user-data"), CLOUD.as_bytes());
        assert!(read("seed/meta-data").starts_with(b"instance-id: factory-"));
        assert!(read("EFI/factory/grubenv") == noise(2, 1024) && read("start4.elf") == noise(3, 9 * MIB));

        let [old, new] = [&image, &target].map(|path| fs::read(path).unwrap());
        let first = MIB as usize..(MIB + FIRST) as usize;
        assert_eq!(old.len(), new.len());
        assert!(old[..first.start] == new[..first.start] && old[first.end..] == new[first.end..]);
        let partition = desk.path("first");
        fs::write(&partition, &new[first]).unwrap();
        let path = format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap());
        let report = succeed(Command::new("fsck.vfat").env("PATH", path).arg("-n").arg(&partition)).stdout;
        assert_eq!(report.split(|byte| *byte == b'\n').count(), 3, "{}", String::from_utf8_lossy(&report));
    }
}

#[test]
fn the_same_seed_goes_onto_a_packed_image_and_onto_an_old_one() {
    let (desk, image) = desk("generic");
    let [plain, other] = ["plain", "other"].map(|name| desk.path(name));
    succeed(&mut sow(&desk, &image, &plain));
    let packed = desk.path("disk.img.zst");
    succeed(Command::new("zstd").args(["-q", "-1"]).arg(&image).arg("-o").arg(&packed));
    let mut old = vec![0xa5; fs::metadata(&image).unwrap().len() as usize];
    old[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&other, old).unwrap();
    succeed(&mut sow(&desk, &packed, &other));
    assert!(fs::read(&plain).unwrap() == fs::read(&other).unwrap());
    // And once more over what was seeded.
    succeed(&mut sow(&desk, &image, &other));
    assert!(fs::read(&plain).unwrap() == fs::read(&other).unwrap());
}

#[test]
fn a_seeded_flash_that_is_killed_at_any_instant_ends_the_same_later() {
    let (desk, image) = desk("rpi");
    let [whole, target] = ["whole", "target"].map(|name| desk.path(name));
    let start = Instant::now();
    succeed(&mut sow(&desk, &image, &whole));
    let (took, whole) = (start.elapsed(), fs::read(&whole).unwrap());
    let mut dead = 0;
    for instant in 1..=10 {
        desk.old("target", whole.len() as u64);
        let mut child = sow(&desk, &image, &target).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(took * instant / 10 + Duration::from_millis(1));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = fs::read(&target).unwrap();
        dead += usize::from(now[510..512] == [0, 0]);
        let is_old = now[..510].iter().all(|byte| *byte == 0xa5);
        assert!(now[510..512] == [0, 0] || is_old || now == whole, "it would boot without its seed");
        succeed(&mut sow(&desk, &image, &target));
        assert!(fs::read(&target).unwrap() == whole, "not the same after {instant}");
    }
    assert!(dead > 0, "no run was ended in its middle");
}

/// Must end with this code and this first line, without a change of the target or a word of what is secret.
fn refused(desk: &Desk, image: &Path, arguments: &[&str], code: i32, expected: &str) {
    let target = desk.old("precious", MIB);
    let before = fs::read(&target).unwrap();
    let mut command = factory(&["flash", "--yes", image.to_str().unwrap(), target.to_str().unwrap()]);
    let output = command.args(arguments).output().unwrap();
    let text = said(&output);
    assert_eq!((output.status.code(), text.lines().next().unwrap()), (Some(code), expected), "{text}");
    assert!(fs::read(&target).unwrap() == before);
    assert!(!text.contains("hunter2") && !text.contains("MIIE"), "{text}");
}

#[test]
fn a_seed_that_cannot_be_is_refused_before_anything_is_written() {
    let (desk, image) = desk("generic");
    let write = |name: &str, text: &str| {
        fs::write(desk.path(name), text).unwrap();
        desk.path(name).to_str().unwrap().to_owned()
    };
    let private = write("id_rsa", "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAhunter2\n");
    let is_private = "error: this is a private key, which belongs on no other machine";
    refused(&desk, &image, &["--ssh-key", &private], 3, is_private);
    let unknown = write("unknown.toml", "host_name = \"hunter2\"\n");
    refused(&desk, &image, &["--seed", &unknown], 3, "error: unknown field `host_name`");
    let cloud = write("bad.yaml", "#cloud-config\npassword: \"hunter2\nx\n");
    refused(&desk, &image, &["--user-data", &cloud], 3, "error: this `#cloud-config` is not sound YAML here");
    refused(&desk, &image, &["--seed", &write("empty", "")], 3, "error: the seed is empty");
    let missing = desk.path("missing.pub");
    let expected = format!("error: reading `{}`", missing.display());
    refused(&desk, &image, &["--ssh-key", missing.to_str().unwrap()], 1, &expected);
    let expected = "error: invalid value 'my kiosk' for '--hostname <NAME>': `my kiosk` is not a name; it has \
                    1 to 63 letters, digits and inner hyphens";
    refused(&desk, &image, &["--hostname", "my kiosk"], 2, expected);
}

#[test]
fn an_image_that_takes_no_seed_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    let foreign = desk.image();
    let hostname = ["--hostname", "kiosk"];
    let expected =
        format!("error: `{}` has no partition that a seed could go on", desk.path("disk.img").display());
    refused(&desk, &foreign, &hostname, 3, &expected);
    let mut taken = tree();
    taken.file("seed/hostname", 0o644, Extents::bytes(*b"hunter2"));
    let taken = image(&desk, "generic", &taken);
    let expected = "error: the seed does not go onto the first partition";
    refused(&desk, &taken, &hostname, 3, expected);
    succeed(&mut factory(&["convert", taken.to_str().unwrap(), "--to", "zst", "--to", "qcow2"]));
    for name in ["disk.img.zst", "disk.qcow2"] {
        refused(&desk, &desk.path(name), &hostname, 3, expected);
    }
    // What comes in a row cannot be looked into before.
    let target = desk.path("target");
    let mut command = factory(&["flash", "--yes", "-", target.to_str().unwrap(), "--hostname", "kiosk"]);
    let output = command.stdin(File::open(&taken).unwrap()).output().unwrap();
    let text = said(&output);
    assert!(output.status.code() == Some(1) && text.contains("the target is not bootable"), "{text}");
    assert!(text.contains("because: there is a `seed` already"), "{text}");
    assert!(super::head(&target, 512).iter().all(|byte| *byte == 0));
    let mut full = tree();
    full.file("big", 0o644, Extents::bytes(noise(5, 26 * MIB + MIB / 4)));
    fs::write(desk.path("long"), [&b"#!/bin/sh\n"[..], &[b'#'; 250_000]].concat()).unwrap();
    let long = desk.path("long");
    let user_data = ["--user-data", long.to_str().unwrap()];
    refused(&desk, &image(&desk, "generic", &full), &user_data, 3, expected);
}
