//! UEFI -> GRUB -> kernel and initramfs, on any arm64 machine with UEFI firmware.
//!
//! ```text
//!   GPT | 1 esp (FAT)               | 2 system-a (ext4)      | 3 system-b | 4 data (ext4) | GPT
//!       | EFI/BOOT/BOOTAA64.EFI     | Image                  | the same   | state, overlay|
//!       | EFI/factory/grub.cfg      | initramfs.img          |            |               |
//!       | EFI/factory/grubenv       | slot.env  slot.json    |            |               |
//!       | EFI/factory/grubenv.spare | rootfs.ext4 (optional) |            |               |
//! ```

use std::sync::LazyLock;

use bootenv::{Slot, grub};

use super::{Choices, Dressed, Format, Ingredients, KernelBase, Partition, Track, TrackError};
use crate::firmware::{self, Part, Parts, Pick};
use crate::image::extents::Extents;
use crate::image::layout::{PartitionType, Role, Scheme};
use crate::plan::part;
use crate::source::Wanted;
use crate::tree::FileTree;
use crate::units::Bytes;

/// The track of UEFI machines.
pub struct Generic;

const GRUB_CFG: &str = include_str!("../../tracks/generic/grub.cfg");
const GRUB_STUB: &str = include_str!("../../tracks/generic/grub-stub.cfg");
/// Where firmware looks for a loader when nothing tells it otherwise (UEFI 2.10, section 3.5.1.1).
pub const LOADER: &str = "EFI/BOOT/BOOTAA64.EFI";
/// What shim starts, beside itself.
const SHIM_LOADS: &str = "EFI/BOOT/grubaa64.efi";
/// Where the archive's prebuilt GRUB looks for its script.
const STUB: &str = "EFI/debian/grub.cfg";

const GRUB: &str = "grub";
const GRUB_SIGNED: &str = "grub-signed";
const SHIM: &str = "shim";

static PARTS: LazyLock<Parts> = LazyLock::new(|| {
    firmware::parse(include_str!("../../firmware/generic.toml")).expect("`firmware/generic.toml` is tested")
});

const PARTITIONS: [Partition; 4] = [
    Partition {
        role: Role::Selector,
        name: "esp",
        kind: PartitionType::Esp,
        format: Format::Fat,
        label: "ESP",
        least: Bytes::mib(64),
        most: None,
    },
    system(Slot::A, "system-a"),
    system(Slot::B, "system-b"),
    Partition {
        role: Role::Data,
        name: "data",
        kind: PartitionType::Linux,
        format: Format::Ext4,
        label: "data",
        least: Bytes::mib(256),
        most: None,
    },
];

const fn system(slot: Slot, name: &'static str) -> Partition {
    Partition {
        role: Role::System(slot),
        name,
        kind: PartitionType::Linux,
        format: Format::Ext4,
        label: "system",
        least: Bytes::mib(64),
        most: None,
    }
}

/// Parts of the loader: the first is started by the firmware.
const fn loaders(secure_boot: bool) -> &'static [&'static str] {
    if secure_boot { &[SHIM, GRUB_SIGNED] } else { &[GRUB] }
}

