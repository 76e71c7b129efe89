//! Control files are found on the images of others' tools, and nothing unusual is taken for one.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use bootenv::bootsector::BootSector;
use bootenv::flow::Grub;
use bootenv::grub::{GRUBENV_PLACE, GRUBENV_SPARE_PLACE, GrubState};
use bootenv::locate::{Extent, LocateError, Place, locate, partuuid};
use bootenv::machine::rpi::Front;
use bootenv::medium::{Access, FileMedium, Medium, Memory};
use bootenv::rpi::{AUTOBOOT_PLACE, Autoboot};
use bootenv::{BootFlow, How, Running, Slot};
use support::{Disk, Layout, foreign, grub_disk, pi_disk, seal_gpt, set_link, tool};

fn find(bytes: Vec<u8>, place: &Place) -> Result<Extent, LocateError> {
    locate(&mut Memory::new(bytes), place)
}

#[test]
fn the_files_of_a_usual_disk_are_found() {
    let (disk, layout) = grub_disk();
    let extent = |first, sectors| Ok(Extent { first, sectors });
    assert_eq!(find(disk.clone(), &GRUBENV_PLACE), extent(layout.files[0], 2));
    assert_eq!(find(disk, &GRUBENV_SPARE_PLACE), extent(layout.files[1], 2));
    let (disk, layout) = pi_disk();
    assert_eq!(find(disk, &AUTOBOOT_PLACE), extent(layout.files[0], 1));
}

/// One way to spoil the disk of the generic track, and what is said then.
type Damage = (fn(&mut Vec<u8>, &Layout), LocateError);

const TABLE: usize = 512;
const FIRST_ENTRY: usize = 1024;

fn path() -> String {
    GRUBENV_PLACE.path.to_owned()
}

#[allow(clippy::too_many_lines, reason = "a table of equal rows")]
fn damages() -> Vec<Damage> {
    vec![
        (
            // The two directories on the way, as one chain of the file's length.
            |disk, layout| {
                layout.tables.iter().for_each(|table| set_link(disk, *table, 2, 3));
                disk[layout.entries[0] + 26..][..2].copy_from_slice(&2_u16.to_le_bytes());
            },
            LocateError::Chain(path()),
        ),
        (|disk, _| disk.fill(0), LocateError::NoTable),
        (|disk, _| disk[450] = 0x83, LocateError::OtherTable),
        (|disk, _| disk[TABLE] = 0, LocateError::TableDamaged("its header is missing")),
        (|disk, _| disk[TABLE + 60] ^= 1, LocateError::TableDamaged("its header's checksum is wrong")),
        (|disk, _| disk[TABLE + 12] = 0, LocateError::TableDamaged("its header's checksum is wrong")),
        (|disk, _| disk[FIRST_ENTRY + 56] ^= 1, LocateError::TableDamaged("its entries' checksum is wrong")),
        (
            |disk, _| {
                disk[TABLE + 80..TABLE + 84].fill(0xff);
                seal_gpt(disk);
            },
            LocateError::TableDamaged("its entries make no sense"),
        ),
        (|disk, _| disk.truncate(180 * 512), LocateError::TableDamaged("it is the table of another disk")),
        (
            |disk, _| {
                disk[FIRST_ENTRY..FIRST_ENTRY + 16].fill(0);
                seal_gpt(disk);
            },
            LocateError::NoPartition(1),
        ),
        (
            |disk, _| {
                disk[FIRST_ENTRY] ^= 1;
                seal_gpt(disk);
            },
            LocateError::PartitionType(1),
        ),
        (
            |disk, _| {
                disk[FIRST_ENTRY + 40] = 200;
                seal_gpt(disk);
            },
            LocateError::PartitionBounds(1),
        ),
        (
            |disk, _| disk[40 * 512 + 510] = 0,
            LocateError::NotFat("its first sector is none of a file system"),
        ),
        (
            |disk, _| disk[40 * 512 + 12] = 8,
            LocateError::NotFat("its sectors have another size than the disk's"),
        ),
        (|disk, _| disk[40 * 512 + 13] = 0, LocateError::NotFat("its first sector makes no sense")),
        (|disk, _| disk[40 * 512 + 19] = 101, LocateError::NotFat("it is larger than its partition")),
        (|disk, layout| disk[layout.tables[1] + 6] ^= 0x10, LocateError::FatsDiffer),
        (|disk, layout| disk[layout.entries[0]] = 0xe5, LocateError::Missing(path())),
        (
            |disk, layout| {
                let entry = disk[layout.entries[0]..][..32].to_vec();
                disk[layout.entries[1] + 32..][..32].copy_from_slice(&entry);
            },
            LocateError::Twice(path()),
        ),
        (|disk, layout| disk[layout.entries[0] + 11] = 0x10, LocateError::Kind(path())),
        (
            |disk, layout| disk[layout.entries[0] + 28..][..4].copy_from_slice(&512_u32.to_le_bytes()),
            LocateError::Length { path: path(), found: 512, wanted: 1024 },
        ),
        (
            |disk, layout| disk[layout.entries[0] + 28..][..4].fill(0xff),
            LocateError::Length { path: path(), found: u32::MAX, wanted: 1024 },
        ),
        (|disk, layout| link(disk, layout, layout.clusters[0], 30), LocateError::Fragmented(path())),
        (|disk, layout| link(disk, layout, layout.clusters[0], 0xfff), LocateError::Chain(path())),
        (|disk, layout| link(disk, layout, layout.clusters[0], 0), LocateError::Chain(path())),
        (|disk, layout| link(disk, layout, layout.clusters[0], 900), LocateError::Chain(path())),
        // Leads round behind its end, or on.
        (
            |disk, layout| link(disk, layout, layout.clusters[0] + 1, layout.clusters[0]),
            LocateError::Chain(path()),
        ),
        (|disk, layout| link(disk, layout, layout.clusters[0] + 1, 30), LocateError::Chain(path())),
        (|disk, layout| disk[layout.entries[0] + 26] = 1, LocateError::Chain(path())),
        // The directory leads round, and out.
        (|disk, layout| link(disk, layout, 3, 3), LocateError::Chain(path())),
        (|disk, layout| link(disk, layout, 2, 0xff7), LocateError::Chain(path())),
    ]
}

