//! `factory.toml`: what a person writes, as it is written. Everything is optional here; what is
//! missing becomes a decision in [`plan`](crate::plan).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Sha256;
use crate::substrate::initramfs::Compression;
use crate::units::Bytes;

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

/// `[kernel]`: which kernel boots, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kernel {
    /// Where the kernel comes from.
    pub source: Option<KernelSource>,
    /// The package to resolve, with `source = "debian"`.
    pub package: Option<String>,
    /// The suite to resolve it in; else the track's, which may be another than of all other parts.
    pub suite: Option<String>,
    /// Further words for the kernel command line.
    pub cmdline: Option<Words>,
    /// Consoles, as in the kernel's `console=`; none lets the firmware's tables choose.
    pub console: Vec<Words>,
}

/// Where a kernel comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelSource {
    /// A package of the Debian archive.
    Debian,
}

/// `[substrate]`: what every image does after the kernel starts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Substrate {
    /// Modules to add to the built-in list.
    pub modules: Vec<String>,
    /// Directory to copy into the initramfs as `/payload`.
    pub payload: Option<PathBuf>,
    /// How the initramfs is packed.
    pub compression: Option<Compression>,
    /// Whether the console gets a root shell when no rootfs takes over.
    pub shell: Option<bool>,
    /// Whether wired interfaces ask for an address when no rootfs takes over.
    pub network: Option<bool>,
}

/// `[rootfs]`: the system that the initramfs hands over to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rootfs {
    /// File system of the image in the slot.
    pub format: Option<RootfsFormat>,
    /// The first program of the system.
    pub init: Option<String>,
    /// Libraries that may be missing, such as those loaded at run time from elsewhere.
    pub allow_missing: Vec<String>,
    /// `[[rootfs.layer]]`, in order; later ones replace what earlier ones put down.
    pub layer: Vec<Layer>,
}

/// File system of a rootfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RootfsFormat {
    /// `rootfs.ext4`
    Ext4,
    /// `rootfs.squashfs`
    Squashfs,
}

/// `[[rootfs.layer]]`: one of three kinds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// A tar archive, packed or not: a file of the project, or an address that starts with `http://`
    /// or `https://`.
    pub tar: Option<String>,
    /// Digest of a `tar` from the web.
    pub sha256: Option<Sha256>,
    /// A directory.
    pub dir: Option<PathBuf>,
    /// Debian packages, with all that they depend on.
    pub packages: Option<Vec<String>>,
    /// With `packages`: add the packages that Debian takes for granted.
    #[serde(default)]
    pub essential: bool,
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

/// `[rpi]`: the Raspberry Pi track.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rpi {
    /// Where the boards' firmware comes from.
    pub firmware: Option<FirmwareSource>,
    /// Address that tags of raspberrypi/firmware lie under, for `firmware = "upstream"`.
    pub upstream: Option<String>,
    /// Whether the header has a serial console.
    pub uart: Option<bool>,
    /// Lines of config.txt for all boards, as they are.
    pub config: Vec<String>,
    /// Overlays for all boards, without their ending, with parameters after a comma.
    pub overlays: Vec<String>,
    /// Parameters of the device tree for all boards.
    pub params: Vec<String>,
    /// Directory to copy into the control partition and both slots.
    pub files: Option<PathBuf>,
    /// `[rpi.board.NAME]`: what one board is told.
    pub board: BTreeMap<String, BoardConfig>,
}

/// Where the firmware of Raspberry Pi boards comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FirmwareSource {
    /// The package of the Debian archive.
    #[default]
    Debian,
    /// Single files of raspberrypi/firmware at the tag in `firmware/rpi-upstream.toml`.
    Upstream,
}

/// What goes into config.txt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoardConfig {
    /// Lines as they are.
    pub config: Vec<String>,
    /// Overlays, without their ending, with parameters after a comma.
    pub overlays: Vec<String>,
    /// Parameters of the device tree.
    pub params: Vec<String>,
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
        config.check_layers(text, file)?;
        Ok(config)
    }

    fn check_layers(&self, text: &str, file: &str) -> Result<(), ConfigError> {
        let problems = self.rootfs.layer.iter().enumerate();
        let Some((index, (message, hint))) =
            problems.filter_map(|(index, layer)| Some((index, layer.problem()?))).next()
        else {
            return Ok(());
        };
        let header = text.match_indices("[[rootfs.layer]]").nth(index);
        Err(ConfigError::Wrong {
            message: message.to_owned(),
            place: place(text, file, header.map(|(at, found)| at..at + found.len())),
            hint: format!("\n\nhint: {hint}"),
        })
    }
}

impl Layer {
    /// Whether the tar is to be fetched.
    fn is_from_web(&self) -> bool {
        self.tar.as_ref().is_some_and(|tar| tar.starts_with("http://") || tar.starts_with("https://"))
    }

    /// What is wrong with the fields as a whole, and a way out.
    fn problem(&self) -> Option<(&'static str, &'static str)> {
        let kinds = [self.tar.is_some(), self.dir.is_some(), self.packages.is_some()];
        if kinds.iter().filter(|kind| **kind).count() != 1 {
            return Some((
                "a layer is one of `tar`, `dir` and `packages`",
                "start another `[[rootfs.layer]]` for each",
            ));
        }
        match (self.is_from_web(), self.sha256.is_some()) {
            (true, false) => Some((
                "a `tar` from the web needs its `sha256`",
                "download it once, look at it, and write down what `sha256sum` prints",
            )),
            (false, true) => Some((
                "`sha256` is for a `tar` from the web; files of the project are taken as they are",
                "leave `sha256` out",
            )),
            _ => None,
        }
    }
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
fn explain(message: &str) -> (String, String) {
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
