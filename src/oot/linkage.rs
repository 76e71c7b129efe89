//! What connects modules with their kernel and with each other, as the kernel's `scripts/mod/modpost.c`
//! writes it.
//!
//! ```text
//!   Module.symvers   checksum <tab> symbol <tab> vmlinux or path of a module <tab> kind <tab> namespace
//!   <module>.mod.c   struct module, what it exports, checksums of what it uses, depends, aliases
//! ```
//! Checksums of what modules here export are of all their source, not of single types: so modules of
//! one directory go together, and never with those of another build. `srcversion` is not written, and
//! sections are not checked against each other.

use std::collections::{BTreeMap, BTreeSet};

use super::aliases;
use super::object::{Export, Object};

/// Defined together with `struct module`, and so by [`text`].
const ITSELF: [&str; 2] = ["__this_module", "_GLOBAL_OFFSET_TABLE_"];
/// Stands for the layout of `struct module`, where symbols have checksums.
const LAYOUT: &str = "module_layout";
/// The owner of what is part of the kernel.
const KERNEL: &str = "vmlinux";
/// How namespaces start that are a list of the modules that may use a symbol.
const FOR_MODULES: &str = "module:";
/// What object files of older kernels have for symbols that they export.
const OLD_EXPORT: &str = "__ksymtab_";

/// Licences that the kernel takes for compatible with its own (`include/linux/license.h`).
const COMPATIBLE: [&str; 6] =
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// Why a module does not go with a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkageError {
    /// Nobody has a symbol that it needs.
    #[error("neither the kernel nor a module beside it exports `{0}`")]
    Symbol(String),
    /// The symbol is for others.
    #[error(
        "`{symbol}` is in namespace `{namespace}`\n\nhint: add `MODULE_IMPORT_NS` for it, if it is for this module"
    )]
    Namespace {
        /// The function or variable.
        symbol: String,
        /// Who may use it.
        namespace: String,
    },
    /// The symbol is for modules under the GPL only.
    #[error("`{0}` is for modules under the GPL only, and `MODULE_LICENSE` says otherwise")]
    GplOnly(String),
    /// It has no licence, and the kernel would not load it.
    #[error("it has no `MODULE_LICENSE`")]
    NoLicense,
    /// It exports what another has.
    #[error("it exports `{symbol}`, which `{owner}` has as well")]
    Twice {
        /// The function or variable.
        symbol: String,
        /// The other.
        owner: String,
    },
    /// Kernels before Linux 6.4 have exports done by the compiler.
    #[error("it exports symbols, which can be built here for Linux 6.4 and later only")]
    OldExports,
    /// The devices that it is for cannot be named here.
    #[error(
        "its `MODULE_DEVICE_TABLE({0}, ...)` cannot be read here, which knows {known} without ranges and masks\n\n\
         hint: have the module built with a kernel from source, whose own tools do that",
        known = aliases::buses()
    )]
    Devices(String),
}

/// What a kernel and its modules have for others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exports {
    symbols: BTreeMap<String, Exported>,
    /// Whether headers ask each module for what is a file of its own in newer kernels.
    pub(super) needs_common: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Exported {
    owner: String,
    checksum: String,
    is_gpl_only: bool,
    /// Empty for none.
    namespace: String,
}

impl Exports {
    pub(super) fn parse(symvers: &str, needs_common: bool) -> Self {
        let row = |line: &str| {
            let mut fields = line.split('\t');
            let (checksum, symbol, owner) = (fields.next()?, fields.next()?, fields.next()?);
            let exported = Exported {
                owner: owner.rsplit('/').next()?.to_owned(),
                checksum: checksum.to_owned(),
                is_gpl_only: fields.next().is_some_and(|kind| kind.ends_with("_GPL")),
                namespace: fields.next().unwrap_or_default().to_owned(),
            };
            Some((symbol.to_owned(), exported))
        };
        Exports { symbols: symvers.lines().filter_map(row).collect(), needs_common }
    }

