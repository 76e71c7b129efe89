//! The systems of a disk, and the files that their loaders take, by the loader's own rules.

use std::collections::BTreeMap;

use bootenv::{grub, rpi};

use super::scene::{Partition, Scene};
use crate::board::{self, Board};
use crate::configtxt::{Context, Settings};
use crate::image::layout::{Role, Scheme};

/// Largest config.txt that is looked at, in bytes.
pub(super) const LARGEST_CONFIG: u32 = 1 << 20;

/// What the kernel starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The kernel.
    Kernel,
    /// The initramfs.
    Initramfs,
}

/// The partitions that a loader starts a kernel from: the slots, and on a Raspberry Pi also the
/// one that is read first.
pub(super) fn all(scene: &Scene) -> impl Iterator<Item = &Partition> {
    let is_rpi = scene.scheme() == Some(Scheme::Mbr);
    let control = scene.selector().filter(move |_| is_rpi);
    control.into_iter().chain(scene.slots())
}

impl Partition {
    /// The kernels and initramfs that are there.
    pub(super) fn parts(&self, scene: &Scene) -> Vec<(Part, String)> {
        let named = self.named(scene).into_keys();
        named.filter(|(_, path)| self.has(path)).collect()
    }

    /// The kernels and initramfs that the loader will look for, with the boards on which it does.
    pub(super) fn named(&self, scene: &Scene) -> BTreeMap<(Part, String), Vec<&'static str>> {
        if matches!(self.role(), Some(Role::System(_))) {
            let names = [(Part::Kernel, grub::KERNEL), (Part::Initramfs, grub::INITRAMFS)];
            return names.into_iter().map(|(part, name)| ((part, name.to_owned()), Vec::new())).collect();
        }
        let mut named: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (board, settings) in self.settings(scene) {
            for wanted in wanted(self, board, &settings) {
                named.entry(wanted).or_default().push(board.name.as_str());
            }
        }
        named
    }

    /// What config.txt says to each board that this serves.
    pub(super) fn settings(&self, scene: &Scene) -> Vec<(&'static Board, Settings)> {
        let Some(text) = scene.read(self, rpi::CONFIG, LARGEST_CONFIG) else { return Vec::new() };
        let evaluate = |board| {
            let context = Context {
                board,
                tryboot: false,
                boot_partition: self.entry.number,
                requested: 0,
                compares_partitions: true,
            };
            let include = &mut |path: &str| scene.read(self, path, LARGEST_CONFIG);
            (board, Settings::evaluate(&text, &context, include))
        };
        self.boards().into_iter().map(evaluate).collect()
    }

    /// The boards that it has device trees for.
    pub(super) fn boards(&self) -> Vec<&'static Board> {
        board::all()
            .iter()
            .filter(|board| board.dtb.iter().any(|dtb| dtb.asks.iter().any(|name| self.has(name))))
            .collect()
    }
}

fn wanted(system: &Partition, board: &Board, settings: &Settings) -> Vec<(Part, String)> {
    let kernels = settings.kernel().map_or_else(|| board.kernels.clone(), |name| vec![name.to_owned()]);
    let last = kernels.last().cloned().unwrap_or_else(|| rpi::KERNEL.to_owned());
    // A prefix under which there is no kernel is passed over.
    let prefix = Some(settings.os_prefix())
        .filter(|prefix| kernels.iter().any(|name| system.has(&format!("{prefix}{name}"))));
    let prefix = prefix.unwrap_or_default();
    let kernel = kernels.into_iter().find(|name| system.has(&format!("{prefix}{name}"))).unwrap_or(last);
    let mut initramfs = settings.initramfs().to_vec();
    if initramfs.is_empty() && settings.auto_initramfs() {
        initramfs.push(kernel.trim_end_matches(".img").replacen("kernel", "initramfs", 1));
    }
    let initramfs = initramfs.into_iter().map(|name| (Part::Initramfs, format!("{prefix}{name}")));
    initramfs.chain([(Part::Kernel, format!("{prefix}{kernel}"))]).collect()
}
