//! Which device trees go into an image: the kernel's own, for every board that it serves.

use std::collections::BTreeMap;

use super::RpiError;
use crate::board::{self, Board, BoardDtb, Chip};
use crate::dtb::Dtb;

/// Device trees by the names that the firmware looks for, with the names in the kernel's package.
pub(super) type Chosen = BTreeMap<String, String>;

/// A device tree of the kernel's package.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) name: String,
    pub(super) tree: Dtb,
}

impl Blob {
    /// Reads a file that is called `name`.
    pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Blob, RpiError> {
        let source = |source| RpiError::Dtb { name: name.to_owned(), source };
        Ok(Blob { name: name.to_owned(), tree: Dtb::decode(bytes).map_err(source)? })
    }

    /// Whether it belongs to the vendor's kernel. Drivers of one family do not find what they need
    /// in the trees of the other.
    pub(super) fn is_vendors(&self) -> bool {
        self.tree.is_vendors()
    }
}

/// The boards that an image serves: the named ones, or all that the kernel has device trees for;
/// and the emulated one, so that it can be run.
///
/// # Errors
/// When the kernel does not serve a named board.
pub(super) fn served(named: &[String], blobs: &[Blob]) -> Result<Vec<&'static Board>, RpiError> {
    for board in board::all().iter().filter(|board| named.contains(&board.name)) {
        if source(&board.dtb[0], blobs).is_none() {
            let wanted = board.dtb[0].from.join("` or `");
            return Err(RpiError::NoDtb { board: board.name.clone(), wanted, served: names(blobs) });
        }
    }
    let is_wanted = |board: &&Board| {
        let is_named = named.is_empty() || named.contains(&board.name);
        (is_named || board.emulated) && source(&board.dtb[0], blobs).is_some()
    };
    Ok(board::all().iter().filter(is_wanted).collect())
}

/// The boards that the kernel serves, for a hint.
fn names(blobs: &[Blob]) -> String {
    let served = board::all().iter().filter(|board| source(&board.dtb[0], blobs).is_some());
    served.map(|board| board.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The first of the names in the package that is there.
fn source<'a>(dtb: &BoardDtb, blobs: &'a [Blob]) -> Option<&'a Blob> {
    dtb.from.iter().find_map(|name| blobs.iter().find(|blob| blob.name == *name))
}

/// The device trees for `boards`, under all names that their firmware looks for.
///
/// # Errors
/// When a device tree is for another board than its name says.
pub(super) fn choose(boards: &[&Board], blobs: &[Blob]) -> Result<Chosen, RpiError> {
    let mut chosen = Chosen::new();
    for board in boards {
        for dtb in &board.dtb {
            let Some(blob) = source(dtb, blobs) else { continue };
            check(board, blob)?;
            chosen.extend(dtb.asks.iter().map(|name| (name.clone(), blob.name.clone())));
        }
    }
    Ok(chosen)
}

fn check(board: &Board, blob: &Blob) -> Result<(), RpiError> {
    let compatible = blob.tree.compatible();
    let is_for = |word: &str| compatible.iter().any(|have| have == word);
    if is_for(&board.compatible) && is_for(&board.chip.compatible()) {
        return Ok(());
    }
    Err(RpiError::WrongBoard {
        name: blob.name.clone(),
        board: board.title.clone(),
        found: compatible.join(", "),
    })
}

/// What people should know of the boards of an image before they rely on it.
pub(super) fn notes(boards: &[&Board], blobs: &[Blob]) -> Vec<String> {
    let note = |board: &&Board| {
        let tree = &source(&board.dtb[0], blobs)?.tree;
        let variants = board.dtb.iter().filter(|dtb| source(dtb, blobs).is_none());
        let variants = variants.filter_map(|dtb| dtb.variant.as_deref());
        let lacks: Vec<String> = lacks(board, tree)
            .into_iter()
            .map(str::to_owned)
            .chain(variants.map(|variant| format!("device tree for its variant {variant}")))
            .collect();
        (!lacks.is_empty()).then(|| format!("{}: this kernel has no {}", board.name, lacks.join(", no ")))
    };
    boards.iter().filter(|board| !board.emulated).filter_map(note).collect()
}

/// What a device tree does not describe.
fn lacks(board: &Board, tree: &Dtb) -> Vec<&'static str> {
    let has = |label: &str| tree.symbol(label).is_some();
    let mut lacks = Vec::new();
    if !has("firmware") {
        lacks.push("firmware mailbox, so a slot cannot be tried");
    }
    if board.chip == Chip::Bcm2712 && !has("rp1_gpio") {
        lacks.push("RP1, so Ethernet, USB and the GPIO header do not work");
    }
    lacks
}
