//! What is done with images after they are made: other formats, and devices.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::config::Name;
use crate::digest::Sha256;
use crate::formats::FORMATS;
use crate::seed::Request;

/// `factory convert`
#[derive(Debug, Args)]
#[command(after_help = "\
The files are named after the image and lie beside it: disk.img.zst, disk.qcow2, disk.img.bmap. They take \
the place of what has those names when all are whole. Holes of the image are not read and stay holes.

An image that would be written over itself is refused, with exit code 3.")]
pub struct Convert {
    /// The image: raw, packed with zstd, gzip or xz, or qcow2.
    pub image: PathBuf,
    /// What to write; may be given again.
    #[arg(long = "to", value_name = "FORMAT", required = true, value_parser = formats())]
    pub formats: Vec<String>,
    /// Address that the files will lie under, for `os-list`.
    #[arg(long, value_name = "URL")]
    pub url_base: Option<String>,
    /// Directory to write to [default: that of the image].
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print what was written as JSON.
    #[arg(long)]
    pub json: bool,
}

/// The names of all formats.
pub(super) fn formats() -> PossibleValuesParser {
    FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.title)).into()
}

/// `factory devices`
#[derive(Debug, Args)]
pub struct Devices {
    /// List those that `factory flash` refuses, too, and why.
    #[arg(long)]
    pub all: bool,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `factory flash`
#[derive(Debug, Args)]
#[command(after_help = "\
Refused, with exit code 3: the disk of the running system, a device that is mounted or in use, read-only, or \
too small, a partition, a disk that is not removable unless it is named again by --fixed-disk, and what is \
not an image.

What lies beside an image is checked while it is read: its digest in NAME.sha256, as sha256sum writes it, and its \
block map in NAME.bmap; only what the map has is written.

The partition table is written last, when all else was read back from the medium and found right. Until then \
the device does not boot. After an interruption the same command compares what is there with the image, and \
writes only what is missing.

A seed gives this one device its identity. It is checked before anything is written, and lies on the first \
partition of the device, where whoever holds it can read it. What can be in a seed file:

  hostname = \"kiosk-17\"
  ssh_keys = [\"ssh-ed25519 AAAA... alice\"]     # may log in as root
  user_data = \"cloud.yaml\"                     # for cloud-init
  [network.eth0]                               # or [network.wired], for all others
  addresses = [\"192.0.2.17/24\"]               # or dhcp = true
  gateways = [\"192.0.2.1\"]
  dns = [\"192.0.2.53\"]")]
pub struct Flash {
    /// The image, as it is, packed by zstd, xz or gzip, or qcow2: a file, `-`, the standard input, or an http(s) URL.
    pub image: PathBuf,
    /// The device, or a file that is to become a copy.
    pub device: PathBuf,
    /// Do not ask whether what is there may be lost.
    #[arg(long)]
    pub yes: bool,
    /// Digest of what is named as the image, packed as it is; needed for a URL [default: that in NAME.sha256, if there
    /// is one].
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<Sha256>,
    /// Block map of the image; only what it has is written [default: NAME.bmap, if there is one].
    #[arg(long, value_name = "FILE")]
    pub bmap: Option<PathBuf>,
    /// The device again, when it is a disk that is built in.
    #[arg(long, value_name = "DEVICE")]
    pub fixed_disk: Option<PathBuf>,
    /// Give the device what this file says: host name, keys, network, and a document for cloud-init.
    #[arg(long, value_name = "SEED.TOML", help_heading = "Seed")]
    pub seed: Option<PathBuf>,
    /// Host name of the device, instead of the seed file's.
    #[arg(long, value_name = "NAME", value_parser = name, help_heading = "Seed")]
    pub hostname: Option<Name>,
    /// File with public keys that may log in as root, besides those of the seed file; may be given again.
    #[arg(long = "ssh-key", value_name = "FILE", help_heading = "Seed")]
    pub ssh_keys: Vec<PathBuf>,
    /// Document for cloud-init, instead of the seed file's.
    #[arg(long, value_name = "FILE", help_heading = "Seed")]
    pub user_data: Option<PathBuf>,
    /// Print what was done as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Flash {
    /// What is said of the one device.
    pub fn seed(&self) -> Request<'_> {
        Request {
            file: self.seed.as_deref(),
            hostname: self.hostname.as_ref(),
            keys: &self.ssh_keys,
            user_data: self.user_data.as_deref(),
        }
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::try_from(text.to_owned())
}