fn link(disk: &mut [u8], layout: &Layout, cluster: u16, value: u16) {
    for table in layout.tables {
        set_link(disk, table, cluster, value);
    }
}

#[test]
fn everything_unusual_is_refused_by_name_and_not_written_to() {
    for (index, (damage, expected)) in damages().into_iter().enumerate() {
        let (mut bytes, layout) = grub_disk();
        damage(&mut bytes, &layout);
        assert_eq!(find(bytes.clone(), &GRUBENV_PLACE), Err(expected.clone()), "damage {index}");
        let mut disk = Disk::new(bytes);
        let error = Grub::open(&mut disk, Running::in_slot(Slot::A, How::Committed)).map(drop).unwrap_err();
        assert_eq!(error, expected.into());
        assert!(disk.changed.is_empty());
    }
}

#[test]
fn a_disk_of_the_other_track_is_refused() {
    assert_eq!(find(pi_disk().0, &GRUBENV_PLACE), Err(LocateError::OtherTable));
    assert_eq!(find(grub_disk().0, &AUTOBOOT_PLACE), Err(LocateError::OtherTable));
    let mut disk = pi_disk().0;
    disk[450] = 0x83;
    assert_eq!(find(disk.clone(), &AUTOBOOT_PLACE), Err(LocateError::PartitionType(1)));
    disk[450] = 0x0c;
    disk[454] = 0xf0;
    assert_eq!(find(disk, &AUTOBOOT_PLACE), Err(LocateError::PartitionBounds(1)));
}

#[test]
fn two_names_of_one_sector_are_refused() {
    let (mut bytes, layout) = grub_disk();
    bytes[layout.entries[1] + 26] = layout.clusters[0] as u8;
    let error = Grub::open(Disk::new(bytes), Running::ELSEWHERE).map(drop).unwrap_err();
    assert_eq!(error, LocateError::Shared.into());
}

#[test]
fn files_are_found_on_the_file_systems_of_other_tools_and_changed_by_one_sector() {
    for (width, mebibytes, cluster) in
        [("12", 1, "1"), ("12", 4, "8"), ("16", 20, "4"), ("16", 16, "1"), ("32", 36, "1")]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = foreign(dir.path(), true, width, mebibytes, cluster);
        let before = fs::read(&path).unwrap();
        let medium = FileMedium::open(Path::new(&path), Access::Write).unwrap();
        let mut flow = Grub::open(medium, Running::in_slot(Slot::A, How::Committed)).unwrap();
        assert!(flow.state().unwrap().whole);
        flow.stage(Slot::B).unwrap();
        flow.try_next(Slot::B, 3).unwrap();
        drop(flow);
        let after = fs::read(&path).unwrap();
        let blocks = before.chunks_exact(512).zip(after.chunks_exact(512));
        let changed = blocks.filter(|(before, after)| before != after).count();
        assert_eq!(changed, 2, "FAT{width}: the block, and its spare in the stage");
        let copy = dir.path().join("read");
        for (name, tries) in [("grubenv", 3), ("grubenv.spare", 0)] {
            let file = format!("::/EFI/factory/{name}");
            tool("mcopy", &["-n", "-o", "-i", &format!("{path}@@1M"), &file, copy.to_str().unwrap()]);
            let state = GrubState::decode(&fs::read(&copy).unwrap()).unwrap();
            assert_eq!((state.tries, state.good), (tries, vec![Slot::A]), "FAT{width}, {name}");
        }
    }
}

