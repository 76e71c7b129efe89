//! What a kernel is built from, and the key under which the store keeps it.

use std::path::Path;

use super::signing::Signing;
use super::{ARCH, BuildError, Toolchain};
use crate::digest::Sha256;
use crate::kconfig::{Config, Value};
use crate::ksource::SourceTree;
use crate::oot;

/// To be raised when the same inputs lead to other bytes.
const GENERATION: &str = "1";

/// All that a kernel is built from, and how.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// The kernel's source.
    pub source: &'a SourceTree,
    /// The final `.config`, whole, as the kernel's tools have completed it.
    pub config: &'a str,
    /// What compiles.
    pub toolchain: &'a Toolchain,
    /// Device trees to build, as under `arch/arm64/boot/dts`: `broadcom/bcm2711-rpi-4-b.dtb`. Overlays
    /// end in `.dtbo`.
    pub dtbs: &'a [String],
    /// Modules from outside the tree, built with the kernel.
    pub modules: &'a [oot::Source],
    /// PEM file with the RSA key that signs modules, and its certificate. The configuration must have
    /// what [`FRAGMENT`](super::signing::FRAGMENT) asks for.
    pub signing_key: Option<&'a Path>,
    /// Whether modules lose the debug information that they are built with.
    pub strips_modules: bool,
    /// How many commands run at once.
    pub jobs: usize,
    /// Whose build tree it is, such as the name of a track: one word. Recipes of one shelf use each
    /// other's objects, those of two never do.
    pub shelf: &'a str,
    /// Whether the build tree is emptied before.
    pub is_clean: bool,
}

impl Recipe<'_> {
    /// Covers all that the bytes of the result depend on: neither jobs nor launcher nor directories.
    pub(super) fn key(&self, signing: &Signing) -> Sha256 {
        let mut dtbs = self.dtbs.to_vec();
        dtbs.sort();
        dtbs.dedup();
        let mut modules: Vec<Sha256> = self.modules.iter().map(oot::Source::digest).collect();
        modules.sort();
        let parts = [
            self.source.id.to_string(),
            self.source.epoch.to_string(),
            Sha256::of(self.config.as_bytes()).to_string(),
            format!("{:?}", self.toolchain.identity()),
            // The headers have programs of the machine that builds.
            std::env::consts::ARCH.to_owned(),
            format!("{dtbs:?}"),
            format!("{modules:?}"),
            format!("{:?}", signing.digest()),
            self.strips_modules.to_string(),
        ];
        Sha256::of(format!("kernel\0{GENERATION}\0{}", parts.join("\0")).as_bytes())
    }

    /// Name of the workplace: what another source, compiler or signing key has left is of no use. A
    /// user's directory is the same source after a change of it, so that only that is compiled.
    pub(super) fn workplace(&self, signing: &Signing) -> String {
        let SourceTree { id, path, is_users, .. } = self.source;
        let parts = [
            if *is_users { path.display().to_string() } else { id.to_string() },
            format!("{:?}", self.toolchain.identity()),
            format!("{:?}", signing.digest()),
        ];
        let digest = Sha256::of(parts.join("\0").as_bytes()).to_string();
        format!("{}-{}", self.shelf, &digest[..16])
    }

    /// What make is asked for, and what cannot be made is an error.
    pub(super) fn goals(&self, config: &Config) -> Result<Vec<String>, BuildError> {
        let mut goals = vec!["Image".to_owned()];
        if has_modules(config) {
            goals.push("modules".to_owned());
        }
        for dtb in self.dtbs {
            if !self.has_source_of(dtb) {
                return Err(BuildError::NoDeviceTree(dtb.clone()));
            }
            goals.push(dtb.clone());
        }
        Ok(goals)
    }

    /// Modules from outside must have a kernel that takes modules, and each its own directory.
    pub(super) fn check_modules(&self, config: &Config) -> Result<(), BuildError> {
        let mut names: Vec<&str> = self.modules.iter().map(|module| module.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(BuildError::SameName(pair[0].to_owned()));
        }
        match names.first() {
            Some(name) if !has_modules(config) => Err(BuildError::NoModules((*name).to_owned())),
            _ => Ok(()),
        }
    }

    fn has_source_of(&self, dtb: &str) -> bool {
        let dir = self.source.path.join("arch").join(ARCH).join("boot/dts");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,+/".contains(&byte);
        let is_name = dtb.bytes().all(is_plain) && dtb.starts_with(|c: char| c.is_ascii_alphanumeric());
        let has = |stem: &str, ending: &str| dir.join(format!("{stem}{ending}")).is_file();
        let is_there = match dtb.rsplit_once('.') {
            Some((stem, "dtb")) => has(stem, ".dts"),
            // The vendor's tree has its own rule for overlays.
            Some((stem, "dtbo")) => has(stem, ".dtso") || has(stem, "-overlay.dts"),
            _ => false,
        };
        is_name && !dtb.contains("..") && is_there
    }
}

/// Whether a kernel of this configuration takes modules.
pub(super) fn has_modules(config: &Config) -> bool {
    *config.value("MODULES") == Value::Yes
}

