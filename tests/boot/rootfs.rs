//! A root file system made of Debian packages takes over from the initramfs.

use super::{Project, console, marker};

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

/// What judges a trial of it: whether this runs where the first program does.
const CHECK: &str = "#!/bin/bash
[ \"$1\" = --all ] && [ -e /etc/os-release ] && [ -s /var/lib/boots ]
";

/// Boots twice; the second must find what the first has written.
fn counts_its_boots(format: &str) {
    let config = format!(
        "[image]\nname = \"counter\"\nversion = \"2.5\"\n\n\
         [rootfs]\nformat = \"{format}\"\ninit = \"/usr/local/sbin/init\"\n\n\
         [[rootfs.layer]]\npackages = [\"bash\", \"coreutils\", \"mount\", \"grep\", \"base-files\"]\n\n\
         [[rootfs.layer]]\ndir = \"overlay\"\n\n\
         [health]\ncheck = \"/usr/local/bin/is-well --all\"\n"
    );
    let files = [("overlay/usr/local/sbin/init", INIT), ("overlay/usr/local/bin/is-well", CHECK)];
    let project = Project::new(&[&[("factory.toml", &*config)], &files[..]].concat());
    let image = project.image();
    let report = image.boot("^rootfs: boot 1 of trixie on a");
    assert_eq!(marker(&report)["version"], "2.5");
    assert!(console(&report).contains("rootfs: root is an overlay"));
    image.boot("^rootfs: boot 2 of trixie on a");

    // A trial is judged and committed after the initramfs has gone.
    image.set_grubenv(&["boot_counter=1"]);
    image.boot("^factory: committed slot b");
    assert!(image.grubenv().contains("boot_default=B"));
}

#[test]
fn a_debian_rootfs_starts_from_its_overlay_and_keeps_a_file_on_data() {
    counts_its_boots("ext4");
}

#[test]
fn a_rootfs_can_be_a_squashfs() {
    counts_its_boots("squashfs");
}