    /// Adds what `module` has for others, under `checksum`.
    pub(super) fn add(&mut self, module: &str, object: &Object, checksum: u32) -> Result<(), LinkageError> {
        if object.defines.iter().any(|symbol| symbol.starts_with(OLD_EXPORT)) {
            return Err(LinkageError::OldExports);
        }
        for Export { symbol, is_gpl_only, namespace, .. } in &object.exports {
            let exported = Exported {
                owner: module.to_owned(),
                checksum: hex(checksum),
                is_gpl_only: *is_gpl_only,
                namespace: namespace.clone(),
            };
            if let Some(other) = self.symbols.insert(symbol.clone(), exported) {
                return Err(LinkageError::Twice { symbol: symbol.clone(), owner: other.owner });
            }
        }
        Ok(())
    }

    /// All that a module uses, by name.
    fn used<'a>(&'a self, object: &'a Object) -> Result<Vec<(&'a str, &'a Exported)>, LinkageError> {
        let needs = object.needs.iter().filter(|symbol| !ITSELF.contains(&symbol.as_str()));
        let need = |symbol: &'a String| {
            let exported = self.symbols.get(symbol).ok_or_else(|| LinkageError::Symbol(symbol.clone()))?;
            Ok((symbol.as_str(), exported))
        };
        let may =
            object.may_use.iter().filter_map(|symbol| Some((symbol.as_str(), self.symbols.get(symbol)?)));
        needs.map(need).chain(may.map(Ok)).collect()
    }
}

impl Exported {
    /// Whether a module may use it.
    fn check(&self, symbol: &str, module: &str, object: &Object) -> Result<(), LinkageError> {
        if self.is_gpl_only && !object.values("license").all(|license| COMPATIBLE.contains(&license)) {
            return Err(LinkageError::GplOnly(symbol.to_owned()));
        }
        let may = match self.namespace.strip_prefix(FOR_MODULES) {
            Some(modules) => modules.split(',').any(|name| name == module),
            None => {
                self.namespace.is_empty() || object.values("import_ns").any(|name| name == self.namespace)
            }
        };
        let namespace =
            || LinkageError::Namespace { symbol: symbol.to_owned(), namespace: self.namespace.clone() };
        may.then_some(()).ok_or_else(namespace)
    }
}

/// The C source of what `module` says of itself. `exports` has what all modules of the directory have,
/// too, those of this one under `checksum`.
pub(super) fn text(
    module: &str,
    object: &Object,
    exports: &Exports,
    checksum: u32,
) -> Result<String, LinkageError> {
    if object.values("license").next().is_none() {
        return Err(LinkageError::NoLicense);
    }
    let used = exports.used(object)?;
    for (symbol, exported) in &used {
        exported.check(symbol, module, object)?;
    }
    let mut text = String::from(HEAD);
    if exports.needs_common {
        text.push_str(COMMON);
    }
    text.push_str(STRUCT);
    for (function, field) in [("init_module", INIT), ("cleanup_module", EXIT)] {
        text.push_str(if object.defines.contains(function) { field } else { "" });
    }
    text.push_str("\t.arch = MODULE_ARCH_INIT,\n};\n");
    text.push_str(&exported(&object.exports, checksum));
    text.push_str(&versions(&used, exports));
    text.push_str(&depends(&used));
    text.push_str(&devices(object)?);
    Ok(text)
}

/// Rows for what a module exports, of macros in [`MACROS`].
fn exported(exports: &[Export], checksum: u32) -> String {
    let (mut symbols, mut checksums) = (String::new(), String::new());
    for Export { symbol, namespace, is_function, is_gpl_only } in exports {
        let kind = if *is_function { "FUNC" } else { "DATA" };
        let (section, flags) = if *is_gpl_only { ("_gpl", 1) } else { ("", 0) };
        symbols.push_str(&format!("EXPORTED({kind}, {symbol}, \"{section}\", {flags}, \"{namespace}\");\n"));
        checksums.push_str(&format!("CHECKSUM({symbol}, {}, \"{section}\");\n", hex(checksum)));
    }
    format!("{MACROS}{symbols}#ifdef CONFIG_MODVERSIONS\n{checksums}#endif\n")
}

