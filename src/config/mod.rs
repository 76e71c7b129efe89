//! `factory.toml`: what a person writes, as it is written. Everything is optional here; what is
//! missing becomes a decision in [`plan`](crate::plan).

mod health;
mod kernel;
mod rootfs;
mod rpi;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::substrate::initramfs::Compression;
use crate::units::Bytes;
pub use health::{Check, Health, Timeout};
pub use kernel::{Kernel, KernelSource};
pub use rootfs::{Layer, Rootfs, RootfsFormat};
pub use rpi::{BoardConfig, FirmwareSource, Rpi};

/// Name of the project file.
pub const FILE: &str = "factory.toml";

/// A project file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[image]`
    pub image: Image,
    /// `[sizes]`
    pub sizes: Sizes,
    /// `[kernel]`
    pub kernel: Kernel,
    /// `[substrate]`
    pub substrate: Substrate,
    /// `[rootfs]`
    pub rootfs: Rootfs,
    /// `[health]`
    pub health: Health,
    /// `[generic]`
    pub generic: Generic,
    /// `[rpi]`
    pub rpi: Rpi,
    /// `[sources]`
    pub sources: Sources,
}

/// `[image]`: what the image is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Image {
    /// Name of the product.
    pub name: Option<Name>,
    /// Version of what the slots hold.
    pub version: Option<Version>,
    /// Track to build when the command line names none.
    pub track: Option<String>,
    /// Host name of the device.
    pub hostname: Option<Name>,
    /// Boards that the image must serve, on tracks that know boards.
    pub boards: Option<Vec<String>>,
}

/// `[sizes]`: what the partitions take.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sizes {
    /// The partition that is read first: the ESP.
    pub selector: Option<Size>,
    /// Each of the two system partitions.
    pub system: Option<Size>,
    /// The data partition.
    pub data: Option<Size>,
}

/// `[substrate]`: what every image does after the kernel starts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Substrate {
    /// Modules to add to the built-in list.
    pub modules: Vec<String>,
    /// Directory to copy into the initramfs as `/payload`.
    pub payload: Option<PathBuf>,
    /// The device's command for the boot state, instead of the one in this program.
    pub bootenv: Option<PathBuf>,
    /// How the initramfs is packed.
    pub compression: Option<Compression>,
    /// Whether the console gets a root shell when no rootfs takes over.
    pub shell: Option<bool>,
    /// Whether wired interfaces ask for an address when no rootfs takes over.
    pub network: Option<bool>,
}

/// `[generic]`: the generic track.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generic {
    /// Boot through shim and the signed GRUB.
    pub secure_boot: Option<bool>,
    /// Directory to copy onto the ESP.
    pub esp: Option<PathBuf>,
}

/// `[sources]`: where external parts come from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// `[sources.debian]`
    pub debian: Debian,
}

/// `[sources.debian]`: a Debian archive.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Debian {
    /// Address of the archive; without it, that of the environment or of the host's APT sources.
    pub mirror: Option<String>,
    /// Suites to search, the release first.
    pub suites: Option<Vec<String>>,
    /// Components to search.
    pub components: Option<Vec<String>>,
    /// Keys that may sign the archive.
    pub keyring: Option<PathBuf>,
}

/// A name that is a host name as well: letters, digits and inner hyphens, 63 at the most (RFC 1123).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(pub String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let hyphened = text.starts_with('-') || text.ends_with('-');
        if plain && !hyphened && (1..=63).contains(&text.len()) {
            return Ok(Name(text));
        }
        Err(format!("`{text}` is not a name; it has 1 to 63 letters, digits and inner hyphens"))
    }
}

/// A version: printable, without spaces or slashes, as it ends up in file names and on the console.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Version(pub String);

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._+~-".contains(c));
        if plain && (1..=64).contains(&text.len()) {
            return Ok(Version(text));
        }
        Err(format!("`{text}` is not a version; it has 1 to 64 letters, digits and any of `._+~-`"))
    }
}

/// Words of a kernel command line, printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Words(pub String);

impl TryFrom<String> for Words {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().find(|c| !matches!(c, ' '..='~') || matches!(c, '\'' | '\\' | '$')) {
            None => Ok(Words(text.split_whitespace().collect::<Vec<_>>().join(" "))),
            Some(wrong) => Err(format!("a kernel command line cannot hold {wrong:?} on every boot path")),
        }
    }
}

/// A partition's size: a number, or what the content needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// `"auto"`
    Auto,
    /// `"512 MiB"`
    Fixed(Bytes),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "auto" {
            return Ok(Size::Auto);
        }
        text.parse().map(Size::Fixed).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Size {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Auto => f.write_str("auto"),
            Size::Fixed(bytes) => bytes.fmt(f),
        }
    }
}

/// Why a project file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading `{}`", path.display())]
    Read {
        /// The project file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{message}\n  --> {place}{hint}")]
    Wrong {
        /// What is wrong.
        message: String,
        /// File, line and the offending text.
        place: String,
        /// A way out on lines of its own, or nothing.
        hint: String,
    },
}