#[test]
fn autoboot_is_found_on_the_file_systems_of_other_tools() {
    for (width, mebibytes, cluster) in [("12", 1, "1"), ("16", 20, "4"), ("32", 36, "1")] {
        let dir = tempfile::tempdir().unwrap();
        let path = foreign(dir.path(), false, width, mebibytes, cluster);
        let mut medium = FileMedium::open(Path::new(&path), Access::Read).unwrap();
        let extent = locate(&mut medium, &AUTOBOOT_PLACE).unwrap();
        assert_eq!(medium.read(extent.first).unwrap(), Autoboot::initial().encode(), "FAT{width}");
    }
}

#[test]
fn partitions_have_the_partuuids_that_sfdisk_gives_them() {
    let dir = tempfile::tempdir().unwrap();
    for (label, second, id) in [
        ("gpt", ", uuid=FAC70000-1234-4567-89AB-0000000000EF", "fac70000-1234-4567-89ab-0000000000ef"),
        ("dos\nlabel-id: 0x0a0b0c0d", "", "0a0b0c0d-02"),
    ] {
        let disk = dir.path().join(&label[..3]).to_str().unwrap().to_owned();
        fs::File::create(&disk).unwrap().set_len(64 << 20).unwrap();
        let table = format!("label: {label}\n\nsize=1M\nsize=1M{second}\n");
        tool("sh", &["-c", &format!("printf '{table}' | sfdisk -q {disk}")]);
        let mut medium = FileMedium::open(Path::new(&disk), Access::Look).unwrap();
        assert_eq!(partuuid(&mut medium, id), Some(2), "{label}");
        assert_eq!(partuuid(&mut medium, &id.to_uppercase()), Some(2), "{label}");
        assert_eq!(partuuid(&mut medium, "fac70000-1234-4567-89ab-0000000000ee"), None, "{label}");
        assert_eq!(partuuid(&mut medium, "0a0b0c0d-03"), None, "{label}");
    }
}

#[test]
fn a_slot_of_mkfs_vfat_is_none_to_mtools_while_it_is_hidden_and_the_same_as_before_when_it_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let [disk, fat] = ["disk.img", "fat.img"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
    fs::File::create(&disk).unwrap().set_len(76 << 20).unwrap();
    fs::File::create(&fat).unwrap().set_len(36 << 20).unwrap();
    let table = "label: dos\nsize=1M, type=c\nsize=36M, type=c\nsize=36M, type=c\n";
    tool("sh", &["-c", &format!("printf '{table}' | sfdisk -q {disk}")]);
    tool("mkfs.vfat", &["-F", "32", "-s", "1", &fat]);
    tool("mcopy", &["-i", &fat, "/etc/passwd", "::/start4.elf"]);
    // It was mounted for writing, of which Linux makes a note in the boot sector alone.
    tool("sh", &["-c", &format!("printf '\\001' | dd of={fat} bs=1 seek=65 conv=notrunc status=none")]);
    tool(
        "dd",
        &[&format!("if={fat}"), &format!("of={disk}"), "bs=1M", "seek=38", "conv=notrunc", "status=none"],
    );
    let mut medium = FileMedium::open(Path::new(&disk), Access::Write).unwrap();
    let lists = || {
        let out = Command::new("mdir").args(["-b", "-i", &format!("{disk}@@38M")]).output().unwrap();
        out.status.success() && String::from_utf8_lossy(&out.stdout).contains("start4.elf")
    };
    assert!(lists());
    let shown = BootSector::read(&mut medium, Slot::B).unwrap();
    assert_eq!(shown.front(), Front::SHOWN);
    shown.hide(&mut medium).unwrap();
    assert!(!lists());
    let hidden = BootSector::read(&mut medium, Slot::B).unwrap();
    assert_eq!(hidden.front(), Front::HIDDEN);
    hidden.show(&mut medium).unwrap();
    assert!(lists());
    tool("dd", &[&format!("if={disk}"), &format!("of={fat}"), "bs=1M", "skip=38", "count=36", "status=none"]);
    tool("fsck.vfat", &["-n", &fat]);
}