/// The checksums of all symbols that a module uses, which kernels with `CONFIG_MODVERSIONS` compare with
/// their own.
fn versions(used: &[(&str, &Exported)], exports: &Exports) -> String {
    let layout = exports.symbols.get(LAYOUT).map(|exported| (LAYOUT, exported));
    let all = used.iter().copied().chain(layout);
    let rows: String =
        all.map(|(symbol, exported)| format!("\t{{ {}, \"{symbol}\" }},\n", exported.checksum)).collect();
    format!("{VERSIONS}{rows}}};\n#endif\n\n")
}

fn depends(used: &[(&str, &Exported)]) -> String {
    let owners: BTreeSet<&str> =
        used.iter().map(|(_, exported)| exported.owner.as_str()).filter(|owner| *owner != KERNEL).collect();
    format!("MODULE_INFO(depends, \"{}\");\n", owners.into_iter().collect::<Vec<_>>().join(","))
}

fn devices(object: &Object) -> Result<String, LinkageError> {
    let mut text = String::new();
    for table in &object.tables {
        let aliases = aliases::of_table(&table.kind, &table.bytes);
        for alias in aliases.ok_or_else(|| LinkageError::Devices(table.kind.clone()))? {
            text.push_str(&format!("MODULE_ALIAS(\"{alias}\");\n"));
        }
    }
    Ok(text)
}

fn hex(checksum: u32) -> String {
    format!("0x{checksum:08x}")
}

/// Older kernels have symbols for the GPL in tables of their own, later ones mark them.
const MACROS: &str = "
#ifdef SYMBOL_FLAGS
#define EXPORTED(kind, symbol, section, flags, namespace) \\
\tKSYMTAB_##kind(symbol, namespace); SYMBOL_FLAGS(symbol, flags)
#define CHECKSUM(symbol, checksum, section) SYMBOL_CRC(symbol, checksum)
#else
#define EXPORTED(kind, symbol, section, flags, namespace) \\
\tKSYMTAB_##kind(symbol, section, namespace)
#define CHECKSUM SYMBOL_CRC
#endif
";

