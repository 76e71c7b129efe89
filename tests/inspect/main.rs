//! Images made by other tools, and what is found in them; then the same images damaged.

#![expect(clippy::unwrap_used, reason = "what goes wrong here is the test's failure")]

mod browser;
mod html;
mod png;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bootenv::Slot;
use bootenv::grub::{GRUBENV, GRUBENV_SPARE, GrubState};
use factory::digest::Sha256;
use factory::inspect::html::html as page;
use factory::inspect::{Inspection, Partition, inspect, render};
use factory::slot::{SLOT_FILE, SlotFile, SlotJson};
use factory::units::{Bytes, MIB};
use factory::volume::Kind;
use proptest::prelude::*;

const ESP_UUID: &str = "FAC70000-0000-4000-8000-000000000001";
const SYSTEM_UUID: &str = "00000002-1111-4222-8333-444444444444";

/// Runs a tool, which must be there, and returns what it prints.
fn tool(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("MTOOLS_SKIP_CHECK", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs `{program}`: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sized(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// An image with an ESP of the FAT given, two systems of 6 MiB with a root file system in them,
/// and an empty data partition.
struct Disk {
    dir: tempfile::TempDir,
    image: PathBuf,
    esp: PathBuf,
    system: PathBuf,
}

fn disk(fat_bits: &str, esp_mib: u64) -> Disk {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (esp, system, image) = (at("esp"), at("system"), at("disk.img"));
    make_esp(&esp, fat_bits, esp_mib, dir.path());
    make_system(&system, dir.path());
    let [a, b, data, end] = [1 + esp_mib, 7 + esp_mib, 13 + esp_mib, 16 + esp_mib];
    sized(&image, (end + 1) * MIB);
    let sectors = |mib: u64| mib * 2048;
    let script = format!(
        "label: gpt\nlabel-id: FAC70000-0000-4000-8000-000000000000\n\
         start=2048, size={}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=esp, uuid={ESP_UUID}\n\
         start={}, size={}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=system-a\n\
         start={}, size={}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=system-b\n\
         start={}, size={}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=data\n",
        sectors(esp_mib),
        sectors(a),
        sectors(6),
        sectors(b),
        sectors(6),
        sectors(data),
        sectors(end - data),
    );
    tool("sfdisk", &["-q", "--no-reread", "--no-tell-kernel", text(&image)], &script);
    for (part, start) in [(&esp, 1), (&system, a), (&system, b)] {
        put(&image, start * MIB, &fs::read(part).unwrap());
    }
    Disk { dir, image, esp, system }
}

fn put(image: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(image).unwrap().write_all_at(bytes, at).unwrap();
}

fn make_esp(esp: &Path, bits: &str, mib: u64, dir: &Path) {
    sized(esp, mib * MIB);
    tool("mkfs.vfat", &["--invariant", "-F", bits, "-s", "1", "-i", "FAC70001", "-n", "ESP", text(esp)], "");
    let state = dir.join("grubenv");
    fs::write(&state, GrubState { tries: 2, ..GrubState::initial() }.encode()).unwrap();
    let loader = dir.join("A long name with spaces, and more than 26 characters.efi");
    fs::write(&loader, vec![7; 70_001]).unwrap();
    tool("mmd", &["-i", text(esp), "::/EFI", "::/EFI/BOOT", "::/EFI/factory"], "");
    tool("mcopy", &["-i", text(esp), text(&loader), "::/EFI/BOOT/"], "");
    for file in [GRUBENV, GRUBENV_SPARE] {
        tool("mcopy", &["-i", text(esp), text(&state), &format!("::/{file}")], "");
    }
}

fn make_system(system: &Path, dir: &Path) {
    let (root, slot) = (dir.join("root"), dir.join("slot"));
    fs::create_dir_all(root.join("usr/lib")).unwrap();
    fs::write(root.join("usr/lib/libbig.so"), vec![1; 900_000]).unwrap();
    fs::create_dir(&slot).unwrap();
    ext4(&slot.join("rootfs.ext4"), 2, &root, "00000009-1111-4222-8333-444444444444");
    fs::write(slot.join("Image"), vec![2; 1_000_000]).unwrap();
    let file = |path: &str, size: u64| SlotFile { path: path.into(), size, sha256: Sha256([0; 32]) };
    let list = SlotJson {
        layout: 1,
        name: "kiosk".into(),
        version: "1.4.0".into(),
        build: "9f3c".into(),
        files: vec![file("Image", 1_000_000), file("rootfs.ext4", 2 * MIB)],
    };
    fs::write(slot.join(SLOT_FILE), serde_json::to_vec(&list).unwrap()).unwrap();
    ext4(system, 6, &slot, SYSTEM_UUID);
}

fn ext4(path: &Path, mib: u64, from: &Path, uuid: &str) {
    sized(path, mib * MIB);
    let options = ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", "system", "-U", uuid, "-d"];
    tool("mke2fs", &[&options[..], &[text(from), text(path)]].concat(), "");
}

fn look(disk: &Disk) -> Inspection {
    inspect(&disk.image).unwrap()
}

fn partition<'a>(found: &'a Inspection, name: &str) -> &'a Partition {
    found.partitions.iter().find(|partition| partition.name == name).unwrap()
}

/// A memory card whose slot B is hidden, and whose slot A is no file system either.
#[test]
fn a_slot_that_is_hidden_is_not_called_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let (image, slot) = (dir.path().join("card.img"), dir.path().join("slot"));
    sized(&image, 20 * MIB);
    let script = "label: dos\nsize=4M, type=c\nsize=4M, type=c\nsize=4M, type=c\nsize=4M, type=83\n";
    tool("sfdisk", &["-q", "--no-reread", "--no-tell-kernel", text(&image)], script);
    sized(&slot, 4 * MIB);
    tool("mkfs.vfat", &["--invariant", text(&slot)], "");
    for (start, first) in [(1, None), (5, Some(7)), (9, Some(0))] {
        let mut bytes = fs::read(&slot).unwrap();
        bytes[..512].iter_mut().for_each(|byte| *byte = first.unwrap_or(*byte));
        put(&image, start * MIB, &bytes);
    }
    let found = inspect(&image).unwrap();
    assert_eq!(
        found.partitions.iter().map(|one| one.hidden).collect::<Vec<_>>(),
        [false, false, true, false]
    );
    let said = render(&found, 80);
    assert_eq!(said.matches("hidden: not written to its end, or failed its trial").count(), 1, "{said}");
    assert!(found.partitions.iter().all(|one| one.problem.is_none()), "{said}");
}

