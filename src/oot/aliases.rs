//! Names by which a module is loaded when a device shows up, made from the tables of devices that it
//! is for, as the kernel's `scripts/mod/file2alias.c` makes them.
//!
//! ```text
//!   bus        bytes of a row                                            alias
//!   acpi       32: id[16], data u64, class u32, mask u32                 acpi*:<id>:*
//!   i2c        32: name[20], data                                        i2c:<name>
//!   of        200: name[32], type[32], compatible[128], data             of:N<name>T<type>C<compatible>, ...C*
//!   pci        40: vendor, device, subvendor, subdevice, class, mask     pci:v<>d<>sv<>sd<>bc<>sc<>i<>
//!                  (u32 each), data u64, override u32
//!   platform   32: name[24], data                                        platform:<name>
//!   spi        40: name[32], data                                        spi:<name>
//!   usb        32: flags, vendor, product, lowest, highest release       usb:v<>p<>d*dc<>dsc<>dp<>ic<>isc<>ip<>in<>
//!                  (u16 each), seven u8, data u64
//! ```
//! The last row is zeros. Layouts are those of `linux/mod_devicetable.h` on 64-bit machines.

use std::fmt::Write as _;

use crate::substrate::elf::header::field_u32;

/// `PCI_ANY_ID`.
const ANY: u32 = u32::MAX;
/// `USB_DEVICE_ID_MATCH_DEV_LO` and `_HI`: a range of releases.
const RELEASES: u16 = 0x4 | 0x8;

/// Makes the aliases of a row, or `None` for what cannot be said here.
type Row = fn(&[u8]) -> Option<Vec<String>>;

const BUSES: [(&str, usize, Row); 7] = [
    ("acpi", 32, acpi),
    ("i2c", 32, |row| named("i2c", &row[..20])),
    ("of", 200, of),
    ("pci", 40, pci),
    ("platform", 32, |row| named("platform", &row[..24])),
    ("spi", 40, |row| named("spi", &row[..32])),
    ("usb", 32, usb),
];

/// The buses whose tables are understood.
pub(super) fn buses() -> String {
    BUSES.map(|(bus, ..)| format!("`{bus}`")).join(", ")
}

/// The aliases for a table of devices on `bus`, or `None` when the bus or what the table asks for is
/// unknown here, or when it does not end with zeros.
pub(super) fn of_table(bus: &str, table: &[u8]) -> Option<Vec<String>> {
    let (_, size, make) = BUSES.iter().find(|(name, ..)| *name == bus)?;
    let mut rows = table.chunks_exact(*size);
    let last = rows.next_back()?;
    if !rows.remainder().is_empty() || last.iter().any(|&byte| byte != 0) {
        return None;
    }
    let all: Vec<Vec<String>> = rows.map(make).collect::<Option<_>>()?;
    Some(all.concat())
}

/// A text of C, of what can stand in an alias.
fn text(field: &[u8]) -> Option<String> {
    let end = memchr::memchr(0, field).unwrap_or(field.len());
    let plain = |byte: &u8| {
        let is_plain = (b' '..=b'~').contains(byte) && !b"\"\\".contains(byte);
        is_plain.then_some(char::from(*byte))
    };
    field[..end].iter().map(plain).collect()
}

fn named(bus: &str, name: &[u8]) -> Option<Vec<String>> {
    Some(vec![format!("{bus}:{}", text(name)?)])
}

fn acpi(row: &[u8]) -> Option<Vec<String>> {
    let id = text(&row[..16]).filter(|id| !id.is_empty())?;
    Some(vec![format!("acpi*:{id}:*")])
}

fn of(row: &[u8]) -> Option<Vec<String>> {
    let [name, kind, compatible] = [text(&row[..32])?, text(&row[32..64])?, text(&row[64..192])?];
    let or_any = |text: &str| if text.is_empty() { "*".to_owned() } else { text.to_owned() };
    let mut alias = format!("of:N{}T{}", or_any(&name), or_any(&kind));
    if !compatible.is_empty() {
        let _ = write!(alias, "{}C{compatible}", if kind.is_empty() { "" } else { "*" });
    }
    let alias = alias.replace(' ', "_");
    let longer = format!("{alias}C*");
    Some(vec![alias, longer])
}

