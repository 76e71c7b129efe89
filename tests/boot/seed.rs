//! Devices that were told who they are when they were flashed.

use std::fs;

use super::flashed::flashed;
use super::{Image, Project, console, factory, marker};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFKk6d4FDSe5Bp8OyVnQfEeYtYIl0FyRHEyJmMqdcs4L alice";

const SEED: &str = "hostname = \"kiosk-17\"
user_data = \"cloud.yaml\"

[network.eth0]
addresses = [\"10.0.2.44/24\", \"2001:db8::17/64\"]
gateways = [\"10.0.2.2\", \"fe80::2\"]
dns = [\"10.0.2.3\"]
";

const SEED_FILES: [(&str, &str); 3] =
    [("seed.toml", SEED), ("cloud.yaml", "#cloud-config\nwrite_files: []\n"), ("alice.pub", KEY)];

const CONFIG: &str = "[image]\nhostname = \"nobody\"\n[substrate]\npayload = \"payload\"\nshell = false\n";

const PAYLOAD: &str = r#"#!/bin/sh
cloud=/var/lib/cloud/seed/nocloud
echo "seed: name $(hostname) $(cat /etc/hostname)"
echo "seed: modes $(stat -c %a /root/.ssh /root/.ssh/authorized_keys $cloud/user-data | tr '\n' ' ')"
echo "seed: key $(cat /root/.ssh/authorized_keys)"
echo "seed: cloud $(ls $cloud | tr '\n' ' ')$(head -n 1 $cloud/user-data)"
echo "seed: words $(head -n 1 /run/factory/seed/network)"
echo "seed: addresses $(ip -o addr show dev eth0 | tr -s ' ' | cut -d ' ' -f 3,4 | grep -v fe80 | tr '\n' ' ')"
echo "seed: routes $({ ip route; ip -6 route; } | grep ^default | cut -d ' ' -f 3 | tr '\n' ' ')"
echo "seed: $(cat /etc/resolv.conf)"
echo "seed: told"
"#;

/// A network that ends in QEMU.
const NETWORK: [&str; 5] =
    ["--", "-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="];

/// What the payload says of it.
const NETWORKED: [&str; 3] = [
    "seed: addresses inet 10.0.2.44/24 inet6 2001:db8::17/64 ",
    "seed: routes 10.0.2.2 fe80::2 ",
    "seed: nameserver 10.0.2.3",
];

/// The machine of a project's image that was flashed with a seed.
fn device(project: &Project, track: &str) -> Image {
    let image = project.image_of(track);
    let paths = ["seed.toml", "alice.pub"].map(|name| project.path(name).to_str().unwrap().to_owned());
    let device = flashed(project, &image, &["--seed", &paths[0], "--ssh-key", &paths[1]]);
    factory(&["check", device.str()]);
    device
}

#[test]
fn a_device_without_a_root_file_system_is_what_its_seed_says_at_every_start() {
    // QEMU's Raspberry Pi has no network that Linux knows: there only the words arrive.
    for (track, network, networked) in [("generic", &NETWORK[..], &NETWORKED[..]), ("rpi", &[], &[])] {
        let files = [("factory.toml", CONFIG), ("payload/run", PAYLOAD)];
        let project = Project::new(&[&files[..], &SEED_FILES[..]].concat());
        let device = device(&project, track);
        for _ in 0..2 {
            let report = device.run(&[&["--persist", "--until", "^seed: told"], network].concat());
            assert_eq!(marker(&report)["track"], track);
            let said = console(&report).replace('\r', "");
            let key = format!("seed: key {KEY}");
            let everywhere = [
                "seed: name kiosk-17 kiosk-17",
                "seed: modes 700 600 600 ",
                &key,
                "seed: cloud meta-data network-config user-data #cloud-config",
                "seed: words eth0 address 10.0.2.44/24",
            ];
            for line in everywhere.iter().chain(networked) {
                assert!(said.lines().any(|known| known == *line), "{track}: no `{line}`");
            }
        }
    }
}

/// The first program of a root file system: says what it was told, and changes it.
const INIT: &str = "#!/bin/bash
exec >/dev/console 2>&1
unit=$(tail -n 1 /etc/systemd/network/10-seed-eth0.network)
key=$(stat -c %U:%a /root/.ssh/authorized_keys) cloud=$(ls /var/lib/cloud/seed/nocloud | wc -l)
echo \"seed: root of $(cat /etc/hostname) ($(cat /proc/sys/kernel/hostname)) $key $cloud $unit $(ls /run/factory/seed 2>&1 | wc -l)\"
echo chosen >/etc/hostname
sync
echo 'seed: told'
exec sleep 1000
";

#[test]
fn a_root_file_system_gets_its_seed_once_and_again_when_it_is_another() {
    for track in ["generic", "rpi"] {
        let config = "[rootfs]\ninit = \"/usr/local/sbin/init\"\n\n\
             [[rootfs.layer]]\npackages = [\"bash\", \"coreutils\", \"base-files\", \"base-passwd\"]\n\n\
             [[rootfs.layer]]\ndir = \"overlay\"\n";
        let files = [("factory.toml", config), ("overlay/usr/local/sbin/init", INIT)];
        let project = Project::new(&[&files[..], &SEED_FILES[..]].concat());
        let device = device(&project, track);
        let given = "factory: this device has its seed now";
        let boot = |expected: &str, is_given: bool| {
            let said = console(&device.boot("^seed: told")).replace('\r', "");
            assert!(said.lines().any(|line| line == expected), "{track}: no `{expected}`");
            assert_eq!(said.contains(given), is_given, "{track}: {expected}");
        };
        boot("seed: root of kiosk-17 (kiosk-17) root:600 3 DNS=10.0.2.3 1", true);
        boot("seed: root of chosen (kiosk-17) root:600 3 DNS=10.0.2.3 1", false);
        fs::write(project.path("hostname"), "kiosk-18\n").unwrap();
        device.write_esp(&project.path("hostname"), "seed/hostname");
        boot("seed: root of kiosk-18 (kiosk-18) root:600 3 DNS=10.0.2.3 1", true);
    }
}
