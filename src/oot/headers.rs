//! The headers of a kernel as a directory that its Makefiles work in.
//!
//! ```text
//!   usr/src/linux-headers-<release>/         of one flavour: Module.symvers, include/config, scripts@
//!   usr/src/linux-headers-<version>-common/  of all: Makefile, include/, arch/, scripts@
//!   usr/lib/linux-kbuild-<version>/          scripts/: Makefiles and programs
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::linkage::Exports;
use super::{OotError, make_parent, sources, write};
use crate::firmware::Part;
use crate::substrate::content::Stream;
use crate::tree::{FileTree, Kind, Node, TreePath};

/// Where the packages have their scripts, and the architecture that they are used for.
const KBUILD: &str = "usr/lib/linux-kbuild-";
const ARCH: &str = "arm64";

/// Lists of what is on in the kernel: for Makefiles, and for the compiler.
const FOR_MAKE: &str = "include/config/auto.conf";
const FOR_COMPILER: &str = "include/generated/autoconf.h";

/// What Makefiles must take for off: descriptions for debuggers, which hold paths of the machine and
/// need `pahole`; what is compiled from Rust; checksums of what a module exports, which are made
/// otherwise (see [`super::linkage`]); and an option that compilers before gcc 14 lack. The
/// compiler still sees these, as the layout of `struct module` depends on some.
const OFF_FOR_MAKE: [&str; 6] = [
    "DEBUG_INFO",
    "DEBUG_INFO_BTF",
    "DEBUG_INFO_BTF_MODULES",
    "RUST",
    "MODVERSIONS",
    "CC_HAS_MIN_FUNCTION_ALIGNMENT",
];
/// Without that option, functions called cold would not be aligned as ftrace needs them: with this
/// off, none is called so (`include/linux/compiler_types.h`).
const OFF_FOR_COMPILER: [&str; 1] = ["CC_HAS_SANE_FUNCTION_ALIGNMENT"];

/// Programs of the packages, and what stands in for them. The first notes how a file was made, so that
/// it is not made again; what it is made of does not change here. What the second writes is there
/// already (see [`super::linkage`]).
const PROGRAMS: [(&str, &str); 2] = [
    ("scripts/basic/fixdep", "#!/bin/sh\nprintf 'savedcmd_%s := %s\\n' \"$2\" \"$3\"\n"),
    ("scripts/mod/modpost", "#!/bin/sh\nexit 0\n"),
];

/// The packages that kernel and headers come in, by how their names start.
const IMAGE: &str = "linux-image-";
const HEADERS: &str = "linux-headers-";
const SCRIPTS: &str = "linux-kbuild-";

/// The headers of a kernel that is a package, or `None` when its name does not tell theirs.
pub fn part(kernel: &Part) -> Option<Part> {
    let flavour = kernel.package.strip_prefix(IMAGE)?;
    let flavour = flavour.strip_suffix("-unsigned").unwrap_or(flavour);
    Some(Part {
        package: format!("{HEADERS}{flavour}"),
        follow: None,
        with: [HEADERS, SCRIPTS].map(str::to_owned).into(),
        member: None,
        members: BTreeMap::new(),
        ..kernel.clone()
    })
}

/// Headers in a directory.
#[derive(Debug)]
pub(super) struct Headers {
    /// Release of the kernel, as `uname -r` says it.
    pub(super) release: String,
    /// What belongs to the flavour.
    pub(super) dir: PathBuf,
    /// What all flavours share.
    pub(super) common: PathBuf,
}

