//! What the kernel's `scripts/mod/modpost.c` reads in the object file of a module.
//!
//! ```text
//!   section header, 64 bytes   0 name u32   4 type u32   24 offset u64   32 size u64   40 link u32
//!   symbol, 24 bytes           0 name u32   4 info u8    6 section u16   8 value u64   16 size u64
//!
//!   .modinfo         key=value\0 ...
//!   .export_symbol   __export_symbol_<name>: license\0 namespace\0 address    (since Linux 6.4)
//!   device tables    __mod_<type>__<table>_device_table                       (before Linux 6.14)
//!                    __mod_device_table__<type>__<table>                      (6.14)
//!                    __mod_device_table__kmod_<module>__<type>__<table>       (later)
//! ```
//! Layouts are those of the ELF-64 object file format.

use std::collections::{BTreeMap, BTreeSet};

use crate::substrate::elf::header::{Header, RELOCATABLE, field_u32, field_u64};

const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;
/// `SHT_SYMTAB`, `SHT_NOBITS`.
const SYMBOLS: u32 = 2;
const ZEROS: u32 = 8;
/// `STB_WEAK` and `STT_FUNC`, both in `st_info`.
const WEAK: u8 = 2;
const FUNCTION: u8 = 2;
/// Bytes that a device table may have at the most.
const LARGEST_TABLE: u64 = 1 << 20;

/// What an object file has and needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Object {
    /// Symbols that others have to have.
    pub(super) needs: BTreeSet<String>,
    /// Symbols that others may have.
    pub(super) may_use: BTreeSet<String>,
    /// Symbols that it has.
    pub(super) defines: BTreeSet<String>,
    /// What it has for other modules.
    pub(super) exports: Vec<Export>,
    /// Lists of devices that it is for.
    pub(super) tables: Vec<Table>,
    /// What it says of itself.
    pub(super) info: Vec<(String, String)>,
}

/// A symbol for other modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Export {
    pub(super) symbol: String,
    pub(super) is_function: bool,
    pub(super) is_gpl_only: bool,
    /// Empty for none.
    pub(super) namespace: String,
}

/// A list of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The bus, as `MODULE_DEVICE_TABLE` calls it.
    pub(super) kind: String,
    pub(super) bytes: Vec<u8>,
}

impl Object {
    /// Reads the object file of a module, or `None` when it is damaged or for another machine.
    pub(super) fn decode(file: &[u8], module: &str) -> Option<Self> {
        let elf = Elf::decode(file)?;
        let symbols = elf.symbols()?;
        let kinds: BTreeMap<&str, u8> =
            symbols.iter().map(|symbol| (symbol.name, symbol.info & 15)).collect();
        let mut object = Object { info: elf.records(".modinfo"), ..Object::default() };
        for symbol in &symbols {
            object.note(symbol);
            if let Some(name) = symbol.name.strip_prefix("__export_symbol_") {
                object.exports.push(export(name, &kinds, elf.bytes(symbol)?)?);
            }
            if let Some(kind) = table_kind(symbol.name, module) {
                object.tables.push(Table { kind: kind.to_owned(), bytes: elf.content(symbol)? });
            }
        }
        Some(object)
    }

    fn note(&mut self, symbol: &Symbol) {
        let list = match (symbol.section, symbol.info >> 4) {
            (0, WEAK) => &mut self.may_use,
            (0, _) => &mut self.needs,
            _ => &mut self.defines,
        };
        if !symbol.name.is_empty() {
            list.insert(symbol.name.to_owned());
        }
    }

    /// What the file of a module says of itself, or nothing when it is none.
    pub(super) fn info(file: &[u8]) -> Vec<(String, String)> {
        Elf::decode(file).map(|elf| elf.records(".modinfo")).unwrap_or_default()
    }

    /// All values that it gives for `key`.
    pub(super) fn values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.info.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Reads the record of an exported symbol.
fn export(symbol: &str, kinds: &BTreeMap<&str, u8>, record: &[u8]) -> Option<Export> {
    let mut texts = record.split(|&byte| byte == 0).map(std::str::from_utf8);
    let (license, namespace) = (texts.next()?.ok()?, texts.next()?.ok()?);
    Some(Export {
        symbol: symbol.to_owned(),
        is_function: kinds.get(symbol) == Some(&FUNCTION),
        is_gpl_only: license == "GPL",
        namespace: namespace.to_owned(),
    })
}

/// The bus of a device table whose symbol has that name.
fn table_kind<'a>(symbol: &'a str, module: &str) -> Option<&'a str> {
    let rest = match symbol.strip_prefix("__mod_device_table__") {
        Some(rest) => {
            let prefix = format!("kmod_{}__", module.replace('-', "_"));
            rest.strip_prefix(prefix.as_str()).unwrap_or(rest)
        }
        None => symbol.strip_prefix("__mod_")?.strip_suffix("_device_table")?,
    };
    rest.split_once("__").map(|(kind, _)| kind)
}

#[derive(Clone, Copy)]
struct Section<'a> {
    name: &'a str,
    kind: u32,
    link: u32,
    bytes: &'a [u8],
}

struct Symbol<'a> {
    name: &'a str,
    info: u8,
    section: u16,
    value: u64,
    size: u64,
}

struct Elf<'a> {
    sections: Vec<Section<'a>>,
}