/// Whether a kernel of this configuration has information for debuggers.
pub(super) fn has_debug_info(config: &Config) -> bool {
    *config.value("DEBUG_INFO") == Value::Yes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::kbuild::Wish;

    fn source() -> (tempfile::TempDir, SourceTree) {
        let dir = tempfile::tempdir().unwrap();
        let dts = dir.path().join("arch/arm64/boot/dts");
        for name in ["broadcom/a.dts", "overlays/b-overlay.dts", "c.dtso"] {
            let path = dts.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let path = dir.path().to_owned();
        let id = Sha256::of(b"source");
        (dir, SourceTree { path, id, version: "7.3.4".to_owned(), epoch: 1_790_000_000, is_users: false })
    }

    fn recipe<'a>(source: &'a SourceTree, toolchain: &'a Toolchain) -> Recipe<'a> {
        Recipe {
            source,
            config: "CONFIG_MODULES=y\n",
            toolchain,
            dtbs: &[],
            modules: &[],
            signing_key: None,
            strips_modules: true,
            jobs: 1,
            shelf: "rpi",
            is_clean: false,
        }
    }

    #[test]
    fn the_key_is_another_for_all_that_changes_bytes_and_for_nothing_else() {
        let (_dir, source) = source();
        let toolchain = Toolchain::find(&Wish::default()).unwrap();
        let usual = recipe(&source, &toolchain);
        let key = |recipe: Recipe| recipe.key(&Signing::Off);
        let moved = SourceTree { path: "/elsewhere".into(), version: "7".to_owned(), ..source.clone() };
        let same = [
            Recipe { jobs: 64, shelf: "generic", is_clean: true, ..usual },
            Recipe { source: &moved, ..usual },
            Recipe { signing_key: Some(Path::new("key.pem")), ..usual },
        ];
        for recipe in same {
            assert_eq!(key(recipe), key(usual), "{recipe:?}");
        }
        let older = SourceTree { epoch: 1, ..source.clone() };
        let patched = SourceTree { id: Sha256::of(b"patched"), ..source.clone() };
        let module = [oot::Source::rpi_vcio()];
        let mut changed = module.clone();
        changed[0].files.insert("rpi-vcio.c".to_owned(), b"".to_vec());
        let dtbs = ["broadcom/a.dtb".to_owned()];
        let others = [
            usual,
            Recipe { source: &older, ..usual },
            Recipe { source: &patched, ..usual },
            Recipe { config: "CONFIG_MODULES=y\nCONFIG_A=y\n", ..usual },
            Recipe { dtbs: &dtbs, ..usual },
            Recipe { modules: &module, ..usual },
            Recipe { modules: &changed, ..usual },
            Recipe { strips_modules: false, ..usual },
        ];
        let keys: BTreeSet<Sha256> = others.into_iter().map(key).collect();
        assert_eq!(keys.len(), others.len());
    }

    #[test]
    fn two_shelves_never_share_a_workplace_and_two_configurations_do() {
        let (_dir, source) = source();
        let toolchain = Toolchain::find(&Wish::default()).unwrap();
        let usual = recipe(&source, &toolchain);
        let place = |recipe: Recipe| recipe.workplace(&Signing::Off);
        assert_eq!(place(usual), place(Recipe { config: "", ..usual }));
        assert_ne!(place(usual), place(Recipe { shelf: "generic", ..usual }));
        let patched = SourceTree { id: Sha256::of(b"patched"), ..source.clone() };
        assert_ne!(place(usual), place(Recipe { source: &patched, ..usual }));
        let [before, after] = [&source, &patched].map(|tree| SourceTree { is_users: true, ..tree.clone() });
        let after = place(Recipe { source: &after, ..usual });
        assert_eq!(place(Recipe { source: &before, ..usual }), after, "a directory that was worked on");
    }

    #[test]
    fn device_trees_without_source_are_refused() {
        let (_dir, source) = source();
        let toolchain = Toolchain::find(&Wish::default()).unwrap();
        let config = Config::parse("CONFIG_MODULES=y\n");
        let goals = |names: &[&str]| {
            let dtbs: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Recipe { dtbs: &dtbs, ..recipe(&source, &toolchain) }.goals(&config)
        };
        let sound = ["broadcom/a.dtb", "overlays/b.dtbo", "c.dtbo"];
        assert_eq!(goals(&sound).unwrap(), [&["Image", "modules"], &sound[..]].concat());
        for wrong in ["broadcom/b.dtb", "a.dtb", "broadcom/../broadcom/a.dtb", "-j9.dtb", "c.dtb", "Image"] {
            assert!(matches!(goals(&[wrong]), Err(BuildError::NoDeviceTree(name)) if name == wrong));
        }
    }

    #[test]
    fn modules_from_outside_need_a_kernel_that_takes_them() {
        let (_dir, source) = source();
        let toolchain = Toolchain::find(&Wish::default()).unwrap();
        let twice = [oot::Source::rpi_vcio(), oot::Source::rpi_vcio()];
        let check = |modules, config| {
            Recipe { modules, ..recipe(&source, &toolchain) }.check_modules(&Config::parse(config))
        };
        check(&twice[..1], "CONFIG_MODULES=y\n").unwrap();
        check(&[], "").unwrap();
        assert!(matches!(check(&twice[..1], ""), Err(BuildError::NoModules(_))));
        assert!(matches!(check(&twice, "CONFIG_MODULES=y\n"), Err(BuildError::SameName(_))));
    }
}