impl Track for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn scheme(&self) -> Scheme {
        Scheme::Gpt
    }

    fn partitions(&self) -> &'static [Partition] {
        &PARTITIONS
    }

    fn kernel(&self) -> Part {
        PARTS[part::KERNEL].clone()
    }

    fn kernel_bases(&self) -> &'static [KernelBase] {
        &[KernelBase { defconfig: "defconfig", fragments: &["container.fragment", "arm64-virt.fragment"] }]
    }

    fn wanted(&self, kernel: Option<&Part>, choices: &Choices) -> Result<Vec<Wanted>, TrackError> {
        let others = [part::BUSYBOX].iter().chain(loaders(choices.secure_boot));
        let others = others.map(|name| PARTS[*name].wanted(name));
        Ok(kernel.map(|kernel| kernel.wanted(part::KERNEL)).into_iter().chain(others).collect())
    }

    fn members(&self, choices: &Choices) -> Vec<Pick> {
        let loaders = loaders(choices.secure_boot).iter().copied();
        let names = [part::KERNEL, part::BUSYBOX].into_iter().chain(loaders);
        names.flat_map(|name| PARTS[name].picks(name)).collect()
    }

    /// A panic reboots, so that the tries of a slot under trial count down.
    fn cmdline(&self) -> &'static str {
        "panic=10"
    }

    fn dress(&self, ingredients: &Ingredients<'_>) -> Result<Dressed, TrackError> {
        Ok(Dressed { slot: slot(ingredients), selector: selector(ingredients)?, notes: Vec::new() })
    }

    fn cmdline_limit(&self) -> usize {
        grub::CMDLINE_LIMIT
    }

    fn device_files(&self) -> Vec<u8> {
        [GRUB_CFG, "\0", GRUB_STUB].concat().into_bytes()
    }
}

fn slot(ingredients: &Ingredients<'_>) -> FileTree {
    let mut tree = FileTree::new();
    tree.file(grub::KERNEL, 0o644, ingredients.kernel.clone());
    tree.file(grub::INITRAMFS, 0o644, ingredients.initramfs.clone());
    let env = grub::slot_env(ingredients.cmdline).expect("the plan checked the length");
    tree.file(grub::SLOT_ENV, 0o644, Extents::bytes(env));
    if let Some((name, content)) = &ingredients.rootfs {
        tree.file(name, 0o644, content.clone());
    }
    tree
}

fn selector(ingredients: &Ingredients<'_>) -> Result<FileTree, TrackError> {
    let mut tree = FileTree::new();
    for (name, path) in loaders(ingredients.choices.secure_boot).iter().zip([LOADER, SHIM_LOADS]) {
        tree.file(path, 0o644, ingredients.members[*name].content());
    }
    tree.file(STUB, 0o644, Extents::bytes(GRUB_STUB.as_bytes()));
    tree.file(&format!("{}/grub.cfg", grub::DIRECTORY), 0o644, Extents::bytes(GRUB_CFG.as_bytes()));
    for path in [grub::GRUBENV, grub::GRUBENV_SPARE] {
        tree.file(path, 0o644, Extents::bytes(grub::GrubState::initial().encode()));
    }
    super::add_files(&mut tree, ingredients.files)?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(role: Role) -> u32 {
        let at = PARTITIONS.iter().position(|row| row.role == role).unwrap();
        u32::try_from(at).unwrap() + 1
    }

    /// GRUB's script can only name partitions by their numbers, and the device's agent by its crate's.
    #[test]
    fn table_script_and_boot_crate_agree_on_the_partitions() {
        assert_eq!(number(Role::Selector), grub::ESP_PARTITION);
        for slot in Slot::ALL {
            assert_eq!(number(Role::System(slot)), grub::partition(slot));
            let branch = format!(
                "set slot_name={slot}\n    set slot_root=\"(${{disk}},gpt{})\"",
                grub::partition(slot)
            );
            assert!(GRUB_CFG.contains(&branch), "the script boots slot {slot} from elsewhere");
        }
    }

    #[test]
    fn the_script_reads_the_files_that_the_builder_writes() {
        for name in [grub::KERNEL, grub::INITRAMFS, grub::SLOT_ENV] {
            assert!(GRUB_CFG.contains(&format!("${{slot_root}}/{name}\"")), "{name}");
        }
        for path in [grub::GRUBENV, grub::GRUBENV_SPARE] {
            let name = path.strip_prefix(grub::DIRECTORY).unwrap();
            assert!(GRUB_CFG.contains(&format!("${{prefix}}{name}\"")), "{path}");
        }
        assert!(GRUB_STUB.contains(&format!("set prefix=($root)/{}\n", grub::DIRECTORY)));
    }
}