const VERSIONS: &str = "
#ifdef CONFIG_MODVERSIONS
static const struct modversion_info ____versions[]
__used __section(\"__versions\") = {
";

const HEAD: &str = "\
#include <linux/module.h>
#include <linux/export-internal.h>
#include <linux/compiler.h>

MODULE_INFO(name, KBUILD_MODNAME);
";

/// Kernels before 6.13 have it in each module, later ones link it in from a file of their own.
const COMMON: &str = "
#define INCLUDE_VERMAGIC
#include <linux/build-salt.h>
#include <linux/elfnote-lto.h>
#include <linux/vermagic.h>

BUILD_SALT;
BUILD_LTO_INFO;
MODULE_INFO(vermagic, VERMAGIC_STRING);
";

const STRUCT: &str = "
__visible struct module __this_module
__section(\".gnu.linkonce.this_module\") = {
\t.name = KBUILD_MODNAME,
";

const INIT: &str = "\t.init = init_module,\n";
const EXIT: &str = "#ifdef CONFIG_MODULE_UNLOAD\n\t.exit = cleanup_module,\n#endif\n";

#[cfg(test)]
mod tests {
    use super::super::object::Table;
    use super::*;

    const SYMVERS: &str = "0x1234abcd\tmisc_register\tvmlinux\tEXPORT_SYMBOL\t\n\
                           0x00000000\trpi_firmware_get\tdrivers/firmware/raspberrypi\tEXPORT_SYMBOL_GPL\t\n\
                           0x00000001\tdma_buf_get\tvmlinux\tEXPORT_SYMBOL\tDMA_BUF\n\
                           0x00000002\tinc_ucount\tvmlinux\tEXPORT_SYMBOL\tmodule:binfmt_misc,other\n";

    fn object(needs: &[&str], info: &[(&str, &str)]) -> Object {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Object {
            needs: needs.iter().map(|symbol| (*symbol).to_owned()).collect(),
            info: info.iter().map(owned).collect(),
            ..Object::default()
        }
    }

    fn linked(needs: &[&str], info: &[(&str, &str)]) -> Result<String, LinkageError> {
        text("x", &object(needs, info), &Exports::parse(SYMVERS, false), 7)
    }

    #[test]
    fn a_module_names_the_modules_that_it_needs_and_not_the_kernel() {
        let needs = ["__this_module", "misc_register", "rpi_firmware_get"];
        let mut object = object(&needs, &[("license", "GPL")]);
        object.may_use.insert("nowhere".to_owned());
        object.defines.insert("init_module".to_owned());
        let text = text("x", &object, &Exports::parse(SYMVERS, false), 7).unwrap();
        assert!(text.ends_with("MODULE_INFO(depends, \"raspberrypi\");\n"), "{text}");
        assert!(text.contains(".init = init_module") && !text.contains("cleanup_module"), "{text}");
        assert!(!text.contains("VERMAGIC_STRING"), "{text}");
        assert!(text.contains("\t{ 0x1234abcd, \"misc_register\" },\n"), "{text}");
    }

    #[test]
    fn what_a_module_must_not_use_is_named() {
        let gpl = ("license", "GPL");
        assert_eq!(linked(&["gone"], &[gpl]), Err(LinkageError::Symbol("gone".into())));
        assert_eq!(linked(&[], &[]), Err(LinkageError::NoLicense));
        let error = linked(&["rpi_firmware_get"], &[("license", "Proprietary")]);
        assert_eq!(error, Err(LinkageError::GplOnly("rpi_firmware_get".into())));
        for symbol in ["dma_buf_get", "inc_ucount"] {
            let error = linked(&[symbol], &[gpl]).unwrap_err();
            assert!(matches!(error, LinkageError::Namespace { .. }), "{error}");
        }
        assert!(linked(&["dma_buf_get"], &[gpl, ("import_ns", "DMA_BUF")]).is_ok());
        let exports = Exports::parse(SYMVERS, false);
        assert!(text("other", &object(&["inc_ucount"], &[gpl]), &exports, 7).is_ok());
    }

    #[test]
    fn modules_of_a_directory_use_each_other() {
        let mut server = object(&[], &[("license", "GPL")]);
        let export = |symbol: &str| Export {
            symbol: symbol.to_owned(),
            is_function: true,
            is_gpl_only: true,
            namespace: String::new(),
        };
        server.exports.push(export("served"));
        let mut exports = Exports::parse(SYMVERS, false);
        exports.add("my-server", &server, 0xab).unwrap();
        let client = text("client", &object(&["served"], &[("license", "GPL")]), &exports, 0xab).unwrap();
        assert!(client.contains("{ 0x000000ab, \"served\" }"), "{client}");
        assert!(client.ends_with("MODULE_INFO(depends, \"my-server\");\n"), "{client}");
        let error = exports.add("another", &server, 0xab).unwrap_err();
        assert_eq!(error, LinkageError::Twice { symbol: "served".into(), owner: "my-server".into() });
        server.defines.insert("__ksymtab_served".to_owned());
        assert_eq!(exports.add("old", &server, 0), Err(LinkageError::OldExports));
    }

    #[test]
    fn devices_become_aliases_or_are_refused_by_name() {
        let mut module = object(&[], &[("license", "GPL")]);
        let row = |kind: &str, bytes: &[u8]| Table { kind: kind.to_owned(), bytes: bytes.to_vec() };
        module.tables.push(row("i2c", &[&b"lm75"[..], &[0; 60]].concat()));
        let linked = text("x", &module, &Exports::default(), 0).unwrap();
        assert!(linked.ends_with("MODULE_ALIAS(\"i2c:lm75\");\n"), "{linked}");
        module.tables.push(row("hid", &[0; 32]));
        let error = text("x", &module, &Exports::default(), 0).unwrap_err().to_string();
        assert!(error.starts_with("its `MODULE_DEVICE_TABLE(hid, ...)` cannot be read here"), "{error}");
    }
}
