//! The network of a device: what is said of each interface, for init, for systemd-networkd and for cloud-init.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

/// Stands for all wired interfaces that have no table of their own.
const WIRED: &str = "wired";

/// Longest name of an interface (Linux, `IFNAMSIZ`, less the zero behind it).
const LONGEST_NAME: usize = 15;

/// What is wrong, and a way out.
type Wrong = (String, &'static str);

/// `[network.NAME]`: either `dhcp`, or at least one address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Interface {
    dhcp: bool,
    addresses: Vec<Address>,
    gateways: Vec<Ip>,
    dns: Vec<Ip>,
}

/// An address with the length of its network's prefix, as `192.0.2.17/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Address {
    ip: IpAddr,
    prefix: u32,
}

/// An address of another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Ip(IpAddr);

/// All interfaces, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Network(BTreeMap<String, Interface>);

impl TryFrom<String> for Ip {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ip: IpAddr = text.parse().map_err(|_| format!("`{text}` is not an address, as 192.0.2.1 is"))?;
        if ip.is_unspecified() || ip.is_multicast() {
            return Err(format!("`{text}` is not the address of a machine"));
        }
        Ok(Ip(ip))
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let no_address = || format!("`{text}` is not an address with its prefix, as 192.0.2.17/24 is");
        let (ip, prefix) = text.split_once('/').ok_or_else(no_address)?;
        let (Ip(ip), prefix) = (Ip::try_from(ip.to_owned())?, prefix.parse().map_err(|_| no_address())?);
        let address = Address { ip, prefix };
        if prefix == 0 || prefix > width(ip) {
            return Err(no_address());
        }
        // A network of two machines has neither (RFC 3021).
        let host = bits(ip) & !address.mask();
        if ip.is_ipv4() && prefix < 31 && (host == 0 || host == !address.mask() & u128::from(u32::MAX)) {
            return Err(format!("`{text}` is the address of a network, not of a machine in it"));
        }
        if ip.is_loopback() {
            return Err(format!("`{text}` is the machine itself"));
        }
        Ok(address)
    }
}

impl Address {
    /// The bits of the network.
    fn mask(self) -> u128 {
        let host = width(self.ip) - self.prefix;
        u128::MAX.checked_shl(host).unwrap_or(0)
    }

    /// Whether another machine is in its network.
    fn reaches(self, ip: IpAddr) -> bool {
        let is_near = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        ip.is_ipv4() == self.ip.is_ipv4() && (is_near || (bits(ip) ^ bits(self.ip)) & self.mask() == 0)
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl Network {
    /// Takes an interface in, when it makes sense.
    pub(super) fn add(&mut self, name: String, interface: Interface) -> Result<(), Wrong> {
        check_name(&name)?;
        if self.0.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
            let message = format!("`{name}` and another interface differ in case alone");
            return Err((message, "their files could not lie beside each other on a FAT"));
        }
        interface.check(&name)?;
        let taken = self.0.values().flat_map(|other| &other.addresses);
        if let Some(twice) = taken.clone().find(|other| interface.addresses.contains(other)) {
            return Err((format!("two interfaces have {twice}"), "an address belongs to one of them"));
        }
        self.0.insert(name, interface);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `INTERFACE WORD VALUE`, for the shell of init.
    pub(super) fn lines(&self) -> String {
        let lines = self.0.iter().flat_map(|(name, interface)| {
            interface.words().into_iter().map(move |(word, value)| format!("{name} {word} {value}\n"))
        });
        lines.collect()
    }

    /// Files for systemd-networkd, which takes the first that matches (systemd.network(5)).
    pub(super) fn units(&self) -> Vec<(String, String)> {
        let unit = |(name, interface): (&String, &Interface)| {
            let (order, which) = match &**name {
                // What has a kind is not hardware.
                WIRED => ("20", "Type=ether\nKind=!*".to_owned()),
                name => ("10", format!("Name={name}")),
            };
            let settings = interface.words().into_iter().map(|(word, value)| match word {
                "dhcp" => "DHCP=yes\n".to_owned(),
                "address" => format!("Address={value}\n"),
                "gateway" => format!("Gateway={value}\n"),
                _ => format!("DNS={value}\n"),
            });
            let text = format!("[Match]\n{which}\n\n[Network]\n{}", settings.collect::<String>());
            (format!("{order}-seed-{name}.network"), text)
        };
        self.0.iter().map(unit).collect()
    }

    /// For cloud-init: netplan's format, version 2, in JSON, which is YAML as well. Only where cloud-init hands
    /// it to netplan are interfaces matched by a pattern.
    pub(super) fn netplan(&self) -> String {
        let ethernets = self.0.iter().map(|(name, interface)| {
            let mut settings = interface.netplan();
            if name == WIRED {
                settings["match"] = json!({ "name": "e*" });
            }
            (name.clone(), settings)
        });
        let ethernets: serde_json::Map<String, Value> = ethernets.collect();
        format!("{:#}\n", json!({ "version": 2, "ethernets": ethernets }))
    }
}

fn check_name(name: &str) -> Result<(), Wrong> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_dots = name.chars().all(|c| c == '.');
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_plain) && !is_dots && name != "lo" {
        return Ok(());
    }
    let message = format!("`{}` is not the name of an interface", name.escape_debug());
    Err((message, "name one as the kernel does, as `eth0`; `wired` stands for all that are wired"))
}

