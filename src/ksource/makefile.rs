//! Tells the source of a kernel from anything else.
//!
//! ```text
//! VERSION = 6            KERNELVERSION = VERSION[.PATCHLEVEL[.SUBLEVEL]]EXTRAVERSION
//! PATCHLEVEL = 12
//! SUBLEVEL = 107
//! EXTRAVERSION = -rc1
//! ```

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use super::SourceTreeError;

/// As much of the top Makefile as is read, in bytes; its version stands at its head.
const HEAD: u64 = 16 << 10;

/// Files that only the source of a kernel for this architecture has, all of them.
const FILES: [(&str, &str); 2] = [("Kconfig", "`Kconfig`"), ("arch/arm64/Makefile", "`arch/arm64/Makefile`")];

/// What the kernel's own Makefile takes for traces of a build inside the source (its rule
/// `outputmakefile`).
const TRACES: [&str; 3] = [".config", "include/config", "arch/arm64/include/generated"];

/// Names in an error, at most.
const NAMED: usize = 8;

/// The version of the kernel in `dir`, which is called `name` in errors.
///
/// # Errors
/// [`SourceTreeError::NotKernel`] when it is something else.
pub(super) fn version(dir: &Path, name: &str) -> Result<String, SourceTreeError> {
    let lacks = |lacks| SourceTreeError::NotKernel { name: name.to_owned(), lacks, found: found(dir) };
    let version = read_version(dir).ok_or_else(|| lacks("top `Makefile` with a kernel's version"))?;
    match FILES.iter().find(|(file, _)| !dir.join(file).is_file()) {
        Some((_, shown)) => Err(lacks(shown)),
        None => Ok(version),
    }
}

fn read_version(dir: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(dir.join("Makefile")).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    parse_version(&String::from_utf8_lossy(&head))
}

/// The kernel's version from the text of its top Makefile.
fn parse_version(makefile: &str) -> Option<String> {
    let value = |name: &str| {
        let values = makefile.lines().filter_map(|line| line.split_once('='));
        values.filter(|(key, _)| key.trim_end() == name).map(|(_, value)| value.trim()).next()
    };
    let number = |name| value(name).filter(|text| text.parse::<u32>().is_ok());
    let extra = value("EXTRAVERSION")?;
    let is_sound = extra.len() < 64
        && extra.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._~".contains(&byte));
    let (version, patchlevel) = (number("VERSION")?, number("PATCHLEVEL")?);
    is_sound.then(|| match number("SUBLEVEL") {
        Some(sublevel) => format!("{version}.{patchlevel}.{sublevel}{extra}"),
        None => format!("{version}.{patchlevel}{extra}"),
    })
}

/// A trace of a build inside the source in `dir`.
pub(super) fn trace_of_build(dir: &Path) -> Option<&'static str> {
    TRACES.into_iter().find(|trace| dir.join(trace).exists())
}

/// What stands at the top of `dir`, for an error.
pub(super) fn found(dir: &Path) -> String {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        names.map(|entry| format!("`{}`", entry.file_name().to_string_lossy().escape_debug())).collect();
    names.sort();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    match (names.is_empty(), more) {
        (true, _) => "no files".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_the_kernel_makes_of_it() {
        let makefile = |extra: &str| {
            format!(
                "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 107\nEXTRAVERSION ={extra}\nNAME = Baby\n"
            )
        };
        assert_eq!(parse_version(&makefile("")).as_deref(), Some("6.12.107"));
        assert_eq!(parse_version(&makefile(" -rc1")).as_deref(), Some("6.12.107-rc1"));
        let short = makefile("").replace("= 107", "=");
        assert_eq!(parse_version(&short).as_deref(), Some("6.12"));
    }

    #[test]
    fn makefiles_of_other_programs_have_no_version() {
        for text in ["", "all:\n\tcc x.c\n", "VERSION = 1.2\nPATCHLEVEL = 3\nSUBLEVEL = 1\nEXTRAVERSION =\n"]
        {
            assert_eq!(parse_version(text), None, "{text}");
        }
        let injected = "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\nEXTRAVERSION = $(shell id)\n";
        assert_eq!(parse_version(injected), None);
    }
}
