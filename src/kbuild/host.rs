//! What a kernel's build needs on this machine beside the compiler for the device.
//!
//! Found in the makefiles of Linux 6.12 for arm64; what only other architectures, documentation or
//! installing need is left out. Sources: `scripts/Makefile`, `certs/Makefile`, `usr/Makefile`,
//! `kernel/Makefile`, `scripts/Makefile.modinst`, `scripts/Makefile.btf`, `arch/arm64/crypto/Makefile`.

use std::collections::BTreeSet;

use super::Toolchain;
use crate::kconfig::{Config, Value};
use crate::tool::Tool;

/// Something of this machine that the build needs.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// Options of the kernel of which any one needs it; none when every kernel does.
    options: &'static [&'static str],
    /// Name of a program, or of a header as C includes it.
    name: &'static str,
    /// The Debian package that has it.
    package: &'static str,
}

const fn always(name: &'static str, package: &'static str) -> Need {
    Need { options: &[], name, package }
}

const fn with(options: &'static [&'static str], name: &'static str, package: &'static str) -> Need {
    Need { options, name, package }
}

const PROGRAMS: &[Need] = &[
    always("make", "make"),
    always("flex", "flex"),
    always("bison", "bison"),
    // Makes `timeconst.h` from HZ.
    always("bc", "bc"),
    with(&["DEBUG_INFO_BTF"], "pahole", "dwarves"),
    with(&["IKHEADERS"], "cpio", "cpio"),
    with(&["EFI_ZBOOT"], "hexdump", "bsdextrautils"),
    with(&["IKCONFIG", "MODULE_COMPRESS_GZIP", "KERNEL_GZIP", "INITRAMFS_COMPRESSION_GZIP"], "gzip", "gzip"),
    with(
        &[
            "MODULE_COMPRESS_XZ",
            "KERNEL_XZ",
            "KERNEL_LZMA",
            "INITRAMFS_COMPRESSION_XZ",
            "INITRAMFS_COMPRESSION_LZMA",
            "IKHEADERS",
        ],
        "xz",
        "xz-utils",
    ),
    with(&["MODULE_COMPRESS_ZSTD", "KERNEL_ZSTD", "INITRAMFS_COMPRESSION_ZSTD"], "zstd", "zstd"),
    with(&["KERNEL_LZ4", "INITRAMFS_COMPRESSION_LZ4"], "lz4", "lz4"),
    with(&["KERNEL_LZO", "INITRAMFS_COMPRESSION_LZO"], "lzop", "lzop"),
    with(&["KERNEL_BZIP2", "INITRAMFS_COMPRESSION_BZIP2"], "bzip2", "bzip2"),
    with(
        &[
            "CRYPTO_SHA256_ARM64",
            "CRYPTO_SHA512_ARM64",
            "CRYPTO_POLY1305_NEON",
            "UAPI_HEADER_TEST",
            "LTO_CLANG",
        ],
        "perl",
        "perl",
    ),
    with(&["DRM_MSM", "LTO_CLANG"], "python3", "python3"),
];

const HEADERS: &[Need] = &[
    always("stdlib.h", "libc6-dev"),
    // `sign-file` for modules, `extract-cert` for keys that the kernel trusts.
    with(
        &["MODULE_SIG_FORMAT", "SYSTEM_TRUSTED_KEYRING", "SYSTEM_REVOCATION_LIST"],
        "openssl/cms.h",
        "libssl-dev",
    ),
    // `resolve_btfids`.
    with(&["DEBUG_INFO_BTF"], "libelf.h", "libelf-dev"),
    with(&["DEBUG_INFO_BTF"], "zlib.h", "zlib1g-dev"),
];

/// The key that the kernel makes itself, with the program `openssl`.
const OWN_KEY: &str = "certs/signing_key.pem";
const OPENSSL: Need = always("openssl", "openssl");

/// What this machine lacks to build a kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this kernel cannot be built without {}\n\nhint: on Debian, `apt-get install {}`",
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    packages.iter().copied().collect::<Vec<_>>().join(" "))]
pub struct HostError {
    /// Programs and headers, in the order of the tables here.
    pub names: Vec<&'static str>,
    /// The Debian packages that have them.
    pub packages: BTreeSet<&'static str>,
}

/// Looks for all that the build of a kernel with this configuration needs on this machine.
///
/// # Errors
/// Names all that is missing at once.
pub fn check(config: &Config, toolchain: &Toolchain) -> Result<(), HostError> {
    let compiler = toolchain.host_compiler();
    let has_program = |need: &Need| Tool { program: need.name, package: need.package }.find().is_ok();
    let has_header = |need: &Need| {
        let question = ["-fsyntax-only", "-x", "c", "-include", need.name, "/dev/null"];
        compiler.run_alone(&question).is_ok()
    };
    let mut missing: Vec<Need> = Vec::new();
    if compiler.find().is_err() {
        missing.push(always(compiler.program, compiler.package));
    }
    missing.extend(needs(config, PROGRAMS, &[OPENSSL]).filter(|need| !has_program(need)));
    missing.extend(needs(config, HEADERS, &[]).filter(|need| !has_header(need)));
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.iter().map(|need| need.package).collect();
    Err(HostError { names: missing.iter().map(|need| need.name).collect(), packages })
}

