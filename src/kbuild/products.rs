//! What the store keeps of a finished build, laid out as Debian's packages are.
//!
//! ```text
//!   kernel.tar   boot/{vmlinuz,System.map,config}-<release>
//!                usr/lib/modules/<release>/{modules.order,modules.builtin,modules.builtin.modinfo}
//!                usr/lib/modules/<release>/{kernel,updates}/**.ko
//!                usr/lib/linux-image-<release>/broadcom/*.dtb
//!   headers.tar  usr/src/linux-headers-<release>/...
//! ```
//! All of it belongs to root and has the time of the source. Modes are 755 or 644, whatever the umask.

use std::path::Path;
use std::sync::Arc;

use super::shop::Shop;
use super::{ARCH, BuildError, headers};
use crate::image::extents::Extents;
use crate::substrate::rootfs::dir::{self, Owner};
use crate::tree::{FileTree, Kind, Meta, Node, TreePath};

/// Lists of what is built in, which the kernel has with or without modules.
const LISTS: [&str; 2] = ["modules.builtin", "modules.builtin.modinfo"];

/// Reads the release of the kernel, as `uname -r` will say it: letters, digits and a few signs, so that
/// it can be a part of names.
pub(super) fn release(out: &Path) -> Result<String, BuildError> {
    let path = out.join("include/config/kernel.release");
    let text = std::fs::read_to_string(&path).map_err(BuildError::on("reading", &path))?;
    let release = text.trim();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+~".contains(&byte);
    // The kernel's own limit: `uts_len` in its Makefile.
    let is_name = (1..=64).contains(&release.len()) && !release.starts_with(['.', '-']);
    if is_name && release.bytes().all(is_plain) {
        Ok(release.to_owned())
    } else {
        Err(BuildError::Release(release.to_owned()))
    }
}

/// The tree of `kernel.tar`. `modules` is the directory `lib/modules/<release>` that make has installed,
/// if the kernel takes modules.
pub(super) fn kernel(
    shop: &Shop,
    release: &str,
    dtbs: &[String],
    modules: Option<&Path>,
) -> Result<FileTree, BuildError> {
    let out = shop.out();
    let boot = out.join("arch").join(ARCH).join("boot");
    let mut tree = FileTree::new();
    put(&mut tree, &format!("boot/vmlinuz-{release}"), &boot.join("Image"))?;
    put(&mut tree, &format!("boot/System.map-{release}"), &out.join("System.map"))?;
    put(&mut tree, &format!("boot/config-{release}"), &out.join(".config"))?;
    for dtb in dtbs {
        put(&mut tree, &format!("usr/lib/linux-image-{release}/{dtb}"), &boot.join("dts").join(dtb))?;
    }
    let at = format!("usr/lib/modules/{release}");
    if let Some(modules) = modules {
        tree.graft(&TreePath::root().join(&at), &installed(modules, |_| true)?);
    } else {
        tree.file(&format!("{at}/modules.order"), 0o644, Extents::zeros(0));
        for list in LISTS {
            put(&mut tree, &format!("{at}/{list}"), &out.join(list))?;
        }
    }
    Ok(tree)
}

/// The tree of `headers.tar`, from the directory `dir` that the kernel's script has filled.
pub(super) fn headers(dir: &Path, release: &str) -> Result<FileTree, BuildError> {
    let mut tree = FileTree::new();
    let at = TreePath::root().join(&format!("usr/src/linux-headers-{release}"));
    tree.graft(&at, &installed(dir, headers::is_wanted)?);
    Ok(tree)
}

fn put(tree: &mut FileTree, at: &str, path: &Path) -> Result<(), BuildError> {
    let size = path.metadata().map_err(BuildError::on("reading", path))?.len();
    tree.file(at, 0o644, Extents::file(path, 0, size));
    Ok(())
}

