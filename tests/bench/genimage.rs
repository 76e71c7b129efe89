//! genimage, doing the same work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Contestant;
use super::material::Material;

const CONFIG: &str = r#"
image disk.img {
    hdimage { partition-table-type = "gpt" }
    partition esp { image = "esp.vfat" partition-type-uuid = "U" }
    partition system-a { image = "system.ext4" }
    partition system-b { image = "system.ext4" }
    partition data { image = "data.ext4" }
}
image esp.vfat { vfat { files = { "esp" } } size = 128M }
image system.ext4 { ext4 { use-mke2fs = true label = "system" } size = SYSTEM mountpoint = "/" }
image data.ext4 { ext4 { use-mke2fs = true label = "data" } size = 4G empty = true }
"#;

/// The directory that genimage works in, below that of the benchmark.
const DIR: &str = "genimage";

/// The image that it makes.
pub(super) fn output(work: &Path) -> PathBuf {
    work.join(DIR).join("output/disk.img")
}

/// genimage on the material, in a directory of its own.
pub(super) fn contestant<'a>(work: &Path, material: &'a Material) -> Contestant<'a> {
    let dir = work.join(DIR);
    fs::create_dir_all(&dir).unwrap();
    let config = dir.join("genimage.cfg");
    fs::write(&config, CONFIG.replace("SYSTEM", &material.system_size(1).replace(" MiB", "M"))).unwrap();
    let [root, tmp, output] = ["root", "tmp", "output"].map(|name| dir.join(name));
    let clear = vec![root.clone(), tmp.clone(), output.clone()];
    let run = Box::new(move || {
        fs::create_dir_all(&root).unwrap();
        super::run(Command::new("tar").arg("-xf").arg(&material.tar).arg("-C").arg(&root));
        super::run(
            Command::new("genimage")
                .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()))
                .arg("--config")
                .arg(&config)
                .arg("--rootpath")
                .arg(&root)
                .arg("--tmppath")
                .arg(&tmp)
                .arg("--inputpath")
                .arg(&material.inputs)
                .arg("--outputpath")
                .arg(&output),
        );
    });
    Contestant { name: "genimage", clear, run }
}
