//! Dressing the tree of a partition that boots, from ingredients that go together.

use std::collections::BTreeMap;
use std::sync::Arc;

use bootenv::rpi;

use super::boards::{self, Blob};
use super::{DTBS, FIRMWARE_FILES, FIRMWARE_OVERLAYS, FIRMWARE_SINCE, Options, RpiError, config, licence};
use crate::board::Board;
use crate::configtxt::{self, Severity};
use crate::dtb::Dtb;
use crate::image::extents::{Extents, Source};
use crate::track::{Ingredients, Member};
use crate::tree::{FileTree, Kind, TreePath};

/// What a slot is dressed from, read and checked.
pub(super) struct Wardrobe<'a> {
    ingredients: &'a Ingredients<'a>,
    options: &'a Options,
    blobs: Vec<Blob>,
    boards: Vec<&'static Board>,
}

impl<'a> Wardrobe<'a> {
    pub(super) fn open(ingredients: &'a Ingredients<'a>) -> Result<Self, RpiError> {
        let options = &ingredients.choices.rpi;
        let files = ingredients.members.all(DTBS);
        let blobs = files.map(|(name, file)| Blob::decode(name, &bytes(name, &file.content())?));
        let blobs: Vec<Blob> = blobs.collect::<Result<_, _>>()?;
        let boards = boards::served(&options.boards, &blobs)?;
        if boards.is_empty() {
            return Err(RpiError::NoBoards);
        }
        if config::has_params(options) && !blobs.iter().any(Blob::is_vendors) {
            return Err(RpiError::Params);
        }
        let wardrobe = Wardrobe { ingredients, options, blobs, boards };
        wardrobe.check_files()?;
        Ok(wardrobe)
    }

    /// All that firmware and kernel need, which makes a partition bootable.
    pub(super) fn bootable(&self) -> Result<FileTree, RpiError> {
        let mut tree = FileTree::new();
        self.add_firmware(&mut tree)?;
        self.add_device_trees(&mut tree)?;
        self.add_config(&mut tree)?;
        tree.file(rpi::KERNEL, 0o644, self.ingredients.kernel.clone());
        tree.file(rpi::INITRAMFS, 0o644, padded(&self.ingredients.initramfs));
        tree.file(
            rpi::CMDLINE,
            0o644,
            Extents::bytes(format!("{}\n", self.ingredients.cmdline).into_bytes()),
        );
        Ok(tree)
    }

    fn add_firmware(&self, tree: &mut FileTree) -> Result<(), RpiError> {
        for name in FIRMWARE_FILES.into_iter().chain([licence(self.options.firmware)]) {
            tree.file(name, 0o644, self.ingredients.members[name].content());
        }
        let start = bytes(rpi::START, &self.ingredients.members[rpi::START].content())?;
        let firmware = crate::videocore::read(&start);
        let firmware = firmware.ok_or_else(|| RpiError::NotFirmware(rpi::START.to_owned()))?;
        match firmware.built {
            Some(built) if built.as_str() < FIRMWARE_SINCE => Err(RpiError::OldFirmware { built }),
            _ => Ok(()),
        }
    }

    fn add_device_trees(&self, tree: &mut FileTree) -> Result<(), RpiError> {
        let files: BTreeMap<&str, &Member> = self.ingredients.members.all(DTBS).collect();
        for (name, from) in boards::choose(&self.boards, &self.blobs)? {
            tree.file(&name, 0o644, files[from.as_str()].content());
        }
        Ok(())
    }

    fn add_config(&self, tree: &mut FileTree) -> Result<(), RpiError> {
        let text = config::text(self.options);
        let problems = configtxt::problems(text.as_bytes());
        if let Some(problem) = problems.into_iter().find(|problem| problem.severity == Severity::Error) {
            return Err(RpiError::Config { hint: problem.hint.clone(), problem: problem.to_string() });
        }
        tree.file(rpi::CONFIG, 0o644, Extents::bytes(text.into_bytes()));
        for (name, board) in config::overlays(self.options) {
            let path = overlay_path(&name);
            let (content, is_own) = self.overlay(&name, &path)?;
            self.check_overlay(&name, &content, board.as_deref())?;
            // The project's own go in with all its files.
            if !is_own {
                tree.file(&path, 0o644, content);
            }
        }
        Ok(())
    }
}

