//! Independent tools. A missing one fails the test that needs it.

use std::process::Command;

use factory::image::extents::Extents;
use factory::image::write::{self, Job};
use factory::tool::Tool;
use tempfile::TempDir;

pub(crate) const SFDISK: Tool = Tool { program: "sfdisk", package: "fdisk" };
pub(crate) const SGDISK: Tool = Tool { program: "sgdisk", package: "gdisk" };
pub(crate) const FSCK_VFAT: Tool = Tool { program: "fsck.vfat", package: "dosfstools" };
pub(crate) const MTYPE: Tool = Tool { program: "mtype", package: "mtools" };
pub(crate) const MDIR: Tool = Tool { program: "mdir", package: "mtools" };
pub(crate) const E2FSCK: Tool = Tool { program: "e2fsck", package: "e2fsprogs" };
pub(crate) const CMP: Tool = Tool { program: "cmp", package: "diffutils" };
pub(crate) const QEMU_IMG: Tool = Tool { program: "qemu-img", package: "qemu-utils" };
pub(crate) const DEBUGFS: Tool = Tool { program: "debugfs", package: "e2fsprogs" };

/// What a tool prints. A tool that fails, or is missing, fails the test.
pub(crate) fn run(tool: &Tool, arguments: &[&str]) -> String {
    match tool.run(arguments) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => panic!("{} {arguments:?}: {error}", tool.program),
    }
}

/// An image in a directory of its own.
pub(crate) struct Written {
    dir: TempDir,
}

impl Written {
    pub(crate) fn new(extents: &Extents) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let job = Job { extents, mirrors: &[], watches: &[] };
        write::write(&dir.path().join("image"), &job, |_| ()).unwrap();
        Written { dir }
    }

    pub(crate) fn path(&self) -> String {
        self.dir.path().join("image").to_str().unwrap().to_owned()
    }
}

/// Runs one ignored test of this program in a process of its own, behind `wrapper`.
pub(crate) fn run_ignored_test(name: &str, wrapper: &[&str]) {
    let own = std::env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let words: Vec<&str> = wrapper.iter().copied().chain([own, "--exact", "--ignored", name]).collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