#[test]
fn a_whole_image_is_described_without_problems() {
    let disk = disk("16", 8);
    let found = look(&disk);
    let roles: Vec<_> = found.partitions.iter().map(|one| one.role.as_deref().unwrap()).collect();
    assert_eq!(roles, ["selector", "system-a", "system-b", "data"]);
    assert_eq!(found.slots.len(), 2);
    for (slot, letter) in found.slots.iter().zip(Slot::ALL) {
        assert_eq!(slot.slot, letter.to_string());
        assert_eq!(slot.version.as_deref(), Some("1.4.0"));
        assert_eq!(slot.build.as_deref(), Some("9f3c"));
        assert_eq!(slot.rootfs.as_ref().unwrap().files, Some(1));
        assert_eq!(slot.problems, [""; 0]);
    }
    let boot = found.boot.as_ref().unwrap();
    assert_eq!((boot.next.as_deref(), boot.file.as_str()), (Some("b"), GRUBENV));
    assert!(boot.variables.contains(&("boot_counter".into(), "2".into())), "{boot:?}");
    assert_eq!(boot.problems, [""; 0]);
    let biggest: Vec<_> = found.biggest.iter().take(3).map(|file| file.path.as_str()).collect();
    assert_eq!(biggest, ["/rootfs.ext4", "/Image", "/rootfs.ext4/usr/lib/libbig.so"]);
    assert_eq!(found.biggest[1].partitions, ["system-a", "system-b"]);
    assert!(found.mapped.unwrap() < found.size);
    assert!(found.problems.is_empty() && found.table.as_ref().unwrap().problem.is_none());
}

#[test]
fn sfdisk_says_the_same_of_the_table() {
    let disk = disk("12", 2);
    let found = look(&disk);
    let said: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["-J", text(&disk.image)], "")).unwrap();
    let said = &said["partitiontable"];
    assert_eq!(said["id"].as_str().unwrap().to_lowercase(), found.table.as_ref().unwrap().id);
    let partitions = said["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), found.partitions.len());
    for (said, found) in partitions.iter().zip(&found.partitions) {
        assert_eq!(said["name"], found.name.as_str());
        assert_eq!(said["uuid"].as_str().unwrap().to_lowercase(), found.partuuid);
        assert_eq!(said["start"].as_u64().unwrap() * 512, found.start.0);
        assert_eq!(said["size"].as_u64().unwrap() * 512, found.size.0);
    }
}

#[test]
fn dumpe2fs_counts_the_same_blocks() {
    let disk = disk("12", 2);
    let found = look(&disk);
    let filesystem = partition(&found, "system-b").filesystem.as_ref().unwrap();
    let said = tool("dumpe2fs", &["-h", text(&disk.system)], "");
    let field = |name: &str| {
        let line = said.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(':').unwrap().1.trim().to_owned()
    };
    let number = |name: &str| field(name).parse::<u64>().unwrap();
    let block = number("Block size");
    assert_eq!(filesystem.size, Bytes(number("Block count") * block));
    assert_eq!(filesystem.used, Bytes((number("Block count") - number("Free blocks")) * block));
    assert_eq!(filesystem.uuid.as_deref(), Some(SYSTEM_UUID));
    assert_eq!(filesystem.label.as_deref(), Some("system"));
    assert_eq!(filesystem.files, Some(3));
}