/// Those of a table that a kernel of this configuration needs; with those `for_key` when it makes its
/// own key.
fn needs(config: &Config, table: &'static [Need], for_key: &'static [Need]) -> impl Iterator<Item = Need> {
    let is_on = |symbol: &&str| *config.value(symbol) != Value::No;
    let makes_key =
        is_on(&"MODULE_SIG") && *config.value("MODULE_SIG_KEY") == Value::Text(OWN_KEY.to_owned());
    let is_needed = |need: &&Need| need.options.is_empty() || need.options.iter().any(is_on);
    let for_key = if makes_key { for_key } else { &[] };
    let all: Vec<Need> = table.iter().filter(is_needed).chain(for_key).copied().collect();
    all.into_iter()
}

/// The package of a program or header that a line of the build's output complains about.
pub(super) fn package_for(line: &str) -> Option<&'static str> {
    let program = line.strip_suffix(": not found").or_else(|| line.strip_suffix(": command not found"));
    let program = program.and_then(|rest| rest.rsplit([' ', ':']).next());
    let header = line.strip_suffix(": No such file or directory").and_then(|rest| rest.rsplit(' ').next());
    let library = line.split_once("cannot find -l").map(|(_, rest)| rest);
    let is_program = |need: &&Need| Some(need.name) == program;
    // Whatever of a library's headers is missing, its package is.
    let is_header = |need: &&Need| header.is_some_and(|header| top(header) == top(need.name));
    let found = PROGRAMS.iter().chain([&OPENSSL]).find(is_program);
    let found = found.or_else(|| HEADERS.iter().find(is_header)).map(|need| need.package);
    found.or_else(|| match library?.split([':', ' ']).next()? {
        "crypto" | "ssl" => Some("libssl-dev"),
        "elf" => Some("libelf-dev"),
        "z" => Some("zlib1g-dev"),
        _ => None,
    })
}

fn top(header: &str) -> &str {
    header.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::Wish;
    use super::*;

    fn named(lines: &str) -> Vec<&'static str> {
        let config = Config::parse(lines);
        let programs = needs(&config, PROGRAMS, &[OPENSSL]);
        programs.chain(needs(&config, HEADERS, &[])).map(|need| need.name).collect()
    }

    #[test]
    fn only_what_a_configuration_needs_is_looked_for() {
        let usual = ["make", "flex", "bison", "bc", "stdlib.h"];
        assert_eq!(named("# CONFIG_DEBUG_INFO_BTF is not set\n"), usual);
        let all = named("CONFIG_DEBUG_INFO_BTF=y\nCONFIG_MODULE_COMPRESS_ZSTD=y\nCONFIG_DRM_MSM=m\n");
        assert_eq!(
            all,
            ["make", "flex", "bison", "bc", "pahole", "zstd", "python3", "stdlib.h", "libelf.h", "zlib.h"]
        );
        let signed = "CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORMAT=y\n";
        assert_eq!(named(signed), ["make", "flex", "bison", "bc", "stdlib.h", "openssl/cms.h"]);
        let own = format!("{signed}CONFIG_MODULE_SIG_KEY=\"certs/signing_key.pem\"\n");
        assert_eq!(named(&own), ["make", "flex", "bison", "bc", "openssl", "stdlib.h", "openssl/cms.h"]);
    }

    #[test]
    fn complaints_lead_to_packages() {
        assert_eq!(package_for("/bin/sh: 1: bc: not found"), Some("bc"));
        assert_eq!(package_for("bash: line 1: pahole: command not found"), Some("dwarves"));
        let header = "certs/extract-cert.c:21:10: fatal error: openssl/bio.h: No such file or directory";
        assert_eq!(package_for(header), Some("libssl-dev"));
        assert_eq!(
            package_for("/usr/bin/ld: cannot find -lelf: No such file or directory"),
            Some("libelf-dev")
        );
        assert_eq!(package_for("a.c:1:10: fatal error: linux/no.h: No such file or directory"), None);
    }

    /// A machine without programs is this test, started anew with nothing but the compilers.
    #[test]
    fn all_that_is_missing_is_named_at_once() {
        const BARE: &str = "FACTORY_TEST_BARE_HOST";
        let toolchain = Toolchain::find(&Wish::default()).unwrap();
        let config = Config::parse("CONFIG_KERNEL_LZ4=y\nCONFIG_SYSTEM_TRUSTED_KEYRING=y\n");
        if std::env::var_os(BARE).is_some() {
            println!("found {:?}", check(&config, &toolchain).map_err(|error| error.to_string()));
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for program in ["gcc", "ld", "nm", "objcopy", "strip"] {
            for name in [program.to_owned(), format!("aarch64-linux-gnu-{program}")] {
                std::os::unix::fs::symlink(format!("/usr/bin/{name}"), dir.path().join(name)).unwrap();
            }
        }
        let this = "kbuild::host::tests::all_that_is_missing_is_named_at_once";
        let mut bare = Command::new(std::env::current_exe().unwrap());
        bare.args(["--exact", this, "--nocapture"]).env(BARE, "1").env("PATH", dir.path());
        let said = String::from_utf8(bare.output().unwrap().stdout).unwrap();
        let expected = "found Err(\"this kernel cannot be built without `make`, `flex`, `bison`, `bc`, `lz4`";
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("`apt-get install bc bison flex "), "{said}");
    }
}