impl<'a> Elf<'a> {
    fn decode(file: &'a [u8]) -> Option<Self> {
        let header = Header::decode(file).filter(|it| it.is_aarch64() && it.kind == RELOCATABLE)?;
        let start = usize::try_from(header.sections).ok()?;
        let end = start.checked_add(usize::from(header.section_count) * SECTION_HEADER)?;
        let rows: Vec<&[u8]> = file.get(start..end)?.chunks_exact(SECTION_HEADER).collect();
        let names = content(file, rows.get(usize::from(header.section_names))?)?;
        let section = |row: &&'a [u8]| {
            let name = text(names, field_u32(row, 0))?;
            let (kind, link) = (field_u32(row, 4), field_u32(row, 40));
            let bytes = if kind == ZEROS { &[][..] } else { content(file, row)? };
            Some(Section { name, kind, link, bytes })
        };
        Some(Elf { sections: rows.iter().map(section).collect::<Option<_>>()? })
    }

    fn symbols(&self) -> Option<Vec<Symbol<'a>>> {
        let table = self.sections.iter().find(|section| section.kind == SYMBOLS)?;
        let names = self.sections.get(table.link as usize)?.bytes;
        let symbol = |row: &'a [u8]| {
            Some(Symbol {
                name: text(names, field_u32(row, 0))?,
                info: row[4],
                section: u16::from_le_bytes([row[6], row[7]]),
                value: field_u64(row, 8),
                size: field_u64(row, 16),
            })
        };
        table.bytes.chunks_exact(SYMBOL).map(symbol).collect()
    }

    /// All from where a symbol stands to the end of its section.
    fn bytes(&self, symbol: &Symbol) -> Option<&'a [u8]> {
        let section = self.sections.get(usize::from(symbol.section))?;
        section.bytes.get(usize::try_from(symbol.value).ok()?..)
    }

    /// What a symbol stands for.
    fn content(&self, symbol: &Symbol) -> Option<Vec<u8>> {
        let size = usize::try_from(symbol.size).ok().filter(|_| symbol.size <= LARGEST_TABLE)?;
        if self.sections.get(usize::from(symbol.section))?.kind == ZEROS {
            return Some(vec![0; size]);
        }
        self.bytes(symbol)?.get(..size).map(<[u8]>::to_vec)
    }

    /// The `key=value` records of a section.
    fn records(&self, name: &str) -> Vec<(String, String)> {
        let sections = self.sections.iter().filter(|section| section.name == name);
        let records = sections.flat_map(|section| section.bytes.split(|&byte| byte == 0));
        let record = |bytes| std::str::from_utf8(bytes).ok()?.split_once('=');
        records.filter_map(record).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

fn content<'a>(file: &'a [u8], row: &[u8]) -> Option<&'a [u8]> {
    let start = usize::try_from(field_u64(row, 24)).ok()?;
    file.get(start..start.checked_add(usize::try_from(field_u64(row, 32)).ok()?)?)
}

/// The text that starts there and ends with a zero byte.
fn text(names: &[u8], at: u32) -> Option<&str> {
    let rest = names.get(at as usize..)?;
    let end = memchr::memchr(0, rest)?;
    std::str::from_utf8(&rest[..end]).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tool;

    /// An object file of the compiler, of a module as the kernel's headers make it.
    fn compiled() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let [source, object] = ["x.c", "x.o"].map(|name| dir.path().join(name));
        std::fs::write(
            &source,
            r#"
extern int printk(void), maybe(void) __attribute__((weak));
int served(void) { return maybe ? maybe() : printk(); }
int number = 1;
static const char rows[2][20] = { "ax" };
extern typeof(rows) __mod_device_table__kmod_my_x__i2c__rows __attribute__((alias("rows")));
static char none[8];
extern typeof(none) __mod_usb__none_device_table __attribute__((alias("none")));
static const char info[] __attribute__((section(".modinfo"), used)) = "license=GPL\0import_ns=A";
asm(".section \".export_symbol\",\"a\"\n"
    "__export_symbol_served: .asciz \"GPL\"\n .ascii \"NS\\0\"\n .balign 8\n .quad served\n"
    "__export_symbol_number: .asciz \"\"\n .ascii \"\\0\"\n .balign 8\n .quad number\n .previous\n");
"#,
        )
        .unwrap();
        tool::CROSS_GCC
            .run(&["-c".into(), source.into_os_string(), "-o".into(), object.clone().into()])
            .unwrap();
        std::fs::read(object).unwrap()
    }

    #[test]
    fn an_object_of_the_compiler_is_read() {
        let object = Object::decode(&compiled(), "my-x").unwrap();
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            (names(&object.needs), names(&object.may_use)),
            (vec!["printk".into()], vec!["maybe".into()])
        );
        let export = |symbol: &str, is_function, namespace: &str| Export {
            symbol: symbol.into(),
            is_function,
            is_gpl_only: is_function,
            namespace: namespace.into(),
        };
        assert_eq!(object.exports, [export("served", true, "NS"), export("number", false, "")]);
        let mut tables: Vec<(&str, usize)> =
            object.tables.iter().map(|table| (table.kind.as_str(), table.bytes.len())).collect();
        tables.sort_unstable();
        assert_eq!(tables, [("i2c", 40), ("usb", 8)]);
        assert_eq!(object.values("import_ns").collect::<Vec<_>>(), ["A"]);
    }

    #[test]
    fn device_tables_of_all_kernels_are_found() {
        for name in ["__mod_of__my_ids_device_table", "__mod_device_table__of__my_ids"] {
            assert_eq!(table_kind(name, "x"), Some("of"));
        }
        assert_eq!(table_kind("__mod_device_table__kmod_a__b__of__ids", "a--b"), Some("of"));
        assert_eq!(table_kind("my_device_table", "x"), None);
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let whole = compiled();
        let damages = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
        proptest!(|(damages in damages, end in any::<prop::sample::Index>(), is_cut: bool)| {
            let mut file = whole.clone();
            for (at, byte) in damages {
                let at = at.index(file.len());
                file[at] = byte;
            }
            file.truncate(if is_cut { end.index(file.len()) } else { file.len() });
            let _ = Object::decode(&file, "x");
        });
    }
}
