//! What connects a module with its kernel, as far as the kernel's `scripts/mod/modpost.c` has to do
//! with it where it exports nothing.
//!
//! ```text
//!   Module.symvers     checksum <tab> symbol <tab> vmlinux or path of a module <tab> kind <tab> ...
//!   nm --format=posix  symbol <space> U, or another letter when it is defined <space> ...
//! ```

use std::collections::{BTreeMap, BTreeSet};

/// Defined together with `struct module`, and so by [`text`].
const ITSELF: &str = "__this_module";
/// Stands for the layout of `struct module`, where symbols have checksums.
const LAYOUT: &str = "module_layout";
/// The owner of what is part of the kernel.
const KERNEL: &str = "vmlinux";

/// What a kernel and its modules have for others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exports {
    /// Owner and checksum of each symbol.
    symbols: BTreeMap<String, (String, String)>,
    /// Whether headers ask each module for what is a file of its own in newer kernels.
    pub(super) needs_common: bool,
}

/// What an object file has and needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Object {
    needs: BTreeSet<String>,
    defines: BTreeSet<String>,
}

impl Exports {
    pub(super) fn parse(symvers: &str, needs_common: bool) -> Self {
        let row = |line: &str| {
            let mut fields = line.split('\t');
            let (checksum, symbol, owner) = (fields.next()?, fields.next()?, fields.next()?);
            Some((symbol.to_owned(), (owner.rsplit('/').next()?.to_owned(), checksum.to_owned())))
        };
        Exports { symbols: symvers.lines().filter_map(row).collect(), needs_common }
    }
}

impl Object {
    pub(super) fn parse(symbols: &str) -> Self {
        let mut object = Object::default();
        for line in symbols.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some(name), Some("U")) => object.needs.insert(name.to_owned()),
                (Some(name), Some(_)) => object.defines.insert(name.to_owned()),
                _ => false,
            };
        }
        object
    }
}

/// The C source of what a module says of itself: its `struct module`, and the modules that it needs.
/// Fails with a symbol that nobody has.
pub(super) fn text(object: &Object, exports: &Exports) -> Result<String, String> {
    let mut depends = BTreeSet::new();
    for symbol in object.needs.iter().filter(|symbol| *symbol != ITSELF) {
        let (owner, _) = exports.symbols.get(symbol).ok_or_else(|| symbol.clone())?;
        if owner != KERNEL {
            depends.insert(owner.as_str());
        }
    }
    let depends: Vec<&str> = depends.into_iter().collect();
    let mut text = String::from(HEAD);
    if exports.needs_common {
        text.push_str(COMMON);
    }
    text.push_str(STRUCT);
    for (function, field) in [("init_module", INIT), ("cleanup_module", EXIT)] {
        text.push_str(if object.defines.contains(function) { field } else { "" });
    }
    text.push_str("\t.arch = MODULE_ARCH_INIT,\n};\n");
    text.push_str(&versions(object, exports));
    text.push_str(&format!("MODULE_INFO(depends, \"{}\");\n", depends.join(",")));
    Ok(text)
}

/// The checksums of all symbols that a module uses, which kernels with `CONFIG_MODVERSIONS` compare with
/// their own.
fn versions(object: &Object, exports: &Exports) -> String {
    let used = object.needs.iter().map(String::as_str).chain([LAYOUT]);
    let row = |symbol| {
        let (_, checksum) = exports.symbols.get(symbol)?;
        Some(format!("\t{{ {checksum}, \"{symbol}\" }},\n"))
    };
    let rows: String = used.filter_map(row).collect();
    format!("{VERSIONS}{rows}}};\n#endif\n\n")
}

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
    use super::*;

    const SYMVERS: &str = "0x1234abcd\tmisc_register\tvmlinux\tEXPORT_SYMBOL\t\n\
                           0x00000000\trpi_firmware_get\tdrivers/firmware/raspberrypi\tEXPORT_SYMBOL_GPL\t\n";

    #[test]
    fn a_module_names_the_modules_that_it_needs_and_not_the_kernel() {
        let object =
            Object::parse("__this_module U \ninit_module T 0 10\nmisc_register U \nrpi_firmware_get U \n");
        let text = text(&object, &Exports::parse(SYMVERS, false)).unwrap();
        assert!(text.ends_with("MODULE_INFO(depends, \"raspberrypi\");\n"), "{text}");
        assert!(text.contains(".init = init_module") && !text.contains("cleanup_module"), "{text}");
        assert!(!text.contains("VERMAGIC_STRING"), "{text}");
        assert!(text.contains("\t{ 0x1234abcd, \"misc_register\" },\n"), "{text}");
    }

    #[test]
    fn what_the_kernel_does_not_have_is_named() {
        let object = Object::parse("misc_deregister U \n");
        assert_eq!(text(&object, &Exports::parse(SYMVERS, true)), Err("misc_deregister".to_owned()));
    }
}