#[test]
fn fsck_counts_the_same_clusters_in_every_fat() {
    for (bits, mib) in [("12", 1), ("16", 8), ("32", 34)] {
        let disk = disk(bits, mib);
        let found = look(&disk);
        let esp = partition(&found, "esp");
        let filesystem = esp.filesystem.as_ref().unwrap();
        assert_eq!((filesystem.kind, filesystem.files), (Kind::Fat, Some(3)), "FAT{bits}: {esp:?}");
        assert_eq!(filesystem.label.as_deref(), Some("ESP"));
        assert_eq!(filesystem.uuid.as_deref(), Some("FAC7-0001"));
        let counts = format!("{}/{} clusters", filesystem.used.0 / 512, filesystem.size.0 / 512);
        let said = tool("fsck.vfat", &["-n", text(&disk.esp)], "");
        assert!(said.contains(&counts), "FAT{bits}: {counts}, but {said}");
        let name = "/EFI/BOOT/A long name with spaces, and more than 26 characters.efi";
        assert!(
            found.biggest.iter().any(|file| file.path == name && file.size == Bytes(70_001)),
            "FAT{bits}"
        );
    }
}

#[test]
fn a_torn_grubenv_is_told_and_the_spare_is_read() {
    let disk = disk("16", 8);
    let bytes = fs::read(&disk.image).unwrap();
    let header = b"# GRUB Environment Block";
    let at = bytes.windows(header.len()).position(|window| window == header).unwrap();
    put(&disk.image, at as u64, &[0xff; 512]);
    let boot = look(&disk).boot.unwrap();
    assert_eq!((boot.next.as_deref(), boot.file.as_str()), (Some("b"), GRUBENV_SPARE));
    assert_eq!(boot.problems.len(), 1);
    assert!(boot.problems[0].contains(GRUBENV), "{boot:?}");
}

#[test]
fn a_slot_that_is_not_what_its_list_says_is_told() {
    let disk = disk("12", 2);
    let commands = "rm /Image\nwrite /etc/hostname stray\n";
    tool("debugfs", &["-w", "-f", "-", &format!("{}?offset={}", text(&disk.image), 3 * MIB)], commands);
    let found = look(&disk);
    assert_eq!(found.slots[0].problems, ["`Image` is missing", "`stray` is not in the list"]);
    assert_eq!(found.slots[1].problems, [""; 0]);
}

#[test]
fn a_lost_copy_of_the_table_is_told_and_the_other_is_read() {
    let disk = disk("12", 2);
    put(&disk.image, 512, &[0; 512]);
    let found = look(&disk);
    assert_eq!(found.partitions.len(), 4);
    assert!(found.table.unwrap().problem.unwrap().contains("primary copy is bad"));
}

#[test]
fn a_truncated_image_is_read_as_far_as_it_goes() {
    let disk = disk("12", 2);
    OpenOptions::new().write(true).open(&disk.image).unwrap().set_len(10 * MIB).unwrap();
    let found = look(&disk);
    // A table that leads out of the disk is no sound table.
    assert!(
        !found.problems.is_empty() || found.partitions.iter().any(|one| one.problem.is_some()),
        "{found:?}"
    );
    assert!(render(&found, 100).contains("problems"));
}

#[test]
fn the_text_names_all_that_was_found() {
    let disk = disk("16", 8);
    let shown = render(&look(&disk), 100);
    for part in ["esp", "system-a", "kiosk 1.4.0", "build 9f3c", "slot b is next", "libbig.so", "█", "░"]
    {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(shown.lines().nth(4).is_some_and(|bar| bar.chars().count() <= 100), "{shown}");
    assert!(!shown.contains("problems"), "{shown}");
}

#[test]
fn what_is_no_image_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = inspect(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is not an image\n\nhint: "), "{error}");
    let error = inspect(&dir.path().join("none")).unwrap_err().to_string();
    assert!(error.starts_with("opening `"), "{error}");
}

/// The bytes of an image, made once.
fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let disk = disk("12", 1);
        let bytes = fs::read(&disk.image).unwrap();
        drop(disk.dir);
        bytes
    })
}

/// Where damage hurts: in the tables of the disk and of its file systems.
fn place() -> impl Strategy<Value = u64> {
    let region = prop_oneof![
        Just((0, 34 * 512)),
        Just((MIB, 16 << 10)),
        Just((2 * MIB, 96 << 10)),
        Just((8 * MIB, 8 << 10)),
        Just((0, sample().len() as u64)),
    ];
    region.prop_flat_map(|(start, length)| start..start + length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn damage_is_told_but_never_fatal(
        damage in prop::collection::vec((place(), any::<[u8; 4]>()), 1..24),
        cut in prop::option::weighted(0.2, 0..sample().len()),
    ) {
        let mut bytes = sample().to_vec();
        for (at, new) in damage {
            let at = at as usize;
            let end = (at + new.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&new[..end - at]);
        }
        bytes.truncate(cut.unwrap_or(bytes.len()));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        let found = inspect(file.path()).unwrap();
        prop_assert!(!render(&found, 80).contains('\x1b'));
        prop_assert!(page(&found).ends_with("</html>\n"));
    }
}