/// What was installed in `dir`, as it is the same on every machine: hard links are files, and links that
/// lead to a place on this machine are left out.
fn installed(dir: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<FileTree, BuildError> {
    let found = dir::read(dir, Owner::Root)?;
    let mut tree = FileTree::new();
    for (path, node) in found.iter().skip(1).filter(|(path, _)| is_wanted(path.as_str())) {
        let is_program = node.meta.mode & 0o111 != 0;
        let target = match &node.kind {
            Kind::HardLink(target) => found.get(target).map(|file| &file.kind),
            kind => Some(kind),
        };
        let (mode, kind) = match target {
            Some(Kind::Dir) => (0o755, Kind::Dir),
            Some(Kind::File(content)) => {
                (if is_program { 0o755 } else { 0o644 }, Kind::File(Arc::clone(content)))
            }
            Some(Kind::Symlink(to)) if !to.starts_with('/') => (0o777, Kind::Symlink(to.clone())),
            _ => continue,
        };
        tree.insert(path.clone(), Node { meta: Meta::root(mode), kind });
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::store::Store;
    use crate::substrate::tarball;

    const RELEASE: &str = "7.3.4-test";

    /// A build tree as make leaves it, with files of the given mode.
    fn fake(store: &Path, mode: u32) -> Shop {
        let place = Store::open(store).unwrap().workplace("rpi-1").unwrap();
        let shop = Shop::open(place, "CONFIG_A=y\n", false).unwrap();
        let put = |path: &str| {
            let path = shop.out().parent().unwrap().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let names = ["arch/arm64/boot/Image", "System.map", "arch/arm64/boot/dts/broadcom/a.dtb"];
        names.into_iter().chain(LISTS).for_each(|name| put(&format!("out/{name}")));
        for name in ["kernel/b.ko", "kernel/sub/a.ko", "modules.order", "updates/c.ko"] {
            put(&format!("staging/{name}"));
        }
        symlink(shop.out(), shop.staging().join("build")).unwrap();
        symlink("b.ko", shop.staging().join("kernel/d.ko")).unwrap();
        shop
    }

    fn tar(tree: &FileTree) -> Vec<u8> {
        let mut bytes = Vec::new();
        tarball::write(tree, 1_790_000_000, &mut bytes).unwrap();
        bytes
    }

    fn files(tree: &FileTree) -> Vec<&str> {
        let is_dir = |node: &Node| matches!(node.kind, Kind::Dir);
        tree.iter().filter(|(_, node)| !is_dir(node)).map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn a_kernel_is_laid_out_as_a_package_without_links_to_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let shop = fake(dir.path(), 0o644);
        let dtbs = ["broadcom/a.dtb".to_owned()];
        let tree = kernel(&shop, RELEASE, &dtbs, Some(&shop.staging())).unwrap();
        let expected = [
            "boot/System.map-7.3.4-test",
            "boot/config-7.3.4-test",
            "boot/vmlinuz-7.3.4-test",
            "usr/lib/linux-image-7.3.4-test/broadcom/a.dtb",
            "usr/lib/modules/7.3.4-test/kernel/b.ko",
            "usr/lib/modules/7.3.4-test/kernel/d.ko",
            "usr/lib/modules/7.3.4-test/kernel/sub/a.ko",
            "usr/lib/modules/7.3.4-test/modules.order",
            "usr/lib/modules/7.3.4-test/updates/c.ko",
        ];
        assert_eq!(files(&tree), expected);
    }

    #[test]
    fn a_kernel_that_takes_no_modules_has_the_lists_of_what_is_built_in() {
        let dir = tempfile::tempdir().unwrap();
        let tree = kernel(&fake(dir.path(), 0o644), RELEASE, &[], None).unwrap();
        let lists = ["modules.builtin", "modules.builtin.modinfo", "modules.order"];
        let lists = lists.map(|list| format!("usr/lib/modules/7.3.4-test/{list}"));
        assert_eq!(files(&tree)[3..], lists);
    }

    #[test]
    fn umask_hard_links_and_directories_do_not_change_a_byte() {
        let dir = tempfile::tempdir().unwrap();
        let all = |shop: &Shop| {
            let modules = shop.staging();
            tar(&kernel(shop, RELEASE, &[], Some(&modules)).unwrap())
        };
        let usual = fake(&dir.path().join("a"), 0o644);
        let other = fake(&dir.path().join("longer/b"), 0o600);
        let (file, link) = (other.staging().join("kernel/b.ko"), other.staging().join("kernel/e.ko"));
        fs::write(usual.staging().join("kernel/e.ko"), "b.ko").unwrap();
        fs::hard_link(file, link).unwrap();
        assert!(all(&usual) == all(&other));
    }

    #[test]
    fn releases_that_cannot_be_part_of_a_name_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("include/config/kernel.release");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            release(dir.path())
        };
        assert_eq!(read("6.12.107-tiny-rpi+\n").unwrap(), "6.12.107-tiny-rpi+");
        for wrong in ["", "../../etc", "6 12", ".", &"6".repeat(65)] {
            assert!(matches!(read(wrong), Err(BuildError::Release(_))), "{wrong}");
        }
    }
}