impl Interface {
    fn check(&self, name: &str) -> Result<(), Wrong> {
        let Interface { dhcp, addresses, gateways, dns } = self;
        if *dhcp && !(addresses.is_empty() && gateways.is_empty() && dns.is_empty()) {
            let message = format!("`{name}` has `dhcp`, and says itself what that would tell it");
            return Err((message, "leave out one or the other"));
        }
        if !dhcp && addresses.is_empty() {
            let message = format!("`{name}` has no address");
            return Err((message, "write `dhcp = true`, or `addresses = [\"192.0.2.17/24\"]`"));
        }
        let far = gateways.iter().find(|gateway| !addresses.iter().any(|own| own.reaches(gateway.0)));
        if let Some(Ip(gateway)) = far {
            let message = format!("`{name}` cannot reach its gateway {gateway}");
            return Err((message, "a gateway is in the network of one of the addresses"));
        }
        let versions: Vec<bool> = gateways.iter().map(|gateway| gateway.0.is_ipv4()).collect();
        if versions.len() > 2 || versions.len() == 2 && versions[0] == versions[1] {
            let message = format!("`{name}` has two gateways of one kind");
            return Err((message, "give one for IPv4, and one for IPv6"));
        }
        Ok(())
    }

    /// What is said, as a word and a value each.
    fn words(&self) -> Vec<(&'static str, String)> {
        let mut words = Vec::new();
        words.extend(self.dhcp.then(|| ("dhcp", "yes".to_owned())));
        words.extend(self.addresses.iter().map(|address| ("address", address.to_string())));
        words.extend(self.gateways.iter().map(|gateway| ("gateway", gateway.0.to_string())));
        words.extend(self.dns.iter().map(|server| ("dns", server.0.to_string())));
        words
    }

    fn netplan(&self) -> Value {
        if self.dhcp {
            return json!({ "dhcp4": true });
        }
        let addresses: Vec<String> = self.addresses.iter().map(Address::to_string).collect();
        let mut settings = json!({ "addresses": addresses });
        // Netplan would rather have routes, but no way to say a default one is understood by all releases of
        // cloud-init where it does without netplan (canonical/cloud-init#3988, #4600).
        for Ip(gateway) in &self.gateways {
            let key = if gateway.is_ipv4() { "gateway4" } else { "gateway6" };
            settings[key] = json!(gateway.to_string());
        }
        if !self.dns.is_empty() {
            let servers: Vec<String> = self.dns.iter().map(|server| server.0.to_string()).collect();
            settings["nameservers"] = json!({ "addresses": servers });
        }
        settings
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}
