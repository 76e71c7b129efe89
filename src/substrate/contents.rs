//! What lies in the initramfs.
//!
//! ```text
//!   /init                     first program; /lib/factory/stages/* are its parts
//!   /bin/busybox              all commands; linked to their names at the start
//!   /bin/bootenv              the boot state: which slot was started, and what is started next
//!   /dev/{console,null}       for the time before /dev is mounted
//!   /etc/factory/config       what the stages are told
//!   /lib/factory/             scripts that are called later: health, seed, shutdown, udhcpc
//!   /lib/modules/<release>/   modules, not packed, and the lists for modprobe
//!   /usr/src/<name>/          source of a module that is not the kernel's own
//!   /payload/                 the project's own files; /payload/run is started
//! ```

use std::sync::Arc;

use super::settings::{Settings, SettingsError};
use crate::image::extents::Extents;
use crate::tree::{FileTree, Kind, Meta, Node, TreePath};

/// The list of modules that every image starts from.
pub const MODULES: &str = include_str!("../../tracks/shared/modules-arm64.list");
/// Name of that list in messages.
pub const MODULES_NAME: &str = "modules-arm64.list";

macro_rules! script {
    ($to:literal, $from:literal) => {
        ($to, include_str!(concat!("../../tracks/shared/init/", $from)))
    };
}

/// The programs of the init stages: where they lie, and their text.
pub const SCRIPTS: [(&str, &str); 19] = [
    script!("init", "init"),
    script!("lib/factory/health", "health"),
    script!("lib/factory/seed", "seed"),
    script!("lib/factory/shutdown", "shutdown"),
    script!("lib/factory/udhcpc", "udhcpc"),
    script!("lib/factory/stages/00-words", "stages/00-words"),
    script!("lib/factory/stages/10-mounts", "stages/10-mounts"),
    script!("lib/factory/stages/20-console", "stages/20-console"),
    script!("lib/factory/stages/30-modules", "stages/30-modules"),
    script!("lib/factory/stages/40-slot", "stages/40-slot"),
    script!("lib/factory/stages/45-trial", "stages/45-trial"),
    script!("lib/factory/stages/50-data", "stages/50-data"),
    script!("lib/factory/stages/55-state", "stages/55-state"),
    script!("lib/factory/stages/58-seed", "stages/58-seed"),
    script!("lib/factory/stages/60-rootfs", "stages/60-rootfs"),
    script!("lib/factory/stages/65-identity", "stages/65-identity"),
    script!("lib/factory/stages/70-network", "stages/70-network"),
    script!("lib/factory/stages/80-services", "stages/80-services"),
    script!("lib/factory/stages/90-up", "stages/90-up"),
];

/// Where the command that reads and writes the boot state lies.
pub const BOOTENV: &str = "bin/bootenv";

/// The programs that init needs. They must be static, and made for AArch64.
#[derive(Clone, Debug)]
pub struct Programs {
    /// All usual commands in one.
    pub busybox: Arc<Extents>,
    /// The boot state's.
    pub bootenv: Arc<Extents>,
}

/// The tree of an initramfs: `modules` holds `lib/modules/<release>`
/// (see [`modules::install`](super::modules::install())), `payload` goes below `/payload`.
///
/// # Errors
/// When a setting cannot be passed on.
pub fn tree(
    programs: &Programs,
    modules: &FileTree,
    payload: Option<&FileTree>,
    settings: &Settings,
) -> Result<FileTree, SettingsError> {
    let mut tree = FileTree::new();
    for dir in ["dev", "etc", "proc", "sys", "run", "tmp", "lib", "sbin", "usr/bin", "usr/sbin"] {
        tree.dir(dir);
    }
    device(&mut tree, "dev/console", 0o600, 5, 1);
    device(&mut tree, "dev/null", 0o666, 1, 3);
    for (path, program) in [("bin/busybox", &programs.busybox), (BOOTENV, &programs.bootenv)] {
        let kind = Kind::File(program.clone());
        tree.insert(TreePath::root().join(path), Node { meta: Meta::root(0o755), kind });
    }
    for (path, text) in SCRIPTS {
        tree.file(path, 0o755, Extents::bytes(text.as_bytes()));
    }
    tree.file("etc/factory/config", 0o644, Extents::bytes(settings.encode()?.into_bytes()));
    tree.graft(&TreePath::root(), modules);
    if let Some(payload) = payload {
        tree.graft(&TreePath::root().join("payload"), payload);
    }
    Ok(tree)
}

fn device(tree: &mut FileTree, path: &str, mode: u16, major: u32, minor: u32) {
    let kind = Kind::CharDevice { major, minor };
    tree.insert(TreePath::root().join(path), Node { meta: Meta::root(mode), kind });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::settings;

    #[test]
    fn every_script_of_the_directory_is_taken() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tracks/shared/init");
        let files = walkdir::WalkDir::new(dir)
            .into_iter()
            .filter(|entry| entry.as_ref().unwrap().file_type().is_file());
        assert_eq!(files.count(), SCRIPTS.len());
    }

    #[test]
    fn modules_and_payload_stand_in_their_places() {
        let mut modules = FileTree::new();
        modules.file("lib/modules/6.1/modules.dep", 0o644, Extents::zeros(0));
        let mut payload = FileTree::new();
        payload.file("run", 0o755, Extents::zeros(0));
        let link = Kind::HardLink(TreePath::root().join("run"));
        payload.insert(TreePath::root().join("start"), Node { meta: Meta::root(0o755), kind: link });
        let program = Arc::new(Extents::zeros(1));
        let programs = Programs { busybox: program.clone(), bootenv: program };
        let tree = tree(&programs, &modules, Some(&payload), &settings::tests::sample()).unwrap();
        let at = |path: &str| tree.get(&TreePath::root().join(path)).map(|node| format!("{:?}", node.kind));
        assert!(at("lib/modules/6.1/modules.dep").is_some() && at("payload/run").is_some());
        assert_eq!(at("payload/start").unwrap(), "HardLink(TreePath(\"payload/run\"))");
        assert_eq!(at("dev/console").unwrap(), "CharDevice { major: 5, minor: 1 }");
    }
}
