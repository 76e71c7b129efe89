//! Whole seeds, from files to files.

use super::keys::tests::ED25519;
use super::*;

const SEED: &str = r#"
hostname = "kiosk-17"
ssh_keys = ["KEY"]
user_data = "cloud.yaml"

[network.eth0]
addresses = ["192.0.2.17/24", "2001:db8::17/64"]
gateways = ["192.0.2.1", "fe80::1"]
dns = ["192.0.2.53"]

[network.wired]
dhcp = true
"#;

const CLOUD: &str = "#cloud-config\nwrite_files: []\n";

/// A desk with `seed.toml` and files beside it.
fn desk(seed: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    for (name, text) in [("seed.toml", seed)].iter().chain(files) {
        std::fs::write(desk.path().join(name), text.replace("KEY", ED25519)).unwrap();
    }
    desk
}

fn read_file(desk: &tempfile::TempDir) -> Result<Option<Seed>, SeedError> {
    let file = desk.path().join("seed.toml");
    read(&Request { file: Some(&file), ..Request::default() })
}

fn complaint(seed: &str) -> String {
    read_file(&desk(seed, &[])).unwrap_err().to_string()
}

/// The first line of what is said, and the place.
fn short(seed: &str) -> [String; 2] {
    let said = complaint(seed);
    let mut lines = said.lines().map(str::to_owned);
    [lines.next().unwrap(), lines.next().unwrap()]
}

#[test]
fn a_seed_becomes_the_files_of_its_directory() {
    let seed = read_file(&desk(SEED, &[("cloud.yaml", CLOUD)])).unwrap().unwrap();
    let files = seed.files();
    let text = |name: &str| {
        let file = files.iter().find(|(known, _)| known == name).unwrap();
        String::from_utf8(file.1.clone()).unwrap()
    };
    assert_eq!(text("hostname"), "kiosk-17\n");
    assert_eq!(text("authorized_keys"), format!("{ED25519}\n"));
    assert_eq!(text("user-data"), CLOUD);
    assert_eq!(
        text("network"),
        "eth0 address 192.0.2.17/24\neth0 address 2001:db8::17/64\neth0 gateway 192.0.2.1\n\
         eth0 gateway fe80::1\neth0 dns 192.0.2.53\nwired dhcp yes\n"
    );
    assert_eq!(
        text("10-seed-eth0.network"),
        "[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.17/24\nAddress=2001:db8::17/64\n\
         Gateway=192.0.2.1\nGateway=fe80::1\nDNS=192.0.2.53\n"
    );
    assert_eq!(text("20-seed-wired.network"), "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n");
    let netplan: serde_json::Value = serde_json::from_str(&text("network-config")).unwrap();
    let eth0 = serde_json::json!({
        "addresses": ["192.0.2.17/24", "2001:db8::17/64"],
        "gateway4": "192.0.2.1",
        "gateway6": "fe80::1",
        "nameservers": {"addresses": ["192.0.2.53"]},
    });
    assert_eq!(netplan["ethernets"]["eth0"], eth0);
    assert_eq!(netplan["ethernets"]["wired"], serde_json::json!({"match": {"name": "e*"}, "dhcp4": true}));
    let meta = text("meta-data");
    let (id, rest) = meta.split_once('\n').unwrap();
    assert!(id.starts_with("instance-id: factory-") && id.len() == 37, "{id}");
    assert_eq!(rest, format!("local-hostname: \"kiosk-17\"\npublic-keys:\n  - \"{ED25519}\"\n"));
}

#[test]
fn another_seed_is_another_instance_and_the_same_one_is_not() {
    let id = |name: &str| {
        let name = Name(name.to_owned());
        let request = Request { hostname: Some(&name), ..Request::default() };
        let files = read(&request).unwrap().unwrap().files();
        assert_eq!(
            files.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
            ["hostname", "user-data", "meta-data"]
        );
        files[2].1.clone()
    };
    assert_eq!(id("one"), id("one"));
    assert_ne!(id("one")[..37], id("two")[..37]);
}

#[test]
fn what_the_command_line_says_completes_the_file_or_takes_its_place() {
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFKk6d4FDSe5Bp8OyVnQfEeYtYIl0FyRHEyJmMqdcs4M bob";
    // The document of the file is not even there.
    let desk = desk(SEED, &[("bob.pub", other), ("run", "#!/bin/sh\n")]);
    let [file, key, run] = ["seed.toml", "bob.pub", "run"].map(|name| desk.path().join(name));
    let (name, keys) = (Name("kiosk-18".to_owned()), [key.clone(), key]);
    let request = Request { file: Some(&file), hostname: Some(&name), keys: &keys, user_data: Some(&run) };
    let seed = read(&request).unwrap().unwrap();
    assert_eq!(seed.hostname.as_deref(), Some("kiosk-18"));
    assert_eq!(seed.keys, [ED25519, other]);
    assert_eq!(seed.user_data.as_deref(), Some(&b"#!/bin/sh\n"[..]));
    assert_eq!(read(&Request::default()).unwrap(), None);
}

