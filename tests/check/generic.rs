//! Images of the generic track that do not boot, each for one reason.

use bootenv::grub::{GRUBENV, GRUBENV_SPARE, INITRAMFS, KERNEL, SLOT_ENV};
use factory::archive::compress::Packing;

use super::image::Recipe;
use super::{broken, expect, expect_all, parts};

const LOADER: &str = "EFI/BOOT/BOOTAA64.EFI";

#[test]
fn a_loader_that_is_missing_or_something_else_is_told() {
    expect(&Recipe::generic().without(LOADER).build(), "grub-loader", "there is no such file");
    let mut foreign = parts::program(2000);
    foreign[68..70].copy_from_slice(&[0x64, 0x86]);
    for loader in [b"a text".to_vec(), foreign] {
        let image = Recipe::generic().selector(LOADER, loader).build();
        expect(&image, "grub-loader", "it is no EFI program for arm64");
    }
}

#[test]
fn a_missing_script_is_told() {
    let image = Recipe::generic().without("EFI/factory/grub.cfg").build();
    expect(&image, "grub-script", "esp: EFI/factory/grub.cfg");
}

#[test]
fn either_copy_of_grubs_state_is_checked() {
    for file in [GRUBENV, GRUBENV_SPARE] {
        expect(
            &Recipe::generic().without(file).build(),
            "grubenv",
            &format!("esp: {file}: there is no such file"),
        );
        let image = Recipe::generic().selector(file, vec![0xff; 1024]).build();
        expect(&image, "grubenv", &format!("esp: {file}: environment block does not start"));
        let image = Recipe::generic().selector(file, vec![b'#'; 512]).build();
        expect(&image, "grubenv", "environment block has 512 bytes instead of 1024");
    }
}

#[test]
fn a_slot_without_its_command_line_is_told() {
    expect(
        &Recipe::generic().without(SLOT_ENV).build(),
        "slot-env",
        "system-a: slot.env, system-b: slot.env",
    );
    let image = Recipe::generic().system(SLOT_ENV, "quiet").build();
    expect(&image, "slot-env", "environment block has 5 bytes");
}

#[test]
fn kernels_that_grub_cannot_start_are_told() {
    let kernel = parts::kernel(parts::RELEASE);
    for packing in [Packing::Gzip, Packing::Xz] {
        let image = Recipe::generic().system(KERNEL, parts::pack(packing, &kernel)).build();
        assert_eq!(broken(&image), [], "GRUB unpacks {packing:?}");
    }
    let image = Recipe::generic().system(KERNEL, parts::pack(Packing::Zstd, &kernel)).build();
    expect(&image, "kernel-magic", "it is packed with zstd");
    let mut plain = kernel;
    plain[..2].copy_from_slice(&[0; 2]);
    expect(
        &Recipe::generic().system(KERNEL, plain).build(),
        "kernel-magic",
        "it is no EFI program for arm64",
    );
    expect(&Recipe::generic().without(KERNEL).build(), "kernel-missing", "Image: there is no such file");
    expect(&Recipe::generic().without(INITRAMFS).build(), "initramfs-missing", "initramfs.img");
}

#[test]
fn damaged_ext4_is_told() {
    let image = Recipe::generic().build();
    // A count in the superblock, which its checksum covers.
    image.put(image.offset(3) + 1024 + 0x10, &[0xff; 4]);
    expect(&image, "ext4-sound", "system-b: ");
    // The first block of the root directory, found by its own entry.
    let image = Recipe::generic().build();
    image.debugfs(2, "set_inode_field <2> block[3] 4000000");
    let said = broken(&image);
    assert!(said.iter().any(|(rule, _)| *rule == "ext4-sound"), "{said:?}");
}

#[test]
fn ext4_larger_than_its_partition_is_told() {
    let image = Recipe::generic().build();
    // One mebibyte less in both copies of the table would need new checksums; the superblock is
    // changed with a tool that makes its own.
    image.debugfs(4, "set_super_value blocks_count 5000");
    let said = broken(&image);
    assert!(
        said.iter().any(|(rule, text)| *rule == "ext4-size" && text.contains("the partition 16 MiB")),
        "{said:?}"
    );
}

#[test]
fn ext4_that_was_not_unmounted_or_has_errors_is_told() {
    let image = Recipe::generic().build();
    image.debugfs(4, "set_super_value state 0");
    expect(&image, "ext4-state", "data: it was not unmounted");
    let image = Recipe::generic().build();
    image.debugfs(4, "set_super_value state 3");
    expect(&image, "ext4-state", "data: the kernel found errors in it");
}

#[test]
fn a_file_changed_where_it_lies_is_told() {
    let image = Recipe::generic().build();
    let kernel = parts::kernel(parts::RELEASE);
    let at = image.file_at(3, &kernel);
    image.put(at + 5000, b"other");
    expect_all(&image, &[("slot-digests", "system-b: Image: its sha256 is ")]);
}