impl Headers {
    /// Writes those files of `tree` into the directory `to` that modules are built with.
    pub(super) fn lay_out(tree: &FileTree, to: &Path) -> Result<Self, OotError> {
        let dir =
            find(tree, "linux-headers-<release>/Module.symvers", |dir| has(tree, dir, "Module.symvers"))?;
        let common = find(tree, "linux-headers-<version>-common/Makefile", |dir| {
            has(tree, dir, "include/linux/module.h")
        })?;
        let is_kbuild =
            |path: &TreePath| path.as_str().starts_with(KBUILD) && path.as_str().contains("/scripts");
        let is_wanted = |path: &&TreePath| {
            is_kbuild(path) || (path.is_within(&dir) && path.name() != "vmlinux") || is_common(path, &common)
        };
        let wanted: Vec<&TreePath> = tree.iter().map(|(path, _)| path).filter(is_wanted).collect();
        // Links come last, so that nothing is ever written through one.
        for is_link in [false, true] {
            for path in &wanted {
                if let Some(node) = tree.get(path) {
                    entry(&to.join(path.as_str()), node, is_link)?;
                }
            }
        }
        let release = dir.name().trim_start_matches(HEADERS).to_owned();
        let headers = Headers { release, dir: to.join(dir.as_str()), common: to.join(common.as_str()) };
        headers.adapt()?;
        Ok(headers)
    }

    /// What the kernel and its modules have for others.
    pub(super) fn exports(&self) -> Result<Exports, OotError> {
        let has_common = self.dir.join("scripts/module-common.c").exists();
        Ok(Exports::parse(&read(&self.dir.join("Module.symvers"))?, !has_common))
    }

    fn adapt(&self) -> Result<(), OotError> {
        let list = self.dir.join(FOR_MAKE);
        let text = read(&list)?;
        let is_on =
            |name: &str, off: &[&str]| !off.iter().any(|off| name.strip_prefix("CONFIG_") == Some(off));
        let make = without(&text, |line| is_on(line.split('=').next().unwrap_or_default(), &OFF_FOR_MAKE));
        write(&list, make.as_bytes())?;
        let list = self.dir.join(FOR_COMPILER);
        let name = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned();
        let compiler = without(&read(&list)?, |line| is_on(&name(line), &OFF_FOR_COMPILER));
        write(&list, compiler.as_bytes())?;
        PROGRAMS.iter().try_for_each(|(program, script)| install(&self.dir.join(program), script))
    }
}

fn has(tree: &FileTree, dir: &TreePath, file: &str) -> bool {
    tree.get(&dir.join(file)).is_some_and(|node| matches!(node.kind, Kind::File(_)))
}

/// The directory of sources that is so; `what` is looked for.
fn find(tree: &FileTree, what: &str, is_it: impl Fn(&TreePath) -> bool) -> Result<TreePath, OotError> {
    let sources = sources();
    let mut dirs = tree.children(&sources).map(|(name, _)| sources.join(name));
    dirs.find(is_it).ok_or_else(|| OotError::NoHeaders(what.to_owned()))
}

/// Whether it is of use for the device: not of another architecture.
fn is_common(path: &TreePath, common: &TreePath) -> bool {
    let all = common.join("arch");
    path.is_within(common) && (!path.is_within(&all) || *path == all || path.is_within(&all.join(ARCH)))
}

fn without(text: &str, stays: impl Fn(&str) -> bool) -> String {
    text.lines().filter(|line| stays(line)).flat_map(|line| [line, "\n"]).collect()
}

/// Writes one entry, if it is a link as asked for, or none.
fn entry(to: &Path, node: &Node, is_link: bool) -> Result<(), OotError> {
    let on = OotError::on(to);
    match &node.kind {
        Kind::Dir if !is_link => fs::create_dir_all(to).map_err(on),
        Kind::File(content) if !is_link => {
            make_parent(to)?;
            let mode = u32::from(node.meta.mode & 0o777);
            let file = File::options().write(true).create_new(true).mode(mode).open(to);
            file.and_then(|mut file| io::copy(&mut Stream::new(content), &mut file)).map(drop).map_err(on)
        }
        Kind::Symlink(target) if is_link => symlink(target, to).map_err(on),
        _ => Ok(()),
    }
}

fn install(program: &Path, script: &str) -> Result<(), OotError> {
    write(program, script.as_bytes())?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).map_err(OotError::on(program))
}