#[test]
fn what_a_device_could_not_do_is_refused_with_its_line() {
    let network = |text: &str| short(&format!("[network.eth0]\n{text}\n"));
    assert_eq!(network("dhcp = false"), ["`eth0` has no address", "  --> seed.toml:1"]);
    assert_eq!(network("").map(|line| line.len()), [21, 17]);
    assert_eq!(
        network("addresses = [\"192.0.2.300/24\"]"),
        ["`192.0.2.300` is not an address, as 192.0.2.1 is", "  --> seed.toml:2"]
    );
    for (address, what) in [
        ("192.0.2.1", "is not an address with its prefix"),
        ("192.0.2.1/33", "is not an address with its prefix"),
        ("2001:db8::1/0", "is not an address with its prefix"),
        ("192.0.2.255/24", "is the address of a network"),
        ("192.0.2.0/24", "is the address of a network"),
        ("127.0.0.1/8", "is the machine itself"),
        ("224.0.0.1/8", "is not the address of a machine"),
    ] {
        let [said, place] = network(&format!("addresses = [\"{address}\"]"));
        assert!(said.contains(what) && place == "  --> seed.toml:2", "{said}");
    }
    assert!(
        read_file(&desk("[network.eth0]\naddresses = [\"192.0.2.0/31\", \"2001:db8::/127\"]", &[])).is_ok()
    );
    let static_with = |rest: &str| network(&format!("addresses = [\"192.0.2.2/24\"]\n{rest}"))[0].clone();
    assert_eq!(static_with("gateways = [\"192.0.3.1\"]"), "`eth0` cannot reach its gateway 192.0.3.1");
    assert_eq!(static_with("gateways = [\"fe80::1\"]"), "`eth0` cannot reach its gateway fe80::1");
    assert_eq!(
        static_with("gateways = [\"192.0.2.1\", \"192.0.2.3\"]"),
        "`eth0` has two gateways of one kind"
    );
    assert!(network("dhcp = true\ndns = [\"192.0.2.1\"]")[0].starts_with("`eth0` has `dhcp`, and says"));
    let twice =
        "[network.eth0]\naddresses = [\"192.0.2.2/24\"]\n[network.eth1]\naddresses = [\"192.0.2.2/24\"]";
    assert_eq!(short(twice), ["two interfaces have 192.0.2.2/24", "  --> seed.toml:3"]);
    for name in ["lo", "\"../x\"", "\"a name\"", "interface-is-long", "\"..\"", "\"\""] {
        assert!(
            short(&format!("[network.{name}]\ndhcp = true"))[0].ends_with("is not the name of an interface")
        );
    }
    assert!(short("[network.eth0]\ndhcp = true\n[network.ETH0]\ndhcp = true")[0].contains("differ in case"));
}

#[test]
fn what_is_wrong_in_the_file_is_told_without_what_may_be_secret() {
    let unknown = complaint("hostname = \"a\"\nsshkeys = []\n");
    assert!(
        unknown.starts_with("unknown field `sshkeys`\n  --> seed.toml:2\n\nhint: a seed has `hostname`"),
        "{unknown}"
    );
    assert_eq!(short("hostname = \"my kiosk\"")[0].split(';').next().unwrap(), "`my kiosk` is not a name");
    let secret = "-----BEGIN OPENSSH PRIVATE KEY----- c2VjcmV0";
    for text in [
        format!("ssh_keys = [\"{secret}\"]"),
        format!("ssh_keys = \"{secret}\""),
        format!("network = \"{secret}\""),
        format!("hostname = [\"{secret}\"]"),
        format!("ssh_keys = [\"{secret}\""),
        secret.to_owned(),
    ] {
        let said = complaint(&text);
        assert!(said.contains("  --> seed.toml:1\n") && !said.contains("c2VjcmV0"), "{said}");
    }
    assert_eq!(
        short(&format!("hostname = \"a\"\n\nssh_keys = [\n  \"KEY\",\n  \"{secret}\",\n]"))[1],
        "  --> seed.toml:5"
    );
    assert_eq!(short("ssh_keys = \"KEY\"")[0], "this should be a sequence");
}

#[test]
fn an_empty_or_endless_seed_is_refused() {
    assert!(matches!(read_file(&desk("", &[])), Err(SeedError::Empty)));
    let endless = desk(&"#".repeat(300 << 10), &[]);
    assert!(matches!(read_file(&endless), Err(SeedError::TooLong(_))));
    let missing = desk("user_data = \"none\"", &[]);
    assert!(matches!(read_file(&missing), Err(SeedError::Read { path, .. }) if path.ends_with("none")));
}

#[test]
fn a_seed_shows_nothing_but_names() {
    let seed = read_file(&desk(SEED, &[("cloud.yaml", CLOUD)])).unwrap().unwrap();
    let shown = format!("{seed:?}");
    assert!(
        shown.contains("\"user-data\"") && !shown.contains("write_files") && !shown.contains("AAAA"),
        "{shown}"
    );
}