fn pci(row: &[u8]) -> Option<Vec<String>> {
    let field = |at| field_u32(row, at);
    let prefix = match field(32) {
        0 => "pci",
        1 => "vfio_pci",
        _ => return None,
    };
    let mut alias = format!("{prefix}:");
    for (letter, at) in [("v", 0), ("d", 4), ("sv", 8), ("sd", 12)] {
        add(&mut alias, letter, (field(at) != ANY).then(|| format!("{:08X}", field(at))));
    }
    for (letter, shift) in [("bc", 16), ("sc", 8), ("i", 0)] {
        let [class, mask] = [16, 20].map(|at| field(at) >> shift & 0xff);
        if !matches!(mask, 0 | 0xff) {
            return None;
        }
        add(&mut alias, letter, (mask != 0).then(|| format!("{class:02X}")));
    }
    Some(vec![open(alias)])
}

fn usb(row: &[u8]) -> Option<Vec<String>> {
    let half = |at: usize| u16::from_le_bytes([row[at], row[at + 1]]);
    let flags = half(0);
    // Rows that match all devices are for ids that are added later.
    if half(2) | half(4) == 0 && row[10] | row[13] == 0 {
        return Some(Vec::new());
    }
    if flags & RELEASES != 0 {
        return None;
    }
    let mut alias = "usb:".to_owned();
    for (letter, flag, at) in [("v", 0x1, 2), ("p", 0x2, 4)] {
        add(&mut alias, letter, (flags & flag != 0).then(|| format!("{:04X}", half(at))));
    }
    alias.push_str("d*");
    for (index, letter) in ["dc", "dsc", "dp", "ic", "isc", "ip", "in"].into_iter().enumerate() {
        add(&mut alias, letter, (flags & 0x10 << index != 0).then(|| format!("{:02X}", row[10 + index])));
    }
    Some(vec![open(alias)])
}

fn add(alias: &mut String, letter: &str, value: Option<String>) {
    alias.push_str(letter);
    alias.push_str(value.as_deref().unwrap_or("*"));
}

/// Ends in a wildcard, for what later kernels add.
fn open(mut alias: String) -> String {
    if !alias.ends_with('*') {
        alias.push('*');
    }
    alias
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&[(usize, &[u8])]], size: usize) -> Vec<u8> {
        let mut table = vec![0; (rows.len() + 1) * size];
        for (row, fields) in rows.iter().enumerate() {
            for (at, bytes) in *fields {
                table[row * size + at..][..bytes.len()].copy_from_slice(bytes);
            }
        }
        table
    }

    #[test]
    fn tables_become_the_aliases_of_the_kernel() {
        let any = u32::MAX.to_le_bytes();
        let nvme: &[(usize, &[u8])] =
            &[(0, &any), (4, &any), (8, &any), (12, &any), (16, &[2, 8, 1]), (20, &[255, 255, 255])];
        let e1000: &[(usize, &[u8])] = &[(0, &[0x86, 0x80]), (4, &[0x0e, 0x10]), (8, &any), (12, &any)];
        // As `modinfo` shows them for nvme, e1000, usb_storage and others.
        for (bus, size, row, expected) in [
            ("pci", 40, nvme, &["pci:v*d*sv*sd*bc01sc08i02*"][..]),
            ("pci", 40, e1000, &["pci:v00008086d0000100Esv*sd*bc*sc*i*"]),
            (
                "usb",
                32,
                &[(0, &[0x83, 3]), (2, &[0x8d, 0x05]), (4, &[1]), (13, &[8, 6, 0x50])],
                &["usb:v058Dp0001d*dc*dsc*dp*ic08isc06ip50in*"],
            ),
            ("usb", 32, &[(0, &[3])], &[]),
            ("of", 200, &[(64, b"a,b c")], &["of:N*T*Ca,b_c", "of:N*T*Ca,b_cC*"]),
            ("of", 200, &[(32, b"net"), (64, b"x")], &["of:N*Tnet*Cx", "of:N*Tnet*CxC*"]),
            ("i2c", 32, &[(0, b"lm75")], &["i2c:lm75"]),
            ("acpi", 32, &[(0, b"PNP0C0A")], &["acpi*:PNP0C0A:*"]),
        ] {
            assert_eq!(of_table(bus, &table(&[row], size)).unwrap(), expected, "{bus}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_not() {
        assert_eq!(of_table("hid", &[0; 32]), None);
        assert_eq!(of_table("i2c", &[0; 33]), None);
        assert_eq!(of_table("i2c", &[1; 32]), None);
        assert_eq!(of_table("i2c", &table(&[&[(0, b"a\"b")]], 32)), None);
        assert_eq!(of_table("usb", &table(&[&[(0, &[7, 0, 1])]], 32)), None, "a range of releases");
        assert_eq!(of_table("pci", &table(&[&[(20, &[3])]], 40)), None, "a mask within a byte");
    }
}