impl Wardrobe<'_> {
    /// An overlay, and whether it is the project's own or the firmware package's.
    fn overlay(&self, name: &str, path: &str) -> Result<(Extents, bool), RpiError> {
        let own = files(self.ingredients.files).find(|(own, _)| own.as_str() == path);
        if let Some((_, content)) = own {
            return Ok((content.clone(), true));
        }
        let packaged = || self.ingredients.members.all(FIRMWARE_OVERLAYS);
        let file = packaged().find(|(file, _)| file.strip_suffix(".dtbo") == Some(name));
        let known = || packaged().filter_map(|(file, _)| file.strip_suffix(".dtbo"));
        let (_, file) = file.ok_or_else(|| RpiError::NoOverlay {
            name: name.to_owned(),
            known: known().collect::<Vec<_>>().join(", "),
        })?;
        Ok((file.content(), false))
    }

    /// Without the labels that it refers to, the firmware leaves an overlay out and says nothing.
    fn check_overlay(&self, name: &str, content: &Extents, board: Option<&str>) -> Result<(), RpiError> {
        let overlay = Dtb::decode(&bytes(name, content)?)
            .map_err(|source| RpiError::Dtb { name: overlay_path(name), source })?;
        if !overlay.is_overlay() {
            return Err(RpiError::NotAnOverlay(name.to_owned()));
        }
        let boards = self.boards.iter().filter(|served| match board {
            Some(board) => served.name == board,
            None => !served.emulated,
        });
        for board in boards {
            let base = board.dtb[0].from.iter().find_map(|from| self.blobs.iter().find(|b| b.name == *from));
            let missing = |label: &String| base.is_some_and(|base| base.tree.symbol(label).is_none());
            if let Some(symbol) = overlay.needed_symbols().into_iter().find(missing) {
                return Err(RpiError::Overlay { name: name.to_owned(), symbol, board: board.name.clone() });
            }
        }
        Ok(())
    }

    /// Device trees of the project must be of the kernel's family.
    fn check_files(&self) -> Result<(), RpiError> {
        let family = |is_vendors| if is_vendors { "vendor's" } else { "mainline" };
        let ours = self.blobs.iter().any(Blob::is_vendors);
        for (path, content) in files(self.ingredients.files) {
            if !path.as_str().ends_with(".dtb") {
                continue;
            }
            let blob = Blob::decode(path.as_str(), &bytes(path.as_str(), content)?)?;
            if blob.is_vendors() != ours {
                let (theirs, ours) = (family(!ours), family(ours));
                return Err(RpiError::Mixed { name: blob.name, theirs, ours });
            }
        }
        Ok(())
    }
}

fn overlay_path(name: &str) -> String {
    format!("{}/{name}.dtbo", rpi::OVERLAYS)
}

/// The initramfs, filled up to whole words: firmware has joined odd lengths wrongly
/// (raspberrypi/firmware issue 1843), and the kernel skips zeros.
fn padded(initramfs: &Extents) -> Extents {
    let size = initramfs.size();
    let fill = (size.next_multiple_of(4) - size) as usize;
    let mut padded = Extents::zeros(size + fill as u64);
    padded.place(0, initramfs);
    if fill > 0 {
        padded.push(size, fill as u64, Source::Bytes { buffer: Arc::from(vec![0; fill]), start: 0 });
    }
    padded
}

/// The regular files of a tree.
fn files(tree: &FileTree) -> impl Iterator<Item = (&TreePath, &Extents)> {
    tree.iter().filter_map(|(path, node)| match &node.kind {
        Kind::File(content) => Some((path, &**content)),
        _ => None,
    })
}

fn bytes(name: &str, content: &Extents) -> Result<Vec<u8>, RpiError> {
    let mut bytes = vec![0; content.size() as usize];
    let read = content.read_at(0, &mut bytes);
    read.map_err(|source| RpiError::Read { name: name.to_owned(), source })?;
    Ok(bytes)
}

impl Wardrobe<'_> {
    /// What people should know of the boards that it serves.
    pub(super) fn notes(&self) -> Vec<String> {
        boards::notes(&self.boards, &self.blobs)
    }
}
