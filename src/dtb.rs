//! Device trees in their binary form (Devicetree specification 0.4, chapter 5), and overlays.

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property};

/// Largest blob that is read, in bytes. The kernel's own are below 100 kB, and its limit is 2 MiB
/// (arm64, `Documentation/arch/arm64/booting.rst`).
pub const LARGEST: usize = 2 << 20;

/// Node that only device trees of the Raspberry Pi's own kernel have: parameters for `dtparam`.
const VENDOR_NODE: &str = "/__overrides__";

/// Most levels of nodes. Real trees have fewer than ten.
const DEEPEST: usize = 64;

/// A device tree in memory: a sound blob. It is read where it lies, and written anew by each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtb {
    blob: Vec<u8>,
}

/// Why a file is no device tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DtbError {
    /// Larger than any kernel takes.
    #[error("it has {0} bytes, but a device tree has at most {LARGEST}")]
    TooLarge(usize),
    /// Not a device tree, or a damaged one.
    #[error("it is not a sound device tree: {0}")]
    Damaged(String),
    /// Nodes within nodes beyond reason.
    #[error("its nodes are nested more than {DEEPEST} deep")]
    TooDeep,
}

impl Default for Dtb {
    /// A tree with nothing but its root.
    fn default() -> Self {
        Dtb { blob: DeviceTree::new().to_dtb() }
    }
}

impl Dtb {
    /// A tree with nothing but its root.
    pub fn new() -> Dtb {
        Dtb::default()
    }

    /// Reads a blob.
    ///
    /// # Errors
    /// When it is damaged, cut short, too large, or nested too deep.
    pub fn decode(bytes: &[u8]) -> Result<Dtb, DtbError> {
        if bytes.len() > LARGEST {
            return Err(DtbError::TooLarge(bytes.len()));
        }
        // Depth comes first, since the reader recurses.
        check_depth(bytes)?;
        Fdt::new(bytes).map_err(|error| DtbError::Damaged(error.to_string()))?;
        Ok(Dtb { blob: bytes.to_vec() })
    }

    /// The blob.
    pub fn encode(&self) -> Vec<u8> {
        self.blob.clone()
    }

    /// The blob, which was found sound when it came in.
    fn fdt(&self) -> Fdt<'_> {
        Fdt::new_unchecked(&self.blob)
    }

    fn change(&mut self, change: impl FnOnce(&mut DeviceTree)) {
        let mut tree = DeviceTree::from_fdt(&self.fdt());
        change(&mut tree);
        self.blob = tree.to_dtb();
    }

    /// What the root node is compatible with, the most specific first, such as
    /// `raspberrypi,4-model-b` and `brcm,bcm2711`.
    pub fn compatible(&self) -> Vec<String> {
        self.strings("/", "compatible")
    }

    /// The model's name for people.
    pub fn model(&self) -> Option<String> {
        self.strings("/", "model").into_iter().next()
    }

    /// The path of the node with this label, from `__symbols__`.
    pub fn symbol(&self, label: &str) -> Option<String> {
        self.strings("/__symbols__", label).into_iter().next()
    }

    /// Labels that an overlay needs its base to have: the names in `__fixups__`.
    pub fn needed_symbols(&self) -> Vec<String> {
        let Some(fixups) = self.fdt().find_node("/__fixups__") else { return Vec::new() };
        fixups.properties().map(|property| property.name().to_owned()).collect()
    }

    /// Whether it is an overlay: it has fragments instead of a board.
    pub fn is_overlay(&self) -> bool {
        let root = self.fdt().root();
        root.children()
            .any(|child| child.child("__overlay__").is_some() || child.name().starts_with("fragment@"))
    }

    /// Whether it belongs to the vendor's kernel.
    pub fn is_vendors(&self) -> bool {
        self.has_node(VENDOR_NODE)
    }

    /// Whether there is a node at `path`.
    pub fn has_node(&self, path: &str) -> bool {
        self.fdt().find_node(path).is_some()
    }

    /// The bytes of a property.
    pub fn property(&self, path: &str, name: &str) -> Option<Vec<u8>> {
        Some(self.fdt().find_node(path)?.property(name)?.value().to_vec())
    }

    /// Sets a property of the node at `path`, which is made with its parents where it is missing.
    pub fn set(&mut self, path: &str, name: &str, value: &[u8]) {
        self.change(|tree| {
            let mut node = &mut tree.root;
            for part in path.split('/').filter(|part| !part.is_empty()) {
                node = node.add_child_mut(DeviceTreeNode::new_unchecked(part));
            }
            node.add_property(DeviceTreeProperty::new_unchecked(name, value));
        });
    }

    /// Removes a property, if it is there.
    pub fn remove(&mut self, path: &str, name: &str) {
        self.change(|tree| {
            if let Some(node) = tree.find_node_mut(path) {
                node.remove_property(name);
            }
        });
    }

    /// Removes all nodes below `path`.
    pub fn remove_children(&mut self, path: &str) {
        self.change(|tree| {
            let Some(node) = tree.find_node_mut(path) else { return };
            let names: Vec<String> = node.children().map(|child| child.name().to_owned()).collect();
            names.iter().for_each(|name| drop(node.remove_child(name)));
        });
    }

    fn strings(&self, path: &str, name: &str) -> Vec<String> {
        let bytes = self.property(path, name).unwrap_or_default();
        let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }
}

