//! The modules of a device as a tree.

use super::closure::Selection;
use super::index::{Index, IndexError, ModuleDir, READERS};
use super::lists::{lists, plain_path};
use crate::image::extents::Extents;
use crate::parallel;
use crate::tree::FileTree;

/// The list that the init stages load from: one path a line.
const LOAD_ORDER: &str = "factory.load";

/// A tree with `lib/modules/<release>`: the selected modules, not packed, with the lists that
/// `modprobe` and the init stages read. The modules are held in memory.
///
/// # Errors
/// When a module is damaged or missing.
pub fn install(dir: &ModuleDir, index: &Index, selection: &Selection) -> Result<FileTree, IndexError> {
    let mut tree = FileTree::new();
    let top = format!("lib/modules/{}", index.release);
    tree.dir(&top);
    let contents = parallel::map(&selection.all, READERS, |(): &mut (), module| dir.read(module))?;
    for (module, content) in selection.all.iter().zip(contents) {
        let path = plain_path(module);
        tree.file(&format!("{top}/{path}"), 0o644, Extents::bytes(content));
    }
    for (name, bytes) in lists(index, &selection.all) {
        tree.file(&format!("{top}/{name}"), 0o644, Extents::bytes(bytes));
    }
    let order: String = selection.at_start.iter().map(|module| plain_path(module) + "\n").collect();
    tree.file(&format!("{top}/{LOAD_ORDER}"), 0o644, Extents::bytes(order.into_bytes()));
    Ok(tree)
}
