//! A root file system made of Debian packages takes over from the initramfs.

use super::{Project, marker};

/// What the project's own first program does: count the boots in a file of the root file system.
const INIT: &str = "#!/bin/bash
exec >/dev/console 2>&1
mount | grep -q ' on / type overlay' && echo 'rootfs: root is an overlay'
read -r boots 2>/dev/null </var/lib/boots || boots=0
echo $((boots + 1)) >/var/lib/boots
sync
echo \"rootfs: boot $((boots + 1)) of $(. /etc/os-release; echo \"$VERSION_CODENAME\") on $(cat /run/factory/slot), $(ls / | wc -l) entries\"
exec sleep 1000
";

#[test]
fn a_debian_rootfs_starts_from_its_overlay_and_keeps_a_file_on_data() {
    let project = Project::new(&[
        (
            "factory.toml",
            "[image]\nname = \"counter\"\nversion = \"2.5\"\n\n[rootfs]\ninit = \"/usr/local/sbin/init\"\n\n\
             [[rootfs.layer]]\npackages = [\"bash\", \"coreutils\", \"mount\", \"grep\", \"base-files\"]\n\n\
             [[rootfs.layer]]\ndir = \"overlay\"\n",
        ),
        ("overlay/usr/local/sbin/init", INIT),
    ]);
    super::tool("chmod", &["755", project.path("overlay/usr/local/sbin/init").to_str().unwrap()]);
    let image = project.image();
    let report = image.boot("^rootfs: boot 1 of trixie on a");
    assert_eq!(marker(&report)["version"], "2.5");
    let log = std::fs::read_to_string(report["log"].as_str().unwrap()).unwrap();
    assert!(log.contains("rootfs: root is an overlay"));
    image.boot("^rootfs: boot 2 of trixie on a");
}