/// Walks the tokens of the structure block (chapter 5.4) and counts how deep nodes lie.
fn check_depth(bytes: &[u8]) -> Result<(), DtbError> {
    const BEGIN_NODE: u32 = 1;
    const END_NODE: u32 = 2;
    const PROPERTY: u32 = 3;
    const NOP: u32 = 4;
    let word = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let mut at = word(8).unwrap_or(u32::MAX) as usize;
    let mut depth = 0_usize;
    // What is not a token ends the walk: the reader will say what is wrong with it.
    while let Some(token) = word(at) {
        at += 4;
        match token {
            BEGIN_NODE => {
                depth += 1;
                let name = bytes[at.min(bytes.len())..].iter().position(|byte| *byte == 0);
                at = (at + name.unwrap_or(bytes.len()) + 1).next_multiple_of(4);
            }
            END_NODE => depth = depth.saturating_sub(1),
            PROPERTY => at = (at + 8 + word(at).unwrap_or(0) as usize).next_multiple_of(4),
            NOP => {}
            _ => break,
        }
        if depth > DEEPEST {
            return Err(DtbError::TooDeep);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn board() -> Dtb {
        let mut dtb = Dtb::new();
        dtb.set("/", "compatible", b"raspberrypi,4-model-b\0brcm,bcm2711\0");
        dtb.set("/", "model", b"Raspberry Pi 4 Model B\0");
        dtb.set("/soc/mmc@7e300000", "non-removable", b"");
        dtb.set("/soc/mmc@7e300000/wifi@1", "reg", &[0, 0, 0, 1]);
        dtb.set("/__symbols__", "sdhci", b"/soc/mmc@7e300000\0");
        dtb
    }

    #[test]
    fn what_is_set_is_read_back_from_the_blob() {
        let mut dtb = Dtb::decode(&board().encode()).unwrap();
        assert_eq!(dtb.compatible(), ["raspberrypi,4-model-b", "brcm,bcm2711"]);
        assert_eq!(dtb.model().as_deref(), Some("Raspberry Pi 4 Model B"));
        let path = dtb.symbol("sdhci").unwrap();
        dtb.set("/chosen/bootloader", "partition", &2_u32.to_be_bytes());
        dtb.remove(&path, "non-removable");
        dtb.remove_children(&path);
        let again = Dtb::decode(&dtb.encode()).unwrap();
        assert_eq!(again.property("/chosen/bootloader", "partition").unwrap(), [0, 0, 0, 2]);
        assert_eq!(again.property(&path, "non-removable"), None);
        assert!(again.has_node(&path) && !again.has_node(&format!("{path}/wifi@1")));
    }

    #[test]
    fn overlays_name_what_they_need() {
        let mut overlay = Dtb::new();
        overlay.set("/fragment@0/__overlay__", "status", b"okay\0");
        overlay.set("/__fixups__", "spi0", b"/fragment@0:target:0\0");
        assert!(overlay.is_overlay() && !board().is_overlay());
        assert_eq!(overlay.needed_symbols(), ["spi0"]);
    }

    #[test]
    fn damaged_and_deep_trees_are_refused() {
        let whole = board().encode();
        assert!(matches!(Dtb::decode(&whole[..whole.len() / 2]), Err(DtbError::Damaged(_))));
        assert!(matches!(Dtb::decode(b"hello"), Err(DtbError::Damaged(_))));
        assert_eq!(Dtb::decode(&vec![0; LARGEST + 1]).unwrap_err(), DtbError::TooLarge(LARGEST + 1));
        let mut deep = board();
        deep.set(&"/n".repeat(DEEPEST + 1), "x", b"");
        assert_eq!(Dtb::decode(&deep.encode()).unwrap_err(), DtbError::TooDeep);
    }

    proptest! {
        #[test]
        fn no_change_of_a_blob_makes_it_panic(at in 0_usize..400, with: u8, cut in 0_usize..500) {
            let mut bytes = board().encode();
            let last = bytes.len() - 1;
            bytes[at.min(last)] = with;
            bytes.truncate(cut.max(8));
            if let Ok(dtb) = Dtb::decode(&bytes) {
                let _ = (dtb.compatible(), dtb.symbol("sdhci"), dtb.is_overlay(), dtb.encode());
            }
        }
    }
}