impl Config {
    /// Reads a project file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or has a field that is unknown or wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let shown = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Config::parse(&text, &shown)
    }

    /// Reads the text of a project file, named `file` in errors.
    ///
    /// # Errors
    /// When it is not TOML, or has a field that is unknown or wrong.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let (message, hint) = explain(error.message());
            ConfigError::Wrong { message, place: place(text, file, error.span()), hint }
        })?;
        config.check_kernel(text, file)?;
        config.check_layers(text, file)?;
        Ok(config)
    }

    fn check_kernel(&self, text: &str, file: &str) -> Result<(), ConfigError> {
        let problem = self.kernel.problem();
        problem.map_or(Ok(()), |(message, hint)| Err(wrong(message, hint, text, file, ("[kernel]", 0))))
    }

    fn check_layers(&self, text: &str, file: &str) -> Result<(), ConfigError> {
        let problems = self.rootfs.layer.iter().enumerate();
        let mut problems = problems.filter_map(|(index, layer)| Some((index, layer.problem()?)));
        problems.next().map_or(Ok(()), |(index, (message, hint))| {
            Err(wrong(message.to_owned(), hint, text, file, ("[[rootfs.layer]]", index)))
        })
    }
}

/// What is wrong with a table as a whole: the `n`th, from 0, with this header.
fn wrong(message: String, hint: &str, text: &str, file: &str, (header, n): (&str, usize)) -> ConfigError {
    let header = text.match_indices(header).nth(n);
    let place = place(text, file, header.map(|(at, found)| at..at + found.len()));
    ConfigError::Wrong { message, place, hint: format!("\n\nhint: {hint}") }
}

/// Whether something is to be fetched, and no file of the project.
pub fn is_from_web(place: &str) -> bool {
    place.starts_with("http://") || place.starts_with("https://")
}

/// `factory.toml:3  vresion = "1.0"`
fn place(text: &str, file: &str, span: Option<Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else {
        return file.to_owned();
    };
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default().trim();
    format!("{file}:{}  {line}", number + 1)
}

/// Brings the parser's message into the form of ours, and offers the nearest known name.
pub(crate) fn explain(message: &str) -> (String, String) {
    let message = message.trim();
    let Some((what, expected)) = message.split_once(", expected ") else {
        return (message.to_owned(), String::new());
    };
    let Some(given) = what.split('`').nth(1) else {
        return (message.to_owned(), String::new());
    };
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let hint = match crate::suggest::nearest(given, known.iter().copied()).first() {
        _ if known.is_empty() => return (message.to_owned(), String::new()),
        Some(near) => format!("\n\nhint: did you mean `{near}`?"),
        None => format!("\n\nhint: known here: {}", known.join(", ")),
    };
    (what.replace("unknown variant", "unknown value"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    fn complaint(text: &str) -> String {
        Config::parse(text, FILE).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_a_project() {
        assert!(Config::parse("", FILE).is_ok());
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line_and_the_nearest_known_one() {
        assert_eq!(
            complaint("[image]\nname = \"kiosk\"\nvresion = \"1.0\"\n"),
            "unknown field `vresion`\n  --> factory.toml:3  vresion = \"1.0\"\n\nhint: did you mean `version`?"
        );
    }

    #[test]
    fn a_wrong_size_is_named_with_its_line() {
        assert_eq!(
            complaint("[sizes]\ndata = \"4 GB\"\n"),
            "`4 GB` is not a size; write a whole number and KiB, MiB, GiB or TiB, as in \"512 MiB\"\n  \
             --> factory.toml:2  data = \"4 GB\""
        );
    }

    #[test]
    fn a_layer_of_two_kinds_is_refused() {
        assert_eq!(
            complaint("[[rootfs.layer]]\ndir = \"a\"\n\n[[rootfs.layer]]\ndir = \"b\"\ntar = \"c\"\n"),
            "a layer is one of `tar`, `dir` and `packages`\n  --> factory.toml:4  [[rootfs.layer]]\n\n\
             hint: start another `[[rootfs.layer]]` for each"
        );
    }

    #[test]
    fn a_kernel_is_of_one_kind() {
        assert_eq!(
            complaint("[kernel]\nfragments = [\"a\"]\n"),
            "`fragments` is for kernels that are built here\n  --> factory.toml:1  [kernel]\n\n\
             hint: write `source = \"build\"` as well"
        );
        let build = |rest: &str| format!("[kernel]\nsource = \"build\"\n{rest}\n");
        assert!(complaint(&build("tree = \"https://a.example/b.tar\"")).contains("needs its `sha256`"));
        assert!(complaint(&build("tree = \"b.tar\"\npackage = \"c\"")).starts_with("a kernel's source is"));
        assert!(complaint(&build("path = \"b.deb\"")).contains("write `source = \"path\"`"));
        assert!(complaint("[kernel]\nsource = \"path\"").starts_with("`source = \"path\"` needs"));
        assert!(Config::parse(&build("tree = \"linux\"\nllvm = true"), FILE).is_ok());
    }

    #[test]
    fn a_layer_from_the_web_needs_its_digest() {
        assert_eq!(
            complaint("[[rootfs.layer]]\ntar = \"https://mirror.example/base.tar.zst\"\n"),
            "a `tar` from the web needs its `sha256`\n  --> factory.toml:1  [[rootfs.layer]]\n\n\
             hint: download it once, look at it, and write down what `sha256sum` prints"
        );
        let digest = Sha256::of(b"");
        assert!(
            complaint(&format!("[[rootfs.layer]]\ntar = \"a.tar\"\nsha256 = \"{digest}\"\n"))
                .starts_with("`sha256`")
        );
    }

    #[test]
    fn names_and_command_lines_that_would_break_a_boot_path_are_refused() {
        assert!(complaint("[image]\nname = \"my kiosk\"\n").starts_with("`my kiosk` is not a name"));
        assert!(
            complaint("[kernel]\ncmdline = \"a=$b\"\n").starts_with("a kernel command line cannot hold '$'")
        );
    }
}