fn read(path: &Path) -> Result<String, OotError> {
    fs::read_to_string(path).map_err(OotError::on(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::extents::Extents;

    const RELEASE: &str = "usr/src/linux-headers-7.3.4-arm64";
    const COMMON: &str = "usr/src/linux-headers-7.3.4-common";

    fn tree(make: &'static str) -> FileTree {
        let mut tree = FileTree::new();
        let mut file = |path: String, text: &'static str| {
            tree.file(&path, 0o644, Extents::bytes(text.as_bytes()));
        };
        file(format!("{RELEASE}/Module.symvers"), "0x0\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
        file(format!("{RELEASE}/{FOR_MAKE}"), make);
        file(
            format!("{RELEASE}/{FOR_COMPILER}"),
            "#define CONFIG_DEBUG_INFO_BTF_MODULES 1\n#define CONFIG_CC_HAS_SANE_FUNCTION_ALIGNMENT 1\n",
        );
        file(format!("{RELEASE}/vmlinux"), "types");
        file(format!("{COMMON}/Makefile"), "all:");
        file(format!("{COMMON}/include/linux/module.h"), "");
        file(format!("{COMMON}/arch/arm64/Makefile"), "");
        file(format!("{COMMON}/arch/x86/Makefile"), "");
        file(format!("{KBUILD}7/scripts/mod/modpost"), "a program of another machine");
        file(format!("{KBUILD}7/certs/extract-cert"), "");
        tree.symlink(&format!("{RELEASE}/scripts"), "../../lib/linux-kbuild-7/scripts");
        tree
    }

    #[test]
    fn headers_are_laid_out_for_one_architecture_without_what_the_machine_may_lack() {
        let dir = tempfile::tempdir().unwrap();
        let make = "CONFIG_DEBUG_INFO=y\nCONFIG_DEBUG_INFO_BTF=y\nCONFIG_DEBUG_INFO_X=y\nCONFIG_A=\"b=c\"\n";
        let headers = Headers::lay_out(&tree(make), dir.path()).unwrap();
        assert_eq!(headers.release, "7.3.4-arm64");
        let text = |path: &str| read(&headers.dir.join(path)).unwrap();
        assert_eq!(text(FOR_MAKE), "CONFIG_DEBUG_INFO_X=y\nCONFIG_A=\"b=c\"\n");
        assert_eq!(text(FOR_COMPILER), "#define CONFIG_DEBUG_INFO_BTF_MODULES 1\n");
        assert_eq!(text("scripts/mod/modpost"), PROGRAMS[1].1);
        assert!(headers.common.join("arch/arm64/Makefile").exists());
        for unused in ["usr/src/linux-headers-7.3.4-common/arch/x86", "usr/lib/linux-kbuild-7/certs"] {
            assert!(!dir.path().join(unused).exists(), "{unused}");
        }
        assert!(!headers.dir.join("vmlinux").exists());
        assert!(headers.exports().unwrap().needs_common);
    }

    #[test]
    fn headers_that_cannot_serve_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut half = tree("");
        half.remove(&TreePath::root().join(COMMON));
        let error = Headers::lay_out(&half, dir.path()).unwrap_err();
        assert!(matches!(error, OotError::NoHeaders(what) if what.contains("-common/Makefile")));
    }

    #[test]
    fn the_name_of_a_kernel_tells_its_headers() {
        let kernel = |package: &str| Part {
            package: package.to_owned(),
            follow: Some("linux-image-".to_owned()),
            with: Vec::new(),
            suite: Some("trixie-backports".to_owned()),
            component: None,
            member: None,
            members: BTreeMap::new(),
        };
        let headers = part(&kernel("linux-image-arm64")).unwrap();
        let question = "package linux-headers-arm64, with linux-headers-*, with linux-kbuild-* from \
                        trixie-backports/main";
        assert_eq!(headers.wanted("headers").question(), question);
        assert_eq!(part(&kernel("linux-image-7-arm64-unsigned")).unwrap().package, "linux-headers-7-arm64");
        assert_eq!(part(&kernel("my-kernel")), None);
    }
}
