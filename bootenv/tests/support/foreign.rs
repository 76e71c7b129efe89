//! Disks that are made by the tools of others.

use std::fs;
use std::path::Path;
use std::process::Command;

use bootenv::grub::GrubState;
use bootenv::rpi::Autoboot;

/// Runs a program, which must be there and succeed.
pub fn tool(program: &str, arguments: &[&str]) {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let output =
        Command::new(program).args(arguments).env("PATH", path).env("MTOOLS_SKIP_CHECK", "1").output();
    let output =
        output.unwrap_or_else(|error| panic!("`{program}` does not start ({error}); run .ci/setup --tests"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A disk made by sfdisk, mkfs.vfat and mtools, with a FAT of `width` bits.
pub fn foreign(dir: &Path, gpt: bool, width: &str, mebibytes: u64, cluster: &str) -> String {
    let path = dir.join("disk.img");
    let fat = dir.join("fat.img");
    fs::File::create(&path).unwrap().set_len((mebibytes + 4) << 20).unwrap();
    fs::File::create(&fat).unwrap().set_len(mebibytes << 20).unwrap();
    let [disk, fat] = [&path, &fat].map(|path| path.to_str().unwrap());
    let (label, kind) = if gpt { ("gpt", "U") } else { ("dos", "c") };
    let script = format!("label: {label}\nstart=2048, size={}, type={kind}\n", mebibytes << 11);
    let table = dir.join("table");
    fs::write(&table, script).unwrap();
    tool("sh", &["-c", &format!("sfdisk -q {disk} < {}", table.display())]);
    tool("mkfs.vfat", &["-F", width, "-s", cluster, fat]);
    let block = dir.join("block");
    let files: &[&str] = if gpt {
        fs::write(&block, GrubState::initial().encode()).unwrap();
        tool("mmd", &["-i", fat, "::/EFI", "::/EFI/factory"]);
        &["EFI/factory/grub.cfg.with.a.long.name", "EFI/factory/grubenv", "EFI/factory/grubenv.spare"]
    } else {
        fs::write(&block, Autoboot::initial().encode()).unwrap();
        &["config.txt", "autoboot.txt"]
    };
    for file in files {
        tool("mcopy", &["-i", fat, block.to_str().unwrap(), &format!("::/{file}")]);
    }
    tool(
        "dd",
        &[
            &format!("if={fat}"),
            &format!("of={disk}"),
            "bs=1M",
            "seek=1",
            "conv=notrunc,sparse",
            "status=none",
        ],
    );
    disk.to_owned()
}
